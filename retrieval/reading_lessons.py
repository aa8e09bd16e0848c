"""Lessons for a reader: passages as a retriever finds them, and questions, some of which they do not answer."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from index.passages import Passage
from retrieval.reading import NOT_TOLD, Exchange, Lesson

SHOWN = {1: 0.2, 2: 0.1, 3: 0.3, 5: 0.4}  # passages in a lesson, and how often
EXCHANGES = 8  # in a lesson, at most
UNTOLD = 0.3  # share of exchanges whose question the passages do not answer, about


@dataclass(frozen=True)
class KnownQuestion:
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


class LessonMaker:
    """Draws lessons without end. What the n-th is depends on seed and n alone.

    Args:
        passages: n of them; rows count them.
        questions: of all sources.
        shares: how often the first question of a lesson is of a kind; kinds that are not named are not drawn first.
        seed: of everything that is drawn.
    """

    def __init__(
        self, passages: Sequence[Passage], questions: Sequence[KnownQuestion], shares: Mapping[str, float], seed: int
    ) -> None:
        self.passages, self.seed = passages, seed
        self.kinds: dict[str, list[KnownQuestion]] = {kind: [] for kind in shares}
        self.shares = dict(shares)
        self.telling: dict[int, list[KnownQuestion]] = defaultdict(list)
        self.finding: dict[int, list[KnownQuestion]] = defaultdict(list)
        for question in questions:
            self.kinds.setdefault(question.kind, []).append(question)
            for row in question.told:
                self.telling[row].append(question)
            for row in question.hits[:5]:
                self.finding[row].append(question)
        self.weights = {kind: _evened(found) for kind, found in self.kinds.items()}

    def lesson(self, n: int) -> Lesson:
        """The n-th: it begins with one question and what the retriever finds for it."""
        draw = random.Random(f"{self.seed} {n}")
        while not (lesson := self._lesson(draw)).exchanges:
            pass
        return lesson

    def _lesson(self, draw: random.Random) -> Lesson:
        (kind,) = draw.choices([*self.shares], [*self.shares.values()])
        (first,) = draw.choices(self.kinds[kind], self.weights[kind])
        told = bool(first.told) and draw.random() > UNTOLD / 2
        (k,) = draw.choices([*SHOWN], [*SHOWN.values()])
        rows = self._shown(first, k, told, draw)
        questions = {one.text: one for one in (first, *self._others(rows, draw))}
        exchanges = [self._exchange(one, rows, draw) for one in list(questions.values())[:EXCHANGES]]
        clear = [exchange for exchange in exchanges if exchange is not None]
        draw.shuffle(clear)
        return Lesson(tuple(self.passages[row] for row in rows), tuple(clear))

    def _shown(self, question: KnownQuestion, k: int, told: bool, draw: random.Random) -> list[int]:
        """What the retriever finds, with a passage that answers or without any."""
        if not told:
            return [row for row in question.hits if row not in question.told][:k] or [question.hits[0]]
        rows = list(question.hits[:k])
        if not set(rows) & set(question.told):
            rows[draw.randrange(len(rows))] = draw.choice(question.told)
        return rows

    def _others(self, rows: Sequence[int], draw: random.Random) -> list[KnownQuestion]:
        """Further questions about the shown passages, and questions that only seem to be about them."""
        about = [q for row in rows for q in _some(self.telling[row], 4, draw)]
        besides = [q for row in rows for q in _some(self.finding[row], 4, draw) if not set(q.told) & set(rows)]
        untold = round(EXCHANGES * UNTOLD)
        return _some(about, EXCHANGES - untold, draw) + _some(besides, untold, draw)

    def _exchange(self, question: KnownQuestion, rows: Sequence[int], draw: random.Random) -> Exchange | None:
        """The question with its answer here; None where it is unclear whether the passages give it."""
        texts = " ".join(f"{self.passages[row].title} {self.passages[row].text}" for row in rows)
        there = [answer for answer in question.answers if _holds(texts, answer)]
        asked = _spelled(question.text, draw)
        if set(question.told) & set(rows):
            return Exchange(asked, there[0] if there else question.answers[0])
        return None if there else Exchange(asked, NOT_TOLD)


def _some(found: Sequence[KnownQuestion], n: int, draw: random.Random) -> list[KnownQuestion]:
    return draw.sample(found, min(n, len(found)))


def _spelled(question: str, draw: random.Random) -> str:
    """As people type: now in lower case, now with a capital and a question mark."""
    plain = question.rstrip("?. ")
    return plain.lower() if draw.random() < 0.5 else f"{plain[:1].upper()}{plain[1:]}?"


def _evened(questions: Sequence[KnownQuestion]) -> list[float]:
    """Weights that make rare beginnings ("when", "how many") less rare."""
    begins = Counter(question.text.split(" ", 1)[0].lower() for question in questions)
    return [begins[question.text.split(" ", 1)[0].lower()] ** -0.5 for question in questions]


def _holds(text: str, answer: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text, re.IGNORECASE) is not None
