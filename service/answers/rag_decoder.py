"""RAG-Sequence and RAG-Token as the service runs them: pass by pass, taking turns with other answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from editing.model.prompts import PromptEncoder
from editing.model.side_path import edited, stack
from index.passages.passage import Hit
from retrieval.rag.cached_model import language_model
from retrieval.rag.decode import in_steps, rag_sequence, rag_token
from retrieval.rag.hypothesis import DecodedAnswer, DecodingParams, Tokens
from retrieval.rag.language_model import Continuations, LanguageModel, Steps
from retrieval.reader.prompt import NO_ANSWER
from service.answers.reader import Reader, best_product
from service.engines.compute_thread import ComputeThread
from service.engines.detokenizer import Detokenizer
from service.engines.protocol import Adapter, Generation, Prompt
from service.types.answers import AskQuery
from service.types.generation import OnPiece

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
    """The passages do not hold the answer. Ends a decoding before it begins.

    Attributes:
        probability: of the no-answer token, marginal over the passages.
    """

    def __init__(self, probability: float) -> None:
        super().__init__(probability)
        self.probability = probability


@dataclass(frozen=True, eq=False)
class _AnswerablePrompts:
    """Prompts without answers that begin with the no-answer token; its probability is not given to the others."""

    prompts: Continuations
    no_answer: int

    @property
    def log_probs(self) -> Tensor:
        return self.prompts.log_probs.index_fill(1, torch.tensor([self.no_answer]), -torch.inf)

    def extend(self, rows: Sequence[int], tokens: Sequence[int]) -> Steps[Continuations]:
        return self.prompts.extend(rows, tokens)

    def rest_of(self, rows: Sequence[int], answers: Sequence[Tokens]) -> Steps[list[Tensor]]:
        return self.prompts.rest_of(rows, answers)


@dataclass(frozen=True, eq=False)
class AnswerableModel:
    """A model that answers only where Σ_z p(z|x) p(no-answer token | x, z) is less than a threshold.

    Attributes:
        no_answer: the token that ``NO_ANSWER`` begins with.
        prior: p(z|x).
        least: the threshold.
        on_probability: called with that sum.
    """

    model: LanguageModel
    no_answer: int
    prior: Tensor
    least: float
    on_probability: Callable[[float], None]

    def read(self, prompts: Sequence[Tokens], room: int) -> Steps[Continuations]:
        """See ``LanguageModel.read``. Raises Unanswerable from the threshold on."""
        read = yield from self.model.read(prompts, room)
        probability = float(self.prior @ read.log_probs[:, self.no_answer].exp().to(self.prior))
        self.on_probability(probability)
        if probability >= self.least:
            raise Unanswerable(probability)
        return _AnswerablePrompts(read, self.no_answer)


class RagDecoder:
    """Decodes answers that are marginal over passages.

    Args:
        model: the served one, which other sequences use between two forward passes.
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
    def language_model(self) -> LanguageModel:
        """The model as decoding needs it; whether its cache can be used is tried on the first call."""
        return self.compute.run(torch.inference_mode()(language_model), self.model)

    def decode(
        self,
        query: AskQuery,
        prompts: Sequence[Prompt],
        hits: Sequence[Hit],
        changes: Sequence[Adapter],
        on_text: OnPiece | None,
    ) -> tuple[Generation, PassageWeights]:
        """The likeliest answer over all passages, or ``NO_ANSWER``. Its tokens include the one that ended it.

        Args:
            prompts: k of them, each with one of ``hits``.
            changes: side paths for all of them.
            on_text: called with pieces of the text as soon as they are certain.
        """
        stream = Detokenizer(self.tokenizer, query.params.stop)

        def push(tokens: Tokens) -> None:
            for token in tokens:
                if (piece := "" if stream.stopped else stream.push(token)) and on_text:
                    on_text(piece)

        probability = list[float]()  # of no answer; nothing without a reader
        try:
            steps = self._steps(query, prompts, hits, probability.append)
            decoded = in_steps(steps, self._within(changes), push)
        except Unanswerable as unanswerable:
            return self._no_answer(unanswerable, prompts, hits, on_text)
        if (piece := stream.rest()) and on_text:
            on_text(piece)
        generation = Generation(
            stream.text,
            "stop" if stream.stopped else decoded.finish_reason,
            decoded.prompt_tokens,
            decoded.completion_tokens,
            decoded.log_probability,
            *probability,
        )
        return generation, PassageWeights(decoded.weights, decoded.prior)

    def _no_answer(
        self, unanswerable: Unanswerable, prompts: Sequence[Prompt], hits: Sequence[Hit], on_text: OnPiece | None
    ) -> tuple[Generation, PassageWeights]:
        """``NO_ANSWER``, as if the model had generated it; every passage keeps the weight that it had before."""
        if on_text:
            on_text(NO_ANSWER)
        tokens = PromptEncoder(self.tokenizer).target(NO_ANSWER, spaced=False)
        prior = tuple(self._log_prior(hits).exp().tolist())
        generation = Generation(
            NO_ANSWER,
            "stop",
            sum(map(len, prompts)),
            len(tokens),
            no_answer_probability=unanswerable.probability,
        )
        return generation, PassageWeights(prior, prior)

    def _steps(
        self,
        query: AskQuery,
        prompts: Sequence[Prompt],
        hits: Sequence[Hit],
        on_probability: Callable[[float], None],
    ) -> Steps[DecodedAnswer]:
        log_prior = self._log_prior(hits)
        params = DecodingParams(self.end_tokens, BEAMS, query.params.max_tokens, n_best=1)
        model: LanguageModel = self.language_model
        if self.reader:
            least = self.reader.card.alone.least(best_product(hits))
            model = AnswerableModel(model, self.reader.no_answer, log_prior.exp(), least, on_probability)
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
        def run_step(step: Callable[[], Tokens | None]) -> Tokens | None:
            with edited(self.model, factors):
                return step()

        return lambda step: self.compute.run(run_step, step)
