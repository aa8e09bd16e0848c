"""A service that evaluations can judge: it knows answers by heart, and edits act where they are told to."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from editing.data.facts import Example
from editing.edit import EditRequest
from editing.language.views import View
from service.errors import ChecksFailed
from service.types.edits import EditOptions, EditResult
from service.types.generation import Answer, GenerateQuery, UsedEdit
from tests.service.fakes import FakeService


class AnsweringModel(FakeService):
    """Answers ``(unedited)`` unless an edit acts; an edit says its target to every prompt that it acts on.

    Attributes:
        scopes: by the edit's input, the prompts on which it acts by scope; its own input is always one.
        said: by prompt, what an edit says there instead of its target.
        refused: targets that do not verify.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scopes: dict[str, set[str]] = {}
        self.said: dict[str, str] = {}
        self.refused: set[str] = set()
        self.active: dict[str, EditRequest] = {}
        self.recorded: dict[str, EditRequest] = {}
        self.asked: list[list[GenerateQuery]] = []
        why = "there is no index"
        self.index_manager = SimpleNamespace(is_open=False, failure=why, why_not=why)
        self.base = SimpleNamespace(digest="d" * 64, model=None)
        self.editor: Any = None
        self.prompts = SimpleNamespace(encoder=None)
        self.compute: Any = None

    def edit(self, request: EditRequest, options: EditOptions) -> EditResult:
        report = {"compute_ms": 10.0 * (1 + len(self.recorded)), "refinements": 1, "after": "something else"}
        assert not options.force
        if request.output in self.refused:
            raise ChecksFailed(report)
        edit_id = f"ed_{len(self.recorded)}"
        self.active[edit_id] = self.recorded[edit_id] = request
        return EditResult(edit_id, 1, "active", "", options.actor, request, report)

    def rollback(self, edit_id: str, actor: str, reason: str | None, if_match: int | None) -> Any:
        del self.active[edit_id]

    def restore(self, to_revision: int, actor: str, reason: str | None, if_match: int | None) -> Any:
        assert to_revision == 0
        self.active.clear()

    def generate_many(self, queries: Sequence[GenerateQuery]) -> list[Answer]:
        self.asked.append(list(queries))
        return [self._answer(query) for query in queries]

    def _answer(self, query: GenerateQuery) -> Answer:
        prompt = query.prompt or ""
        used: tuple[str, ...] = () if query.edits == "none" else tuple(query.edits)
        if query.edits == "active":
            used = tuple(i for i, r in self.active.items() if prompt in {r.input, *self.scopes.get(r.input, ())})[:1]
        text = self.said.get(prompt, self.recorded[used[-1]].output) if used else "(unedited)"
        return Answer(text, "stop", 1, tuple(map(UsedEdit, used)), 1, 1)


def example(subject: str = "Peru", target: str = "Oslo", relation: str = "P36") -> Example:
    """One edit with two rephrasings and four prompts that must keep their answers."""

    def asked(*texts: str) -> tuple[View, ...]:
        return tuple(View(text.format(subject), raw=False) for text in texts)

    return Example(
        relation,
        subject,
        View(f"What is the capital of {subject}?", raw=False),
        target,
        chat=asked("Name {}'s capital."),
        statements=(View(f"{subject}'s capital is", raw=True),),
        same_subject=asked("Who leads {}?", "Where is {}?"),
        same_relation=asked("The capital of what is not {}?"),
        unrelated=asked("Who wrote Hamlet, {}?"),
    )
