"""RAG-Sequence and RAG-Token as the service runs them: pass by pass, taking turns with other answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from editing.model.side_path import edited, stack
from index.passages.passage import Hit
from retrieval.rag.branching import next_tokens
from retrieval.rag.decode import in_steps, rag_sequence, rag_token
from retrieval.rag.hypothesis import DecodedAnswer, DecodingParams, Tokens
from retrieval.rag.language_model import ContinuationTrees, Grown, LanguageModel, Leaves, Steps
from retrieval.reader.prompt import NOT_TOLD
from service.answers.reader import Reader, best_product
from service.engines.compute_thread import ComputeThread
from service.engines.detokenizer import Detokenizer
from service.engines.protocol import Adapter, Generation, Prompt
from service.types import AskQuery, OnPiece

BEAMS = 4
TEMPERATURE = 0.05  # τ of the prior, without a reader that has measured its own; the encoder was trained with it


@dataclass(frozen=True)
class PassageWeights:
    """Weights of the passages: p(z | x, y) and p(z | x); empty where nothing was marginalised."""

    weights: tuple[float, ...] = ()
    priors: tuple[float, ...] = ()

    def weight(self, n: int) -> float | None:
        return self.weights[n] if self.weights else None

    def prior(self, n: int) -> float | None:
        return self.priors[n] if self.priors else None


NOTHING = PassageWeights()


class Unanswerable(Exception):
    """The passages do not tell. Ends a decoding before it begins."""


@dataclass(frozen=True, eq=False)
class _AnswerableTrees:
    """The trees without answers that begin with ``opens``, whose probability is left out, not given to the others."""

    trees: ContinuationTrees
    opens: int

    @property
    def first(self) -> Tensor:
        return self.trees.first.index_fill(1, torch.tensor([self.opens]), -torch.inf)

    def grow(self, leaves: Sequence[Leaves]) -> Steps[list[Grown]]:
        return self.trees.grow(leaves)


@dataclass(frozen=True, eq=False)
class AnswerableModel:
    """A model that answers only where Σ_z p(z|x) p("not in the index" | x, z) is less than a threshold.

    Attributes:
        opens: the token that "not in the index" begins with.
        prior: p(z|x).
        least: the threshold.
        hears: is told that probability.
    """

    model: LanguageModel
    opens: int
    prior: Tensor
    least: float
    hears: Callable[[float], None]

    def read(self, prompts: Sequence[Tokens], room: int) -> Steps[ContinuationTrees]:
        """Raises NotTold where it is not."""
        trees = yield from self.model.read(prompts, room)
        probability = float(self.prior @ trees.first[:, self.opens].exp().to(self.prior))
        self.hears(probability)
        if probability >= self.least:
            raise Unanswerable
        return _AnswerableTrees(trees, self.opens)


class RagDecoder:
    """Decodes answers that are marginal over passages.

    Args:
        model: the served one, which other rows use between two forward passes.
        tokenizer: its own.
        compute: the thread of all forward passes.
        reader: the trained one, if there is one.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        end_tokens: frozenset[int],
        compute: ComputeThread,
        reader: Reader | None = None,
    ) -> None:
        self.model, self.tokenizer, self.end_tokens = model, tokenizer, end_tokens
        self.compute, self.reader = compute, reader

    @cached_property
    def next_tokens(self) -> LanguageModel:
        """The model as decoding needs it; what its cache can do is tried on the first call."""
        return self.compute.run(torch.inference_mode()(next_tokens), self.model)

    def decode(
        self,
        query: AskQuery,
        prompts: Sequence[Prompt],
        hits: Sequence[Hit],
        changes: Sequence[Adapter],
        on_text: OnPiece | None,
    ) -> tuple[Generation, PassageWeights]:
        """The likeliest answer over all passages, or ``NOT_TOLD``.

        Args:
            prompts: k of them, each with one of ``hits``.
            changes: side paths for all of them.
            on_text: hears the text as soon as it is certain.
        """
        stream = Detokenizer(self.tokenizer, query.params.stop)

        def heard(tokens: Tokens) -> None:
            for token in tokens:
                if (piece := "" if stream.stopped else stream.push(token)) and on_text:
                    on_text(piece)

        prior, opening = tuple(self._log_prior(hits).exp().tolist()), list[float]()
        try:
            decoded = in_steps(self._steps(query, prompts, hits, opening.append), self._within(changes), heard)
        except Unanswerable:
            heard(tuple(self.tokenizer(NOT_TOLD, add_special_tokens=False)["input_ids"]))
            decoded = None
        if (piece := stream.rest()) and on_text:
            on_text(piece)
        if decoded is None:
            made = Generation(stream.text, "stop", sum(map(len, prompts)), 1, opening_probability=opening[0])
            return made, PassageWeights(prior, prior)
        reason = "stop" if stream.stopped else decoded.finish_reason
        made = Generation(
            stream.text,
            reason,
            decoded.prompt_tokens,
            decoded.completion_tokens,
            decoded.log_probability,
            *opening,
        )
        return made, PassageWeights(decoded.weights, decoded.prior)

    def _steps(
        self, query: AskQuery, prompts: Sequence[Prompt], hits: Sequence[Hit], hears: Callable[[float], None]
    ) -> Steps[DecodedAnswer]:
        log_prior = self._log_prior(hits)
        params = DecodingParams(self.end_tokens, BEAMS, query.params.max_tokens, n_best=1)
        model: LanguageModel = self.next_tokens
        if self.reader:
            least = self.reader.card.alone.least(best_product(hits))
            model = AnswerableModel(model, self.reader.opens, log_prior.exp(), least, hears)
        if query.mode == "token":
            return rag_token(model, prompts, log_prior.tolist(), params)
        return rag_sequence(model, prompts, log_prior.tolist(), params, query.decoding)

    def _log_prior(self, hits: Sequence[Hit]) -> Tensor:
        """log p(z|x) ∝ d(z)·q(x) / τ, (k,) (Lewis et al. 2020, 2.2)."""
        temperature = self.reader.card.temperature if self.reader else TEMPERATURE
        products = np.array([hit.score if hit.inner_product is None else hit.inner_product for hit in hits])
        return torch.log_softmax(torch.from_numpy(products) / temperature, 0)

    def _within(self, changes: Sequence[Adapter]) -> Callable[[Callable[[], Tokens | None]], Tokens | None]:
        """Runs a forward pass in the compute thread, under the side paths."""
        factors = stack([[change.deltas for change in changes]], self.model.dtype, self.model.device)

        @torch.inference_mode()
        def under(step: Callable[[], Tokens | None]) -> Tokens | None:
            with edited(self.model, factors):
                return step()

        return lambda step: self.compute.run(under, step)
