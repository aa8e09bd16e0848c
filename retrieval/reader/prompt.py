"""Reading: passages and questions about them as a causal language model sees them, many questions in one sequence.

All questions of a lesson stand behind the same passages. In training the passages are computed once, and each question
with its answer sees them and itself, but no other question, as if it stood there alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from index.passages.passage import Passage

ASK = "Answer the question in a few words, using the passages.\n\n{passages}\n\nQuestion: {question}"
NOT_TOLD = "Not in the index."
Ids = tuple[int, ...]
EncodePrompt = Callable[[str], Ids]  # a user's text, with the chat template, ready for the model's turn
EncodeAnswer = Callable[[str], Ids]  # an answer with the token that ends it


def prompt_text(question: str, passages: Sequence[Passage]) -> str:
    """The user's text: numbered passages, then the question."""
    shown = "\n\n".join(f"[{n}] {passage.title}: {passage.text}" for n, passage in enumerate(passages, start=1))
    return ASK.format(passages=shown, question=question)


@dataclass(frozen=True)
class QuestionAnswer:
    """A question and the answer that the passages give: some words of theirs, or ``NOT_TOLD``."""

    question: str
    answer: str


@dataclass(frozen=True)
class ReadingExample:
    """Passages, and at least one exchange about them."""

    passages: tuple[Passage, ...]
    exchanges: tuple[QuestionAnswer, ...]


@dataclass(frozen=True, eq=False)
class PackedExample:
    """A lesson as one sequence of s tokens.

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


def pack(lesson: ReadingExample, encode_prompt: EncodePrompt, encode_answer: EncodeAnswer) -> PackedExample:
    """Put the exchanges of a lesson behind its passages, which are there once."""
    prompts = [encode_prompt(prompt_text(one.question, lesson.passages)) for one in lesson.exchanges]
    answers = [encode_answer(one.answer) for one in lesson.exchanges]
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
