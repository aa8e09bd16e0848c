"""What only the model itself can tell: success under teacher forcing, and drift on texts that edits are not about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from editing.edit import Deltas
from editing.language.views import View
from editing.model.passes import FullPasses, positions
from editing.model.prompts import PromptEncoder, TargetSequence
from editing.model.row import Row
from editing.model.sequences import target_logits
from editing.model.side_path import edited, stack
from service.engines.compute_thread import ComputeThread
from service.evaluation.editing.methods import EditingMethod
from service.evaluation.editing.verdicts import PassageDrift
from service.types.edits import EditChoice

PASSAGE_TOKENS = 128
_ROWS = 16  # sequences in one pass


class TeacherForcingProbe:
    """Runs the base model under the edits of a method.

    Args:
        unedited: logits of passages without edits, kept over the run.
    """

    def __init__(
        self,
        model: Any,
        encoder: PromptEncoder,
        compute: ComputeThread,
        method: EditingMethod,
        unedited: dict[str, tuple[Tensor, Tensor]],
    ) -> None:
        self.model, self.encoder, self.compute, self.method = model, encoder, compute, method
        self.unedited = unedited

    def forced(self, rows: Sequence[tuple[View, str, tuple[str, ...]]]) -> list[bool]:
        """For each prompt, target and edits: whether every token of the target is likeliest, given those before it."""
        found: list[bool] = []
        for at in range(0, len(rows), _ROWS):
            found += self.compute.run(self._forced, rows[at : at + _ROWS])
        return found

    def read(self, selection: str, passage: str, choice: EditChoice) -> PassageDrift:
        """The passage as raw text under the edits that would act on it, beside the unedited model's reading."""
        ids = self.method.in_force(passage, choice)
        sequence = TargetSequence(self.encoder.raw(passage)[:PASSAGE_TOKENS], 1)
        if passage not in self.unedited:
            self.unedited[passage] = self.compute.run(self._logits, sequence, [])
        base, targets = self.unedited[passage]
        if not ids:  # the very same pass
            nll = _nll(base, targets)
            return PassageDrift(selection, len(targets), nll, nll, 0.0)
        logits, _ = self.compute.run(self._logits, sequence, [self.method.deltas(i) for i in ids])
        return PassageDrift(selection, len(targets), _nll(base, targets), _nll(logits, targets), _kl(base, logits))

    @torch.inference_mode()
    def _forced(self, rows: Sequence[tuple[View, str, tuple[str, ...]]]) -> list[bool]:
        sequences = [self.encoder.sequence(view.text, view.raw, target) for view, target, _ in rows]
        factors = stack([[self.method.deltas(i) for i in ids] for *_, ids in rows], self.model.dtype, self.model.device)
        where = positions([Row(n, "view", sequence) for n, sequence in enumerate(sequences)], self.model.device)
        with edited(self.model, factors):
            said = FullPasses(self.model).logits(sequences, where).argmax(-1)
        wrong = where.row[said != where.target].tolist()
        return [n not in set(wrong) for n in range(len(rows))]

    @torch.inference_mode()
    def _logits(self, sequence: TargetSequence, edits: Sequence[Deltas]) -> tuple[Tensor, Tensor]:
        with edited(self.model, stack([list(edits)], self.model.dtype, self.model.device)):
            return target_logits(self.model, sequence)


def _nll(logits: Tensor, targets: Tensor) -> float:
    return float(F.cross_entropy(logits.float(), targets, reduction="sum"))


def _kl(base: Tensor, logits: Tensor) -> float:
    """KL(base ‖ edited), summed over the positions."""
    p, q = F.log_softmax(base.float(), -1), F.log_softmax(logits.float(), -1)
    return float(F.kl_div(q, p, reduction="sum", log_target=True))
