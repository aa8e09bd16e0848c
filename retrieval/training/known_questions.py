"""Questions of which it is known where the answer stands: made from passages, from facts, or asked by people."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from zlib import crc32

import numpy as np

from index.passages.passage import Passage
from index.versions.passage_index import PassageIndex
from retrieval.encoders.encoder import TextEncoder
from retrieval.evaluation.metrics import has_answer, normalise_answer, readable
from retrieval.evaluation.nq_open import Question
from retrieval.training.question_generation import make_questions
from retrieval.training.training_set import AnnotatedQuestion

FOUND = 10  # passages that the retriever shows for a question
NEAR = 0.55  # inner product from which on a passage with the answer's words is taken to answer
UNLIKE = 100  # best passages none of which may hold an answer, where a question counts as not answered
_ENDED = re.compile(r" (?:what|where|by whom|in what year)$")
Part = Literal["train", "tune", "test"]
Placed = tuple[str, str, int]  # question, answer, row of the passage that gives it
Search = Callable[[Sequence[str]], "np.ndarray[tuple[int, int], np.dtype[np.int64]]"]


@dataclass(frozen=True)
class StatedFact:
    """What an encyclopaedia may state: a subject, a relation by its id, an object."""

    relation: str
    subject: str
    object: str


def part_of(question: str) -> Part:
    """Where a question that people asked belongs, by its text alone: six tenths train, two tune, two test."""
    tenth = int(hashlib.sha256(question.encode()).hexdigest(), 16) % 10
    return "train" if tenth < 6 else "tune" if tenth < 8 else "test"


def made_from_passages(passages: Iterable[Passage]) -> Iterator[Placed]:
    """Questions made by rules, of every passage, with fewer of the two kinds that would else be most of them.

    A third of those that a title answers, and half of those that only end a sentence with a question word, are kept.
    """
    for row, passage in enumerate(passages):
        for made in make_questions(passage.title, passage.text, opening=passage.start == 0):
            kept = 3 if made.answer == bare(passage.title) else 2 if _ENDED.search(made.text) else 1
            if crc32(made.text.encode()) % kept == 0:
                yield made.text, made.answer, row


def made_from_facts(
    facts: Iterable[StatedFact], wordings: Mapping[str, Sequence[str]], passages: Sequence[Passage]
) -> Iterator[Placed]:
    """Two questions for each fact whose subject has a passage that states the object.

    Args:
        wordings: by relation, questions with ``[X]`` for the subject.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for row, passage in enumerate(passages):
        rows[bare(passage.title)].append(row)
    for fact in facts:
        named = rf"\b{re.escape(fact.object)}\b"
        stating = [row for row in rows.get(fact.subject, ()) if re.search(named, passages[row].text)]
        own = wordings.get(fact.relation, ())
        for n in {len(fact.subject) % len(own), len(fact.object) % len(own)} if stating and own else ():
            yield own[n].replace("[X]", fact.subject), fact.object, stating[0]


def bare(title: str) -> str:
    """ "Mercury (planet)" → "Mercury"."""
    return re.sub(r" \([^)]*\)$", "", title)


def placed(questions: Sequence[Placed], kind: str, search: Search) -> list[AnnotatedQuestion]:
    """Made questions with what the retriever finds for them."""
    found = search([text for text, _, _ in questions]) if questions else ()
    return [
        AnnotatedQuestion(text, (answer,), (row,), tuple(hits[:FOUND].tolist()), kind)
        for (text, answer, row), hits in zip(questions, found, strict=True)
    ]


class AnnotatedQuestionSet:
    """Questions that people asked, sorted by what the index has for them.

    Attributes:
        answerable: an article that the question names, or a passage near to it, has an answer.
        unanswerable: no passage that is found holds the words of an answer.
    """

    def __init__(self, questions: Sequence[Question], index: PassageIndex, encoder: TextEncoder) -> None:
        self.answerable: list[AnnotatedQuestion] = []
        self.unanswerable: list[AnnotatedQuestion] = []
        vectors = encoder.encode_queries([question.text for question in questions])
        scores, rows = index.nearest(vectors, UNLIKE)
        for question, near, hits in zip(questions, scores.tolist(), rows.tolist(), strict=True):
            passages = [index.passages[row] for row in hits]
            holding = [n for n, passage in enumerate(passages) if has_answer(question.answers, readable(passage))]
            evidence = [n for n in holding if near[n] > NEAR or names(question.text, passages[n].title)]
            known = AnnotatedQuestion(
                question.text, question.answers, tuple(hits[n] for n in evidence), tuple(hits[:FOUND]), "asked"
            )
            if evidence and not has_answer(question.answers, question.text):
                self.answerable.append(known)
            elif not holding:
                self.unanswerable.append(known)


def names(question: str, title: str) -> bool:
    """Whether a question names an article, word for word."""
    return f" {normalise_answer(bare(title))} " in f" {normalise_answer(question)} "


def searching(index: PassageIndex, encoder: TextEncoder, block: int = 2048) -> Search:
    """Dense search for many questions: the rows of the best passages, (n, FOUND)."""

    def search(texts: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        parts = [texts[at : at + block] for at in range(0, len(texts), block)]
        return np.concatenate([index.nearest(encoder.encode_queries(part), FOUND)[1] for part in parts])

    return search
