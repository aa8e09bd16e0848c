"""The model in this process, through transformers. Base weights are shared and never written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from editing.edit import Edit
from editing.model import Factors, edited, stack
from service.compute import ComputeThread
from service.engines import Generation, OnText, Prompt, SamplingParams
from service.engines.text import TextStream


class LocalEngine:
    """Decodes with a key-value cache, one row at a time; tokens of concurrent calls take turns.

    A row alone in its batch takes the same path whatever else is going on, so an answer depends on prompt, edits and
    parameters only, bit for bit.
    """

    def __init__(self, model: Any, tokenizer: Any, compute: ComputeThread) -> None:
        self.model, self.tokenizer, self.compute = model, tokenizer, compute
        configured = model.generation_config.eos_token_id
        ends = configured if isinstance(configured, list) else [configured]
        self.end_tokens = {token for token in (*ends, tokenizer.eos_token_id) if token is not None}

    def generate(
        self,
        prompts: Sequence[Prompt],
        edits: Sequence[Sequence[Edit]],
        params: SamplingParams,
        on_text: OnText | None = None,
    ) -> list[Generation]:
        """Decode each prompt under its own edits."""
        return [
            self._row(row, prompt, own, params, on_text)
            for row, (prompt, own) in enumerate(zip(prompts, edits, strict=True))
        ]

    def logits(self, prompt: Prompt, edits: Sequence[Edit]) -> Tensor:
        """Next-token logits at every position of a prompt, (tokens, vocab)."""

        @torch.inference_mode()
        def forward() -> Tensor:
            with edited(self.model, self._factors(edits)):
                logits: Tensor = self.model(input_ids=torch.tensor([prompt])).logits[0]
            return logits

        return self.compute.run(forward)

    def _row(
        self, row: int, prompt: Prompt, edits: Sequence[Edit], params: SamplingParams, on_text: OnText | None
    ) -> Generation:
        stream = TextStream(self.tokenizer, params.stop)
        count = 0
        ended = False
        for token in self._tokens(prompt, edits, params):
            count += 1
            ended = token in self.end_tokens
            piece = stream.rest() if ended else stream.push(token)
            if piece and on_text:
                on_text(row, piece)
            if ended or stream.stopped:
                break
        if (piece := stream.rest()) and on_text:
            on_text(row, piece)
        return Generation(stream.text, "stop" if ended or stream.stopped else "length", len(prompt), count)

    def _tokens(self, prompt: Prompt, edits: Sequence[Edit], params: SamplingParams) -> Iterator[int]:
        """Token after token, each computed in its turn."""
        from transformers import DynamicCache

        past = DynamicCache(config=self.model.config)
        factors = self.compute.run(self._factors, edits)
        generator = torch.Generator().manual_seed(params.seed) if params.seed is not None else None
        ids = list(prompt)
        for _ in range(params.max_tokens):
            logits = self.compute.run(self._step, ids, past, factors)
            token = sample(logits, params, generator)
            yield token
            ids = [token]

    @torch.inference_mode()
    def _step(self, ids: list[int], past: Any, factors: Factors) -> Tensor:
        """Logits (vocab,) after these tokens, float32."""
        with edited(self.model, factors):
            out = self.model(input_ids=torch.tensor([ids]), past_key_values=past, use_cache=True, logits_to_keep=1)
        logits: Tensor = out.logits[0, -1].float()
        return logits

    def _factors(self, edits: Sequence[Edit]) -> Factors:
        return stack([[edit.deltas for edit in edits]], self.model.dtype, self.model.device)


def sample(logits: Tensor, params: SamplingParams, generator: torch.Generator | None) -> int:
    """The next token: the likeliest at temperature 0, else drawn from the top-p nucleus (Holtzman et al. 2020)."""
    if params.temperature == 0:
        return int(logits.argmax())
    probabilities = torch.softmax((logits - logits.max()) / max(params.temperature, 1e-6), -1)
    if params.top_p < 1:
        ordered, indices = probabilities.sort(descending=True)
        outside = ordered.cumsum(-1) - ordered >= params.top_p
        probabilities = torch.zeros_like(probabilities).scatter(0, indices, ordered.masked_fill(outside, 0.0))
    return int(torch.multinomial(probabilities, 1, generator=generator))
