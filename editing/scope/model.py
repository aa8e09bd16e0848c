"""The trained scope model, opened for use: which kind of request is a prompt, beside each of several edits?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from editing.errors import EditorMismatch
from editing.scope.cross_encoder import Kind, PairTokenizer, ScopeCrossEncoder, ScopePair, collate
from editing.scope.wording_index import Floats

PRETRAINED = Path(__file__).parents[1] / "pretrained" / "scope"
AT_ONCE = 32  # pairs in one pass


@dataclass(frozen=True, eq=False)
class ScopeModel:
    """Reads pairs of prompt and edit.

    Attributes:
        thresholds: by kind, log-odds from which an edit is in scope, as calibration put them, with the operator's
            margin.
        digest: of the checkpoint and the embeddings that it stands on.
    """

    network: ScopeCrossEncoder
    tokenizer: PairTokenizer
    thresholds: tuple[float, ...]
    digest: str = ""

    @torch.inference_mode()
    def logits(self, pairs: Sequence[ScopePair]) -> Floats:
        """(n, kinds), in the order of the pairs."""
        found = np.zeros((len(pairs), len(Kind)), np.float32)
        encoded = self.tokenizer(pairs)
        order = sorted(range(len(pairs)), key=lambda n: len(encoded[n][0]))
        for first in range(0, len(order), AT_ONCE):
            rows = order[first : first + AT_ONCE]
            found[rows] = self.network(*collate([encoded[n] for n in rows])).float().numpy()
        return found


def scored(logits: Floats, thresholds: Sequence[float]) -> tuple[Floats, NDArray[np.int64]]:
    """Of logits (n, kinds): log-odds above the threshold of the likeliest kind in scope (n,), and those kinds (n,)."""
    kinds = 1 + logits[:, 1:].argmax(1)
    return in_scope(logits) - np.asarray(thresholds, np.float32)[kinds], kinds


def in_scope(logits: Floats) -> Floats:
    """Log-odds (n,) that a prompt concerns the edit in any way, of logits (n, kinds)."""
    wide = logits.astype(np.float64)
    concerned: Floats = (np.logaddexp.reduce(wide[:, 1:], axis=1) - wide[:, 0]).astype(np.float32)
    return concerned


def load_scope_model(encoder: Path, directory: Path = PRETRAINED, margin: float = 0.0) -> ScopeModel:
    """Open a checkpoint.

    Args:
        encoder: folder of the sentence encoder whose embeddings the model stands on.
        margin: added to the thresholds; above 0 fewer prompts are in scope.

    Raises:
        EditorMismatch: the checkpoint cannot be read, or was trained on another encoder.
    """
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        network, tokenizer = open_encoder(encoder)
        network.load(directory / "model.safetensors")
        named, trained_on = config["thresholds"], str(config["encoder"])
        thresholds = (0.0, *(float(named[kind.name.lower()]) + margin for kind in Kind if kind))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise EditorMismatch(f"{directory} is no readable scope model: {error}") from error
    if (found := embeddings_digest(network)) != trained_on:
        raise EditorMismatch(
            f"the scope model in {directory} was trained on an encoder with digest {trained_on[:12]}…, "
            f"{encoder} has {found[:12]}…"
        )
    digest = hashlib.sha256((directory / "model.safetensors").read_bytes() + trained_on.encode()).hexdigest()
    return ScopeModel(network.eval().requires_grad_(False), tokenizer, thresholds, digest)


def open_encoder(encoder: Path) -> tuple[ScopeCrossEncoder, PairTokenizer]:
    """A network whose layers are the sentence encoder's, to be trained or loaded, and its tokenizer.

    Raises:
        OSError, ValueError, KeyError: the folder holds no BERT model.
    """
    from tokenizers import Tokenizer
    from transformers import AutoConfig, BertModel

    model = BertModel(AutoConfig.from_pretrained(encoder, local_files_only=True), add_pooling_layer=False)
    weights = load_file(encoder / "model.safetensors")
    model.load_state_dict({name: weights[name].float() for name in model.state_dict()})
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return ScopeCrossEncoder(model), PairTokenizer(tokenizer)


def embeddings_digest(network: ScopeCrossEncoder) -> str:
    """sha256 over the word embeddings, which are not part of the checkpoint."""
    words = network.encoder.get_input_embeddings().weight.detach().to(torch.float32).contiguous()
    return hashlib.sha256(words.numpy().tobytes()).hexdigest()
