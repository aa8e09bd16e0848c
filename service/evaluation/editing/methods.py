"""What an evaluation judges: the service as it serves, or an editor by itself, without scope, verification and log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from editing.edit import Deltas, Edit, EditRequest
from editing.editors.protocol import Editor, JointEditor, edit_one
from editing.errors import InvalidEdit
from editing.model.edit_batch import EditBatch
from editing.model.prompts import TargetSequence
from editing.model.sequences import edit_sequences
from service.errors import ChecksFailed
from service.pipeline import Pipeline
from service.types.edits import EditChoice, EditOptions
from service.types.generation import Answer, GenerateQuery, UsedEdit

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
    """An edit that was asked for. ``id`` None: it was refused, and ``answer`` is what the model said instead."""

    id: str | None
    compute_ms: float | None = None
    refinements: int = 0
    answer: str = ""


class EditingMethod(Protocol):
    """An editor behind an interface that a user has."""

    name: str
    single: tuple[EditSelection, ...]  # of prompts while one edit is made at a time
    cumulative: tuple[EditSelection, ...]  # and while all are left in force

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
        registry = self.pipeline.registry
        return tuple(registry.in_force(text, registry.refresh(), choice))

    def deltas(self, edit_id: str) -> Deltas:
        return self.pipeline.registry.edit(edit_id).deltas


class EditorMethod:
    """An editor by itself: its factors go to the engine as they come, and left in force, all act on all prompts.

    Each edit is made on top of those in force, as sequential editing does.
    """

    def __init__(self, name: str, editor: Editor, pipeline: Pipeline) -> None:
        self.name, self.editor, self.pipeline = name, editor, pipeline
        self.single: tuple[EditSelection, ...] = (EditSelection(name, "own"),)
        self.cumulative: tuple[EditSelection, ...] = (EditSelection(name, "all"),)
        self._edits: dict[str, Edit] = {}
        self._count = 0

    def edit(self, request: EditRequest) -> MethodEdit:
        sequences = _sequences(self.pipeline, request)
        if sequences is None:
            return MethodEdit(None)
        self._count += 1
        edit_id, began = f"{self.name} {self._count}", time.perf_counter()
        under = [edit.deltas for edit in self._edits.values()]
        pipeline = self.pipeline
        deltas = pipeline.compute.run(edit_one, self.editor, pipeline.base.model, sequences, under)
        took = round((time.perf_counter() - began) * 1000, 1)
        self._edits[edit_id] = Edit(edit_id, request, deltas)
        return MethodEdit(edit_id, took)

    def rollback(self, edit_id: str) -> None:
        del self._edits[edit_id]

    def reset(self) -> None:
        self._edits.clear()

    def generate_many(self, queries: Sequence[GenerateQuery]) -> list[Answer]:
        used = [self.in_force("", query.edits) for query in queries]
        return _answers(self.pipeline, queries, [[self._edits[i] for i in ids] for ids in used])

    def in_force(self, text: str, choice: EditChoice) -> tuple[str, ...]:
        """Whatever the text; an edit that changes nothing is not in force."""
        del text
        ids = () if choice == "none" else tuple(self._edits) if choice == "active" else choice
        return tuple(i for i in ids if self._edits[i].deltas)

    def deltas(self, edit_id: str) -> Deltas:
        return self._edits[edit_id].deltas


class JointMethod:
    """An editor that makes one change of all edits, once they are asked for. It acts on all prompts."""

    def __init__(self, name: str, editor: JointEditor, pipeline: Pipeline) -> None:
        self.name, self.editor, self.pipeline = name, editor, pipeline
        self.single: tuple[EditSelection, ...] = ()
        self.cumulative: tuple[EditSelection, ...] = (EditSelection(name, "all"),)
        self._corrections: list[list[TargetSequence]] = []
        self._change: Edit | None = None

    def edit(self, request: EditRequest) -> MethodEdit:
        """Noted for the change that is made of all."""
        sequences = _sequences(self.pipeline, request)
        if sequences is None:
            return MethodEdit(None)
        self._corrections.append(sequences)
        self._change = None
        return MethodEdit(f"{self.name} {len(self._corrections)}")

    def rollback(self, edit_id: str) -> None:
        raise ValueError(f"{edit_id} is part of one change and cannot be taken out of it")

    def reset(self) -> None:
        self._corrections.clear()
        self._change = None

    def generate_many(self, queries: Sequence[GenerateQuery]) -> list[Answer]:
        edits = [[self._joint()] if self.in_force("", query.edits) else [] for query in queries]
        return _answers(self.pipeline, queries, edits)

    def in_force(self, text: str, choice: EditChoice) -> tuple[str, ...]:
        """The one change, whatever the text."""
        del text
        return (self.name,) if choice != "none" and self._corrections else ()

    def deltas(self, edit_id: str) -> Deltas:
        del edit_id
        return self._joint().deltas

    def _joint(self) -> Edit:
        if self._change is None:
            batch = EditBatch.whole(self.pipeline.base.model, self._corrections)
            deltas = self.pipeline.compute.run(self.editor.edit_jointly, batch)
            self._change = Edit(self.name, EditRequest("", ""), deltas)
        return self._change


def _sequences(pipeline: Pipeline, request: EditRequest) -> list[TargetSequence] | None:
    """The views of a request with their target; None where it cannot become an edit."""
    try:
        return edit_sequences(pipeline.prompts.encoder, request, pipeline.prompts.context)
    except InvalidEdit:
        return None


def _answers(pipeline: Pipeline, queries: Sequence[GenerateQuery], edits: Sequence[Sequence[Edit]]) -> list[Answer]:
    """Answers under exactly these edits; all share the first query's parameters."""
    prompts = [pipeline.prompts.of_query(query).ids for query in queries]
    return [
        Answer(
            text=one.text,
            finish_reason=one.finish_reason,
            revision=0,
            edits=tuple(UsedEdit(edit.id) for edit in own),
            prompt_tokens=one.prompt_tokens,
            completion_tokens=one.completion_tokens,
        )
        for one, own in zip(pipeline.engine.generate(prompts, edits, queries[0].params), edits, strict=True)
    ]
