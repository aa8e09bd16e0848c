"""Beam search over the next-token probabilities of one passage, or of a mixture of passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from retrieval.rag.hypothesis import DecodingParams, FinishReason, Hypothesis, Tokens, ranked

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Partial:
    """Hypotheses that go on.

    Attributes:
        tokens: of each of the n, (n, t).
        log_probs: Σ_i log Σ_z p(z|x) p(y_i|x, z, y_<i), (n,).
        by_passage: Σ_i log p(y_i|x, z, y_<i), (n, k).
        parents: which of those one token ago each continues, (n,).
    """

    tokens: Tensor
    log_probs: Tensor
    by_passage: Tensor
    parents: Tensor

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def last(self) -> list[int]:
        """The last token of each."""
        found: list[int] = self.tokens[:, -1].tolist()
        return found

    def select(self, rows: Sequence[int]) -> Partial:
        from torch import tensor

        at = tensor(rows, dtype=self.tokens.dtype, device=self.tokens.device)
        return Partial(self.tokens[at], self.log_probs[at], self.by_passage[at], self.parents[at])

    def best(self, total: Tensor, by_passage: Tensor, columns: Tensor, most: int) -> Partial:
        """The likeliest continuations that are possible.

        Args:
            total: log-probabilities of the continuations by some tokens, (n, c).
            by_passage: what each passage adds for these tokens, (k, n, c).
            columns: the tokens, (c,).
            most: how many.
        """
        from torch import cat

        log_probs, at = total.flatten().topk(min(most, total.numel()))
        at = at[log_probs.isfinite()]
        rows, places = at // total.shape[1], at % total.shape[1]
        return Partial(
            cat([self.tokens[rows], columns[places][:, None]], 1),
            log_probs[log_probs.isfinite()],
            self.by_passage[rows] + by_passage[:, rows, places].T,
            rows,
        )

    def as_they_are(self, reason: FinishReason) -> list[Hypothesis]:
        rows = zip(self.tokens.tolist(), self.log_probs.tolist(), self.by_passage.tolist(), strict=True)
        return [Hypothesis(tuple(y), log_prob, tuple(passages), reason) for y, log_prob, passages in rows]


@dataclass(frozen=True, eq=False)
class Beam:
    """One search, between two tokens.

    Attributes:
        params: how to search.
        log_prior: (k,), log p(z|x) of the passages that are mixed; of a single passage (0,).
        live: what goes on, at most ``beams``; none when the search is over.
        ended: the best that have ended, at most ``beams``, best first.
    """

    params: DecodingParams
    log_prior: Tensor
    live: Partial
    ended: tuple[Hypothesis, ...] = ()

    @classmethod
    def empty(cls, log_prior: Tensor, params: DecodingParams) -> Beam:
        """Before the first token."""
        from torch import long

        zeros = log_prior.new_zeros
        nothing = Partial(zeros(1, 0, dtype=long), zeros(1), zeros(1, len(log_prior)), zeros(1, dtype=long))
        return cls(params, log_prior, nothing)

    @property
    def best(self) -> tuple[Hypothesis, ...]:
        """Of those that have ended, as many as are searched for."""
        return self.ended[: self.params.searched]

    @property
    def certain(self) -> Tokens:
        """What the best hypothesis begins with, whatever comes; without its end token."""
        least = [h.answer for h in self.ended[:1]]
        reach = self._reaching(self.live, self.ended[:1])
        rivals = [*least, *map(tuple, self.live.select(reach).tokens.tolist())]
        return tuple(
            tokens[0] for tokens in takewhile(lambda tokens: len(set(tokens)) == 1, zip(*rivals, strict=False))
        )

    def advance(self, log_probs: Tensor) -> Beam:
        """One token further, given log p(y_i|x, z, y_<i) of the n live ones as (k, n, vocab).

        Raises:
            ValueError: no token has a probability, so that nothing is left.
        """
        from torch import arange, isin, tensor

        mixed = (self.log_prior[:, None, None] + log_probs).logsumexp(0) if len(log_probs) > 1 else log_probs[0]
        total = self.live.log_probs[:, None] + mixed  # (n, vocab)
        columns = arange(total.shape[1], device=total.device)
        ends = columns[isin(columns, tensor(sorted(self.params.end_tokens), device=total.device))]
        ending = self.live.best(total[:, ends], log_probs[:, :, ends], ends, self.params.beams)
        going = self.live.best(total.index_fill(1, ends, -float("inf")), log_probs, columns, self.params.beams)
        return self._after(ending, going)

    def _after(self, ending: Partial, going: Partial) -> Beam:
        ended = [*self.ended, *ending.as_they_are("stop")]
        if going.tokens.shape[1] == self.params.max_tokens:
            ended += going.as_they_are("length")
            going = going.select([])
        if not ended and not len(going):
            raise ValueError("the model gives no token a probability; look at first_bias, or at the model's weights")
        kept = tuple(ranked(ended, self.params)[: self.params.beams])
        certain = kept[: self.params.searched]
        full = len(certain) == self.params.searched
        live = going.select(self._reaching(going, certain[-1:])) if full else going
        return Beam(self.params, self.log_prior, live, kept)

    def _reaching(self, live: Partial, against: Sequence[Hypothesis]) -> list[int]:
        """Those that may still come before a hypothesis: more tokens only make them less likely."""
        bar = max((self.params.score(h.log_probability, len(h.tokens)) for h in against), default=-float("inf"))
        lengths = (live.tokens.shape[1] + 1, self.params.max_tokens)
        reach = [max(self.params.score(p, length) for length in lengths) for p in live.log_probs.tolist()]
        return [row for row, score in enumerate(reach) if score > bar]
