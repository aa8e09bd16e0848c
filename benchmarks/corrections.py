"""Ten thousand corrections of facts, and the prompts that tell whether one of them reaches too little or too far.

Each fact gets another object of its relation as its new answer. No subject is corrected twice in relations that ask
nearly the same, and no prompt that must keep its answer is about a corrected fact.
"""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from editing.data.datasets import FactDirectory
from editing.data.examples import ExampleBuilder
from editing.data.facts import HELD_OUT_RELATIONS, Example, Fact, near, split_of
from editing.language.views import View

SPLITS = ("train", "dev", "test")
Corrected = Mapping[str, set[str]]  # relations that are corrected, by subject


@dataclass(frozen=True)
class Corrections:
    """``unseen`` of the examples, the first ones, are of subjects or relations that training leaves out."""

    examples: tuple[Example, ...]
    unseen: int


def draw_corrections(data: Path, n: int, seed: int) -> Corrections:
    """``n`` corrections, those that training did not see first; what is drawn depends on the seed alone."""
    builder = FactDirectory(data).builder(SPLITS, held_out=True, seed=seed)
    rng = random.Random(seed)
    facts = list(builder.facts)
    rng.shuffle(facts)
    facts.sort(key=_seen)
    chosen, corrected = _apart(facts, n)
    examples = tuple(_example(builder, fact, corrected, rng) for fact in chosen)
    return Corrections(examples, sum(not _seen(fact) for fact in chosen))


def _seen(fact: Fact) -> bool:
    return split_of(fact.subject) != "test" and fact.relation not in HELD_OUT_RELATIONS


def _spared(fact: Fact) -> bool:
    """A tenth of the facts is never corrected, so that there are neighbours to ask about."""
    return hashlib.sha256(f"{fact.relation} {fact.subject}".encode()).digest()[0] < 26


def _apart(facts: Sequence[Fact], n: int) -> tuple[list[Fact], Corrected]:
    """The first ``n`` facts of which no two ask nearly the same of one subject."""
    corrected: dict[str, set[str]] = defaultdict(set)
    chosen: list[Fact] = []
    for fact in facts:
        relations = corrected[fact.subject.casefold()]
        if len(chosen) < n and not _spared(fact) and not any(near(fact.relation, other) for other in relations):
            relations.add(fact.relation)
            chosen.append(fact)
    return chosen, corrected


def _example(builder: ExampleBuilder, fact: Fact, corrected: Corrected, rng: random.Random) -> Example:
    drawn = builder.example(fact)
    objects = [o for o in builder.objects[fact.relation] if o != fact.object]
    free = [f for f in builder.by_relation[fact.relation] if not _touched(f.subject, f.relation, corrected)]
    other = rng.choice(free).subject if free else None
    return replace(
        drawn,
        target=rng.choice(objects),
        same_subject=tuple(_same_subject(builder, fact, corrected, rng))[:2],
        same_relation=(View(_about(drawn.edit.text, fact.subject, other), False),) if other else (),
    )


def _same_subject(builder: ExampleBuilder, fact: Fact, corrected: Corrected, rng: random.Random) -> Iterator[View]:
    """Other questions about the subject, in any wording: what is known of it first, then what is asked of its kind."""
    known = [f.relation for f in builder.by_subject[fact.subject]]
    peers = sorted(
        {f.relation for peer in builder.by_relation[fact.relation] for f in builder.by_subject[peer.subject]}
    )
    rng.shuffle(peers)
    for relation in dict.fromkeys((*known, *peers)):
        if not near(relation, fact.relation) and not _touched(fact.subject, relation, corrected):
            wordings = (*builder.templates.questions[relation], *builder.templates.unseen_questions[relation])
            text = rng.choice(wordings).replace("[X]", fact.subject)
            yield View(text[:1].upper() + text[1:], False)


def _touched(subject: str, relation: str, corrected: Corrected) -> bool:
    return any(near(relation, other) for other in corrected.get(subject.casefold(), ()))


def _about(question: str, subject: str, other: str) -> str:
    """The question asked of another subject."""
    capital = subject[:1].upper() + subject[1:]
    changed = question.replace(subject, other) if subject in question else question.replace(capital, other)
    return changed[:1].upper() + changed[1:]
