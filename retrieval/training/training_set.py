"""Lessons for a reader: excerpts as a retriever finds them, and questions, some of which they do not answer."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from index.passages.passage import Passage
from retrieval.reader.excerpts import excerpt, split_sentences
from retrieval.reader.prompt import NOT_TOLD, QuestionAnswer, ReadingExample

SHOWN = {1: 0.2, 2: 0.1, 3: 0.3, 5: 0.4}  # passages in a lesson, and how often
EXCHANGES = 8  # in a lesson, at most
UNTOLD = 0.3  # share of exchanges whose question the passages do not answer, about
SENTENCES = 3, 8  # that are near to the first question, least and most
TOLD = 0.7  # how often a sentence that answers another question is shown too


@dataclass(frozen=True)
class AnnotatedQuestion:
    """A question of which it is known where its answer stands.

    Attributes:
        text: the question.
        answers: each is right; a lesson takes the first that a shown passage has.
        told: rows of the passages that give the answer; empty where none does.
        hits: rows of the passages that the retriever finds, best first.
        kind: its source, e.g. "made"; how often a source is drawn is the caller's choice.
    """

    text: str
    answers: tuple[str, ...]
    told: tuple[int, ...]
    hits: tuple[int, ...]
    kind: str


class ReadingExampleBuilder:
    """Draws lessons without end. What the n-th is depends on seed and n alone.

    Args:
        passages: n of them; rows count them.
        questions: of all sources.
        shares: how often the first question of a lesson is of a kind; kinds that are not named are not drawn first.
        seed: of everything that is drawn.
    """

    def __init__(
        self,
        passages: Sequence[Passage],
        questions: Sequence[AnnotatedQuestion],
        shares: Mapping[str, float],
        seed: int,
    ) -> None:
        self.passages, self.seed = passages, seed
        self.kinds: dict[str, list[AnnotatedQuestion]] = {kind: [] for kind in shares}
        self.shares = dict(shares)
        self.telling: dict[int, list[AnnotatedQuestion]] = defaultdict(list)
        self.finding: dict[int, list[AnnotatedQuestion]] = defaultdict(list)
        for question in questions:
            self.kinds.setdefault(question.kind, []).append(question)
            for row in question.told:
                self.telling[row].append(question)
            for row in question.hits[:5]:
                self.finding[row].append(question)
        self.weights = {kind: _evened(found) for kind, found in self.kinds.items()}

    def lesson(self, n: int) -> ReadingExample:
        """The n-th: it begins with one question and what the retriever finds for it."""
        draw = random.Random(f"{self.seed} {n}")
        while not (lesson := self._lesson(draw)).exchanges:
            pass
        return lesson

    def _lesson(self, draw: random.Random) -> ReadingExample:
        (kind,) = draw.choices([*self.shares], [*self.shares.values()])
        (first,) = draw.choices(self.kinds[kind], self.weights[kind])
        told = bool(first.told) and draw.random() > UNTOLD / 2
        (k,) = draw.choices([*SHOWN], [*SHOWN.values()])
        rows = self._rows(first, k, told, draw)
        asked = {one.text: one for one in (first, *self._others(rows, draw))}
        questions = list(asked.values())[:EXCHANGES]
        shown = self._excerpts(questions, rows, told, draw)
        exchanges = [self._exchange(one, shown, draw) for one in questions]
        clear = _balanced([exchange for exchange in exchanges if exchange is not None])
        draw.shuffle(clear)
        return ReadingExample(tuple(excerpt(self.passages[row], places) for row, places in shown.items()), tuple(clear))

    def _rows(self, question: AnnotatedQuestion, k: int, told: bool, draw: random.Random) -> list[int]:
        """What the retriever finds, with a passage that answers or without any."""
        if not told:
            return [row for row in question.hits if row not in question.told][:k] or [question.hits[0]]
        rows = list(question.hits[:k])
        if not set(rows) & set(question.told):
            rows[draw.randrange(len(rows))] = draw.choice(question.told)
        return rows

    def _others(self, rows: Sequence[int], draw: random.Random) -> list[AnnotatedQuestion]:
        """Further questions about the shown passages, and questions that only seem to be about them."""
        about = [q for row in rows for q in _some(self.telling[row], 4, draw)]
        besides = [q for row in rows for q in _some(self.finding[row], 4, draw) if not set(q.told) & set(rows)]
        untold = round(EXCHANGES * UNTOLD)
        return _some(about, EXCHANGES - untold, draw) + _some(besides, untold, draw)

    def _excerpts(
        self, questions: Sequence[AnnotatedQuestion], rows: Sequence[int], told: bool, draw: random.Random
    ) -> dict[int, set[int]]:
        """By row, the places of shown sentences: the nearest to the first question, and those that tell, mostly."""
        every = [(row, at, words) for row in rows for at, words in enumerate(split_sentences(self.passages[row].text))]
        near = sorted(every, key=lambda one: -_common(questions[0].text, one[2]) - draw.random())
        shown = {(row, at) for row, at, _ in near[: draw.randint(*SENTENCES)]}
        telling = [self._telling(one, row) for one in questions for row in one.told if row in rows]
        for n, place in enumerate(telling):
            if (n == 0 and told) or draw.random() < TOLD:
                shown.add(place)
        return {row: {at for own, at in shown if own == row} for row in rows if any(own == row for own, _ in shown)}

    def _telling(self, question: AnnotatedQuestion, row: int) -> tuple[int, int]:
        """Where a passage that tells does so: the sentence with an answer that has most in common with the question."""
        passage = self.passages[row]
        found = [
            (any(_holds(words, answer) for answer in question.answers), _common(question.text, words), -at)
            for at, words in enumerate(split_sentences(passage.text))
        ]
        return row, -max(found)[2]

    def _exchange(
        self, question: AnnotatedQuestion, shown: Mapping[int, set[int]], draw: random.Random
    ) -> QuestionAnswer | None:
        """The question with its answer here; None where it is unclear whether the sentences give it."""
        passages = [excerpt(self.passages[row], places) for row, places in shown.items()]
        texts = " ".join(f"{passage.title} {passage.text}" for passage in passages)
        there = [answer for answer in question.answers if _holds(texts, answer)]
        asked = _spelled(question.text, draw)
        telling = [self._telling(question, row) for row in question.told if row in shown]
        if any(at in shown[row] for row, at in telling):
            return QuestionAnswer(asked, there[0] if there else question.answers[0])
        return None if there else QuestionAnswer(asked, NOT_TOLD)


def _balanced(exchanges: Sequence[QuestionAnswer]) -> list[QuestionAnswer]:
    """No more that are not told than half of those that are, but for the only one."""
    told = [one for one in exchanges if one.answer != NOT_TOLD]
    return told + [one for one in exchanges if one.answer == NOT_TOLD][: max(1, len(told) // 2)]


def _common(question: str, sentence: str) -> int:
    """How many words of a question a sentence has, by their beginnings."""
    words, others = ({word[:6] for word in re.findall(r"\w{4,}", text.lower())} for text in (question, sentence))
    return len(words & others)


def _some(found: Sequence[AnnotatedQuestion], n: int, draw: random.Random) -> list[AnnotatedQuestion]:
    return draw.sample(found, min(n, len(found)))


def _spelled(question: str, draw: random.Random) -> str:
    """As people type: now in lower case, now with a capital and a question mark."""
    plain = question.rstrip("?. ")
    return plain.lower() if draw.random() < 0.5 else f"{plain[:1].upper()}{plain[1:]}?"


def _evened(questions: Sequence[AnnotatedQuestion]) -> list[float]:
    """Weights that make rare beginnings ("when", "how many") less rare."""
    begins = Counter(question.text.split(" ", 1)[0].lower() for question in questions)
    return [begins[question.text.split(" ", 1)[0].lower()] ** -0.5 for question in questions]


def _holds(text: str, answer: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text, re.IGNORECASE) is not None
