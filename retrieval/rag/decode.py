"""RAG-Sequence and RAG-Token decoding (Lewis et al. 2020, 2.1 and 2.5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

from retrieval.rag.beam import Beam
from retrieval.rag.hypothesis import DecodedAnswer, DecodingParams, Hypothesis, Tokens
from retrieval.rag.language_model import PROMPT, ContinuationTrees, LanguageModel, Leaves, Steps, T
from retrieval.rag.prior import Prior
from retrieval.rag.rescoring import log_probs_of

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
        on_tokens: hears the answer's tokens, the end token left out, as soon as they are certain. Called where
            ``in_steps`` was.

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
        model: of ``retrieval.rag.branching.next_tokens``, for a causal LM of transformers.
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
    trees = yield from model.read(prior.of_read(prompts), params.max_tokens)
    first = biased(trees.first, params)
    beams, sizes = yield from _search_each(trees, first, params)
    found = [{h.tokens: h.log_probability for h in beam.best} for beam in beams]
    candidates = {h.tokens: h for beam in beams for h in beam.best}
    if decoding == "thorough":
        missing = [[tokens for tokens in candidates if tokens not in own] for own in found]
        more = yield from log_probs_of(trees, missing, sizes, first)
        found = [own | rest for own, rest in zip(found, more, strict=True)]
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
    from torch import stack

    prior = Prior.of(log_prior, prompts)
    trees = yield from model.read(prior.of_read(prompts), params.max_tokens)
    first = biased(trees.first, params)
    beam = Beam.empty(first.new_tensor(prior.of_read(prior.log_probs)), params).advance(first[:, None])
    nodes: list[Tokens] = [(PROMPT,)] * len(first)  # of the hypotheses one token ago, by passage
    told = 0
    while True:
        if certain := beam.certain[told:]:
            yield certain
            told += len(certain)
        if not len(beam.live):
            return prior.decoded(beam.ended, params, prompts)
        grown = yield from trees.grow([_leaves(beam, own) for own in nodes])
        nodes = [one.nodes for one in grown]
        beam = beam.advance(stack([one.log_probs for one in grown]))


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


def _search_each(
    trees: ContinuationTrees, first: Tensor, params: DecodingParams
) -> Steps[tuple[list[Beam], list[int]]]:
    """A finished beam for each passage, and how many nodes their trees hold now."""
    beams = [Beam.empty(first.new_zeros(1), params).advance(row[None, None]) for row in first]
    nodes: list[Tokens] = [(PROMPT,)] * len(first)  # of the hypotheses one token ago, by passage
    sizes = [0] * len(first)
    while any(len(beam.live) for beam in beams):
        leaves = [_leaves(beam, own) for beam, own in zip(beams, nodes, strict=True)]
        grown = yield from trees.grow(leaves)
        nodes = [one.nodes for one in grown]
        sizes = [size + len(own) for size, own in zip(sizes, nodes, strict=True)]
        pairs = zip(beams, grown, strict=True)
        beams = [beam.advance(one.log_probs[None]) if len(beam.live) else beam for beam, one in pairs]
    return beams, sizes


def _leaves(beam: Beam, nodes: Tokens) -> Leaves:
    """The last tokens of a beam's live hypotheses, below the nodes of those that they continue."""
    return Leaves(tuple(beam.live.tokens[:, -1].tolist()), tuple(nodes[n] for n in beam.live.parents.tolist()))


def _marginal(hypothesis: Hypothesis, found: Sequence[Mapping[Tokens, float]], prior: Prior) -> Hypothesis:
    """A hypothesis of one passage's beam over all passages; one that a passage does not know has no probability."""
    by_passage = tuple(of_passage.get(hypothesis.tokens, -math.inf) for of_passage in found)
    return replace(hypothesis, log_probability=prior.marginal(by_passage), by_passage=by_passage)
