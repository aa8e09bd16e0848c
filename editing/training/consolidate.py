"""Many edits in one change: low-rank factors trained on all edits together, so that no scope decision is needed.

A scoped edit acts on the prompts that it is about; a change that is always there must say every edit's answer and
leave all else alone. So the factors learn two things at once: cross-entropy on the target of every edit, in many
wordings, and KL divergence to the unedited model on prompts that no edit is about.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from editing.edit import Deltas, LowRankDelta
from editing.model.families import Positions
from editing.model.passes import Passes, by_length, positions, scatter
from editing.model.prompts import TargetSequence
from editing.model.row import Row
from editing.model.side_path import Factors, RowFactors, edited
from editing.training.sampler import ConsolidationExamples, Sampler, parts


@dataclass(frozen=True)
class ConsolidationConfig:
    """How the factors are trained.

    Attributes:
        steps, seconds: whichever is over first.
        said, kept: sequences of either sort in a step.
        rate: peak learning rate of Adam, on A and B alike.
        kept_weight: weight of the KL term.
        positions: tokens of a kept answer that are looked at in a step, on average.
        check: steps between two looks at the examples that are held back.
        patience: such looks without progress before training ends; an equal score is none.
    """

    steps: int = 600
    seconds: float = math.inf
    said: int = 12
    kept: int = 20
    rate: float = 2e-3
    kept_weight: float = 5.0
    positions: int = 6
    check: int = 40
    patience: int = 5
    seed: int = 0


@dataclass(frozen=True)
class ConsolidationCheck:
    """What the held-back examples say after ``step`` steps, by teacher forcing.

    Attributes:
        said: share of the answers of which every token is the likeliest.
        kept: share of the kept answers' tokens whose prediction is the unedited one.
    """

    step: int
    said: float
    kept: float

    @property
    def score(self) -> float:
        """Neither makes up for the other: a change of nothing keeps all and is worth nothing."""
        return self.said * self.kept


@dataclass(frozen=True)
class ConsolidationResult:
    """One change for all edits, and how training came to it; ``best`` is the check that it comes from."""

    deltas: dict[str, LowRankDelta]
    steps: int
    best: ConsolidationCheck
    checks: tuple[ConsolidationCheck, ...]


class Consolidation:
    """Trains one change for many edits.

    Args:
        passes: of the model, cut below the lowest layer that may change.
        under: factors of what is in force everywhere anyhow; kept answers are kept as they are under these.
        on_step: hears of every step what share of the training it was.
    """

    def __init__(
        self,
        passes: Passes,
        config: ConsolidationConfig,
        under: Factors | None = None,
        on_step: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.passes, self.config, self.under, self.on_step = passes, config, under or {}, on_step
        self.random = random.Random(config.seed)
        self.generator = torch.Generator().manual_seed(config.seed)

    def train(self, start: Deltas, examples: ConsolidationExamples, held: ConsolidationExamples) -> ConsolidationResult:
        """The factors that did best on the held-back examples, in float32 on the CPU.

        Args:
            start: A (r, in) and B (out, r) of every layer that may change.

        Raises:
            ValueError: there is nothing to say or nothing to keep.
        """
        if not (examples.said and examples.kept and held.said and held.kept):
            raise ValueError("training needs answers to say and answers to keep, some of each held back")
        self.passes.ensure([*examples.said, *examples.kept, *held.said, *held.kept])
        leaves = _Leaves(start, self.passes.model.device)
        drawn = (Sampler(examples.said, self.random), Sampler(examples.kept, self.random))
        optimiser = torch.optim.Adam(leaves.parameters, lr=self.config.rate, betas=(0.9, 0.95))
        checks = [self._check(0, leaves, held)]
        best, progress, kept = checks[0], checks[0], leaves.deltas()  # of equal checks the last is the best
        for step, done in self._steps(optimiser):
            self._step(optimiser, leaves, drawn)
            if step % self.config.check and done < 1.0:
                continue
            checks.append(self._check(step, leaves, held))
            if checks[-1].score >= best.score:
                best, kept = checks[-1], leaves.deltas()
            if checks[-1].score > progress.score:
                progress = checks[-1]
            elif step - progress.step >= self.config.check * self.config.patience:
                break
        return ConsolidationResult(kept, checks[-1].step, best, tuple(checks))

    def _steps(self, optimiser: torch.optim.Optimizer) -> Iterator[tuple[int, float]]:
        """Number of each step, and the share of the training that it ends; the rate rises shortly and falls slowly."""
        began, step, done = time.monotonic(), 0, 0.0
        while done < 1.0:
            before, step = done, step + 1
            for group in optimiser.param_groups:
                group["lr"] = self.config.rate * min(1.0, step / 10) * 0.5 * (1 + math.cos(math.pi * done))
            with_this = (time.monotonic() - began) * step / max(1, step - 1)  # seconds, by those that steps took so far
            done = min(1.0, max(step / self.config.steps, with_this / self.config.seconds))
            yield step, done
            self.on_step(done - before)

    def _step(self, optimiser: torch.optim.Optimizer, leaves: _Leaves, drawn: tuple[Sampler, Sampler]) -> None:
        optimiser.zero_grad(set_to_none=True)
        self._backward(drawn[0], self.config.said, leaves, self._said, 1.0)
        self._backward(drawn[1], self.config.kept, leaves, self._kept, self.config.kept_weight)
        nn.utils.clip_grad_norm_(leaves.parameters, 1.0)
        optimiser.step()

    def _backward(
        self, draw: Sampler, n: int, leaves: _Leaves, losses: Callable[[list[Row], _Leaves], Tensor], weight: float
    ) -> None:
        """Add the gradient of one sort of examples: ``weight`` times the mean loss of ``n`` drawn ones."""
        chosen = draw.draw(n)
        rows = [Row(0, "view", draw.every[i]) for i in chosen]
        for group in by_length(rows):
            each = losses([rows[i] for i in group], leaves)
            (each.sum() * weight / len(rows)).backward(inputs=leaves.parameters)
            draw.note([chosen[i] for i in group], each.tolist())

    def _said(self, rows: list[Row], leaves: _Leaves) -> Tensor:
        """Mean −log p over each row's target tokens, (b,)."""
        where = positions(rows, self.passes.model.device)
        with edited(self.passes.model, leaves.factors()):
            logits = self.passes.logits([row.sequence for row in rows], where).float()
        return _mean(F.cross_entropy(logits, where.target, reduction="none"), where.row, len(rows))

    def _kept(self, rows: list[Row], leaves: _Leaves) -> Tensor:
        """Mean KL(before ‖ after) over some of each row's answer tokens, (b,)."""
        where = _some(positions(rows, self.passes.model.device), len(rows) * self.config.positions, self.generator)
        sequences = [row.sequence for row in rows]
        with torch.no_grad(), edited(self.passes.model, self.under):
            before = F.log_softmax(self.passes.logits(sequences, where).float(), -1)
        with edited(self.passes.model, leaves.factors()):
            after = F.log_softmax(self.passes.logits(sequences, where).float(), -1)
        return _mean(F.kl_div(after, before, reduction="none", log_target=True).sum(-1), where.row, len(rows))

    @torch.inference_mode()
    def _check(self, step: int, leaves: _Leaves, held: ConsolidationExamples) -> ConsolidationCheck:
        factors, right, same = leaves.factors(), 0, []
        for part in parts(held.said):
            where, said = self._likeliest(part, factors)
            right += len(part) - len(where.row[said != where.target].unique())
        for part in parts(held.kept):
            same.append(self._likeliest(part, factors)[1] == self._likeliest(part, self.under)[1])
        return ConsolidationCheck(step, right / len(held.said), float(torch.cat(same).float().mean()))

    def _likeliest(self, part: list[TargetSequence], factors: Factors) -> tuple[Positions, Tensor]:
        """The likeliest token (n,) at each position of the answers."""
        where = positions([Row(0, "view", sequence) for sequence in part], self.passes.model.device)
        with edited(self.passes.model, factors):
            return where, self.passes.logits(part, where).argmax(-1)


class _Leaves:
    """What is learned: A and B of every layer, in float32."""

    def __init__(self, start: Deltas, device: torch.device) -> None:
        self.pairs = {
            name: tuple(f.detach().to(device, torch.float32).clone().requires_grad_() for f in (delta.A, delta.B))
            for name, delta in start.items()
        }
        self.parameters = [leaf for pair in self.pairs.values() for leaf in pair]

    def factors(self) -> dict[str, RowFactors]:
        return {name: RowFactors(A[None], B[None]) for name, (A, B) in self.pairs.items()}

    def deltas(self) -> dict[str, LowRankDelta]:
        return {name: LowRankDelta(*(f.detach().cpu().clone() for f in pair)) for name, pair in self.pairs.items()}


def _mean(each: Tensor, row: Tensor, rows: int) -> Tensor:
    """Mean of each row's values: (n,) → (rows,)."""
    return scatter(each, row, rows).sum(-1) / torch.bincount(row, minlength=rows)


def _some(where: Positions, n: int, generator: torch.Generator) -> Positions:
    """``n`` of the positions in order, or as many as there are rows; the first of every row is one of them."""
    first = torch.ones_like(where.row, dtype=torch.bool)
    first[1:] = where.row[1:] != where.row[:-1]
    order = (
        (torch.rand(len(first), generator=generator).to(first.device) + first)
        .argsort(descending=True)[:n]
        .sort()
        .values
    )
    return Positions(where.row[order], where.at[order], where.target[order])
