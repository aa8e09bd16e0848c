"""Shipped vectors of the Wikipedia summaries: int8, verified before use; ``prebuild`` makes them anew.

A vector is scaled until its largest component is 127, and rounded. It had length 1, so normalising brings it back and
no scale needs to be kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

import index
from index.corpora.corpus import SUMMARIES
from index.passages.passage import Passage
from retrieval.encoders.encoder import TextEncoder, Vectors
from retrieval.encoders.passage_text import TEMPLATE, render
from retrieval.indexing.embed import texts_digest

PREBUILT = Path(index.__file__).parent / "prebuilt"
PRECISION = "int8"
_SAMPLE = 16  # passages that are embedded again before the vectors are trusted
_COSINE = 0.99


def quantise(vectors: Vectors) -> NDArray[np.int8]:
    """(n, d) unit vectors to int8, each scaled to a largest component of 127."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    quantised: NDArray[np.int8] = np.rint(vectors * (127 / largest)).astype(np.int8)
    return quantised


def restore(quantised: NDArray[np.int8]) -> Vectors:
    """(n, d) int8 to unit vectors."""
    vectors: Vectors = quantised.astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def load_prebuilt(passages: Sequence[Passage], encoder: TextEncoder, directory: Path = PREBUILT) -> Vectors | None:
    """The shipped vectors (n, d), normalised, if they are those of these passages and this encoder; otherwise None.

    Texts, encoder and file are compared by digest, and 16 passages are embedded again: each must have a cosine of at
    least 0.99 with its shipped vector.
    """
    try:
        card = json.loads((directory / f"{SUMMARIES.name}.json").read_bytes())
        data = (directory / f"{SUMMARIES.name}.safetensors").read_bytes()
        if not _belongs(card, data, passages, encoder):
            return None
        vectors = restore(load(data)["vectors"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None
    if vectors.shape != (len(passages), encoder.identity.dimension):
        return None
    rows = np.unique(np.linspace(0, len(passages) - 1, _SAMPLE).astype(int))
    again = encoder.encode([render(passages[row]) for row in rows])
    return vectors if np.all(np.sum(again * vectors[rows], axis=1) >= _COSINE) else None


def _belongs(card: dict[str, object], data: bytes, passages: Sequence[Passage], encoder: TextEncoder) -> bool:
    return (
        card["encoder_digest"] == encoder.identity.digest
        and card["template"] == TEMPLATE
        and card["texts"] == texts_digest([render(passage) for passage in passages])
        and card["vectors"] == hashlib.sha256(data).hexdigest()
    )
