"""What a training run depends on besides data, index and models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that a run depends on besides data, index and models.

    Attributes:
        objective: ``contrastive``, ``marginal``, or ``reading`` for a reader alone.
        mode: of the marginal.
        sides: which texts the contrastively trained encoder encodes; with ``both`` an index has to be built anew.
        freeze: what the marginal leaves as it is: ``generator``, ``encoder`` or nothing.
        epochs: times that every question is seen.
        lr: peak learning rate of the encoder.
        generator_lr: that of the generator's factors.
        batch: questions in one step.
        k: passages of which the marginal is taken.
        negatives: hard ones, for each question.
        depth: passages looked through for positives and negatives.
        temperature: τ, by which inner products are divided.
        rank, layers: of the generator's LoRA.
        held_out: share of the questions that are not trained on.
        judged: of them, and of the others, how many the marginal loss is taken over at most.
        seed: of division, order, factors and dropout.
        steps: of a reader's training, which has no epochs of its own; 0 elsewhere.
    """

    objective: Literal["contrastive", "marginal", "reading"]
    mode: Literal["sequence", "token"] = "sequence"
    sides: Literal["questions", "both"] = "questions"
    freeze: Literal["", "generator", "encoder"] = ""
    epochs: int = 3
    lr: float = 5e-5
    generator_lr: float = 1e-3
    batch: int = 32
    k: int = 5
    negatives: int = 8
    depth: int = 50
    temperature: float = 0.05
    rank: int = 8
    layers: int = 8
    held_out: float = 0.2
    judged: int = 50
    seed: int = 0
    steps: int = 0
