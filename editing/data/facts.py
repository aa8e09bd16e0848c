"""Facts, wordings and examples that an editor is trained and evaluated on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from editing.errors import DataError
from editing.language.statements import statement_of
from editing.language.views import View

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


@dataclass(frozen=True)
class Fact:
    relation: str
    subject: str
    object: str


@dataclass(frozen=True)
class Templates:
    """Wordings of the relations: questions for chat, and beginnings of statements that end where the object follows.

    Of both, some are used in training and the others (``unseen_…``) in evaluation only.
    """

    questions: Mapping[str, tuple[str, ...]]
    statements: Mapping[str, tuple[str, ...]]
    unseen_questions: Mapping[str, tuple[str, ...]]
    unseen_statements: Mapping[str, tuple[str, ...]]


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
    return [record for _, record in numbered_records(path, fields)]


def numbered_records(path: Path, fields: Sequence[str] = ()) -> Iterator[tuple[int, Any]]:
    """Line number and record of each line that is not blank. With ``fields``, every record is an object that has them.

    Raises:
        DataError: as ``read_jsonl``.
    """
    for number, line in enumerate(read_text(path).split("\n"), 1):  # splitlines would cut inside strings, at U+2028
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:  # ValueError: no JSON, or a number of thousands of digits
            raise DataError(f"{path}:{number}: not JSON: {error}") from error
        missing = [name for name in fields if not (isinstance(record, dict) and record.get(name))]
        if missing:
            raise DataError(f"{path}:{number}: missing or empty: {', '.join(missing)}")
        yield number, record


def read_text(path: Path) -> str:
    """The file's text, without a byte order mark.

    Raises:
        DataError: the file is missing, unreadable or no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from error


def read_facts(path: Path) -> list[Fact]:
    """Facts of a JSONL file of ``relation``, ``subject`` and ``object``.

    Raises:
        DataError: a fact is not made of three texts, or there is none; says which line.
    """
    names = ("relation", "subject", "object")
    facts = []
    for number, record in numbered_records(path, names):
        if not all(isinstance(record[name], str) and is_text(record[name]) for name in names):
            shown = json.dumps(record, ensure_ascii=True)[:300]
            raise DataError(f"{path}:{number}: relation, subject and object must be texts: {shown}")
        facts.append(Fact(*(record[name] for name in names)))
    if not facts:
        raise DataError(f"{path}: no facts")
    return facts


def is_text(value: str) -> bool:
    """Whether there is something to read in it, and it can be written as UTF-8 (JSON may hold half a character)."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return bool(value.strip())


def relation_questions() -> dict[str, tuple[str, ...]]:
    """The project's questions about each relation, ``[X]`` for the subject."""
    document = json.loads(Path(__file__).with_name("questions.json").read_text(encoding="utf-8"))
    return {relation: tuple(texts) for relation, texts in document.items()}


def read_templates(patterns: Path | None = None) -> Templates:
    """The project's questions, the statements that follow from them and, where a file is given, ParaRel's patterns.

    Raises:
        DataError: the file is missing or no JSON object of lists of texts.
    """
    every = relation_questions()
    theirs = _read_patterns(patterns) if patterns else {}
    questions = {r: texts[:TRAIN_QUESTIONS] for r, texts in every.items()}
    unseen_questions = {r: texts[TRAIN_QUESTIONS:] for r, texts in every.items()}
    statements, unseen_statements = {}, {}
    for relation in every:
        used, kept = _divided(_beginnings(theirs.get(relation, ())))
        statements[relation] = tuple(dict.fromkeys((*used, *_statements(questions[relation]))))
        unseen = (*kept, *_statements(unseen_questions[relation]))
        unseen_statements[relation] = tuple(text for text in dict.fromkeys(unseen) if text not in statements[relation])
    return Templates(questions, statements, unseen_questions, unseen_statements)


def _read_patterns(path: Path) -> dict[str, list[str]]:
    try:
        patterns = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}") from error
    if not isinstance(patterns, dict):
        raise DataError(f"{path}: must be a JSON object of lists of texts")
    for relation, texts in patterns.items():
        if not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
            raise DataError(f"{path}: the patterns of {relation} must be a list of texts")
    return patterns


def _statements(questions: Iterable[str]) -> tuple[str, ...]:
    return tuple(statement for question in questions if (statement := statement_of(question)))


def _divided(beginnings: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A third of the patterns is kept from training, by a digest of their text, so that both sides are varied."""
    ordered = sorted(beginnings, key=lambda text: hashlib.sha256(text.encode()).digest())
    kept = len(ordered) // 3
    return tuple(ordered[kept:]), tuple(ordered[:kept])


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
