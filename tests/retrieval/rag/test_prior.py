"""p(z|x), and p(z | x, y) of an answer."""

from __future__ import annotations

import math

import pytest
import torch

from retrieval.rag.prior import Prior, log_sum

TWO = [math.log(0.25), math.log(0.75)]


def test_the_posterior_weighs_the_prior_by_what_each_passage_gives() -> None:
    """p(z|x) p(y|x, z), normalised."""
    prior = Prior.of(TWO, [(1,), (2,)])
    assert prior.posterior([math.log(0.6), math.log(0.1)]) == pytest.approx([0.15 / 0.225, 0.075 / 0.225])
    assert prior.marginal([math.log(0.6), math.log(0.1)]) == pytest.approx(math.log(0.225))


def test_very_small_probabilities_do_not_vanish() -> None:
    """Those of long answers are far below the least number."""
    prior = Prior.of(TWO, [(1,), (2,)])
    assert prior.marginal([-5000.0, -5000.0]) == pytest.approx(-5000)
    assert prior.posterior([-5000.0, -5001.0]) == pytest.approx([1 / (1 + 3 / math.e), 3 / (math.e + 3)])


def test_an_answer_that_no_passage_gives_alone_leaves_the_prior() -> None:
    """RAG-Token may take one token from here and one from there."""
    assert Prior.of(TWO, [(1,), (2,)]).posterior([-math.inf, -math.inf]) == pytest.approx((0.25, 0.75))
    assert log_sum([]) == log_sum([-math.inf]) == -math.inf


def test_rounding_is_forgiven() -> None:
    """A softmax in bfloat16 sums to one roughly."""
    scores = torch.randn(20, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    prior = Prior.of(scores.float().log_softmax(-1).tolist(), [(1,)] * 20)
    assert prior.read == tuple(range(20))
