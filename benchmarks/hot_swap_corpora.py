"""Index hot-swapping (Lewis et al. 2020, section 4.4) in small: two corpora of the same titles that tell other facts.

The paper asks for 82 heads of state with an index of 2016 and one of 2018: with the index of the right year 70 % and
68 % of the answers are right, with the other 12 % and 4 %. So the knowledge sits in the index, and swapping the index
changes it. Here the second corpus is the first with the objects of each relation exchanged among its subjects.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

from editing.data.facts import Fact
from index.corpora.corpus import Corpus
from index.passages.passage import Article
from retrieval.evaluation.metrics import contained, exact_match

QUESTIONS = 82  # as in the paper
CORPORA = (
    Corpus("hot-swap-first", "facts rendered as short articles", "as the facts' owner says"),
    Corpus("hot-swap-second", "the same facts, objects exchanged within each relation", "as the facts' owner says"),
)
LEADERS = "head of state"  # the relation of made-up facts
_LEAST = 2  # facts of a relation, or there is nothing to exchange
# Of each relation (Wikidata's name): what an article says, and what is asked.
_WORDINGS = {
    LEADERS: ("The president of {s} is {o}. {o} is the head of state of {s}.", "Who is the president of {s}?"),
    "P19": ("{s} was born in {o}. The place of birth of {s} is {o}.", "Where was {s} born?"),
    "P20": ("{s} died in {o}. The place of death of {s} is {o}.", "Where did {s} die?"),
    "P27": ("{s} is a citizen of {o}. The country of citizenship of {s} is {o}.", "What country is {s} a citizen of?"),
    "P36": ("The capital of {s} is {o}. The government of {s} sits in {o}.", "What is the capital of {s}?"),
    "P101": ("{s} works in the field of {o}. The expertise of {s} is {o}.", "What field does {s} work in?"),
    "P108": ("{s} works for {o}. The employer of {s} is {o}.", "Who does {s} work for?"),
    "P127": ("{s} is owned by {o}. The owner of {s} is {o}.", "Who owns {s}?"),
    "P138": ("{s} is named after {o}. The name of {s} comes from {o}.", "What is {s} named after?"),
    "P159": ("{s} has its headquarters in {o}. The seat of {s} is in {o}.", "Where does {s} have its headquarters?"),
    "P495": ("{s} comes from {o}. The country of origin of {s} is {o}.", "Which country does {s} come from?"),
    "P1376": ("{s} is the capital of {o}. The government of {o} sits in {s}.", "What is {s} the capital of?"),
}


@dataclass(frozen=True)
class SwapQuestion:
    """A question with the answer of each of the two corpora; they differ."""

    text: str
    answers: tuple[str, str]


@dataclass(frozen=True)
class Disagreement:
    """Two corpora of n articles with the same titles, and the n questions that they answer differently."""

    corpora: tuple[tuple[Article, ...], tuple[Article, ...]]
    questions: tuple[SwapQuestion, ...]


@dataclass(frozen=True)
class Accuracy:
    """Right answers among ``questions``, by the official normalisation.

    Attributes:
        exact: the answer is the wanted one.
        contained: the wanted one stands in it.
    """

    exact: int
    contained: int
    questions: int


def disagree(facts: Iterable[Fact], n: int = QUESTIONS, seed: int = 2026) -> Disagreement:
    """Two corpora that disagree about up to n facts, drawn evenly from the relations that there are words for.

    A subject stands in one fact only; within a relation no object holds another, so that exchanging changes each.

    Raises ValueError where fewer than two facts can be exchanged.
    """
    groups = [group for group in _drawn(list(facts), n, random.Random(seed)) if len(group) >= _LEAST]
    exchanged = [
        (fact, Fact(fact.relation, fact.subject, other.object))
        for group in groups
        for fact, other in zip(group, [*group[1:], group[0]], strict=True)
    ]
    if not exchanged:
        raise ValueError("no two facts of one relation, with other subjects and objects, can be exchanged")
    first, second = (tuple(_article(pair[which]) for pair in exchanged) for which in (0, 1))
    questions = tuple(
        SwapQuestion(_WORDINGS[fact.relation][1].format(s=fact.subject), (fact.object, other.object))
        for fact, other in exchanged
    )
    return Disagreement((first, second), questions)


def _drawn(facts: list[Fact], n: int, rng: random.Random) -> list[list[Fact]]:
    """Up to n facts, by relation: one of each in turns, as long as there are any."""
    rng.shuffle(facts)
    waiting = {relation: iter([f for f in facts if f.relation == relation]) for relation in sorted(_WORDINGS)}
    chosen: dict[str, list[Fact]] = {relation: [] for relation in waiting}
    subjects: set[str] = set()
    turns = cycle(list(waiting))
    while len(subjects) < n and waiting:
        relation = next(turns)
        fact = next((f for f in waiting.get(relation, ()) if _new(f, chosen[relation], subjects)), None)
        if fact is None:
            waiting.pop(relation, None)
        else:
            chosen[relation].append(fact)
            subjects.add(fact.subject.casefold())
    return list(chosen.values())


def _new(fact: Fact, chosen: Sequence[Fact], subjects: set[str]) -> bool:
    """Whether its subject is not taken, and its object holds none of the others and is not named by the subject."""
    others = [one.object for one in chosen]
    apart = not any(contained(fact.object, [other]) or contained(other, [fact.object]) for other in others)
    named = contained(fact.subject, [fact.object]) or contained(fact.object, [fact.subject])
    return fact.subject.casefold() not in subjects and apart and not named


def _article(fact: Fact) -> Article:
    return Article(fact.subject, _WORDINGS[fact.relation][0].format(s=fact.subject, o=fact.object), "hot swap")


def accuracy(questions: Sequence[SwapQuestion], answers: Sequence[str], of: int) -> Accuracy:
    """How many answers are those of corpus ``of``, 0 or 1; matched if its index was the active one, else mismatched."""
    pairs = [(said, [question.answers[of]]) for said, question in zip(answers, questions, strict=True)]
    return Accuracy(
        sum(exact_match(said, wanted) for said, wanted in pairs),
        sum(contained(said, wanted) for said, wanted in pairs),
        len(pairs),
    )


def made_up_facts(n: int = QUESTIONS, seed: int = 2026) -> list[Fact]:
    """Heads of n states that do not exist: no model can know them. The same n and seed give the same."""
    rng = random.Random(seed)
    countries, people = _names(rng, ("ia", "land", "mar", "stan")), _people(rng)
    return [Fact(LEADERS, next(countries), next(people)) for _ in range(n)]


def _people(rng: random.Random) -> Iterator[str]:
    given, family = _names(rng, ("a", "an", "el", "o")), _names(rng, ("ski", "berg", "ez", "ov"))
    return (f"{first} {last}" for first, last in zip(given, family, strict=True))


def _names(rng: random.Random, endings: Sequence[str]) -> Iterator[str]:
    """Names of two or three syllables and an ending; no two begin with the same four letters."""
    seen: set[str] = set()
    while True:
        syllables = (rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(rng.choice((2, 3))))
        name = ("".join(syllables) + rng.choice("lmnrt") + rng.choice(endings)).capitalize()
        if name[:4] not in seen:
            seen.add(name[:4])
            yield name
