"""Training of a reader: its examples as packed sequences, their loss, and the task of a ``Trainer``.

All questions of an example stand behind the same passages. The passages are computed once, and each question with its
answer sees them and itself, but no other question, as if it stood there alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from retrieval.reader.lora import Lora
from retrieval.reader.prompt import prompt_text
from retrieval.training.training_set import ReadingExample, ReadingExampleBuilder

Ids = tuple[int, ...]
EncodePrompt = Callable[[str], Ids]  # a user's text, with the chat template, ready for the model's turn
EncodeAnswer = Callable[[str], Ids]  # an answer with the token that ends it


@dataclass(frozen=True, eq=False)
class PackedExample:
    """An example as one sequence of s tokens.

    Attributes:
        ids: (1, s), what all prompts begin with, then the rest of each with its answer.
        positions: (1, s), as each token would have if its question stood alone.
        visible: (s, s), whether the row's token sees the column's.
        predicting: (n,), places whose next token is part of an answer.
        targets: (n,), those tokens.
    """

    ids: Tensor
    positions: Tensor
    visible: Tensor
    predicting: Tensor
    targets: Tensor


@dataclass(frozen=True, eq=False)
class ReadingTask:
    """Trains LoRA factors of a causal language model, whose own weights stay.

    Attributes:
        model: of transformers, without gradients of its own.
        lora: what is trained.
        examples: drawn by number.
        encode_prompt, encode_answer: to token ids.
        count: examples in an epoch.
    """

    model: Any
    lora: Lora
    examples: ReadingExampleBuilder
    encode_prompt: EncodePrompt
    encode_answer: EncodeAnswer
    count: int

    @property
    def modules(self) -> Mapping[str, Any]:
        return {"generator": self.lora}

    def batches(self, size: int, seed: int) -> list[list[int]]:
        """Examples by number; other seeds give other examples."""
        numbers = range(seed * self.count, (seed + 1) * self.count)
        return [list(numbers[at : at + size]) for at in range(0, self.count, size)]

    def backward(self, rows: Sequence[int]) -> float:
        """Example by example, so that memory holds one."""
        total = 0.0
        with self.lora.on(self.model):
            for row in rows:
                packed = pack(self.examples.example(row), self.encode_prompt, self.encode_answer)
                loss = reading_loss(self.model, packed) / len(rows)
                loss.backward()
                total += loss.item()
        return total


def pack(example: ReadingExample, encode_prompt: EncodePrompt, encode_answer: EncodeAnswer) -> PackedExample:
    """Put the questions of an example, with their answers, behind its passages, which are there once."""
    prompts = [encode_prompt(prompt_text(one.question, example.passages)) for one in example.questions]
    answers = [encode_answer(one.answer) for one in example.questions]
    shared = _shared(prompts)
    ids, positions, owner = list(prompts[0][:shared]), list(range(shared)), [-1] * shared
    predicting: list[int] = []
    targets: list[int] = []
    for n, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        own = prompt[shared:] + answer[:-1]
        first = len(ids) + len(prompt) - shared - 1
        predicting += range(first, first + len(answer))
        targets += answer
        ids += own
        positions += range(shared, shared + len(own))
        owner += [n] * len(own)
    owners = torch.tensor(owner)
    causal = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
    visible = causal & ((owners[:, None] == owners) | (owners == -1))
    return PackedExample(
        torch.tensor([ids]), torch.tensor([positions]), visible, torch.tensor(predicting), torch.tensor(targets)
    )


def _shared(prompts: Sequence[Ids]) -> int:
    """How many tokens all begin with; of one prompt all but the last, so that each has something of its own."""
    least = min(map(len, prompts)) - 1
    return next((n for n in range(least) if len({prompt[n] for prompt in prompts}) > 1), least)


def reading_loss(model: Any, packed: PackedExample) -> Tensor:
    """Mean −log p(token) of the answers' tokens, a scalar in float32. ``model`` is a causal LM of transformers."""
    mask = torch.zeros(packed.visible.shape, dtype=model.dtype).masked_fill(
        ~packed.visible, torch.finfo(model.dtype).min
    )
    hidden = model.get_decoder()(
        input_ids=packed.ids, position_ids=packed.positions, attention_mask=mask[None, None], use_cache=False
    ).last_hidden_state[0]
    logits = model.get_output_embeddings()(hidden[packed.predicting])
    return F.cross_entropy(logits.float(), packed.targets)
