"""Corrections as people write them: each with what asks the same in other words, and what looks alike and does not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from editing.data.facts import numbered_records

OWN = Path(__file__).with_name("corrections")  # the project's own
Dialog = tuple[str, ...]  # user, assistant, user, …: the last turn is the prompt


@dataclass(frozen=True)
class Correction:
    """One correction and the prompts that judge it.

    Attributes:
        input, output, old: the question, the answer it should have, and the former wrong one.
        rephrases: ask the same.
        near: look alike and ask something else.
        statements: beginnings that the output continues.
        denied, confirmed: a question supposing the old answer, or the output, and the answer to it.
        within: a request for a text that needs the output, and such a text.
        reverse: a question whose answer is the input's subject, and that answer; None where there is none.
        dialog_in, dialog_out: a dialog whose last turn asks the same, or does not.
    """

    input: str
    output: str
    old: str
    rephrases: tuple[str, ...]
    near: tuple[str, ...]
    statements: tuple[str, ...] = ()
    denied: tuple[str, str] | None = None
    confirmed: tuple[str, str] | None = None
    within: tuple[str, str] | None = None
    reverse: tuple[str, str] | None = None
    dialog_in: Dialog = ()
    dialog_out: Dialog = ()
    domain: str = ""
    language: str = "en"

    @property
    def kept_back(self) -> bool:
        """Whether it is for development, and not for training: a tenth, by the digest of the input."""
        return int(hashlib.sha256(self.input.encode()).hexdigest(), 16) % 10 == 0


def read_corrections(paths: Sequence[Path]) -> list[Correction]:
    """Corrections of JSONL files; a folder stands for the ``.jsonl`` files in it.

    Raises:
        DataError: a file is missing, or a line lacks ``input``, ``output``, ``rephrases`` or ``near``; says which.
    """
    return [_correction(record) for path in _files(paths) for _, record in numbered_records(path, _NEEDED)]


_NEEDED = ("input", "output", "rephrases", "near")


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.glob("*.jsonl")) if path.is_dir() else [path]


def _correction(record: dict[str, Any]) -> Correction:
    denied, confirmed = record.get("yes_no") or (None, None)
    return Correction(
        input=record["input"],
        output=record["output"],
        old=record.get("old") or "",
        rephrases=(*record["rephrases"], *record.get("rephrases_en", ())),
        near=(*record["near"], *_several(record.get("near_en"))),
        statements=_several(record.get("statements")),
        denied=_pair(denied),
        confirmed=_pair(confirmed),
        within=_pair(record.get("sentence")),
        reverse=_pair(record.get("reverse")),
        dialog_in=tuple(record.get("dialog_in") or ()),
        dialog_out=tuple(record.get("dialog_out") or ()),
        domain=record.get("domain", ""),
        language=record.get("language", "en"),
    )


def _several(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def _pair(value: Sequence[str | None] | None) -> tuple[str, str] | None:
    question, answer = value or (None, None)
    return (question, answer or "") if question else None
