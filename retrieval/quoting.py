"""The sentences of passages that are nearest to a question, for where a reader is not sure which words answer it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index.passages import Hit
from retrieval.encoder import TextEncoder

SENTENCES = 2
SENTENCE = re.compile(r"(?<![A-Z])(?<!\b(?:St|Dr|Mr|Jr|Sr|vs|No|ca))(?<!\b(?:Mrs|e\.g|i\.e))[.!?]\s+(?=[A-Z\"“])")
_OF_PASSAGE = 0.3  # how much the passage's own inner product counts beside the sentence's


@dataclass(frozen=True)
class Quote:
    """Sentences as they stand in passages.

    Attributes:
        text: the sentences, the nearest first.
        ranks: of the passages that they stand in.
    """

    text: str
    ranks: frozenset[int]


def quote(question: str, hits: Sequence[Hit], encoder: TextEncoder, sentences: int = SENTENCES) -> Quote | None:
    """The nearest sentences by inner product, each with its title before it; None where there is no sentence."""
    found = [(hit, sentence) for hit in hits for sentence in split_sentences(hit.passage.text)]
    if not found:
        return None
    vectors = encoder.encode([f"{hit.passage.title}. {sentence}" for hit, sentence in found])
    of_passage = np.array([hit.inner_product or 0.0 for hit, _ in found])
    nearness = vectors @ encoder.encode_query(question) + _OF_PASSAGE * of_passage
    best = [found[at] for at in np.argsort(-nearness, kind="stable")[:sentences]]
    return Quote(" ".join(sentence for _, sentence in best), frozenset(hit.rank for hit, _ in best))


def split_sentences(text: str) -> list[str]:
    """Sentences with the marks at their ends."""
    ends = [match.start() + 1 for match in SENTENCE.finditer(text)]
    parts = (text[start:end].strip() for start, end in zip([0, *ends], [*ends, len(text)], strict=True))
    return [part for part in parts if part]
