"""The next logits of one sequence: the prompt in pieces, then token by token, with a key-value cache of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from editing.model.side_path import edited
from service.engines.protocol import Prompt
from service.engines.sequence import TokenSequence

PIECE = 512  # prompt tokens computed at once; PyTorch's attention kernel works on 512 keys at a time


def next_piece(sequence: TokenSequence) -> Prompt:
    """The tokens of the prompt that are to be read next.

    Cut where the attention kernel has a boundary anyway, the pieces of a long prompt give the bits of the whole. No
    piece is a single token: that would go the way of decoding.
    """
    prompt, begin = sequence.prompt, sequence.prompt_read
    end = begin + PIECE
    return prompt[begin : end if len(prompt) - end > 1 else len(prompt)]


@torch.inference_mode()
def read(model: Any, sequence: TokenSequence) -> Tensor | None:
    """Compute the next piece of the prompt; after the last one the logits (vocab,) of the first token, float32."""
    from transformers import DynamicCache

    if sequence.cache is None:
        sequence.cache = DynamicCache(config=model.config)
    piece = next_piece(sequence)
    logits = _forward(model, sequence, piece)
    sequence.prompt_read += len(piece)
    return logits if sequence.prompt_read == len(sequence.prompt) else None


@torch.inference_mode()
def step(model: Any, sequence: TokenSequence) -> Tensor:
    """Logits (vocab,) after the sequence's last token, float32."""
    return _forward(model, sequence, (sequence.tokens[-1],))


def _forward(model: Any, sequence: TokenSequence, tokens: Prompt) -> Tensor:
    with edited(model, sequence.factors):
        out = model(input_ids=torch.tensor([tokens]), past_key_values=sequence.cache, use_cache=True, logits_to_keep=1)
    logits: Tensor = out.logits[0, -1].float()
    return logits
