"""Training and calibration of the scope model, resumable to the step.

Cross-entropy over the kinds of request, AdamW, a cosine schedule; passes in bfloat16, weights in float32. Every
``mine_every`` steps the model reads the neighbours of some corrections; what it takes for positive are its hard
negatives from then on (as in Xiong et al. 2021).
"""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from editing.data.corrections import Correction
from editing.errors import EditorTrainingError
from editing.scope.cross_encoder import Kind, PairTokenizer, ScopeCrossEncoder, ScopePair, collate
from editing.scope.model import ScopeModel, in_scope
from editing.scope.wording_index import Floats
from editing.training.scope_pairs import CorrectionPairs, Labelled, prompts_of
from errata.files import whole_file

DRAWN = 16  # batches that are drawn at once, and sorted by length
MINED = 500  # corrections whose neighbours are read at once
HARD = -1.5  # log-odds of a negative from which on it counts as hard
OnStep = Callable[[int, float], None]  # (step, mean loss of late)


class PairSource(Protocol):
    """Where pairs come from."""

    def draw(self, count: int, rng: random.Random) -> list[Labelled]: ...


@dataclass(frozen=True)
class ScopeTrainingConfig:
    """Everything that a run depends on besides its data."""

    steps: int = 5000
    batch: int = 32
    learning_rate: float = 1e-4
    warmup: int = 100
    label_smoothing: float = 0.02
    mine_every: int = 1500
    seed: int = 0


class ScopeTrainer:
    """One training run in ``workdir``.

    Args:
        sources: pairs come from each in these shares.
        workdir: holds ``state.pt``; a run found there is resumed.

    Raises:
        EditorTrainingError: the state in ``workdir`` belongs to another configuration, or is damaged.
    """

    def __init__(
        self,
        network: ScopeCrossEncoder,
        tokenizer: PairTokenizer,
        sources: Sequence[tuple[PairSource, float]],
        config: ScopeTrainingConfig,
        workdir: Path,
    ) -> None:
        self.network, self.tokenizer, self.sources = network, tokenizer, list(sources)
        self.config, self.workdir, self.step, self.loss = config, workdir, 0, 0.0
        torch.manual_seed(config.seed)
        self.trained = [p for p in network.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(self.trained, config.learning_rate, weight_decay=0.01)
        workdir.mkdir(parents=True, exist_ok=True)
        self._resume(workdir / "state.pt")

    def run(self, on_step: OnStep | None = None) -> ScopeCrossEncoder:
        """Train to the last step, saving on the way."""
        while self.step < self.config.steps:
            if self.step and self.step % self.config.mine_every < DRAWN:
                self._mine()
            self.network.train()
            for pairs, kinds in self._batches():
                self._one_step(pairs, kinds)
                if on_step:
                    on_step(self.step, self.loss)
            self._save()
        return self.network.eval()

    def _batches(self) -> list[tuple[list[tuple[list[int], int]], Tensor]]:
        """The next batches, each of like lengths; they depend on seed and step alone."""
        rng, size = random.Random(f"{self.config.seed}/{self.step}"), self.config.batch
        count = min(DRAWN, self.config.steps - self.step)
        drawn = [pair for source, share in self.sources for pair in source.draw(round(count * size * share), rng)]
        encoded = self.tokenizer([pair for pair, _ in drawn])
        order = sorted(range(len(drawn)), key=lambda n: len(encoded[n][0]) + 4 * rng.random())
        groups = [order[first : first + size] for first in range(0, len(order), size)][:count]
        rng.shuffle(groups)
        return [([encoded[n] for n in rows], torch.tensor([int(drawn[n][1]) for n in rows])) for rows in groups]

    def _one_step(self, encoded: Sequence[tuple[list[int], int]], kinds: Tensor) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(*collate(encoded))
        loss = F.cross_entropy(logits.float(), kinds, label_smoothing=self.config.label_smoothing)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * self._schedule()
        self.optimiser.step()
        self.step += 1
        self.loss = loss.item() if self.step == 1 else 0.99 * self.loss + 0.01 * loss.item()

    def _schedule(self) -> float:
        warm = (self.step + 1) / self.config.warmup
        return min(warm, 0.02 + 0.49 * (1 + math.cos(math.pi * self.step / self.config.steps)))

    def _mine(self) -> None:
        """Let the model read the neighbours of some corrections; what it wrongly finds in scope is hard."""
        model = ScopeModel(self.network.eval(), self.tokenizer, (0.0,) * len(Kind))
        rng = random.Random(f"{self.config.seed}/mine/{self.step}")
        for source in (source for source, _ in self.sources if isinstance(source, CorrectionPairs)):
            places = rng.sample(range(len(source.corrections)), min(MINED, len(source.corrections)))
            asked = [(n, prompt) for n in places for prompt in source.neighbours[n][:: len(source.neighbours[n]) // 8]]
            own = [source.corrections[n] for n, _ in asked]
            pairs = [ScopePair(p.text, (c.input,), c.output) for c, (_, p) in zip(own, asked, strict=True)]
            for (n, prompt), score in zip(asked, in_scope(model.logits(pairs)), strict=True):
                if score > HARD:
                    source.hard.setdefault(n, []).append(prompt)

    def _save(self) -> None:
        state = {
            "config": asdict(self.config),
            "step": self.step,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        with whole_file(self.workdir / "state.pt") as file:
            torch.save(state, file)

    def _resume(self, path: Path) -> None:
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise EditorTrainingError(f"{path} cannot be read: {error}; remove it to begin anew") from error
        if state["config"] | {"steps": 0} != asdict(self.config) | {"steps": 0}:
            raise EditorTrainingError(
                f"{path} belongs to another configuration; choose another directory or the same settings"
            )
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]


@dataclass(frozen=True, eq=False)
class ScopeScores:
    """What a model says of prompts: log-odds in scope (n,), the likeliest kind in scope (n,), and what is right."""

    scores: Floats
    kinds: tuple[Kind, ...]
    right: tuple[Kind, ...]
    dialog: tuple[bool, ...]

    @classmethod
    def of(cls, model: ScopeModel, corrections: Sequence[Correction]) -> ScopeScores:
        """Every prompt of each correction beside its input, but the input itself."""
        rows = [(c, p) for c in corrections for p in prompts_of(c) if p.text != c.input]
        logits = model.logits([ScopePair(p.text, (c.input,), c.output, p.context) for c, p in rows])
        kinds = tuple(Kind(1 + int(n)) for n in logits[:, 1:].argmax(1))
        return cls(in_scope(logits), kinds, tuple(p.kind for _, p in rows), tuple(bool(p.context) for _, p in rows))

    def rates(self, thresholds: Sequence[float]) -> dict[str, float]:
        """By kind of request the share that is in scope; of confirmations and denials also the share told apart."""
        above = self.scores > np.asarray(thresholds)[list(self.kinds)]
        found: dict[str, float] = {}
        for kind in Kind:
            for dialog in (False, True):
                at = [n for n, one in enumerate(self.right) if one is kind and self.dialog[n] is dialog]
                if at:
                    name = f"{kind.name.lower()}{' in a dialog' if dialog else ''}"
                    found[name] = round(float(above[at].mean()), 4)
        polar = [n for n, one in enumerate(self.right) if one in (Kind.CONFIRMS, Kind.DENIES)]
        if polar:
            found["yes and no told apart"] = round(float(np.mean([self.kinds[n] is self.right[n] for n in polar])), 4)
        return found

    def thresholds(self, fired: float = 0.04) -> tuple[float, ...]:
        """By kind log-odds above which no more than this share of near prompts lies, all kinds together.

        What merely looks alike is seldom taken for anything but a question, so the other kinds get a tenth of it each,
        and a threshold of 0 at least.
        """
        near = [n for n, one in enumerate(self.right) if one is Kind.NOTHING]
        of_kind = {k: np.where([self.kinds[n] is k for n in near], self.scores[near], -np.inf) for k in Kind}
        others = {k: max(0.0, float(np.quantile(of_kind[k], 1 - fired / 10, method="higher"))) for k in Kind if k > 1}
        spent = sum(float((of_kind[k] > least).mean()) for k, least in others.items())
        asks = float(np.quantile(of_kind[Kind.ASKS], 1 - max(0.0, fired - spent), method="higher"))
        return tuple(round(one, 3) for one in (0.0, asks, *others.values()))
