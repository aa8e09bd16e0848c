"""Computes edits: ask the model, change it, ask again, refine what does not hold. Nothing is recorded."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from editing.edit import Deltas, EditRequest
from editing.ledger.state import State
from editing.model.edit_batch import EditBatch
from editing.verify import Verification
from service.edits.model_editor import ModelEditor
from service.edits.prepared_edit import PreparedEdit
from service.edits.registry import EditRegistry
from service.edits.verifier import Candidate, EditPlan, EditVerifier
from service.engines.protocol import SamplingParams
from service.errors import NotReady
from service.served_model import ServedModel

REFINEMENTS = 4  # rounds at most, each a few gradient steps


@dataclass(frozen=True, eq=False)
class ComputedEdit:
    """An edit that was computed and verified, recorded or not.

    Attributes:
        editor: digest of what computed it.
        holds: whether free generation says what the edit wants.
        report: as it is recorded.
    """

    prepared: PreparedEdit
    deltas: Deltas
    supersedes: tuple[str, ...]
    editor: str
    holds: bool
    report: dict[str, Any]


class EditComputation:
    """Makes edits on top of a state; several at once share their passes through the model.

    Args:
        served: the model and its editor; without one every request is refused with what to do.
        verify_tokens: longest answer in a verification.
    """

    def __init__(self, served: ServedModel, registry: EditRegistry, verify_tokens: int = 64) -> None:
        self.base, self.prompts, self.registry = served.base, served.prompts, registry
        self.params = SamplingParams(max_tokens=verify_tokens)
        self.verifier = EditVerifier(served, registry, self.params)
        self._editor = (
            ModelEditor(served.base, served.editor, served.prompts, served.compute) if served.editor else None
        )

    @property
    def editor(self) -> ModelEditor:
        """Raises NotReady where there is none."""
        if self._editor is None:
            raise NotReady(
                f"there is no editor for {self.base.name}; train one with 'errata train' and set ERRATA_EDITOR", 3600
            )
        return self._editor

    def prepare(self, request: EditRequest) -> PreparedEdit:
        """Check a request.

        Raises:
            InvalidEdit, InvalidPrompt: it cannot become an edit; NotReady: there is no editor.
        """
        sequences = self.editor.sequences(request)
        for name, texts in (("rephrases", request.rephrases), ("locality", request.locality)):
            for text in texts:
                self.prompts.question(text, name, self.params.max_tokens, request.raw)
        return PreparedEdit(request, sequences, self.registry.wordings(request))

    def compute(self, edits: Sequence[PreparedEdit], state: State) -> list[ComputedEdit]:
        """Compute and verify under the edits in force. The edits must not concern each other.

        ``compute_ms`` and ``verify_ms`` of edits made together are their shares of the time.
        """
        clock, checked = Stopwatch(), dict[int, tuple[Candidate, Verification]]()
        with clock.of("verify_ms"):
            plans = self.verifier.plans(edits, state)
        with clock.of("compute_ms"):
            batch = self._batch(plans, state)
            found = zip(plans, self.editor.edit(batch), strict=True)
            candidates = {n: Candidate(plan, deltas) for n, (plan, deltas) in enumerate(found)}
        while candidates:
            with clock.of("verify_ms"):
                verified = self.verifier.verify(list(candidates.values()))
            checked |= {n: (candidates[n], own) for n, own in zip(candidates, verified, strict=True)}
            with clock.of("compute_ms"):
                candidates = self._refined(batch, {n: checked[n] for n in candidates})
        shares = clock.shares(len(edits))
        return [self._computed(*checked[n], shares) for n in range(len(edits))]

    def _batch(self, plans: Sequence[EditPlan], state: State) -> EditBatch:
        """Global edits act on the prompts beside the new ones; matched ones give way to them."""
        gone = {edit_id for plan in plans for edit_id in plan.supersedes}
        under = [self.registry.edit(i).deltas for i in self.registry.everywhere(state) if i not in gone]
        return self.editor.batch([plan.edit.sequences for plan in plans], under)

    def _refined(self, batch: EditBatch, checked: Mapping[int, tuple[Candidate, Verification]]) -> dict[int, Candidate]:
        """Those that do not hold everywhere yet, a few gradient steps further, by their place in the batch."""
        predicted = self.editor.predicts_targets(batch, {n: candidate.deltas for n, (candidate, _) in checked.items()})
        left = {
            n: candidate
            for n, (candidate, found) in checked.items()
            if not (found.generalizes and predicted[n]) and candidate.refinements < REFINEMENTS
        }
        moved = self.editor.refine(batch, {n: candidate.deltas for n, candidate in left.items()})
        return {n: Candidate(left[n].plan, deltas, left[n].refinements + 1) for n, deltas in moved.items()}

    def _computed(self, candidate: Candidate, found: Verification, times: Mapping[str, float]) -> ComputedEdit:
        return ComputedEdit(
            prepared=candidate.plan.edit,
            deltas=candidate.deltas,
            supersedes=candidate.plan.supersedes,
            editor=self.editor.checkpoint.digest,
            holds=found.holds,
            report={**found.report(), **self._more(candidate), **times},
        )

    def _more(self, candidate: Candidate) -> dict[str, Any]:
        """What the report says beside the checks: how the edit acts, and how it answers forms that nobody named."""
        acts = "weights" if candidate.plan.edit.request.scope == "global" else self.verifier.edited.mode
        forms = [] if acts == "weights" else self.verifier.other_forms(candidate)
        return {"refinements": candidate.refinements, "acts": acts, "forms": forms}


class Stopwatch:
    """Adds up seconds by name."""

    def __init__(self) -> None:
        self._seconds = {"compute_ms": 0.0, "verify_ms": 0.0}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._seconds[name] += time.perf_counter() - began

    def shares(self, count: int) -> dict[str, float]:
        """Milliseconds by name, divided among so many."""
        return {name: round(seconds * 1000 / count, 1) for name, seconds in self._seconds.items()}
