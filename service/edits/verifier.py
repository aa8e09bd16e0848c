"""Asks the model, as it will be served, what an edit is about: before the edit, and with each candidate for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from editing.edit import Deltas, Edit
from editing.ledger.state import State
from editing.verify import Verification, verify
from service.edits.prepared_edit import PreparedEdit
from service.edits.registry import EditRegistry
from service.engines.protocol import SamplingParams
from service.served_model import ServedModel

CANDIDATE = "candidate"  # stands for the id that an edit has once it is recorded
Question = tuple[PreparedEdit, str, Sequence[Edit]]  # whose prompt it is, the prompt, and the edits that act on it


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
        self.engine, self.prompts, self.registry, self.params = served.engine, served.prompts, registry, params

    def plans(self, edits: Sequence[PreparedEdit], state: State) -> list[EditPlan]:
        """Ask the prompts of each edit under the edits in force."""
        superseded = [self.registry.superseded(edit.request, state) for edit in edits]
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

    def _changed(self, candidate: Candidate) -> Iterator[Question]:
        """The prompts on which other edits act than before; where the same act, the answer is the same."""
        plan = candidate.plan
        edit = Edit(CANDIDATE, plan.edit.request, candidate.deltas)
        for text in plan.before:
            acting = self._acting_with(edit, plan, text)
            if edit in acting or plan.supersedes:
                yield plan.edit, text, acting

    def _acting_with(self, edit: Edit, plan: EditPlan, text: str) -> list[Edit]:
        """What will act on a text once the edit is recorded."""
        everywhere = edit.request.scope == "global"
        taking_part = None if everywhere else (edit.id, plan.edit.wordings)
        ids = self.registry.in_force(text, plan.standing, candidate=taking_part)
        others = [self.registry.edit(i) for i in ids if i != edit.id]
        return [*others, edit] if everywhere or edit.id in ids else others

    def _answers(self, questions: Sequence[Question]) -> list[str]:
        if not questions:
            return []
        longest = self.params.max_tokens
        prompts = [self.prompts.question(text, "input", longest, edit.request.raw).ids for edit, text, _ in questions]
        made = self.engine.generate(prompts, [acting for *_, acting in questions], self.params)
        return [one.text for one in made]
