"""Parameters of decoding, hypotheses, and the decoded answer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Tokens = tuple[int, ...]
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class DecodingParams:
    """How to search for an answer.

    Attributes:
        end_tokens: each of them ends an answer, and its probability is part of the answer's.
        beams: hypotheses kept at each step; 1 is greedy.
        max_tokens: longest answer, the end token included.
        n_best: hypotheses that are searched to their end, at most ``beams``, which is the default. In RAG-Sequence
            each passage brings as many. With 1 a search ends as soon as its best hypothesis is certain.
        length_penalty: hypotheses are ranked by log-probability / tokens ** length_penalty; 0 is the probability alone.
        first_bias: added to the logits of the first token, with every passage. It changes the distribution, in which
            all probabilities are then meant.

    Raises:
        ValueError: a number out of its range, naming the field.
    """

    end_tokens: frozenset[int]
    beams: int = 4
    max_tokens: int = 64
    n_best: int | None = None
    length_penalty: float = 0.0
    first_bias: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in (("beams", self.beams), ("max_tokens", self.max_tokens), ("n_best", self.searched)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if self.searched > self.beams:
            raise ValueError(f"n_best ({self.searched}) must not be more than beams ({self.beams})")
        if not math.isfinite(self.length_penalty):
            raise ValueError(f"length_penalty must be a finite number, not {self.length_penalty}")
        for token, bias in self.first_bias.items():
            if math.isnan(bias) or bias == math.inf:
                raise ValueError(f"first_bias of token {token} must be a number or -inf, not {bias}")

    @property
    def searched(self) -> int:
        return self.beams if self.n_best is None else self.n_best

    def score(self, log_probability: float, length: int) -> float:
        """What hypotheses are ranked by."""
        return log_probability / float(length**self.length_penalty)


@dataclass(frozen=True)
class Hypothesis:
    """A possible answer.

    Attributes:
        tokens: y, with its end token where it has one.
        log_probability: log p(y|x), marginal over the passages; of a truncated answer, that of all that begin so.
        by_passage: log p(y|x, z) for each of the k passages; -inf for a passage that is left out, because its prior is
            zero or because fast decoding did not generate y from it.
        finish_reason: ``stop`` with an end token, ``length`` without.
    """

    tokens: Tokens
    log_probability: float
    by_passage: tuple[float, ...]
    finish_reason: FinishReason

    @property
    def answer(self) -> Tokens:
        """The tokens without the end token: what is turned into text."""
        return self.tokens[:-1] if self.finish_reason == "stop" else self.tokens


def ranked(hypotheses: Iterable[Hypothesis], params: DecodingParams) -> list[Hypothesis]:
    """Best first."""
    return sorted(hypotheses, key=lambda h: -params.score(h.log_probability, len(h.tokens)))


@dataclass(frozen=True)
class DecodedAnswer:
    """The best answer, and what else was considered.

    Attributes:
        hypotheses: best first, never empty.
        prior: p(z|x) for each passage.
        weights: p(z|x, y) ∝ p(z|x) p(y|x, z) for each passage, y being the best answer.
        prompt_tokens: read, over all passages.
    """

    hypotheses: tuple[Hypothesis, ...]
    prior: tuple[float, ...]
    weights: tuple[float, ...]
    prompt_tokens: int

    @property
    def best(self) -> Hypothesis:
        return self.hypotheses[0]

    @property
    def tokens(self) -> Tokens:
        """Of the best answer, with its end token where it has one."""
        return self.best.tokens

    @property
    def answer(self) -> Tokens:
        """The best answer's tokens without the end token."""
        return self.best.answer

    @property
    def log_probability(self) -> float:
        return self.best.log_probability

    @property
    def finish_reason(self) -> FinishReason:
        return self.best.finish_reason

    @property
    def completion_tokens(self) -> int:
        return len(self.tokens)
