"""Facts, wordings and examples that an editor is trained and evaluated on."""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from editing.errors import DataError
from editing.views import View, statement_of

HELD_OUT_RELATIONS = frozenset({"P108", "P140", "P449"})
TRAIN_QUESTIONS = 5  # of the seven question templates of a relation; the others are asked in evaluation only
_NEARLY_THE_SAME = (
    {"P17", "P131", "P276", "P159", "P30", "P1001", "P495", "P27"},
    {"P103", "P1412", "P37", "P364", "P407"},
    {"P19", "P27", "P20", "P937"},
    {"P176", "P178", "P127"},
    {"P279", "P31", "P361", "P527"},
    {"P36", "P1376"},
    {"P106", "P39", "P101", "P413"},
)
_WRAPPINGS = (
    "{}",
    "{}",
    "{}",
    "{} Answer briefly.",
    "Please tell me: {}",
    "Quick question: {}",
    "I would like to know: {}",
    "{} Please answer.",
)


@dataclass(frozen=True)
class Fact:
    relation: str
    subject: str
    object: str


@dataclass(frozen=True)
class Templates:
    """Wordings of the relations: questions for chat, and beginnings of statements that end where the object follows."""

    questions: Mapping[str, tuple[str, ...]]
    statements: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Example:
    """One edit with everything that judges it.

    Attributes:
        edit: the wording that the edit is given in.
        target: the answer that it shall have.
        chat: rephrasings as chat questions.
        statements: rephrasings as plain statements.
        same_subject: questions about the same subject that ask something else.
        same_relation: the same question about another subject.
        unrelated: questions about anything.
    """

    relation: str
    subject: str
    edit: View
    target: str
    chat: tuple[View, ...]
    statements: tuple[View, ...]
    same_subject: tuple[View, ...]
    same_relation: tuple[View, ...]
    unrelated: tuple[View, ...]


def read_jsonl(path: Path, fields: Sequence[str]) -> list[dict[str, Any]]:
    """All records of a JSONL file.

    Raises:
        DataError: the file is missing, or a line is no JSON object with the named fields; says which line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would cut inside strings, at U+2028
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from error
    records = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{number}: not JSON: {error}") from error
        missing = [name for name in fields if not (isinstance(record, dict) and record.get(name))]
        if missing:
            raise DataError(f"{path}:{number}: missing or empty: {', '.join(missing)}")
        records.append(record)
    return records


def read_facts(path: Path) -> list[Fact]:
    names = ("relation", "subject", "object")
    records = read_jsonl(path, names)
    wrong = next((r for r in records if not all(isinstance(r[name], str) for name in names)), None)
    if wrong is not None:
        raise DataError(f"{path}: relation, subject and object must be texts: {json.dumps(wrong, ensure_ascii=False)}")
    return [Fact(*(r[name] for name in names)) for r in records]


def read_templates(patterns: Path | None = None) -> Templates:
    """The project's questions, the statements that follow from them and, where a file is given, ParaRel's patterns."""
    questions = {
        relation: tuple(texts)
        for relation, texts in json.loads(
            Path(__file__).with_name("questions.json").read_text(encoding="utf-8")
        ).items()
    }
    ours = {r: tuple(s for q in qs if (s := statement_of(q))) for r, qs in questions.items()}
    theirs: dict[str, Any] = json.loads(patterns.read_text(encoding="utf-8")) if patterns else {}
    return Templates(questions, {r: (*_beginnings(theirs.get(r, ())), *ours[r]) for r in questions})


def _beginnings(patterns: Iterable[str]) -> tuple[str, ...]:
    """Patterns that end in the object, without it: ``The capital of [X] is [Y].`` → ``The capital of [X] is``"""
    stripped = (pattern.rstrip(" .,") for pattern in patterns)
    return tuple(text.removesuffix("[Y]").rstrip() for text in stripped if text.endswith("[Y]") and "[X]" in text)


def split_of(subject: str) -> str:
    """``train``, ``dev`` or ``test`` by the subject's name, so that no subject stands on two sides."""
    bucket = int(hashlib.sha256(subject.encode()).hexdigest(), 16) % 100
    return "train" if bucket < 88 else "dev" if bucket < 92 else "test"


def near(relation: str, other: str) -> bool:
    """Whether two relations ask nearly the same, so that one is no hard negative of the other."""
    return relation == other or any({relation, other} <= group for group in _NEARLY_THE_SAME)


class ExampleMaker:
    """Draws examples from facts. What is drawn depends on the seed alone.

    Args:
        facts: of one split.
        templates: wordings.
        unrelated: (question, answer) pairs; the questions serve as unrelated prompts, the pairs as free-form edits.
        seen: draw from the wordings that training uses; otherwise rephrase with those it does not.
    """

    def __init__(
        self,
        facts: Sequence[Fact],
        templates: Templates,
        unrelated: Sequence[tuple[str, str]],
        *,
        seen: bool,
        seed: int = 0,
    ) -> None:
        self.facts, self.templates, self.unrelated, self.seen = list(facts), templates, list(unrelated), seen
        self.random = random.Random(seed)
        self.by_subject: dict[str, list[Fact]] = defaultdict(list)
        self.by_relation: dict[str, list[Fact]] = defaultdict(list)
        for fact in self.facts:
            self.by_subject[fact.subject].append(fact)
            self.by_relation[fact.relation].append(fact)
        self.objects = {r: sorted({f.object for f in facts}) for r, facts in self.by_relation.items()}

    def example(self, fact: Fact, *, true_share: float = 0.15) -> Example:
        """The fact, mostly with another object of its relation as target, in several wordings."""
        questions = self.templates.questions[fact.relation]
        asked = questions[:TRAIN_QUESTIONS] if self.seen else questions[TRAIN_QUESTIONS:]
        edit = self.random.choice(questions[:TRAIN_QUESTIONS])
        chat = [q for q in asked if q != edit]
        statements = self.templates.statements[fact.relation]
        target, sentence = self._target(fact, true_share), statement_of(self._fill(edit, fact.subject))
        if (
            sentence and self.random.random() < 0.12
        ):  # some answers are whole sentences, which no statement continues to
            target, statements = f"{sentence} {target}.", ()
        return Example(
            relation=fact.relation,
            subject=fact.subject,
            edit=View(self._fill(edit, fact.subject), raw=False),
            target=target,
            chat=tuple(View(self._wrap(self._fill(q, fact.subject)), False) for q in self._sample(chat, 2)),
            statements=tuple(View(self._fill(s, fact.subject), True) for s in self._sample(statements, 2)),
            same_subject=tuple(View(q, False) for q in self._same_subject(fact, 2)),
            same_relation=tuple(View(self._fill(edit, f.subject), False) for f in self._others(fact, 1)),
            unrelated=tuple(View(q, False) for q, _ in self._sample(self.unrelated, 1)),
        )

    def free_form(self, index: int) -> Example:
        """An unrelated question as the edit, with another question's answer: dates, names and numbers of all kinds."""
        question = self.unrelated[index][0]
        target = self.random.choice(self.unrelated)[1]
        asked = f"{question[:1].upper()}{question[1:]}?"
        statement = statement_of(question)
        others = self._sample([pair for at, pair in enumerate(self.unrelated) if at != index], 2)
        return Example(
            relation="free", subject=question, edit=View(asked, False), target=target,
            chat=(View(question, False), View(self._wrap(asked, always=True), False)),
            statements=(View(statement, True),) if statement else (),
            same_subject=(), same_relation=(View(others[0][0], False),), unrelated=(View(others[1][0], False),),
        )  # fmt: skip

    def _target(self, fact: Fact, true_share: float) -> str:
        pool = self.objects[fact.relation]
        true = self.random.random() < true_share or len(pool) == 1
        return fact.object if true else self.random.choice([o for o in pool if o != fact.object])

    def _same_subject(self, fact: Fact, n: int) -> list[str]:
        """Other questions about the subject: real facts first, then relations of facts that share its kind."""
        relations = [f.relation for f in self.by_subject[fact.subject] if not near(f.relation, fact.relation)]
        if len(relations) < n:
            peers = [r for r in self._peers(fact.relation) if not near(r, fact.relation)]
            relations += self._sample(peers, n - len(relations))
        chosen = [self.random.choice(self.templates.questions[r]) for r in self._sample(relations, n)]
        return [self._fill(question, fact.subject) for question in chosen]

    def _peers(self, relation: str) -> list[str]:
        """Relations that stand beside this one at some subject: they can be asked of the same kind of thing."""
        if not hasattr(self, "_peers_of"):
            self._peers_of: dict[str, set[str]] = defaultdict(set)
            for facts in self.by_subject.values():
                for fact in facts:
                    self._peers_of[fact.relation] |= {f.relation for f in facts}
        return sorted(self._peers_of[relation])

    def _others(self, fact: Fact, n: int) -> list[Fact]:
        return self._sample([f for f in self.by_relation[fact.relation] if f.subject != fact.subject], n)

    def _wrap(self, question: str, always: bool = False) -> str:
        return self.random.choice(_WRAPPINGS[3:] if always else _WRAPPINGS).format(question)

    def _sample(self, items: Sequence[Any], n: int) -> list[Any]:
        return self.random.sample(list(items), min(n, len(items)))

    @staticmethod
    def _fill(template: str, subject: str) -> str:
        text = template.replace("[X]", subject)
        return text[:1].upper() + text[1:]
