"""BM25 over the passages of one index version: made once, kept beside the versions, opened memory-mapped.

BM25 is that of Lucene as bm25s computes it (Lù 2024, eager sparse scoring). In passages of at most 100 words neither
repetition nor length says much, so k1 and b are small; they were chosen as the constants of
``retrieval.search.fusion`` were.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.passages.passage import Passage
from index.versions.passage_index import PassageIndex
from retrieval.search.tokenizer import terms

K1, B = 0.4, 0.2
IN_MEMORY = 200_000  # passages; of more, BM25 is not held in memory, some 100 MB
_QUESTION_TERMS = 256  # distinct ones that are looked up
_QUESTION = 100_000  # characters of a question that are read

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Bm25Index:
    """BM25 of one version: term document i is the passage in row i. Never changes; safe to search from several threads.

    Attributes:
        version: of the index that it is of.
        bm25: bm25s's index; None where no passage has a term.
        size: n, of the passages.
    """

    version: str
    bm25: Any = field(repr=False)
    size: int

    def search(self, query: str, k: int, allowed: Rows | None = None) -> tuple[NDArray[np.float32], Rows]:
        """The best passages that share a term with the query, best first; of equal ones the first rows.

        Args:
            query: any text; its first distinct terms count, each once.
            k: how many at most.
            allowed: rows that may be found; None: all.

        Returns:
            BM25 scores (m,), all above 0, and rows (m,); m ≤ k, and 0 where no term is known.

        Raises ValueError if k < 1.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        known = [] if self.bm25 is None else self.bm25.get_tokens_ids(_asked(query))
        if not known:
            return np.empty(0, np.float32), np.empty(0, np.int64)
        return _best(self.bm25.get_scores_from_ids(known, _mask(allowed, self.size)), k)


def build_lexical(index: PassageIndex) -> Bm25Index:
    """BM25 of all passages of ``index``, in memory. Of a corpus it holds four bytes a term while it reads."""
    corpus = _Corpus.of(index.passages)
    bm25 = None
    if len(corpus.vocab) > 1:
        bm25 = bm25s().BM25(k1=K1, b=B, method="lucene", backend="numpy", csc_backend="scipy")
        bm25.index(corpus, create_empty_token=False, show_progress=False)
    return Bm25Index(index.manifest.version, bm25, len(index.passages))


def bm25s() -> Any:
    """The library, which otherwise writes what it does into the log of everybody."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)
    return bm25s


def _asked(query: str) -> list[str]:
    return list(islice(dict.fromkeys(terms(query[:_QUESTION])), _QUESTION_TERMS))


def _mask(allowed: Rows | None, size: int) -> NDArray[np.float32] | None:
    if allowed is None:
        return None
    mask = np.zeros(size, np.float32)
    mask[allowed] = 1
    return mask


def _best(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], Rows]:
    """The k largest of those above 0, with their places; equal ones in order of place."""
    found = np.flatnonzero(scores > 0)
    if len(found) > k:
        least = np.partition(scores[found], len(found) - k)[len(found) - k]
        found = found[scores[found] >= least]
    order = np.argsort(-scores[found], kind="stable")[:k]
    rows: Rows = found[order].astype(np.int64)
    return scores[rows], rows


@dataclass(frozen=True)
class _Corpus:
    """Term numbers of all passages, as bm25s reads them: ``ids`` is walked several times, ``vocab`` numbers the terms.

    The empty term stands first, so that no list of terms is empty for bm25s.
    """

    ids: _TermLists
    vocab: dict[str, int]

    @classmethod
    def of(cls, passages: Iterable[Passage]) -> _Corpus:
        vocab: dict[str, int] = {"": 0}
        numbers, ends = array("i"), array("q", [0])
        for passage in passages:
            numbers.extend(vocab.setdefault(term, len(vocab)) for term in terms(f"{passage.title} {passage.text}"))
            ends.append(len(numbers))
        return cls(_TermLists(numbers, ends), vocab)


@dataclass(frozen=True)
class _TermLists:
    """Lists of term numbers, one behind the other."""

    numbers: array[int]
    ends: array[int]

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __iter__(self) -> Iterator[list[int]]:
        return (self.numbers[start:end].tolist() for start, end in pairwise(self.ends))
