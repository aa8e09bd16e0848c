"""Does a prompt ask what an edit answers, and in which way? A cross-encoder that reads both together.

A sentence encoder puts "When was the wall built?" beside "When did the wall fall?"; read together they differ. The
layers are those of the sentence encoder, trained further; its embeddings stay as they are and are not part of the
checkpoint. (Cross-encoders: Nogueira and Cho 2019; from MiniLM: Wang et al. 2020.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

PROMPT, CONTEXT, WORDINGS, OUTPUT = 112, 64, 96, 32  # most tokens of each part
_FROZEN = ("embeddings.word_embeddings", "embeddings.position_embeddings", "pooler")


class Kind(IntEnum):
    """What a prompt is to an edit."""

    NOTHING = 0  # it does not concern it
    ASKS = 1  # it asks the same, or is a beginning that the output continues
    CONFIRMS = 2  # it asks whether the output is right: yes
    DENIES = 3  # it asks whether another answer is right: no
    WITHIN = 4  # it asks for a text that needs the output
    REVERSE = 5  # it asks for the subject, and gives the output


@dataclass(frozen=True)
class ScopePair:
    """A prompt beside an edit.

    Attributes:
        prompt: the last turn.
        wordings: of the edit, the nearest to the prompt first.
        output: of the edit; empty where only the wordings are compared.
        context: what was said before the last turn.
    """

    prompt: str
    wordings: tuple[str, ...]
    output: str = ""
    context: str = ""


class PairTokenizer:
    """Pairs to token ids: ``[CLS] prompt [SEP] (context [SEP]) wordings [SEP] output [SEP]``."""

    def __init__(self, tokenizer: Any) -> None:
        """``tokenizer``: a ``tokenizers.Tokenizer`` of BERT's kind; padding and truncation are its caller's."""
        self._tokenizer = tokenizer
        self._start, self._end = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
        self._between = tokenizer.token_to_id("|")

    def __call__(self, pairs: Sequence[ScopePair]) -> list[tuple[list[int], int]]:
        """Token ids of each pair, and how many of them are the prompt's side."""
        texts = dict.fromkeys(
            chain.from_iterable((pair.prompt, pair.context, *pair.wordings, pair.output) for pair in pairs)
        )
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        ids = {text: one.ids for text, one in zip(texts, encoded, strict=True)}
        return [self._joined(pair, ids) for pair in pairs]

    def _joined(self, pair: ScopePair, ids: dict[str, list[int]]) -> tuple[list[int], int]:
        end = self._end
        own = [self._start, *_ends(ids[pair.prompt], PROMPT), end]
        if pair.context:
            own += [*ids[pair.context][-CONTEXT:], end]
        each = WORDINGS // max(1, len(pair.wordings)) - 1
        wordings = [token for text in pair.wordings for token in (*_ends(ids[text], each), self._between)][:-1]
        return [*own, *wordings, end, *_ends(ids[pair.output], OUTPUT), end], len(own)


def _ends(ids: list[int], most: int) -> list[int]:
    """All of them, or the beginning and the end."""
    if len(ids) <= most:
        return ids
    return ids[: most - most // 2] + ids[-(most // 2) :]


class ScopeCrossEncoder(nn.Module):
    """Logits over ``Kind`` for pairs of a prompt and an edit.

    Args:
        encoder: a BERT model without its pooler; its layers become this model's own.
    """

    def __init__(self, encoder: Any, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.decide = nn.Sequential(nn.Dropout(dropout), nn.Linear(int(encoder.config.hidden_size), len(Kind)))
        for name, parameter in self.encoder.named_parameters():
            parameter.requires_grad_(not name.startswith(_FROZEN))

    def forward(self, ids: Tensor, types: Tensor, mask: Tensor) -> Tensor:
        """ids, types, mask (n, s) → logits (n, kinds); the mean over tokens is what decides."""
        hidden = self.encoder(input_ids=ids, token_type_ids=types, attention_mask=mask).last_hidden_state
        weight = mask[..., None].to(hidden.dtype)
        logits: Tensor = self.decide((hidden * weight).sum(1) / weight.sum(1))
        return logits

    def save(self, path: Path, metadata: dict[str, str]) -> None:
        """The trained part, in half precision."""
        tensors = {name: t.to(torch.float16).contiguous() for name, t in self.state_dict().items() if _own(name)}
        save_file(tensors, path, metadata=metadata)

    def load(self, path: Path) -> dict[str, str]:
        """Take over what ``save`` wrote; returns its metadata. Raises RuntimeError where it is another model's."""
        with safe_open(path, "pt") as file:
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
            metadata: dict[str, str] = file.metadata() or {}
        missing = [name for name in self.state_dict() if _own(name) and name not in state]
        if missing:
            raise RuntimeError(f"{path}: lacks {missing[0]}")
        self.load_state_dict(state, strict=False)
        return metadata


def _own(name: str) -> bool:
    return not name.removeprefix("encoder.").startswith(_FROZEN)


def collate(encoded: Sequence[tuple[list[int], int]]) -> tuple[Tensor, Tensor, Tensor]:
    """ids, types and mask (n, s) of encoded pairs, padded to the longest."""
    longest = max(len(ids) for ids, _ in encoded)
    ids = torch.zeros(len(encoded), longest, dtype=torch.long)
    types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, (tokens, own) in enumerate(encoded):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        types[row, own : len(tokens)] = 1
        mask[row, : len(tokens)] = 1
    return ids, types, mask
