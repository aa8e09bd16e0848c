"""log p(y|x) of given answers, compared with the enumeration, and its gradients with finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from retrieval.training.likelihood import (
    log_prior,
    marginal_log_likelihood_sequence,
    marginal_log_likelihood_token,
    target_log_probs,
)
from tests.retrieval.enumerated import END, Enumerated, llama, prior_of, prompts_of

BOTH = pytest.mark.parametrize("likelihood", [marginal_log_likelihood_sequence, marginal_log_likelihood_token])
Likelihood = Callable[..., Tensor]
STEP = 1e-5


@cache
def enumerated(seed: int, k: int, dtype: torch.dtype = torch.float64) -> Enumerated:
    return Enumerated(llama(seed, dtype), prompts_of(k, seed), prior_of(k, seed))


def expected(likelihood: Likelihood, truth: Enumerated) -> dict[tuple[int, ...], float]:
    return truth.sequence if likelihood is marginal_log_likelihood_sequence else truth.token


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("seed", "k"), [(seed, k) for k in (1, 2, 3) for seed in (0, 1)])
def test_every_answer_has_its_probability(likelihood: Likelihood, seed: int, k: int, dtype: torch.dtype) -> None:
    """By definition, in one batch whose prompts and answers differ in length."""
    truth = enumerated(seed, k, dtype)
    table = expected(likelihood, truth)
    prior = torch.tensor([truth.log_prior] * len(table))
    found = likelihood(truth.model, [truth.prompts] * len(table), list(table), prior, rows=500)
    assert found.tolist() == pytest.approx(list(table.values()), abs=1e-5)


@BOTH
def test_probabilities_of_all_answers_sum_to_one(likelihood: Likelihood) -> None:
    truth = enumerated(0, 2)
    prior = torch.tensor([truth.log_prior] * len(truth.answers))
    found = likelihood(truth.model, [truth.prompts] * len(truth.answers), truth.answers, prior)
    assert float(found.exp().sum()) == pytest.approx(1, abs=1e-6)


@BOTH
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_the_size_of_passes_changes_nothing(likelihood: Likelihood, rows: int) -> None:
    """Questions keep their order, whichever rows are computed together."""
    truth = enumerated(1, 3)
    prompts = [truth.prompts, truth.prompts[::-1], prompts_of(3, 7)]
    targets = [(1, END), (2, 3, 4, END), (END,)]
    prior = torch.tensor([prior_of(3, seed) for seed in range(3)])
    whole = likelihood(truth.model, prompts, targets, prior)
    assert likelihood(truth.model, prompts, targets, prior, rows).tolist() == pytest.approx(whole.tolist(), abs=1e-10)
    alone = [float(likelihood(truth.model, [p], [y], q[None])) for p, y, q in zip(prompts, targets, prior, strict=True)]
    assert whole.tolist() == pytest.approx(alone, abs=1e-10)


@BOTH
def test_gradients_of_scores_are_right(likelihood: Likelihood) -> None:
    """d log p(y|x) / d score, through the prior, against finite differences."""
    truth = enumerated(2, 3)
    scores = torch.tensor([[0.3, -0.2, 0.5], [0.1, 0.9, -1.0]], dtype=torch.float64, requires_grad=True)

    def value(scores: Tensor) -> Tensor:
        prior = log_prior(scores, temperature=0.5)
        return likelihood(truth.model, [truth.prompts] * 2, [(1, 2, END), (4, END)], prior).sum()

    assert torch.autograd.gradcheck(value, (scores,), eps=STEP, atol=1e-6)


@BOTH
def test_gradients_of_weights_are_right(likelihood: Likelihood) -> None:
    """d log p(y|x) / d weights of the generator, in a batch with padding on both sides, against finite differences."""
    torch.manual_seed(0)  # GPT-2, as Llama's norms and positions are float32 in a float64 model, too
    config = GPT2Config(vocab_size=6, n_positions=64, n_embd=16, n_layer=2, n_head=2, initializer_range=0.5)
    model = GPT2LMHeadModel(config).eval().double()
    prompts, targets, prior = [prompts_of(3, 3)] * 2, [(1, END), (3, 2, 5, END)], torch.tensor([prior_of(3, 3)] * 2)

    def value() -> Tensor:
        return likelihood(model, prompts, targets, prior).sum()

    value().backward()
    for weight in (model.transformer.wte.weight, model.transformer.h[0].attn.c_attn.weight):
        assert weight.grad is not None
        assert weight.grad.isfinite().all()
        assert weight.grad.abs().sum() > 0
        with torch.no_grad():
            for place in ((1, 2), (3, 5)):
                weight[place] += STEP
                above = value()
                weight[place] -= 2 * STEP
                below = value()
                weight[place] += STEP
                assert float(weight.grad[place]) == pytest.approx(float(above - below) / (2 * STEP), abs=1e-6)


@BOTH
def test_a_passage_without_prior_adds_nothing(likelihood: Likelihood) -> None:
    """Neither to the value nor, as anything but a number, to gradients."""
    truth = enumerated(0, 2)
    prior = torch.tensor([[0.0, -math.inf]], dtype=torch.float64, requires_grad=True)
    beside = likelihood(truth.model, [truth.prompts], [(2, END)], prior)
    alone = likelihood(truth.model, [truth.prompts[:1]], [(2, END)], torch.zeros(1, 1))
    assert beside.tolist() == pytest.approx(alone.tolist())
    beside.sum().backward()
    assert prior.grad is not None
    assert prior.grad.isfinite().all()


def test_both_marginals_come_from_the_same_passes() -> None:
    """Padding behind a target adds nothing."""
    truth = enumerated(0, 2)
    found = target_log_probs(truth.model, [truth.prompts] * 2, [(2, END), (1, 1, 1, END)])
    prior = torch.tensor([truth.log_prior] * 2)
    assert found.values.shape == (2, 2, 4)
    assert found.present.tolist() == [[True, True, False, False], [True] * 4]
    assert found.sequence(prior).tolist() == pytest.approx([truth.sequence[2, END], truth.sequence[1, 1, 1, END]])
    assert found.token(prior).tolist() == pytest.approx([truth.token[2, END], truth.token[1, 1, 1, END]])


def test_the_prior_is_a_softmax_at_a_temperature() -> None:
    """softmax(score / τ)."""
    assert log_prior(torch.tensor([0.2, 0.1]), 0.1).exp().tolist() == pytest.approx(
        [math.e / (1 + math.e), 1 / (1 + math.e)]
    )
    with pytest.raises(ValueError, match="temperature must be positive, not 0"):
        log_prior(torch.zeros(2), 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"targets": [(END,), (END,)]}, "prompts of 1 questions and 2 targets"),
        ({"targets": [], "prompts": []}, "prompts of 0 questions and 0 targets"),
        ({"targets": [()]}, "target 0 is empty"),
        ({"prompts": [[(1,), ()]]}, "question 0: prompt 1 of 2 is empty"),
        ({"prompts": [[]]}, "question 0: there must be at least one prompt"),
        ({"prompts": [[(1,), (1,) * 70]]}, "question 0: prompt 1 of 2 is 70 tokens long"),
        ({"prompts": [[(1,)], [(1,), (2,)]], "targets": [(END,)] * 2}, "question 1 has 2 prompts, question 0 has 1"),
        ({"prompts": [[(1,)]]}, r"log_prior has the shape \(1, 2\), prompts \(1, 1\)"),
        ({"rows": 0}, "rows must be at least 1"),
    ],
)
def test_bad_input_is_named(wrong: dict[str, Any], message: str) -> None:
    given = {"prompts": [[(1,), (2,)]], "targets": [(1, END)], "log_prior": torch.zeros(1, 2), **wrong}
    with pytest.raises(ValueError, match=message):
        marginal_log_likelihood_token(llama(), **given)
