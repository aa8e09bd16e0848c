"""RAG-Sequence and RAG-Token decoding (Lewis et al. 2020, 2.1 and 2.5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, get_args

from retrieval.rag.beam import Beam
from retrieval.rag.hypothesis import DecodedAnswer, DecodingParams, Hypothesis, Tokens
from retrieval.rag.language_model import Continuations, LanguageModel, Steps, T
from retrieval.rag.prior import Prior

if TYPE_CHECKING:
    from torch import Tensor

Decoding = Literal["thorough", "fast"]
Run = Callable[[Callable[[], "Tokens | None"]], "Tokens | None"]
OnTokens = Callable[[Tokens], None]


def in_steps(steps: Steps[T], run: Run = lambda step: step(), on_tokens: OnTokens = lambda _: None) -> T:
    """The result of a decoding, each of whose forward passes goes through ``run``.

    Args:
        steps: of :func:`rag_sequence` or :func:`rag_token`.
        run: calls what it is given, once, where heavy work belongs (``ComputeThread.run``), perhaps within side paths.
        on_tokens: called with the answer's tokens, the end token left out, as soon as they are certain, in the thread
            of the caller.

    Raises:
        Exception: whatever ``run`` and ``on_tokens`` raise; the decoding is given up.
    """
    results: list[T] = []

    def step() -> Tokens | None:
        try:
            return next(steps)
        except StopIteration as ended:
            results.append(ended.value)
            return None

    try:
        while (tokens := run(step)) is not None:
            if tokens:
                on_tokens(tokens)
    finally:
        steps.close()
    return results[0]


def rag_sequence(
    model: LanguageModel,
    prompts: Sequence[Tokens],
    log_prior: Sequence[float],
    params: DecodingParams,
    decoding: Decoding = "thorough",
) -> Steps[DecodedAnswer]:
    """Decode argmax_y Σ_z p_η(z|x) Π_i p_θ(y_i | x, z, y_<i). Run it with :func:`in_steps`.

    A beam search for each passage gives candidates Y. Thorough decoding computes p_θ(y|x, z) also where y was not in
    z's beam, fast decoding takes it for 0 there.

    Args:
        model: of ``retrieval.rag.cached_model.language_model``, for a causal LM of transformers.
        prompts: k of them, one for each passage, as token ids.
        log_prior: log p_η(z|x) for each; a passage with -inf is not read.
        params: how to search.
        decoding: thorough or fast.

    Raises:
        ValueError: no prompts, one that is empty or too long, or a prior that is not one; it names which.
    """
    if decoding not in get_args(Decoding):
        raise ValueError(f"decoding must be thorough or fast, not {decoding}")
    prior = Prior.of(log_prior, prompts)
    texts = yield from model.read(prior.of_read(prompts), params.max_tokens)
    first = biased(texts.log_probs, params)
    beams = yield from _search_each(texts, first, params)
    found = [{h.tokens: h.log_probability for h in beam.best} for beam in beams]
    candidates = {h.tokens: h for beam in beams for h in beam.best}
    if decoding == "thorough":
        yield from _score_missing(texts, first, found, list(candidates))
    decoded = prior.decoded([_marginal(h, found, prior) for h in candidates.values()], params, prompts)
    if decoded.answer:
        yield decoded.answer
    return decoded


def rag_token(
    model: LanguageModel, prompts: Sequence[Tokens], log_prior: Sequence[float], params: DecodingParams
) -> Steps[DecodedAnswer]:
    """Decode argmax_y Π_i Σ_z p_η(z|x) p_θ(y_i | x, z, y_<i). Run it with :func:`in_steps`.

    One beam search, whose transition probabilities are the mixture's. Arguments and errors as for
    :func:`rag_sequence`.
    """
    prior = Prior.of(log_prior, prompts)
    texts = yield from model.read(prior.of_read(prompts), params.max_tokens)
    first = biased(texts.log_probs, params)
    beam = Beam.empty(first.new_tensor(prior.of_read(prior.log_probs)), params).advance(first[:, None])
    passages, hypotheses, said = len(first), 1, 0  # text z · hypotheses + n is hypothesis n behind passage z
    while True:
        if certain := beam.certain[said:]:
            yield certain
            said += len(certain)
        if not len(beam.live):
            return prior.decoded(beam.ended, params, prompts)
        rows = [z * hypotheses + parent for z in range(passages) for parent in beam.live.parents.tolist()]
        hypotheses = len(beam.live)
        texts = yield from texts.extend(rows, beam.live.last * passages)
        beam = beam.advance(texts.log_probs.view(passages, hypotheses, -1))


def biased(first: Tensor, params: DecodingParams) -> Tensor:
    """Log-probs (k, vocab) of the first token with the bias that is asked for.

    Raises:
        ValueError: a biased token is not in the vocabulary.
    """
    if not params.first_bias:
        return first
    biased = first.clone()
    for token, bias in params.first_bias.items():
        if not 0 <= token < first.shape[1]:
            raise ValueError(f"first_bias names token {token}; the vocabulary has {first.shape[1]}")
        biased[:, token] += bias
    return biased.log_softmax(-1)


def _search_each(texts: Continuations, first: Tensor, params: DecodingParams) -> Steps[list[Beam]]:
    """A finished beam for each passage."""
    beams = [Beam.empty(first.new_zeros(1), params).advance(row[None, None]) for row in first]
    starts = list(range(len(beams)))  # the text of each beam's first hypothesis
    while any(len(beam.live) for beam in beams):
        pairs = zip(beams, starts, strict=True)
        rows = [start + parent for beam, start in pairs for parent in beam.live.parents.tolist()]
        texts = yield from texts.extend(rows, [token for beam in beams for token in beam.live.last])
        counts = [len(beam.live) for beam in beams]
        starts = [0, *accumulate(counts)][:-1]
        found = texts.log_probs.split(counts)
        beams = [beam.advance(own[None]) if len(own) else beam for beam, own in zip(beams, found, strict=True)]
    return beams


def _score_missing(
    prompts: Continuations, first: Tensor, found: Sequence[dict[Tokens, float]], candidates: Sequence[Tokens]
) -> Steps[None]:
    """Add log p(y|x, z) to ``found``, by passage, for the candidates that the passage's own beam did not hold (2.5).

    Args:
        first: log p(y_1|x, z), (k, vocab).
    """
    missing = [(z, y) for z, own in enumerate(found) for y in candidates if y not in own]
    rest = yield from prompts.rest_of([z for z, _ in missing], [y for _, y in missing])
    for (z, y), later in zip(missing, rest, strict=True):
        found[z][y] = float(first[z, y[0]]) + float(later.sum())


def _marginal(hypothesis: Hypothesis, found: Sequence[Mapping[Tokens, float]], prior: Prior) -> Hypothesis:
    """A hypothesis of one passage's beam over all passages; one that a passage does not know has no probability."""
    by_passage = tuple(of_passage.get(hypothesis.tokens, -math.inf) for of_passage in found)
    return replace(hypothesis, log_probability=prior.marginal(by_passage), by_passage=by_passage)
