"""Examples for a reader: excerpts as a retriever finds them, and questions, some of which they do not answer."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from errata.text import split_sentences
from index.passages.passage import Passage
from retrieval.reader.excerpts import excerpt
from retrieval.reader.prompt import NO_ANSWER

SHOWN = {1: 0.2, 2: 0.1, 3: 0.3, 5: 0.4}  # passages in an example, and how often
QUESTIONS = 8  # in an example, at most
UNANSWERABLE = 0.3  # share of the questions that the passages do not answer, about
SENTENCES = 3, 8  # that are near to the first question, least and most
EVIDENCE = 0.7  # how often a sentence that answers another question is shown too


@dataclass(frozen=True)
class QuestionAnswer:
    """A question and the answer that the passages give: some words of theirs, or ``NO_ANSWER``."""

    question: str
    answer: str


@dataclass(frozen=True)
class ReadingExample:
    """Passages, and at least one question about them."""

    passages: tuple[Passage, ...]
    questions: tuple[QuestionAnswer, ...]


@dataclass(frozen=True)
class AnnotatedQuestion:
    """A question of which it is known where its answer stands.

    Attributes:
        text: the question.
        answers: each is right; an example takes the first that a shown passage has.
        evidence: rows of the passages that give the answer; empty where none does.
        hits: rows of the passages that the retriever finds, best first.
        kind: its source, e.g. "made"; how often a source is drawn is the caller's choice.
    """

    text: str
    answers: tuple[str, ...]
    evidence: tuple[int, ...]
    hits: tuple[int, ...]
    kind: str


class ReadingExampleBuilder:
    """Draws examples without end. What the n-th is depends on seed and n alone.

    Args:
        passages: n of them; rows count them.
        questions: of all sources.
        shares: how often the first question of an example is of a kind; kinds that are not named are not drawn first.
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
        self.by_evidence: dict[int, list[AnnotatedQuestion]] = defaultdict(list)
        self.by_hit: dict[int, list[AnnotatedQuestion]] = defaultdict(list)
        for question in questions:
            self.kinds.setdefault(question.kind, []).append(question)
            for row in question.evidence:
                self.by_evidence[row].append(question)
            for row in question.hits[:5]:
                self.by_hit[row].append(question)
        self.weights = {kind: _evened(found) for kind, found in self.kinds.items()}

    def example(self, n: int) -> ReadingExample:
        """The n-th: it begins with one question and what the retriever finds for it."""
        draw = random.Random(f"{self.seed} {n}")
        while not (example := self._example(draw)).questions:
            pass
        return example

    def _example(self, draw: random.Random) -> ReadingExample:
        (kind,) = draw.choices([*self.shares], [*self.shares.values()])
        (first,) = draw.choices(self.kinds[kind], self.weights[kind])
        answerable = bool(first.evidence) and draw.random() > UNANSWERABLE / 2
        (k,) = draw.choices([*SHOWN], [*SHOWN.values()])
        rows = self._rows(first, k, answerable, draw)
        asked = {one.text: one for one in (first, *self._others(rows, draw))}
        questions = list(asked.values())[:QUESTIONS]
        shown = self._excerpts(questions, rows, answerable, draw)
        pairs = [self._question_answer(one, shown, draw) for one in questions]
        clear = _balanced([pair for pair in pairs if pair is not None])
        draw.shuffle(clear)
        return ReadingExample(tuple(excerpt(self.passages[row], places) for row, places in shown.items()), tuple(clear))

    def _rows(self, question: AnnotatedQuestion, k: int, answerable: bool, draw: random.Random) -> list[int]:
        """What the retriever finds, with a passage that answers or without any."""
        if not answerable:
            return [row for row in question.hits if row not in question.evidence][:k] or [question.hits[0]]
        rows = list(question.hits[:k])
        if not set(rows) & set(question.evidence):
            rows[draw.randrange(len(rows))] = draw.choice(question.evidence)
        return rows

    def _others(self, rows: Sequence[int], draw: random.Random) -> list[AnnotatedQuestion]:
        """Further questions about the shown passages, and questions that only seem to be about them."""
        about = [q for row in rows for q in _some(self.by_evidence[row], 4, draw)]
        besides = [q for row in rows for q in _some(self.by_hit[row], 4, draw) if not set(q.evidence) & set(rows)]
        unanswerable = round(QUESTIONS * UNANSWERABLE)
        return _some(about, QUESTIONS - unanswerable, draw) + _some(besides, unanswerable, draw)

    def _excerpts(
        self, questions: Sequence[AnnotatedQuestion], rows: Sequence[int], answerable: bool, draw: random.Random
    ) -> dict[int, set[int]]:
        """By row, the places of shown sentences: the nearest to the first question, and those that tell, mostly."""
        every = [(row, at, words) for row in rows for at, words in enumerate(split_sentences(self.passages[row].text))]
        near = sorted(every, key=lambda one: -_common(questions[0].text, one[2]) - draw.random())
        shown = {(row, at) for row, at, _ in near[: draw.randint(*SENTENCES)]}
        evidence = [self._evidence(one, row) for one in questions for row in one.evidence if row in rows]
        for n, place in enumerate(evidence):
            if (n == 0 and answerable) or draw.random() < EVIDENCE:
                shown.add(place)
        return {row: {at for own, at in shown if own == row} for row in rows if any(own == row for own, _ in shown)}

    def _evidence(self, question: AnnotatedQuestion, row: int) -> tuple[int, int]:
        """Where a passage that tells does so: the sentence with an answer that has most in common with the question."""
        passage = self.passages[row]
        found = [
            (any(_holds(words, answer) for answer in question.answers), _common(question.text, words), -at)
            for at, words in enumerate(split_sentences(passage.text))
        ]
        return row, -max(found)[2]

    def _question_answer(
        self, question: AnnotatedQuestion, shown: Mapping[int, set[int]], draw: random.Random
    ) -> QuestionAnswer | None:
        """The question with its answer here; None where it is unclear whether the sentences give it."""
        passages = [excerpt(self.passages[row], places) for row, places in shown.items()]
        texts = " ".join(f"{passage.title} {passage.text}" for passage in passages)
        there = [answer for answer in question.answers if _holds(texts, answer)]
        asked = _spelled(question.text, draw)
        evidence = [self._evidence(question, row) for row in question.evidence if row in shown]
        if any(at in shown[row] for row, at in evidence):
            return QuestionAnswer(asked, there[0] if there else question.answers[0])
        return None if there else QuestionAnswer(asked, NO_ANSWER)


def _balanced(pairs: Sequence[QuestionAnswer]) -> list[QuestionAnswer]:
    """All answerable questions, and half as many unanswerable ones at most, but at least one if there is one."""
    answerable = [one for one in pairs if one.answer != NO_ANSWER]
    return answerable + [one for one in pairs if one.answer == NO_ANSWER][: max(1, len(answerable) // 2)]


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
