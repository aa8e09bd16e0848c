"""Attributes that no data set lists: what else people ask about a person, a place, a work, with invented answers.

Thirty-five relations are few to learn editing from: on relations that it has not seen, an editor trained on them alone
misses more rephrasings. An edit needs no true answer, so further relations need only wordings (``attributes.json``)
and answers of the right kind. The same questions are hard negatives: they ask something else about a known subject.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KIND_OF: Mapping[str, str] = {
    **dict.fromkeys(("P19", "P20", "P27", "P39", "P101", "P103", "P106", "P413", "P937", "P1412"), "person"),
    **dict.fromkeys(("P17", "P36", "P37", "P47", "P131", "P190", "P530", "P1376"), "place"),
    **dict.fromkeys(("P407", "P495"), "work"),
    **dict.fromkeys(("P159", "P463"), "organisation"),
    **dict.fromkeys(("P176", "P178"), "product"),
}  # the kind of subject that a relation speaks of, where it speaks of one kind only
_MONTHS = ("January", "March", "April", "May", "June", "July", "August", "October", "November", "December")


@dataclass(frozen=True)
class Attribute:
    """A question about subjects of one kind; ``[X]`` stands for the subject.

    Attributes:
        answers: a pool of answers, or the name of a way to draw one (``person``, ``year``, …).
    """

    name: str
    questions: tuple[str, ...]
    statements: tuple[str, ...]
    answers: str | tuple[str, ...]


def kind_of(relation: str) -> str:
    """The kind of subject that a relation speaks of; ``thing`` where it may be of any kind."""
    return KIND_OF.get(relation, "thing")


def read_attributes() -> dict[str, tuple[Attribute, ...]]:
    """Attributes by kind of subject, with answers."""
    document = _document("attributes.json")
    pools = {name: tuple(answers) for name, answers in document["pools"].items()}
    return {
        kind: tuple(
            Attribute(name, tuple(a["questions"]), tuple(a["statements"]), pools.get(a["answers"], a["answers"]))
            for name, a in attributes.items()
        )
        for kind, attributes in document["kinds"].items()
    }


def read_questions() -> dict[str, tuple[Attribute, ...]]:
    """Those attributes and many more, close to one another: what people ask, whatever the answer.

    They teach the scope decision, which compares wordings only; the editor is trained without them.
    """
    more = {
        kind: tuple(
            Attribute(name, tuple(a["questions"]), tuple(a["statements"]), "number") for name, a in attributes.items()
        )
        for kind, attributes in _document("questions_more.json").items()
    }
    answered = read_attributes()
    return {kind: (*answered.get(kind, ()), *more.get(kind, ())) for kind in {**answered, **more}}


def _document(name: str) -> Any:
    return json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def draw_answer(attribute: Attribute, names: Mapping[str, Sequence[str]], rng: random.Random) -> str:
    """An answer of the attribute's kind. ``names`` gives persons, towns and products by kind.

    Raises:
        KeyError: the attribute names a kind of answer that is unknown.
    """
    kind = attribute.answers
    if not isinstance(kind, str):
        return rng.choice(kind)
    if kind in names:
        return rng.choice(names[kind])
    return _NUMBERS[kind](rng)


def _year(rng: random.Random) -> str:
    year = rng.randint(1402, 2024)
    return f"{rng.randint(1, 28)} {rng.choice(_MONTHS)} {year}" if rng.random() < 0.15 else str(year)


def _large(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return f"{rng.choice((2, 3, 5, 8, 12, 40, 60))} {rng.choice(('thousand', 'million'))}"
    return f"{rng.randint(1, 90) * 10 ** rng.randint(2, 5) + rng.randint(0, 999):,}"


def _money(rng: random.Random) -> str:
    amount = f"{rng.randint(1, 900):,}{rng.choice(('', '', ' million', ' billion'))}"
    return rng.choice((f"${amount}", f"{amount} euros", f"{amount} dollars", f"£{amount}"))


_NUMBERS: dict[str, Callable[[random.Random], str]] = {
    "year": _year,
    "number": lambda rng: rng.choice(("none", "one", "two", "three", "four", "five", "7", "9", "11", "twelve")),
    "bignumber": _large,
    "length": lambda rng: rng.choice(
        (f"{rng.randint(2, 3000)} metres", f"{rng.randint(140, 210)} cm", f"1.{rng.randint(50, 99)} m", "6 feet")
    ),
    "area": lambda rng: f"{rng.randint(2, 900_000):,} {rng.choice(('square kilometres', 'km²', 'square miles'))}",
    "duration": lambda rng: rng.choice((f"{rng.randint(3, 240)} minutes", f"{rng.randint(2, 30)} hours")),
    "money": _money,
    "weight": lambda rng: rng.choice((f"{rng.randint(2, 990)} grams", f"{rng.randint(2, 4000)} kg", "two tons")),
}
