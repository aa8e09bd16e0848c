"""Batches by tokens: texts of like length together, each batch about as much work as the machine does best at once.

sentence-transformers sorts by length too, but takes 32 texts at a time however short or long they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Features = dict[str, Any]  # what a model reads; tensors (n, tokens), and a word or two about them


def tokens_at_once(device: str) -> int:
    """How many tokens, padding included, a batch has: on a CPU, activations that stay in its caches."""
    return 2048 if device == "cpu" else 32_768


def split_by_tokens(
    features: Mapping[str, Any], texts: int, tokens: int
) -> Iterator[tuple[NDArray[np.int64], Features]]:
    """Cut what a tokenizer made of n texts into batches, longest first, without the columns that are only padding.

    Args:
        features: with ``attention_mask`` (n, s); tensors of its shape are cut likewise, others are passed on.
        texts: at most in a batch.
        tokens: at most in a batch; a single longer text is a batch.

    Returns:
        Of each batch which rows it holds, (m,), and its features.
    """
    mask = features["attention_mask"]
    lengths = mask.sum(1)
    order = lengths.argsort(descending=True, stable=True)
    first = 0
    while first < len(order):
        longest = max(1, int(lengths[order[first]]))
        rows = order[first : first + max(1, min(texts, tokens // longest))]
        columns = mask[rows].any(0)
        yield rows.numpy(), {name: _cut(value, mask.shape, rows, columns) for name, value in features.items()}
        first += len(rows)


def _cut(value: Any, shape: Any, rows: Tensor, columns: Tensor) -> Any:
    if getattr(value, "shape", None) == shape:
        return value[rows][:, columns]
    return value[rows] if len(getattr(value, "shape", ())) > 1 and len(value) == shape[0] else value


def unit_vectors(model: Any, features: Features) -> NDArray[np.float32]:
    """What a sentence-transformers model makes of one batch of n texts: (n, d), each of length 1."""
    import torch

    with torch.inference_mode():
        there = {name: value.to(model.device) if hasattr(value, "to") else value for name, value in features.items()}
        vectors: NDArray[np.float32] = (
            torch.nn.functional.normalize(model(there)["sentence_embedding"].float(), dim=1).cpu().numpy()
        )
    return vectors
