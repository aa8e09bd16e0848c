"""Training of the editor network on cached hidden states, resumable to the step.

A step draws ``batch`` different edits. One pass through the upper half gives their keys and output gradients, the
network makes factors of them, a second pass judges all edits at once through per-row side paths.
"""

from __future__ import annotations

import pickle
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from editing.data.facts import Example
from editing.editors.mend import MendEditor
from editing.errors import EditorTrainingError
from editing.model.families import edited_modules
from editing.model.gradients import Gradients, gradients
from editing.model.passes import passes_for
from editing.model.side_path import together
from editing.training.batch import BatchBuilder, TrainingBatch
from editing.training.batch_loss import BatchLoss
from editing.training.log import TrainingLog
from errata.files import whole_file


@dataclass(frozen=True)
class EditorTrainingConfig:
    """Everything that a run depends on besides its data.

    Attributes:
        steps: length of the run; a run may be made longer or shorter when it is resumed.
        batch: different edits in one step.
        rank: inner width of the editor network.
        first_layer, modules: the linear layers that are edited, from that layer to the top.
        initial_step_size: of every layer; they are learned.
        together: how many edits are in force at once while they are judged (1: each alone).
        autocast: run a model of float32 in bfloat16 where torch holds that to be safe. Not needed for a model that is
            in bfloat16 itself: beside it the network stays in float32 anyhow, so that is mixed precision already.
        weights: of each kind of loss.
    """

    steps: int = 1400
    batch: int = 10
    learning_rate: float = 1e-3
    step_size_learning_rate: float = 3e-2
    warmup: int = 30
    normaliser_steps: int = 40
    rank: int = 256
    first_layer: int = 27
    modules: tuple[str, ...] = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
    initial_step_size: float = 1e-3
    together: int = 1
    autocast: bool = False
    seed: int = 0
    weights: dict[str, float] = field(
        default_factory=lambda: {
            "edit": 0.5,
            "chat": 1.0,
            "statement": 1.0,
            "same_subject": 0.3,
            "same_relation": 0.1,
            "unrelated": 0.2,
        }
    )


class EditorTrainer:
    """One training run in ``workdir``: state, log, and the editor.

    Args:
        model: base model; its weights are frozen and never change.
        builder: of batches.
        examples: training examples.
        config: see ``EditorTrainingConfig``.
        workdir: holds ``state.pt`` and ``log.csv``; a run found there is resumed.

    Raises:
        EditorTrainingError: the state in ``workdir`` belongs to another configuration or is damaged, or the examples
            are fewer than a batch.
    """

    def __init__(
        self,
        model: nn.Module,
        builder: BatchBuilder,
        examples: Sequence[Example],
        config: EditorTrainingConfig,
        workdir: Path,
    ) -> None:
        self.config, self.builder, self.examples, self.workdir = config, builder, list(examples), workdir
        _require_batches(config, len(self.examples))
        model.requires_grad_(False)
        self.model: Any = model
        self.device = next(model.parameters()).device
        self.passes = passes_for(model, config.first_layer, builder.encoder.prefix())
        self.judge = BatchLoss(self.passes, config.together)
        names = edited_modules(model, config.first_layer, config.modules)
        torch.manual_seed(config.seed)
        self.editor = MendEditor.for_model(model, names, rank=config.rank, lr=config.initial_step_size).to(self.device)
        self.optimiser = _optimiser(self.editor, config)
        self.base_rates = [group["lr"] for group in self.optimiser.param_groups]
        self.step = 0
        self.skipped = 0
        self.log = TrainingLog(workdir / "log.csv")
        self._resume()

    def run(self, on_step: Callable[[int, dict[str, float]], None] | None = None, save_every: int = 50) -> MendEditor:
        """Train to the last step, saving on the way."""
        if self.step == 0:
            for warm in self._warm_steps:
                self.editor.update_normaliser(self.gradients(self._batch(warm)))
        while self.step < self.config.steps:
            began = time.perf_counter()
            figures = self._one_step()
            self.step += 1
            figures["seconds"] = time.perf_counter() - began
            self.log.append(self.step, figures)
            if on_step:
                on_step(self.step, figures)
            if self.step % save_every == 0 or self.step == self.config.steps:
                self._save()
        return self.editor

    def gradients(self, batch: TrainingBatch) -> dict[str, Gradients]:
        """What the batch's edits are made from."""
        with self._precision():
            return gradients(self.passes, self.editor.names, batch.views, batch.size)

    def _one_step(self) -> dict[str, float]:
        batch = self._batch(self.step)
        gradients = self.gradients(batch)
        if self.step < self.config.normaliser_steps:
            self.editor.update_normaliser(gradients)
        factors = together(self.editor.factors(gradients), self.config.together)
        with self._precision():
            losses, shown = self.judge.losses(batch, factors)
        total = sum((self.config.weights[k] * v for k, v in losses.items()), torch.zeros((), device=self.device))
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.editor.parameters(), 1.0)
        if torch.isfinite(norm):
            for group, rate in zip(self.optimiser.param_groups, self.base_rates, strict=True):
                group["lr"] = rate * self._schedule()
            self.optimiser.step()
        else:
            self.skipped += 1
            if self.skipped > 20:
                raise EditorTrainingError(
                    f"step {self.step}: {self.skipped} steps gave no finite gradient; lower the learning rate"
                )
        return {"loss": total.item(), **{k: v.item() for k, v in losses.items()}, **shown, "norm": float(norm)}

    def _schedule(self) -> float:
        if self.step < self.config.warmup:
            return (self.step + 1) / self.config.warmup
        left = 1 - (self.step - self.config.warmup) / max(1, self.config.steps - self.config.warmup)
        return 0.05 + 0.95 * left

    @property
    def _warm_steps(self) -> Sequence[int]:
        return range(-1, -1 - self.config.normaliser_steps // 4, -1)

    def _draw(self, step: int) -> TrainingBatch:
        """The batch of a step depends on seed and step alone, so a resumed run sees what an unbroken one would."""
        rng = random.Random(f"{self.config.seed}/{step}")
        return self.builder.batch(rng.sample(self.examples, self.config.batch), rng)

    def _batch(self, step: int) -> TrainingBatch:
        batch = self._draw(step)
        with self._precision():
            self.passes.ensure(batch.sequences)
        return batch

    def _precision(self) -> torch.autocast:
        """Around the model's passes; the network and its optimiser stay in float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.autocast)

    def _save(self) -> None:
        state = {
            "config": asdict(self.config),
            "step": self.step,
            "skipped": self.skipped,
            "editor": self.editor.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        with whole_file(self.workdir / "state.pt") as file:
            torch.save(state, file)

    def _resume(self) -> None:
        self.workdir.mkdir(parents=True, exist_ok=True)
        self._load(self.workdir / "state.pt")
        self.log.cut(self.step)  # rows of steps that were not saved will be written again
        for step in (*self._warm_steps, *range(self.step)) if self.step else ():
            self.passes.plan(self._draw(step).sequences)

    def _load(self, path: Path) -> None:
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise EditorTrainingError(f"{path} cannot be read: {error}; remove it to begin anew") from error
        ours = asdict(self.config)
        theirs = asdict(EditorTrainingConfig()) | state["config"]  # older runs lack later fields
        if ours | {"steps": 0} != theirs | {"steps": 0}:  # a run may be made longer or shorter
            raise EditorTrainingError(
                f"{path} belongs to another configuration; choose another directory or the same settings"
            )
        self.editor.load_state_dict(state["editor"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.skipped = state["step"], state["skipped"]


def _require_batches(config: EditorTrainingConfig, examples: int) -> None:
    if examples < config.batch:
        raise EditorTrainingError(f"{examples} examples do not fill one batch of {config.batch}")
    if config.batch % config.together:
        raise EditorTrainingError(f"a batch of {config.batch} cannot be divided into groups of {config.together} edits")


def _optimiser(editor: MendEditor, config: EditorTrainingConfig) -> torch.optim.Optimizer:
    """Adam; the learned step sizes have a rate of their own."""
    networks = [p for n, p in editor.named_parameters() if n != "log_lr"]
    return torch.optim.Adam(
        [
            {"params": networks, "lr": config.learning_rate},
            {"params": [editor.log_lr], "lr": config.step_size_learning_rate},
        ]
    )
