"""The next logits of one row: the prompt in pieces, then token by token, with a key-value cache of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from editing.model.side_path import edited
from service.engines.protocol import Prompt
from service.engines.sequence import TokenSequence

PIECE = 512  # prompt tokens computed at once; PyTorch's attention kernel works on 512 keys at a time


@torch.inference_mode()
def read(model: Any, row: TokenSequence) -> Tensor | None:
    """Compute the next piece of the prompt; after the last one the logits (vocab,) of the first token, float32.

    Cut where the attention kernel has a boundary anyway, the pieces of a long prompt give the bits of the whole. No
    piece is a single token: that would go the way of decoding.
    """
    from transformers import DynamicCache

    if row.cache is None:
        row.cache = DynamicCache(config=model.config)
    end = row.done + PIECE
    end = end if len(row.prompt) - end > 1 else len(row.prompt)
    logits = _forward(model, row, row.prompt[row.done : end])
    row.done = end
    return logits if end == len(row.prompt) else None


@torch.inference_mode()
def step(model: Any, row: TokenSequence) -> Tensor:
    """Logits (vocab,) after the row's last token, float32."""
    return _forward(model, row, (row.tokens[-1],))


def _forward(model: Any, row: TokenSequence, tokens: Prompt) -> Tensor:
    with edited(model, row.factors):
        out = model(input_ids=torch.tensor([tokens]), past_key_values=row.cache, use_cache=True, logits_to_keep=1)
    logits: Tensor = out.logits[0, -1].float()
    return logits
