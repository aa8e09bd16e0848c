"""RAG by its definition on a tiny language model: every short answer, without padding or cache."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from retrieval.rag.hypothesis import Tokens

VOCABULARY = 6
LENGTH = 4  # of the longest answer
END = 0


def llama(seed: int = 0, dtype: torch.dtype = torch.float64, vocabulary: int = VOCABULARY, context: int = 64) -> Any:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        bos_token_id=None,
        eos_token_id=END,
        initializer_range=0.6,
    )
    return LlamaForCausalLM(config).eval().requires_grad_(False).to(dtype)


def prompts_of(k: int, seed: int, vocabulary: int = VOCABULARY) -> list[Tokens]:
    """k prompts of unequal length."""
    drawn = torch.Generator().manual_seed(seed)
    lengths = torch.randperm(9, generator=drawn)[:k] + 2
    return [tuple(torch.randint(0, vocabulary, (int(n),), generator=drawn).tolist()) for n in lengths]


def prior_of(k: int, seed: int) -> list[float]:
    drawn = torch.Generator().manual_seed(seed)
    prior: list[float] = torch.randn(k, generator=drawn, dtype=torch.float64).log_softmax(0).tolist()
    return prior


@dataclass(frozen=True, eq=False)
class Enumerated:
    """All answers of at most LENGTH tokens: those with an end token, and those cut at LENGTH."""

    model: Any
    prompts: Sequence[Tokens]
    log_prior: Sequence[float]
    ends: frozenset[int] = frozenset({END})

    @cached_property
    def tables(self) -> list[dict[Tokens, torch.Tensor]]:
        """For each passage the log-probs of the token after each beginning."""
        words = [w for w in range(self.model.config.vocab_size) if w not in self.ends]
        begun = [list(itertools.product(words, repeat=n)) for n in range(LENGTH)]
        return [
            {tokens: row for alike in begun for tokens, row in zip(alike, self._after(prompt, alike), strict=True)}
            for prompt in self.prompts
        ]

    @cached_property
    def answers(self) -> list[Tokens]:
        words = range(self.model.config.vocab_size)
        begun = self.tables[0]
        return [(*b, w) for b in begun for w in words if w in self.ends or len(b) + 1 == LENGTH]

    @cached_property
    def by_passage(self) -> dict[Tokens, list[float]]:
        """log p(y|x, z)."""
        return {y: [float(sum(self._steps(table, y))) for table in self.tables] for y in self.answers}

    @cached_property
    def sequence(self) -> dict[Tokens, float]:
        """log Σ_z p(z|x) Π_i p(y_i|…)."""
        prior = torch.tensor(self.log_prior, dtype=torch.float64)
        return {y: float((prior + torch.tensor(p)).exp().sum().log()) for y, p in self.by_passage.items()}

    @cached_property
    def token(self) -> dict[Tokens, float]:
        """log Π_i Σ_z p(z|x) p(y_i|…)."""
        prior = torch.tensor(self.log_prior, dtype=torch.float64).exp()
        found = {}
        for y in self.answers:
            steps = torch.stack([torch.stack(self._steps(table, y)).exp() for table in self.tables])  # (k, tokens)
            found[y] = float((prior @ steps.double()).prod().log())
        return found

    def best_of(self, passage: int, beams: int) -> list[Tokens]:
        """The likeliest answers given one passage."""
        return sorted(self.answers, key=lambda y: -self.by_passage[y][passage])[:beams]

    def _steps(self, table: dict[Tokens, torch.Tensor], y: Tokens) -> list[torch.Tensor]:
        return [table[y[:n]][token] for n, token in enumerate(y)]

    def _after(self, prompt: Tokens, alike: Sequence[Tokens]) -> torch.Tensor:
        """Texts of one length need no padding."""
        with torch.no_grad():
            ids = torch.tensor([(*prompt, *tokens) for tokens in alike])
            logits: torch.Tensor = self.model(input_ids=ids, use_cache=False).logits[:, -1]
        return logits.log_softmax(-1)
