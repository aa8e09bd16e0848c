"""How well passages are found: the rank of the first one that has an answer, for each question and kind of search."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from index.passages.passage import Hit, Passage
from retrieval.encoders.encoder import Progress
from retrieval.evaluation.metrics import first_with_answer, have_answers, readable
from retrieval.evaluation.nq_open import Question

DEPTH = 100  # passages looked at for each question; recall is measured up to there
AT = (1, 5, 20, 100)  # the k that recall is reported at
SearchMany = Callable[[Sequence[str], int], list[list[Hit]]]  # (queries, k) → the best passages of each


@dataclass(frozen=True)
class Ranks:
    """Where the first passage with an answer stood.

    Attributes:
        how: kind of search: ``dense``, ``bm25`` or ``hybrid``.
        first: one a question, from 1; None: not among the ``depth`` best.
        depth: passages looked at, fewer than :data:`DEPTH` only in a smaller index.
    """

    how: str
    first: tuple[int | None, ...]
    depth: int


def rank_answers(
    how: str, search: SearchMany, questions: Sequence[Question], progress: Progress | None = None, batch: int = 32
) -> Ranks:
    """Search for every question and note where an answer stands first.

    Args:
        how: what kind of search it is.
        search: gives at most k passages for each query, best first.
        questions: n of them.
        progress: called with (questions done, n).
        batch: questions searched for together.
    """
    first: list[int | None] = []
    depth = 0
    for at in range(0, len(questions), batch):
        group = questions[at : at + batch]
        for question, hits in zip(group, search([one.text for one in group], DEPTH), strict=True):
            depth = max(depth, len(hits))
            first.append(first_with_answer(question.answers, (readable(hit.passage) for hit in hits)))
        if progress is not None:
            progress(len(first), len(questions))
    return Ranks(how, tuple(first), depth)


def answerable(
    questions: Sequence[Question], passages: Sequence[Passage], progress: Progress | None = None
) -> list[bool]:
    """For each question whether any passage of the index has an answer to it; the others cannot be answered from it.

    That a text has the words of an answer does not say that it answers the question: short answers, years above all,
    stand in many texts. So this names too many questions answerable and none too many unanswerable.
    """
    return have_answers([question.answers for question in questions], _with_progress(passages, progress))


def _with_progress(passages: Sequence[Passage], progress: Progress | None) -> Iterator[str]:
    for done, passage in enumerate(passages, start=1):
        yield readable(passage)
        if progress is not None and (done % 1000 == 0 or done == len(passages)):
            progress(done, len(passages))
