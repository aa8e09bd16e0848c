"""Losses against numbers by hand and torch's own."""

from __future__ import annotations

import math

import torch

from editing.training.losses import exact, kl, nll, top1_agreement

LOGITS = torch.tensor([[[0.0, math.log(3.0)], [0.0, 0.0], [9.0, 0.0]]])


def test_nll_sums_over_the_tokens_of_a_row() -> None:
    """−log ¾ − log ½, the masked third token left out."""
    value = nll(LOGITS, torch.tensor([[1, 0, 1]]), torch.tensor([[1, 1, 0]]))
    torch.testing.assert_close(value, torch.tensor([-math.log(0.75) - math.log(0.5)]))


def test_nll_is_computed_in_fp32() -> None:
    """bfloat16 logits give an fp32 loss."""
    assert nll(LOGITS.bfloat16(), torch.tensor([[1, 0, 1]]), torch.ones(1, 3)).dtype == torch.float32


def test_kl_of_equal_models_is_nothing() -> None:
    """No divergence where nothing changed, and no gradient either."""
    logits = torch.randn(2, 3, 7, requires_grad=True)
    value = kl(logits.detach(), logits, torch.ones(2, 3))
    torch.testing.assert_close(value, torch.zeros(2))
    assert torch.autograd.grad(value.sum(), logits)[0].abs().max() < 1e-6


def test_kl_is_from_the_base_to_the_edited_model() -> None:
    """Σ p log(p / q) with p the base model's probabilities, averaged over a row's tokens."""
    p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1])
    expected = (p * (p / q).log()).sum()
    value = kl(p.log()[None, None].expand(1, 2, 2), q.log()[None, None].expand(1, 2, 2), torch.ones(1, 2))
    torch.testing.assert_close(value[0], expected)


def test_kl_of_a_row_without_tokens_is_zero() -> None:
    """An empty mask divides by nothing."""
    assert kl(torch.randn(1, 2, 3), torch.randn(1, 2, 3), torch.zeros(1, 2)).item() == 0


def test_agreement_counts_unmasked_tokens() -> None:
    """One of two counted tokens has the same most likely token."""
    other = torch.tensor([[[0.0, 1.0], [0.0, 1.0], [0.0, 9.0]]])
    assert top1_agreement(LOGITS, other, torch.tensor([[1, 1, 0]])).item() == 0.5


def test_exact_asks_every_unmasked_token() -> None:
    """Right where it counts is exact; one wrong token is not."""
    targets = torch.tensor([[1, 0, 1]])
    assert exact(LOGITS, targets, torch.tensor([[1, 1, 0]])).tolist() == [True]
    assert exact(LOGITS, targets, torch.tensor([[1, 1, 1]])).tolist() == [False]


def test_exact_is_never_true_of_broken_logits() -> None:
    """NaN anywhere in a row's logits is no success."""
    assert not exact(torch.full((1, 1, 2), float("nan")), torch.tensor([[0]]), torch.ones(1, 1)).any()
