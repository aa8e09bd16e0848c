"""The losses of MEND (section 3.3): likelihood of the wanted answers, KL divergence where nothing may change."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def nll(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """−log p(target) summed over each row's tokens: logits (b, t, vocab), targets (b, t), mask (b, t) → (b,)."""
    losses = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
    return (losses * mask).sum(-1)


def kl(base: Tensor, edited: Tensor, mask: Tensor) -> Tensor:
    """KL(base ‖ edited) averaged over each row's tokens: logits (b, t, vocab), mask (b, t) → (b,)."""
    p, q = F.log_softmax(base.float(), -1), F.log_softmax(edited.float(), -1)
    divergence = F.kl_div(q, p, reduction="none", log_target=True).sum(-1)
    return (divergence * mask).sum(-1) / mask.sum(-1).clamp(min=1)


def top1_agreement(base: Tensor, edited: Tensor, mask: Tensor) -> Tensor:
    """Share of tokens whose most likely token is the same, (b, t, vocab) twice → scalar."""
    same = (base.argmax(-1) == edited.argmax(-1)) & mask.bool()
    return same.sum() / mask.sum().clamp(min=1)


def exact(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Whether every token of a row is the most likely one under teacher forcing, (b,) bool."""
    return ((logits.argmax(-1) == targets) | ~mask.bool()).all(-1) & torch.isfinite(logits).all(-1).all(-1)
