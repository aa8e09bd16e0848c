"""Asks the model, as it will be served, what an edit is about: before the edit, and with each candidate for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from editing.edit import Deltas, Edit
from editing.language.statements import statement_of
from editing.ledger.state import State
from editing.verify import Verification, match, verify
from service.acting.acting_edit import ActingEdit
from service.acting.edited_engine import EditedPrompt
from service.edits.prepared_edit import PreparedEdit
from service.edits.registry import EditRegistry
from service.engines.protocol import SamplingParams
from service.served_model import ServedModel

CANDIDATE = "candidate"  # stands for the id that an edit has once it is recorded
Question = tuple[PreparedEdit, str, Sequence[ActingEdit]]  # whose prompt it is, the prompt, and what acts on it


@dataclass(frozen=True, eq=False)
class EditPlan:
    """An edit and what it is made on top of.

    Attributes:
        supersedes: ids of the edits whose place it takes.
        standing: the state without those.
        before: the answers to all its prompts under the edits in force now.
    """

    edit: PreparedEdit
    supersedes: tuple[str, ...]
    standing: State
    before: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A change that may become the edit, after so many refinements."""

    plan: EditPlan
    deltas: Deltas
    refinements: int = 0


class EditVerifier:
    """Generates greedily, as long as ``params`` says."""

    def __init__(self, served: ServedModel, registry: EditRegistry, params: SamplingParams) -> None:
        self.edited, self.prompts, self.registry, self.params = served.edited, served.prompts, registry, params

    def plans(self, edits: Sequence[PreparedEdit], state: State) -> list[EditPlan]:
        """Ask the prompts of each edit under the edits in force."""
        superseded = [self.registry.superseded(edit.request, edit.wordings, state) for edit in edits]
        questions = [
            (edit, text, self.registry.acting(text, state)) for edit in edits for text in dict.fromkeys(edit.prompts)
        ]
        said = iter(self._answers(questions))
        return [
            EditPlan(
                edit, ids, self.registry.without(state, ids), dict(zip(dict.fromkeys(edit.prompts), said, strict=False))
            )
            for edit, ids in zip(edits, superseded, strict=True)
        ]

    def verify(self, candidates: Sequence[Candidate]) -> list[Verification]:
        """Ask again, with each candidate in force as it will be once it is recorded."""
        changed = [(n, question) for n, candidate in enumerate(candidates) for question in self._changed(candidate)]
        after = [dict(candidate.plan.before) for candidate in candidates]
        for (n, (_, text, _)), said in zip(changed, self._answers([q for _, q in changed]), strict=True):
            after[n][text] = said
        return [
            verify(plan.edit.request, [plan.before[text] for text in plan.edit.prompts], own.__getitem__)
            for plan, own in zip([candidate.plan for candidate in candidates], after, strict=True)
        ]

    def other_forms(self, candidate: Candidate) -> list[dict[str, Any]]:
        """How the edit answers a few forms that its author did not name: for the report, not for the decision."""
        request = candidate.plan.edit.request
        edit = Edit(CANDIDATE, request, candidate.deltas)
        forms = {"confirm": f"{request.input.rstrip(' ?.!')}: {request.output.rstrip(' ?.!')}?"}
        if statement := statement_of(request.input):
            forms["statement"] = statement
        acting = {text: self._acting_with(edit, candidate.plan, text) for text in forms.values()}
        said = self._answers([(candidate.plan.edit, text, acting[text]) for text in forms.values()])
        return [
            {
                "form": form,
                "prompt": text,
                "kind": next((one.kind_name for one in acting[text] if one.edit is edit), None),
                "after": after,
                "match": match(after, request.output),
            }
            for (form, text), after in zip(forms.items(), said, strict=True)
        ]

    def _changed(self, candidate: Candidate) -> Iterator[Question]:
        """The prompts on which other edits act than before; where the same act, the answer is the same."""
        plan = candidate.plan
        edit = Edit(CANDIDATE, plan.edit.request, candidate.deltas)
        for text in plan.before:
            acting = self._acting_with(edit, plan, text)
            if any(one.edit is edit for one in acting) or plan.supersedes:
                yield plan.edit, text, acting

    def _acting_with(self, edit: Edit, plan: EditPlan, text: str) -> list[ActingEdit]:
        """What will act on a text once the edit is recorded."""
        everywhere = edit.request.scope == "global"
        taking_part = None if everywhere else (edit.id, plan.edit.wordings)
        kinds = self.registry.in_force(text, plan.standing, candidate=taking_part)
        others = [ActingEdit(self.registry.edit(i), kind) for i, kind in kinds.items() if i != edit.id]
        return [*others, ActingEdit(edit, kinds.get(edit.id))] if everywhere or edit.id in kinds else others

    def _answers(self, questions: Sequence[Question]) -> list[str]:
        if not questions:
            return []
        longest = self.params.max_tokens
        asked = [
            EditedPrompt(self.prompts.question(text, "input", longest, edit.request.raw), acting)
            for edit, text, acting in questions
        ]
        return [one.text for one in self.edited.generate(asked, self.params)]
