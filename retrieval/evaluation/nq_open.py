"""Question sets in the form of NQ-open: JSON lines ``{"question": "…", "answer": ["…", …]}``, also packed with gzip."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.errors import CorpusError

_GZIP = b"\x1f\x8b"
_LONGEST = 1 << 20  # bytes of a line; a question with its answers has a few hundred


@dataclass(frozen=True)
class Question:
    """A question and the answers that count as right, at least one."""

    text: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class QuestionSet:
    """What one or several files hold.

    Attributes:
        questions: each text once, in the order of the files; a text that stands there again brings its answers along.
        without_answer: left out because nothing is said to be right.
        repeated: texts that stood there before.
    """

    questions: tuple[Question, ...]
    without_answer: int = 0
    repeated: int = 0


def read_question_set(paths: Iterable[Path]) -> QuestionSet:
    """The questions of all files together.

    Raises CorpusError naming file and line: a file is missing, is broken, or holds no question that has an answer.
    """
    answers: dict[str, dict[str, None]] = {}
    empty = repeated = 0
    for path in paths:
        before, judged = empty, 0
        for question in _read(path):
            judged += bool(question.answers)
            empty += not question.answers
            if question.answers:
                repeated += question.text in answers
                answers.setdefault(question.text, {}).update(dict.fromkeys(question.answers))
        if not judged:
            raise CorpusError(path, _nothing(empty - before))
    return QuestionSet(tuple(Question(text, tuple(own)) for text, own in answers.items()), empty, repeated)


def questions_digest(questions: Sequence[Question]) -> str:
    """sha256 over texts and answers in their order, 64 hex digits."""
    return hashlib.sha256(json.dumps([[q.text, q.answers] for q in questions]).encode()).hexdigest()


def _nothing(without_answer: int) -> str:
    if without_answer:
        return f"none of its {without_answer} questions has an answer, so no answer can be judged"
    return 'there are no questions in it; expected lines of {"question": "…", "answer": ["…"]}'


def _read(path: Path) -> Iterator[Question]:
    """Every question, those without answers too. Empty lines are passed over."""
    number = 0
    try:
        for number, line in enumerate(_lines(path), start=1):
            if line.strip():
                yield _question(path, f"line {number}", line)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorpusError(path, f"the gzip file is cut short or damaged: {error}", f"after line {number}") from error
    except OSError as error:
        raise CorpusError(path, error.strerror or str(error)) from error


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    with gzip.open(path) if packed else path.open("rb") as lines:
        while line := lines.readline(_LONGEST):
            yield line


def _question(path: Path, place: str, line: bytes) -> Question:
    entry = _parsed(path, place, line)
    if not isinstance(entry, dict):
        raise CorpusError(path, f"expected a JSON object, found {type(entry).__name__}", place)
    for name in ("question", "answer"):
        if name not in entry:
            raise CorpusError(path, f'the field "{name}" is missing', place)
    text, answers = entry["question"], entry["answer"]
    if not isinstance(text, str) or not text.strip():
        raise CorpusError(path, '"question" is not a text, or is empty', place)
    listed = [answers] if isinstance(answers, str) else answers
    if not isinstance(listed, list) or not all(isinstance(answer, str) for answer in listed):
        raise CorpusError(path, '"answer" is not a list of texts', place)
    return Question(text.strip(), tuple(dict.fromkeys(answer for answer in listed if answer.strip())))


def _parsed(path: Path, place: str, line: bytes) -> Any:
    if len(line) >= _LONGEST:
        raise CorpusError(path, f"the line is longer than {_LONGEST} bytes", place)
    try:
        entry = json.loads(line.rstrip().decode("utf-8-sig"))
        json.dumps(entry, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise CorpusError(path, "not valid UTF-8", place) from error
    except UnicodeEncodeError as error:
        raise CorpusError(path, "half a character (a lone surrogate)", place) from error
    except json.JSONDecodeError as error:
        raise CorpusError(path, f"broken JSON: {error.msg}", f"{place} column {error.colno}") from error
    except (RecursionError, ValueError) as error:
        raise CorpusError(path, f"broken JSON: {error}", place) from error
    return entry
