"""What a reader is trained on: lessons, one after the other, as a task of ``retrieval.training.trainer.Trainer``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retrieval.reader.lora import Lora
from retrieval.reader.prompt import EncodeAnswer, EncodePrompt, pack, reading_loss
from retrieval.reader.training_set import ReadingExampleBuilder


@dataclass(frozen=True, eq=False)
class ReadingTask:
    """Trains LoRA factors of a causal language model, whose own weights stay.

    Attributes:
        model: of transformers, without gradients of its own.
        lora: what is trained.
        lessons: drawn by number.
        encode_prompt, encode_answer: see ``retrieval.reader.prompt``.
        count: lessons in an epoch.
    """

    model: Any
    lora: Lora
    lessons: ReadingExampleBuilder
    encode_prompt: EncodePrompt
    encode_answer: EncodeAnswer
    count: int

    @property
    def modules(self) -> Mapping[str, Any]:
        return {"generator": self.lora}

    def batches(self, size: int, seed: int) -> list[list[int]]:
        """Lessons by number; other seeds give other lessons."""
        numbers = range(seed * self.count, (seed + 1) * self.count)
        return [list(numbers[at : at + size]) for at in range(0, self.count, size)]

    def backward(self, rows: Sequence[int]) -> float:
        """Lesson by lesson, so that memory holds one."""
        total = 0.0
        with self.lora.on(self.model):
            for row in rows:
                packed = pack(self.lessons.lesson(row), self.encode_prompt, self.encode_answer)
                loss = reading_loss(self.model, packed) / len(rows)
                loss.backward()
                total += loss.item()
        return total
