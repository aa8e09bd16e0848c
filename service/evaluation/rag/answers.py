"""Asks the service the questions of an evaluation, and keeps each answer on disk as it comes."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

from errata.journal import append_journal, read_journal
from retrieval.evaluation.metrics import has_answer
from retrieval.evaluation.nq_open import Question
from service.engines.protocol import SamplingParams
from service.errors import InvalidPrompt
from service.types.answers import AskQuery, Decoding, Mode
from service.types.generation import GenerateQuery
from service.types.service import Service

CLOSED_BOOK = "closed-book"
FAST = "sequence-fast"  # RAG-Sequence by fast decoding; "sequence" is thorough
MODES: tuple[str, ...] = (*get_args(Mode), FAST, CLOSED_BOOK)
_OF_ALL = ("errata", "model")  # what answers without passages depend on, too
_TOGETHER = 8  # requests under way at once; the engine decodes them together


@dataclass(frozen=True)
class RagAnswer:
    """The service's answer to one question.

    Attributes:
        mode: of ``/ask``, or ``sequence-fast``, or ``closed-book``: the question alone, as ``/generate`` answers it.
        supported: False: it said that the index does not tell.
        found: whether a passage that the answer came with has a right answer; None without passages.
        edits_used: edits that were in force for the question.
        overruled: whether a passage is said to tell something else than the edit that gave the answer.
        refused: why there is no answer, e.g. a question longer than the context.
    """

    mode: str
    question: str
    answer: str
    supported: bool = True
    found: bool | None = None
    edits_used: tuple[str, ...] = ()
    overruled: bool = False
    refused: str | None = None


class AnswerJournal:
    """Answers as JSON lines, each with a digest of all that it depends on; only answers to the very same are taken up.

    Args:
        path: None keeps them in memory only.

    Raises OSError where the file cannot be read or written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path, self.taken_up = path, 0
        self._writing = threading.Lock()
        self._known = dict(_known_answers(path)) if path else {}

    def of(self, key: str) -> RagAnswer | None:
        found = self._known.get(key)
        self.taken_up += found is not None
        return found

    def add(self, key: str, answer: RagAnswer) -> None:
        with self._writing:
            self._known[key] = answer
            if self.path:
                append_journal(self.path, [{"of": key, **asdict(answer)}])


@dataclass(frozen=True)
class AnswerCollection:
    """How all questions are asked.

    Attributes:
        depends: what answers depend on beside the question: model, index, revision, software.
        k: passages for each question.
    """

    service: Service
    journal: AnswerJournal
    depends: Mapping[str, Any]
    k: int
    params: SamplingParams

    def ask(
        self, mode: str, questions: Sequence[Question], on_answer: Callable[[], None] = lambda: None, under: str = ""
    ) -> list[RagAnswer]:
        """The answers in the order of the questions. ``under``: names the edits in force, where there are any."""

        def one(question: Question) -> RagAnswer:
            key = self._key(mode, question, under)
            answer = self.journal.of(key)
            if answer is None:
                answer = self._answer(mode, question)
                self.journal.add(key, answer)
            on_answer()
            return answer

        pool = ThreadPoolExecutor(_TOGETHER)
        try:
            return list(pool.map(one, questions))
        finally:
            pool.shutdown(cancel_futures=True)

    def _key(self, mode: str, question: Question, under: str) -> str:
        depends = {**self.depends, "k": self.k}
        if mode == CLOSED_BOOK:
            depends = {name: value for name, value in depends.items() if name in _OF_ALL}
        depends |= asdict(self.params)
        what = json.dumps([depends, mode, under, question.text, question.answers], sort_keys=True)
        return hashlib.sha256(what.encode()).hexdigest()[:32]

    def _answer(self, mode: str, question: Question) -> RagAnswer:
        try:
            return self._closed(question) if mode == CLOSED_BOOK else self._open(mode, question)
        except InvalidPrompt as error:
            return RagAnswer(mode, question.text, "", refused=str(error))

    def _closed(self, question: Question) -> RagAnswer:
        answer = self.service.generate(GenerateQuery(self.params, prompt=question.text))
        return RagAnswer(CLOSED_BOOK, question.text, answer.text, edits_used=answer.edits_used)

    def _open(self, mode: str, question: Question) -> RagAnswer:
        how: Mode = "sequence" if mode == FAST else mode  # type: ignore[assignment]  # checked by the command
        decoding: Decoding = "fast" if mode == FAST else "thorough"
        query = AskQuery(question.text, self.params, self.k, how, decoding=decoding)
        answer = self.service.ask(query)
        texts = (f"{used.passage.title} . {used.passage.text}" for used in answer.passages)
        return RagAnswer(
            mode,
            question.text,
            answer.answer,
            answer.supported,
            any(has_answer(question.answers, text) for text in texts),
            answer.edits_used,
            any(used.overruled for used in answer.passages),
        )


def _known_answers(path: Path) -> Iterator[tuple[str, RagAnswer]]:
    """Key and answer of every record; those of another form are left out."""
    names = [field.name for field in fields(RagAnswer)]
    for record in read_journal(path):
        try:
            values = {name: record[name] for name in names}
            yield record["of"], RagAnswer(**{**values, "edits_used": tuple(values["edits_used"])})
        except (KeyError, TypeError):
            continue
