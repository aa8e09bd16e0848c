"""The additional forward passes of thorough decoding: answers that a passage's own beam did not contain (2.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrieval.rag.hypothesis import Tokens
from retrieval.rag.language_model import PROMPT, ContinuationTrees, Leaves, Steps

if TYPE_CHECKING:
    from torch import Tensor

WIDE = 16  # nodes below each passage in one go; it bounds the memory that their log-probs take


@dataclass(frozen=True)
class Trie:
    """Everything that some answers begin with, each once, short before long; what they end with is left out.

    Attributes:
        beginnings: proper and not empty.
        places: where each stands among them.
    """

    beginnings: tuple[Tokens, ...]
    places: dict[Tokens, int]

    @classmethod
    def of(cls, answers: Sequence[Tokens]) -> Trie:
        found = {answer[:n] for answer in answers for n in range(1, len(answer))}
        ordered = tuple(sorted(found, key=lambda tokens: (len(tokens), tokens)))
        return cls(ordered, {tokens: n for n, tokens in enumerate(ordered)})

    def leaves(self, start: int, end: int, offset: int) -> Leaves:
        """Some of them, to be hung below a tree that held ``offset`` nodes before the first of all was."""
        chosen = self.beginnings[start:end]
        before = [self.places[tokens[:-1]] + offset if len(tokens) > 1 else PROMPT for tokens in chosen]
        return Leaves(tuple(tokens[-1] for tokens in chosen), tuple(before))


def log_probs_of(
    trees: ContinuationTrees, answers: Sequence[Sequence[Tokens]], sizes: Sequence[int], first: Tensor
) -> Steps[list[dict[Tokens, float]]]:
    """log p(y|x, z) of given answers, from prompts that were read already.

    Args:
        trees: below k prompts.
        answers: for each of the k, those that are wanted.
        sizes: nodes that each of the k trees holds.
        first: log p(y_1|x, z), (k, vocab).
    """
    tries = [Trie.of(own) for own in answers]
    wanted = [_following(own) for own in answers]
    found = [_begun(row, wants.get((), ())) for row, wants in zip(first, wanted, strict=True)]
    for start in range(0, max((len(trie.beginnings) for trie in tries), default=0), WIDE):
        pairs = zip(tries, sizes, strict=True)
        grown = yield from trees.grow([trie.leaves(start, start + WIDE, size) for trie, size in pairs])
        for trie, wants, table, own in zip(tries, wanted, found, grown, strict=True):
            for begun, row in zip(trie.beginnings[start : start + WIDE], own.log_probs, strict=False):
                tokens = wants[begun]
                values = row[list(tokens)].tolist()
                table.update({(*begun, y): table[begun] + p for y, p in zip(tokens, values, strict=True)})
    return [{answer: table[answer] for answer in own} for own, table in zip(answers, found, strict=True)]


def _begun(first: Tensor, tokens: Tokens) -> dict[Tokens, float]:
    return {(token,): float(first[token]) for token in tokens}


def _following(answers: Sequence[Tokens]) -> dict[Tokens, Tokens]:
    """By beginning, the tokens that follow it in some answer."""
    found: dict[Tokens, dict[int, None]] = {}
    for answer in answers:
        for n, token in enumerate(answer):
            found.setdefault(answer[:n], {})[token] = None
    return {begun: tuple(tokens) for begun, tokens in found.items()}
