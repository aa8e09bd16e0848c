"""What sets two questions apart however alike they sound: another kind of answer or topic, other numbers, politeness.

Sentence vectors put "Where was X born?" beside "When was X born?", and the First World War beside the Second. These few
rules only ever say no, and only where both texts are explicit.
"""

from __future__ import annotations

import re

from editing.language.politeness import bare, only_polite
from editing.language.topics import other_topic

_TIMES = r"when|(what|which) (year|date|day|month|century|decade)|what time(?! zone)"
_PLACES = r"where|(what|which) (city|country|town|place|state|region|continent|village)"
_KINDS = (
    ("time", re.compile(rf"((in|since|until|by|on|from) )?({_TIMES})\b", re.IGNORECASE)),
    ("place", re.compile(rf"((in|from|to|at|near) )?({_PLACES})\b", re.IGNORECASE)),
    ("number", re.compile(r"how (many|much)\b", re.IGNORECASE)),
    ("person", re.compile(r"who\b(?! or what\b)|whose\b", re.IGNORECASE)),
)
_MAY_AGREE = {"person", "place"}  # Who does X work for? Where is X employed?
_ORDINALS = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
}
_ROMAN = {"II": 2, "III": 3, "IV": 4, "VI": 6, "VII": 7, "VIII": 8, "IX": 9}


def contradicts(one: str, other: str) -> bool:
    """Whether the texts cannot ask the same thing; what is left implicit contradicts nothing."""
    kinds = {asked_for(one), asked_for(other)} - {None}
    numbers, others = numbers_in(one), numbers_in(other)
    apart = (len(kinds) == 2 and kinds != _MAY_AGREE) or other_topic(one, other)
    return apart or bool(numbers and others and not numbers & others) or only_polite(one) != only_polite(other)


def asked_for(text: str) -> str | None:
    """``time``, ``place``, ``number`` or ``person`` where a question says so in its first words."""
    question = bare(text[:300])
    return next((kind for kind, pattern in _KINDS if pattern.match(question)), None)


def numbers_in(text: str) -> frozenset[int]:
    """Whole numbers, ordinals and Roman numerals: ``World War II`` and ``Second World War`` hold the same one."""
    words = re.findall(r"[A-Za-z]+|\d+", text[:1000])
    found = {int(w[:18]) for w in words if w.isdigit()} | {_ROMAN[w] for w in words if w in _ROMAN}
    return frozenset(found | {_ORDINALS[w.lower()] for w in words if w.lower() in _ORDINALS})
