"""How a reader does on questions that it has not seen, and from where on it is taken to say "not in the index"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from index.passages import Passage
from retrieval.reader import Thresholds
from retrieval.reading import NOT_TOLD, EncodeAnswer, EncodePrompt, prompt_text
from retrieval.reading_lessons import KnownQuestion

SHOWN = 5  # passages, as an answer gets them when nothing else is asked for
FALSE_ANSWERS = 0.15  # share of questions that no passage answers, to which an answer may be given all the same
TEMPERATURES = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)


@dataclass(frozen=True, eq=False)
class ReadingExamination:
    """Asks a model, under whatever factors it carries, whether passages tell.

    Attributes:
        model: a causal LM of transformers.
        passages: of the index, by row.
        product: the inner products of a question with passages, (text, rows) → (k,).
    """

    model: Any
    passages: Sequence[Passage]
    product: Callable[[str, Sequence[int]], Tensor]
    encode_prompt: EncodePrompt
    encode_answer: EncodeAnswer

    @torch.inference_mode()
    def not_told(self, question: str, rows: Sequence[int]) -> float:
        """p("not in the index" begins the answer | question, passages)."""
        ids = self.encode_prompt(prompt_text(question, [self.passages[row] for row in rows]))
        logits: Tensor = self.model(input_ids=torch.tensor([ids]), use_cache=False, logits_to_keep=1).logits[0, -1]
        return float(torch.softmax(logits.float(), -1)[self.encode_answer(NOT_TOLD)[0]])

    def thresholds(self, in_vain: Sequence[KnownQuestion], temperature: float) -> Thresholds:
        """So that of these questions, which no passage answers, the share FALSE_ANSWERS would be answered."""
        together = [self.not_told(one.text, one.hits[:SHOWN]) for one in in_vain]
        alone = [self._mean_not_told(one, temperature) for one in in_vain]
        concat, sequence = (float(np.quantile(found, FALSE_ANSWERS)) for found in (together, alone))
        return Thresholds(round(concat, 4), round(sequence, 4))

    def temperature(self, told: Sequence[KnownQuestion]) -> float:
        """τ under which the prior p(z|x) ∝ exp(d(z)·q(x)/τ) gives passages that tell the highest mean likelihood."""
        found = [one for one in told if set(one.told) & set(one.hits[:SHOWN])]
        telling = [torch.tensor([row in one.told for row in one.hits[:SHOWN]]) for one in found]
        products = [self.product(one.text, one.hits[:SHOWN]) for one in found]

        def likelihood(temperature: float) -> float:
            priors = [torch.softmax(own / temperature, 0) for own in products]
            return float(np.mean([float(prior[own].sum().log()) for prior, own in zip(priors, telling, strict=True)]))

        return max(TEMPERATURES, key=likelihood) if found else 0.05

    def _mean_not_told(self, question: KnownQuestion, temperature: float) -> float:
        """Σ_z p(z|x) p("not in the index" | x, z)."""
        rows = question.hits[:SHOWN]
        prior = torch.softmax(self.product(question.text, rows) / temperature, 0)
        return float(prior @ torch.tensor([self.not_told(question.text, [row]) for row in rows]).to(prior))
