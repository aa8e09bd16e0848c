"""Families of models: how sequences go in, where predictions come out, and which rows an edit is made from.

MEND edits linear layers, whatever stands around them. A family says what differs: a decoder (Llama type, GPT-2)
continues its prompt, an encoder-decoder (T5, BART) answers a source text, a classifier (BERT) labels one.
"""

# ruff: noqa: ARG002 - methods keep the protocol's signature, whether or not a family needs all of it

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from editing.model.prompts import TargetSequence
from editing.model.side_path import linear_shape

_READS_THE_SOURCE = re.compile(r"(encoder_attn|EncDecAttention|crossattention)\.(.+\.)?(k|v|key|value)(_proj)?$")


@dataclass(frozen=True)
class Positions:
    """Where the predictions that count sit in a padded batch, row after row: token ``at`` predicts ``target``.

    Attributes:
        row, at, target: (n,) int64
    """

    row: Tensor
    at: Tensor
    target: Tensor


class Family(Protocol):
    """What differs between kinds of models."""

    def logits(self, model: Any, sequences: Sequence[TargetSequence], where: Positions) -> Tensor:
        """Predictions (n, vocab or labels) at the n positions."""

    def key_rows(self, name: str, sequences: Sequence[TargetSequence], where: Positions) -> tuple[Tensor, Tensor]:
        """Row and position (m,) of the inputs of module ``name`` that an edit is made from."""


class Decoder:
    """``ids`` is the prompt and the target; an edit is made from the positions that predict the target."""

    def logits(self, model: Any, sequences: Sequence[TargetSequence], where: Positions) -> Tensor:
        read = int(where.at.max()) + 1  # a target's last token predicts nothing
        ids, mask = _padded([s.ids[:read] for s in sequences], model.device)
        used, place = where.at.unique(return_inverse=True)
        if "logits_to_keep" in inspect.signature(model.forward).parameters:
            logits: Tensor = model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=used).logits
            return logits[where.row, place]
        return model(input_ids=ids, attention_mask=mask, use_cache=False).logits[where.row, where.at]  # type: ignore[no-any-return]

    def key_rows(self, name: str, sequences: Sequence[TargetSequence], where: Positions) -> tuple[Tensor, Tensor]:
        return where.row, where.at


class EncoderDecoder:
    """``source`` is read, ``ids`` is the decoder's side: start token and target. Layers of the encoder give all their
    rows, as in the paper, since every source token bears on the answer; so do keys and values of cross-attention."""

    def logits(self, model: Any, sequences: Sequence[TargetSequence], where: Positions) -> Tensor:
        source, mask = _padded([s.source for s in sequences], model.device)
        read = int(where.at.max()) + 1
        ids, _ = _padded([s.ids[:read] for s in sequences], model.device)
        logits: Tensor = model(input_ids=source, attention_mask=mask, decoder_input_ids=ids, use_cache=False).logits
        return logits[where.row, where.at]

    def key_rows(self, name: str, sequences: Sequence[TargetSequence], where: Positions) -> tuple[Tensor, Tensor]:
        if re.search(r"(^|\.)decoder\.", name) and not _READS_THE_SOURCE.search(name):
            return where.row, where.at
        return _all_rows(sequences, where.row.device)


class Classifier:
    """``source`` is read; the one target token is the label's number."""

    def logits(self, model: Any, sequences: Sequence[TargetSequence], where: Positions) -> Tensor:
        source, mask = _padded([s.source for s in sequences], model.device)
        return model(input_ids=source, attention_mask=mask).logits[where.row]  # type: ignore[no-any-return]

    def key_rows(self, name: str, sequences: Sequence[TargetSequence], where: Positions) -> tuple[Tensor, Tensor]:
        return _all_rows(sequences, where.row.device)


def family_of(model: Any) -> Family:
    """The family of a transformers model, by its configuration and its class.

    Raises:
        TypeError: it is neither a causal, nor an encoder-decoder, nor a sequence-classification model.
    """
    name = type(model).__name__
    if "SequenceClassification" in name:
        return Classifier()
    if getattr(model.config, "is_encoder_decoder", False):
        return EncoderDecoder()
    if "CausalLM" in name or "LMHead" in name:
        return Decoder()
    raise TypeError(
        f"{name} cannot be edited: a causal, an encoder-decoder or a sequence-classification model is needed"
    )


def edited_modules(model: Any, first_layer: int, modules: Sequence[str]) -> list[str]:
    """Names of the linear layers called ``modules`` in layer ``first_layer`` or above, in the order of the model.

    A module is called by all that follows the last number in its name: ``mlp.down_proj``, ``output.dense`` (not the one
    of ``attention.output.dense``). The first number is its layer; an encoder-decoder gives layers of both sides.

    Raises:
        ValueError: a module is in none of these layers.
    """
    found: dict[str, str] = {}
    for name, module in model.named_modules():
        layer, own = re.search(r"\.(\d+)\.", name), re.split(r"\.(?:\d+\.)+", name)[-1]
        if layer and int(layer[1]) >= first_layer and own in modules:
            linear_shape(module)
            found[name] = own
    if missing := [module for module in modules if module not in found.values()]:
        raise ValueError(f"{type(model).__name__} has no layer from {first_layer} up named {', '.join(missing)}")
    return list(found)


def _padded(rows: Sequence[tuple[int, ...]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids and mask (b, longest), zeros at the right."""
    longest = max(len(row) for row in rows)
    ids = [[*row, *[0] * (longest - len(row))] for row in rows]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _all_rows(sequences: Sequence[TargetSequence], device: torch.device) -> tuple[Tensor, Tensor]:
    places = [(row, at) for row, sequence in enumerate(sequences) for at in range(len(sequence.source))]
    row, at = torch.tensor(places, device=device).unbind(1)
    return row, at
