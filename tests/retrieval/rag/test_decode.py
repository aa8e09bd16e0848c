"""Decoding, compared with the enumeration of every short answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from retrieval.rag.cached_model import CachedModel
from retrieval.rag.decode import in_steps, rag_sequence, rag_token
from retrieval.rag.hypothesis import DecodedAnswer, DecodingParams, Tokens
from retrieval.rag.recomputed import RecomputingModel
from tests.retrieval.enumerated import END, LENGTH, VOCABULARY, Enumerated, llama, prior_of, prompts_of

CASES = [(seed, k) for k in (1, 2, 3) for seed in (0, 1, 2)]
WIDE = DecodingParams(frozenset({END}), beams=800, max_tokens=LENGTH)
NARROW = replace(WIDE, beams=3)
BOTH = pytest.mark.parametrize("rag", [rag_sequence, rag_token])
Rag = Callable[..., Any]


@cache
def enumerated(seed: int, k: int, ends: frozenset[int] = frozenset({END})) -> Enumerated:
    return Enumerated(llama(seed), prompts_of(k, seed), prior_of(k, seed), ends)


def decode(rag: Rag, truth: Enumerated, params: DecodingParams, *more: Any) -> DecodedAnswer:
    decoded: DecodedAnswer = in_steps(rag(CachedModel(truth.model), truth.prompts, truth.log_prior, params, *more))
    return decoded


def check_against(table: dict[Tokens, float], decoded: DecodedAnswer, count: int) -> None:
    """The best ``count`` answers, their order and their probabilities."""
    best = sorted(table, key=lambda y: -table[y])[:count]
    assert [h.tokens for h in decoded.hypotheses[:count]] == best
    assert [h.log_probability for h in decoded.hypotheses[:count]] == pytest.approx([table[y] for y in best], abs=1e-5)
    assert decoded.finish_reason == ("stop" if best[0][-1] == END else "length")


@pytest.mark.parametrize(("seed", "k"), CASES)
def test_a_wide_thorough_search_finds_all_answers_in_order(seed: int, k: int) -> None:
    """RAG-Sequence: the same hypotheses in the same order as by definition, with the same probabilities."""
    truth = enumerated(seed, k)
    check_against(truth.sequence, decode(rag_sequence, truth, WIDE), len(truth.answers))


@pytest.mark.parametrize(("seed", "k"), CASES)
def test_a_wide_search_over_the_mixture_finds_all_answers_in_order(seed: int, k: int) -> None:
    """RAG-Token, likewise."""
    truth = enumerated(seed, k)
    check_against(truth.token, decode(rag_token, truth, WIDE), len(truth.answers))


@BOTH
def test_probabilities_of_all_answers_sum_to_one(rag: Rag) -> None:
    """Answers with an end and truncated ones together."""
    decoded = decode(rag, enumerated(0, 3), WIDE)
    assert sum(math.exp(h.log_probability) for h in decoded.hypotheses) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("seed", "k"), CASES)
@pytest.mark.parametrize("n_best", [1, 3, 20])
def test_fast_decoding_gives_nothing_to_what_a_beam_does_not_contain(seed: int, k: int, n_best: int) -> None:
    """p(y|x, z) is taken for 0 where y is not among the passage's best; each beam is searched exactly when wide."""
    truth = enumerated(seed, k)
    decoded = decode(rag_sequence, truth, replace(WIDE, n_best=n_best), "fast")
    kept = [truth.best_of(z, n_best) for z in range(k)]
    expected = {
        y: math.log(sum(math.exp(truth.log_prior[z] + truth.by_passage[y][z]) for z in range(k) if y in kept[z]))
        for y in {y for own in kept for y in own}
    }
    check_against(expected, decoded, len(expected))
    assert len(decoded.hypotheses) == len(expected)


@pytest.mark.parametrize(("seed", "k"), CASES)
@pytest.mark.parametrize("beams", [3, 50])
def test_thorough_decoding_scores_the_union_of_the_beams_with_every_passage(seed: int, k: int, beams: int) -> None:
    """Of narrow beams, too, every hypothesis has its full marginal probability, and each passage its share."""
    truth = enumerated(seed, k)
    decoded = decode(rag_sequence, truth, replace(WIDE, beams=beams))
    assert len(decoded.hypotheses) >= 3
    for h in decoded.hypotheses:
        assert h.log_probability == pytest.approx(truth.sequence[h.tokens], abs=1e-5)
        assert h.by_passage == pytest.approx(truth.by_passage[h.tokens], abs=1e-5)


@pytest.mark.parametrize(("seed", "k"), CASES)
def test_hypotheses_of_a_narrow_mixture_have_their_probability(seed: int, k: int) -> None:
    """RAG-Token with three beams."""
    truth = enumerated(seed, k)
    for h in decode(rag_token, truth, NARROW).hypotheses:
        assert h.log_probability == pytest.approx(truth.token[h.tokens], abs=1e-5)
        assert h.by_passage == pytest.approx(truth.by_passage[h.tokens], abs=1e-5)


@BOTH
@pytest.mark.parametrize("seed", range(6))
def test_looking_for_one_finds_the_same_best(rag: Rag, seed: int) -> None:
    """A search that ends when its best is certain ends with the best, after no more forward passes."""
    truth = enumerated(seed, 1)
    table = truth.sequence if rag is rag_sequence else truth.token
    check_against(table, decode(rag, truth, replace(WIDE, n_best=1)), 1)


@BOTH
def test_weights_are_the_posterior_over_passages(rag: Rag) -> None:
    """p(z | x, y) ∝ p(z|x) p(y|x, z)."""
    truth = enumerated(1, 3)
    decoded = decode(rag, truth, WIDE)
    joint = [math.exp(p + q) for p, q in zip(truth.log_prior, truth.by_passage[decoded.tokens], strict=True)]
    assert decoded.weights == pytest.approx([p / sum(joint) for p in joint])
    assert decoded.prior == pytest.approx([math.exp(p) for p in truth.log_prior])
    assert decoded.prompt_tokens == sum(map(len, truth.prompts))
    assert decoded.completion_tokens == len(decoded.tokens)


@BOTH
@pytest.mark.parametrize("seed", range(4))
def test_one_beam_is_greedy(rag: Rag, seed: int) -> None:
    """At each step the likeliest token of the one passage, until the end token or the limit."""
    truth = enumerated(seed, 1)
    said: Tokens = ()
    while len(said) < LENGTH and END not in said:
        said = (*said, int(truth.tables[0][said].argmax()))
    found = {h.tokens for h in decode(rag, truth, replace(WIDE, beams=1)).hypotheses}
    ended_before = {(*said[:n], END) for n in range(len(said))}
    assert found <= {said} | ended_before


@BOTH
def test_several_end_tokens_end_answers(rag: Rag) -> None:
    """Each is part of its answer."""
    truth = enumerated(2, 2, ends=frozenset({END, 3}))
    decoded = decode(rag, truth, replace(WIDE, end_tokens=frozenset({END, 3, VOCABULARY + 9})))
    table = truth.sequence if rag is rag_sequence else truth.token
    assert {h.tokens: h.log_probability for h in decoded.hypotheses} == pytest.approx(table, abs=1e-5)
    assert all(h.finish_reason == ("stop" if h.tokens[-1] in (END, 3) else "length") for h in decoded.hypotheses)


@BOTH
def test_identical_passages_are_as_one(rag: Rag) -> None:
    """The same hypotheses and probabilities, the weight shared by prior."""
    one = enumerated(0, 1)
    three = Enumerated(one.model, list(one.prompts) * 3, [math.log(p) for p in (0.2, 0.3, 0.5)])
    alone, together = decode(rag, one, NARROW), decode(rag, three, NARROW)
    assert [h.tokens for h in together.hypotheses] == [h.tokens for h in alone.hypotheses]
    assert together.log_probability == pytest.approx(alone.log_probability)
    assert together.weights == pytest.approx([0.2, 0.3, 0.5])


@BOTH
def test_a_passage_without_prior_is_not_read(rag: Rag) -> None:
    """It may even be what no model could read, and has no weight."""
    one = enumerated(0, 1)
    two = Enumerated(one.model, [(), *one.prompts], [-math.inf, 0.0])
    alone, beside = decode(rag, one, NARROW), decode(rag, two, NARROW)
    assert (beside.tokens, beside.log_probability) == (alone.tokens, alone.log_probability)
    assert beside.weights == (0.0, 1.0)
    assert beside.best.by_passage[0] == -math.inf
    assert beside.prompt_tokens == len(one.prompts[0])


@BOTH
def test_one_token_is_the_likeliest_first(rag: Rag) -> None:
    """With max_tokens = 1 no token is computed after the prompts."""
    truth = enumerated(1, 3)
    steps = rag(CachedModel(truth.model), truth.prompts, truth.log_prior, replace(WIDE, max_tokens=1))
    passes = 0

    def counted(step: Callable[[], Tokens | None]) -> Tokens | None:
        nonlocal passes
        passes += 1
        return step()

    decoded = in_steps(steps, counted)
    mixed = sum(math.exp(p) * table[()].exp() for p, table in zip(truth.log_prior, truth.tables, strict=True))
    assert isinstance(mixed, torch.Tensor)
    assert decoded.tokens == (int(mixed.argmax()),)
    assert decoded.log_probability == pytest.approx(float(mixed.max().log()), abs=1e-5)
    assert (
        passes == 3 + len(decoded.answer) + 1
    )  # one for each prompt, then the answer, if it is not empty, and the end


@BOTH
def test_a_bias_changes_the_first_token_only(rag: Rag) -> None:
    """Added to the logits with every passage; probabilities are of the distribution that it gives."""
    truth = enumerated(0, 2)
    biased = Enumerated(truth.model, truth.prompts, truth.log_prior)
    for table in biased.tables:
        table[()] = (table[()] + torch.tensor([0, 0, -math.inf, 1.5, 0, 0])).log_softmax(-1)
    decoded = decode(rag, truth, replace(WIDE, first_bias={3: 1.5, 2: -math.inf}))
    expected = biased.sequence if rag is rag_sequence else biased.token
    possible = {y: p for y, p in expected.items() if p > -math.inf}
    assert {h.tokens: h.log_probability for h in decoded.hypotheses} == pytest.approx(possible, abs=1e-5)


@BOTH
@pytest.mark.parametrize("penalty", [-1.0, 0.7, 2.0])
def test_a_length_penalty_ranks_by_it(rag: Rag, penalty: float) -> None:
    """log p / tokens ** penalty, whether all or only the best is searched for; probabilities stay what they are."""
    truth = enumerated(1, 1)
    table = {y: p / len(y) ** penalty for y, p in truth.sequence.items()}
    best = max(table, key=lambda y: table[y])
    for n_best in (1, None):
        decoded = decode(rag, truth, replace(WIDE, length_penalty=penalty, n_best=n_best))
        assert decoded.tokens == best
        assert decoded.log_probability == pytest.approx(truth.sequence[best], abs=1e-5)


@BOTH
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n_best", [1, 3])
def test_streamed_tokens_are_the_answer(rag: Rag, seed: int, n_best: int) -> None:
    """None is taken back, none is missing, and the end token is not among them."""
    truth = enumerated(seed, 2)
    said: list[int] = []
    steps = rag(CachedModel(truth.model), truth.prompts, truth.log_prior, replace(NARROW, n_best=n_best))
    decoded = in_steps(steps, on_tokens=said.extend)
    assert tuple(said) == decoded.answer
    assert END not in said


def test_tokens_are_said_before_the_end_where_they_are_certain() -> None:
    """RAG-Token with one beam says each token when it is chosen."""
    truth = enumerated(3, 2)
    params = replace(WIDE, beams=1, end_tokens=frozenset())
    pieces: list[Tokens] = []
    decoded = in_steps(
        rag_token(CachedModel(truth.model), truth.prompts, truth.log_prior, params), on_tokens=pieces.append
    )
    assert pieces == [(token,) for token in decoded.tokens]
    assert decoded.finish_reason == "length"


@BOTH
def test_any_model_that_foretells_tokens_will_do(rag: Rag) -> None:
    """Without a cache the outcome is the same."""
    truth = enumerated(2, 3)
    plain = in_steps(rag(RecomputingModel(truth.model), truth.prompts, truth.log_prior, NARROW))
    cached = decode(rag, truth, NARROW)
    assert [h.tokens for h in plain.hypotheses] == [h.tokens for h in cached.hypotheses]
    assert plain.log_probability == pytest.approx(cached.log_probability, abs=1e-9)


@BOTH
def test_what_goes_wrong_in_a_step_comes_out(rag: Rag) -> None:
    """And the decoding is over."""
    truth = enumerated(0, 1)
    steps = rag(CachedModel(truth.model), truth.prompts, truth.log_prior, NARROW)

    def failing(step: Callable[[], Tokens | None]) -> Tokens | None:
        step()
        raise RuntimeError("stopping")

    with pytest.raises(RuntimeError, match="stopping"):
        in_steps(steps, failing)
    with pytest.raises(StopIteration):
        next(steps)


@BOTH
@pytest.mark.parametrize(
    ("prompts", "log_prior", "message"),
    [
        ([], [], "at least one prompt"),
        ([(1,), ()], [math.log(0.5)] * 2, "prompt 1 of 2 is empty"),
        ([(1,), (1,) * 61], [math.log(0.5)] * 2, "prompt 1 of 2 is 61 tokens long, which with 4"),
        ([(1,)], [-0.1, -2.0], "2 entries for 1 prompts"),
        ([(1,), (2,)], [3.0, 5.0], "not 1"),
        ([(1,)], [-math.inf], "sum to 0, not 1"),
        ([(1,)], [math.nan], "sum to nan, not 1"),
    ],
)
def test_bad_input_is_named(rag: Rag, prompts: list[Tokens], log_prior: list[float], message: str) -> None:
    """What is wrong, and where."""
    with pytest.raises(ValueError, match=message):
        in_steps(rag(CachedModel(llama()), prompts, log_prior, NARROW))


def test_an_unknown_decoding_is_refused() -> None:
    with pytest.raises(ValueError, match="thorough or fast, not slow"):
        decode(rag_sequence, enumerated(0, 1), NARROW, "slow")


@BOTH
def test_a_bias_that_leaves_nothing_or_names_no_token_is_refused(rag: Rag) -> None:
    truth = enumerated(0, 1)
    with pytest.raises(ValueError, match="token 99; the vocabulary has 6"):
        decode(rag, truth, replace(NARROW, first_bias={99: 1.0}))
    with pytest.raises(ValueError, match="no token a probability"):
        decode(rag, truth, replace(NARROW, first_bias=dict.fromkeys(range(VOCABULARY), -math.inf)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"beams": 0}, "beams must be at least 1"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"n_best": 0}, "n_best must be at least 1"),
        ({"n_best": 9}, r"n_best \(9\) must not be more than beams \(3\)"),
        ({"length_penalty": math.inf}, "length_penalty must be a finite number"),
        ({"first_bias": {2: math.nan}}, "first_bias of token 2"),
    ],
)
def test_params_out_of_range_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(NARROW, **wrong)
