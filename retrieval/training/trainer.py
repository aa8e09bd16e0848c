"""A training run: AdamW over a task's batches, resumable to the step: the same weights, interrupted or not.

What a step does depends on the seed, its number and the weights alone, so a run that was killed goes on from its last
checkpoint as if nothing had happened.
"""

from __future__ import annotations

import io
import math
import pickle
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from index.atomic_files import replace_file
from retrieval.errors import RetrieverTrainingError
from retrieval.training.config import TrainingConfig

STATE = "state.pt"
_WARMUP = 0.1  # share of the steps in which the learning rate rises; then it falls to 0
_MINUTE = 60.0  # seconds
_CLIP = 1.0  # norm of a gradient at most


class TrainingTask(Protocol):
    """What is trained, and on what."""

    @property
    def modules(self) -> Mapping[str, Any]:
        """The trained modules by name: ``question_encoder``, ``generator``."""
        ...

    def batches(self, size: int, seed: int) -> list[list[int]]:
        """An epoch: every example once, in an order that depends on the seed alone."""
        ...

    def backward(self, rows: Sequence[int]) -> float:
        """Add the gradient of a batch's mean loss to the modules' parameters, and give the loss."""
        ...


@dataclass(frozen=True)
class Progress:
    """A step that was made.

    Attributes:
        step: its number, from 1.
        steps: of the whole run.
        loss: before the step.
        rate: questions a second.
    """

    step: int
    steps: int
    loss: float
    rate: float


class Trainer:
    """One run, whose state is kept in ``folder``.

    Args:
        task: see :class:`Task`.
        config: of the run.
        folder: of this run alone; a state found there is gone on from.

    Raises:
        RetrieverTrainingError: the state is damaged.
    """

    def __init__(self, task: TrainingTask, config: TrainingConfig, folder: Path) -> None:
        self.task, self.config, self.folder = task, config, folder
        rates = {"question_encoder": config.lr, "generator": config.generator_lr}
        groups = [{"params": list(module.parameters()), "lr": rates[name]} for name, module in task.modules.items()]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=0.0)
        self._rates = [group["lr"] for group in self.optimiser.param_groups]
        epochs = [task.batches(config.batch, self._seed(epoch)) for epoch in range(config.epochs)]
        self._ends = [sum(map(len, epochs[: n + 1])) for n in range(len(epochs))]
        self.losses: list[float] = []
        self._resume()

    @property
    def step(self) -> int:
        return len(self.losses)

    @property
    def steps(self) -> int:
        return self._ends[-1]

    def run(self, on_step: Callable[[Progress], None] | None = None, save_every: int = 25) -> list[float]:
        """Train to the last step and give the losses of all steps.

        The state is saved every ``save_every`` steps, and once a minute.
        """
        saved = time.monotonic()
        for epoch, end in enumerate(self._ends):
            if self.step >= end:
                continue
            batches = self.task.batches(self.config.batch, self._seed(epoch))
            for rows in batches[self.step - end :]:
                began = time.perf_counter()
                self.losses.append(self._one_step(rows))
                if self.step % save_every == 0 or self.step == self.steps or time.monotonic() - saved > _MINUTE:
                    self._save()
                    saved = time.monotonic()
                if on_step:
                    rate = len(rows) / (time.perf_counter() - began)
                    on_step(Progress(self.step, self.steps, self.losses[-1], rate))
        return self.losses

    def _one_step(self, rows: Sequence[int]) -> float:
        for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * _slope(self.step, self.steps)
        self.optimiser.zero_grad()
        with torch.random.fork_rng(), _training(self.task.modules):
            torch.manual_seed(self._seed(self.step))
            loss = self.task.backward(rows)
        if not math.isfinite(loss):
            raise RetrieverTrainingError(
                f"the loss of step {self.step + 1} is {loss}; choose a lower --lr or --generator-lr"
            )
        for module in self.task.modules.values():
            torch.nn.utils.clip_grad_norm_(module.parameters(), _CLIP)
        self.optimiser.step()
        return loss

    def _seed(self, number: int) -> int:
        return self.config.seed * 1_000_003 + number

    def _save(self) -> None:
        state = {
            "losses": self.losses,
            "modules": {name: module.state_dict() for name, module in self.task.modules.items()},
            "optimiser": self.optimiser.state_dict(),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        replace_file(self.folder / STATE, buffer.getvalue())

    def _resume(self) -> None:
        path = self.folder / STATE
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            for name, module in self.task.modules.items():
                module.load_state_dict(state["modules"][name])
            self.optimiser.load_state_dict(state["optimiser"])
            self.losses = list(state["losses"])
        except (OSError, RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise RetrieverTrainingError(
                f"{path}: the state of the run is damaged ({error}); remove {self.folder}"
            ) from error


def _slope(step: int, steps: int) -> float:
    """Share of the peak learning rate: up over the first tenth of the steps, then down in a line."""
    warm = max(1, round(steps * _WARMUP))
    return (step + 1) / warm if step < warm else (steps - step) / max(1, steps - warm + 1)


@contextmanager
def _training(modules: Mapping[str, Any]) -> Iterator[None]:
    """Dropout is on within the block."""
    for module in modules.values():
        module.train()
    try:
        yield
    finally:
        for module in modules.values():
            module.eval()
