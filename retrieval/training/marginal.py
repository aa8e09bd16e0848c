"""Joint training of question encoder and generator on −log p(y|x), documents and index fixed (Lewis et al. 2020, 2.4).

The passages z are the k best for the question encoder as it is now. The gradient reaches it through
log p_η(z|x) = log softmax(d(z)·q(x) / τ) over them, with d(z) as the index holds it, and the generator through
p_θ(y_i | x, z, y_<i).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from index.passages.passage import Passage
from index.versions.passage_index import PassageIndex
from retrieval.encoders.question_encoder import TrainableEncoder
from retrieval.evaluation.nq_open import Question
from retrieval.reader.lora import Lora
from retrieval.reader.prompt import prompt_text
from retrieval.search.dense import nearest, stored_vectors
from retrieval.training.likelihood import log_prior, marginal_log_likelihood_sequence, marginal_log_likelihood_token
from retrieval.training.reading import EncodeAnswer, EncodePrompt, Ids

if TYPE_CHECKING:
    from torch import Tensor

Mode = Literal["sequence", "token"]
Excerpt = Callable[[str, Passage], Passage]
_LIKELIHOOD = {"sequence": marginal_log_likelihood_sequence, "token": marginal_log_likelihood_token}


@dataclass(frozen=True, eq=False)
class Generator:
    """p_θ: a causal language model, how it is asked, and the factors that it carries, if any.

    Attributes:
        model: of transformers; its weights stay.
        prompt: token ids of a user's text, ready for the model's turn.
        answer: token ids of an answer, with the one that ends it.
        context: longest sequence of the model, in tokens.
        lora: None: the generator is the model alone. Factors without gradients stay, too.
        excerpt: what it reads of a passage for a question, as ``retrieval.reader.excerpts`` has it; None: all.
    """

    model: Any
    prompt: EncodePrompt
    answer: EncodeAnswer
    context: int
    lora: Lora | None = None
    excerpt: Excerpt | None = None

    @property
    def trained(self) -> bool:
        """Whether its factors are."""
        return self.lora is not None and any(factor.requires_grad for factor in self.lora.parameters())

    @property
    def rows(self) -> int | None:
        """Prompts in one forward pass: on a CPU one, as several are no faster and would be padded; else all."""
        return 1 if self.model.device.type == "cpu" else None

    def on(self) -> AbstractContextManager[None]:
        """Within this block the model carries the factors."""
        return self.lora.on(self.model) if self.lora else nullcontext()

    def about(self, question: str, passage: Passage, room: int) -> Ids:
        """The prompt of a question about one passage, whose text is cut where ``room`` more tokens would not fit."""
        text = (self.excerpt(question, passage) if self.excerpt else passage).text
        while True:
            ids = self.prompt(prompt_text(question, [replace(passage, text=text)]))
            if len(ids) + room <= self.context or not text:
                return ids
            text = text[: len(text) // 2]

    def fits(self, question: Question) -> bool:
        """Whether question and answers leave half of the context to a passage."""
        longest = max(len(self.answer(answer)) for answer in question.answers)
        return len(self.prompt(prompt_text(question.text, []))) + longest <= self.context // 2


class MarginalTraining:
    """The task: the mean of −log p(y|x) over the questions of a batch, one of each one's answers at a time.

    Args:
        encoder: of questions, BERT_q.
        generator: of answers.
        index: of the passages and d(z).
        questions: with answers.
        k: passages for each question.
        temperature: τ.
        mode: which marginal.
        train_encoder: false: the encoder stays, and only the generator is trained.
    """

    def __init__(
        self,
        encoder: TrainableEncoder,
        generator: Generator,
        index: PassageIndex,
        questions: Sequence[Question],
        k: int,
        temperature: float,
        mode: Mode = "sequence",
        train_encoder: bool = True,
    ) -> None:
        self.encoder, self.generator, self.index, self.questions = encoder, generator, index, questions
        self.k, self.temperature, self.likelihood = k, temperature, _LIKELIHOOD[mode]
        self.train_encoder = train_encoder
        self.modules: Mapping[str, Any] = {
            **({"question_encoder": encoder.model} if train_encoder else {}),
            **({"generator": generator.lora} if generator.trained else {}),
        }
        self._answers = [question.answers[0] for question in questions]

    def batches(self, size: int, seed: int) -> list[list[int]]:
        """All questions in random batches; ``seed`` also says which of its answers a question is trained on."""
        drawn = random.Random(seed)
        order = list(range(len(self.questions)))
        drawn.shuffle(order)
        self._answers = [drawn.choice(question.answers) for question in self.questions]
        return [order[first : first + size] for first in range(0, len(order), size)]

    def backward(self, rows: Sequence[int]) -> float:
        """Add the gradient of the batch's mean loss, and give the loss. One question at a time, to spare memory."""
        import torch

        with torch.set_grad_enabled(self.train_encoder):
            vectors = self.encoder.vectors([self.questions[row].text for row in rows])  # (b, d)
        leaf = vectors.detach().requires_grad_(self.train_encoder)
        total = 0.0
        with self.generator.on():
            for q, row in zip(leaf, rows, strict=True):
                loss = self._loss(q, self.questions[row], self._answers[row]) / len(rows)
                loss.backward()
                total += float(loss.detach())
        if leaf.grad is not None:
            vectors.backward(leaf.grad)
        return total

    def judge(self, on_question: Callable[[], None] = lambda: None) -> float:
        """The mean loss of all questions, each with its first answer; no gradients. ``on_question``: after each."""
        import torch

        vectors = torch.from_numpy(self.encoder.encode([question.text for question in self.questions]))
        total = 0.0
        with torch.no_grad(), self.generator.on():
            for q, one in zip(vectors, self.questions, strict=True):
                total += float(self._loss(q.to(self.encoder.model.device), one, one.answers[0]))
                on_question()
        return total / len(self.questions)

    def _loss(self, q: Tensor, question: Question, answer: str) -> Tensor:
        """−log p(y|x) of one question with the vector q (d,)."""
        import torch

        (rows,) = nearest(self.index, q.detach().cpu().numpy()[None], self.k)
        documents = torch.from_numpy(stored_vectors(self.index, rows)).to(q)  # (k, d)
        target = self.generator.answer(answer)
        prompts = [self.generator.about(question.text, self.index.passages[row], len(target)) for row in rows]
        prior = log_prior(documents @ q, self.temperature)[None]  # (1, k)
        return -self.likelihood(self.generator.model, [prompts], [target], prior, self.generator.rows)[0]
