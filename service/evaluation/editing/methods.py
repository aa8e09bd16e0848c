"""What an evaluation judges: the service as it serves, or an editor by itself, without scope, verification and log."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from editing.edit import Deltas, Edit, EditRequest
from editing.editors.protocol import Editor
from editing.errors import InvalidEdit
from editing.model.prompts import TargetSequence
from editing.model.sequences import edit_sequences
from service.errors import ChecksFailed
from service.pipeline import Pipeline
from service.types import Answer, EditChoice, EditOptions, GenerateQuery

_ACTOR = "evaluation"


@dataclass(frozen=True)
class EditSelection:
    """Which edits act on a prompt: those ``active`` by scope, the prompt's ``own``, or ``all`` at once."""

    name: str
    acts: Literal["active", "own", "all"]

    def choice(self, own: str, together: Sequence[str]) -> EditChoice:
        return "active" if self.acts == "active" else (own,) if self.acts == "own" else tuple(together)


@dataclass(frozen=True)
class MethodEdit:
    """An edit that was asked for. ``id`` None: it was refused, and ``said`` is what the model said instead."""

    id: str | None
    compute_ms: float | None = None
    refinements: int = 0
    said: str = ""


class EditingMethod(Protocol):
    """An editor behind an interface that a user has."""

    name: str
    single: tuple[EditSelection, ...]  # ways to ask when one edit is made at a time
    cumulative: tuple[EditSelection, ...]  # and when all are left in force

    def edit(self, request: EditRequest) -> MethodEdit: ...
    def rollback(self, edit_id: str) -> None: ...
    def reset(self) -> None: ...
    def generate_many(self, queries: Sequence[GenerateQuery]) -> list[Answer]: ...
    def in_force(self, text: str, choice: EditChoice) -> tuple[str, ...]: ...
    def deltas(self, edit_id: str) -> Deltas: ...


class ServiceMethod:
    """The service: its edits are verified, recorded and chosen by scope."""

    name = "errata"
    single: tuple[EditSelection, ...] = (EditSelection("with scope", "active"), EditSelection("editor alone", "own"))
    cumulative: tuple[EditSelection, ...] = (*single, EditSelection("all edits, no scope", "all"))

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def edit(self, request: EditRequest) -> MethodEdit:
        """Not forced: what does not verify is refused, as a user would see it."""
        try:
            made = self.pipeline.edit(request, EditOptions(_ACTOR))
        except ChecksFailed as refused:
            report: Any = refused.report
            return MethodEdit(None, report["compute_ms"], report["refinements"], report["after"])
        except InvalidEdit:
            return MethodEdit(None)
        return MethodEdit(made.id, made.report["compute_ms"], made.report["refinements"])

    def rollback(self, edit_id: str) -> None:
        self.pipeline.rollback(edit_id, _ACTOR, None, None)

    def reset(self) -> None:
        self.pipeline.restore(0, _ACTOR, None, None)

    def generate_many(self, queries: Sequence[GenerateQuery]) -> list[Answer]:
        return self.pipeline.generate_many(queries)

    def in_force(self, text: str, choice: EditChoice) -> tuple[str, ...]:
        book = self.pipeline.book
        return tuple(self.pipeline.corrector.compute.run(book.in_force, text, book.refresh(), choice))

    def deltas(self, edit_id: str) -> Deltas:
        return self.pipeline.book.edit(edit_id).deltas


class EditorMethod:
    """An editor by itself: its factors go to the engine as they come, and left in force, all act on all prompts.

    Args:
        joint: make one change of all edits where the editor can (``edit_many``); otherwise each edit is made on top of
            those in force, as sequential editing does.
    """

    def __init__(self, name: str, editor: Editor, pipeline: Pipeline, *, joint: bool = False) -> None:
        self.name, self.editor, self.pipeline = name, editor, pipeline
        self.single: tuple[EditSelection, ...] = (EditSelection(name, "own"),)
        self.cumulative: tuple[EditSelection, ...] = (EditSelection(name, "all"),)
        self.joint = joint and hasattr(editor, "edit_many")
        self._waiting: list[list[TargetSequence]] = []
        self._made: dict[str, Edit] = {}
        self._count = 0

    def edit(self, request: EditRequest) -> MethodEdit:
        prompts = self.pipeline.prompts
        try:
            sequences = edit_sequences(prompts.encoder, request, prompts.context)
        except InvalidEdit:
            return MethodEdit(None)
        self._count += 1
        edit_id = f"{self.name} {self._count}"
        if self.joint:
            self._waiting.append(sequences)
            return MethodEdit(edit_id)
        began = time.perf_counter()
        deltas = self._run(self.editor.edit, sequences, [edit.deltas for edit in self._made.values()])
        took = round((time.perf_counter() - began) * 1000, 1)
        self._made[edit_id] = Edit(edit_id, request, deltas)
        return MethodEdit(edit_id, took)

    def rollback(self, edit_id: str) -> None:
        del self._made[edit_id]

    def reset(self) -> None:
        self._made.clear()
        self._waiting.clear()

    def generate_many(self, queries: Sequence[GenerateQuery]) -> list[Answer]:
        prompts = [self.pipeline.prompts.of_query(query).ids for query in queries]
        used = [self.in_force("", query.edits) for query in queries]
        edits = [[self._made[i] for i in ids] for ids in used]
        made = self.pipeline.engine.generate(prompts, edits, queries[0].params)
        return [
            Answer(m.text, m.finish_reason, 0, ids, m.prompt_tokens, m.completion_tokens)
            for m, ids in zip(made, used, strict=True)
        ]

    def in_force(self, text: str, choice: EditChoice) -> tuple[str, ...]:  # noqa: ARG002 - it does not look at the text
        """An edit that changes nothing is not in force."""
        if choice == "none":
            return ()
        if self._waiting:
            deltas = self._run(self.editor.edit_many, self._waiting)  # type: ignore[attr-defined]  # see ``joint``
            self._made[self.name] = Edit(self.name, EditRequest("", ""), deltas)
            self._waiting = []
        ids = tuple(self._made) if self.joint or choice == "active" else choice
        return tuple(i for i in ids if self._made[i].deltas)

    def deltas(self, edit_id: str) -> Deltas:
        return self._made[edit_id].deltas

    def _run(self, work: Callable[..., Deltas], *what: Any) -> Deltas:
        return self.pipeline.corrector.compute.run(work, self.pipeline.base.model, *what)
