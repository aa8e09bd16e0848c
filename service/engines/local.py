"""The model in this process, through transformers. Base weights are shared and never written."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

import torch
from torch import Tensor

from editing.model.side_path import edited, stack
from service.engines.compute_thread import ComputeThread
from service.engines.detokenizer import Detokenizer
from service.engines.protocol import Adapter, Generation, OnText, Prompt, SamplingParams
from service.engines.scheduler import Scheduler
from service.engines.sequence import Message, SequenceOutput, TokenSequence

WIDTH = 16
Inbox = SimpleQueue[tuple[TokenSequence, Message]]  # of one call


class LocalEngine:
    """Decodes with a key-value cache; sequences of all calls are decoded together.

    Whatever else is going on, an answer depends on prompt, edits and parameters only: in bfloat16 on x86 bit for bit,
    in float32 token for token (the last bits of logits may differ in company, see ``service.engines.batched_step``).
    Text is made, and ``on_text`` called, in the thread that asked; an error of its own comes out there and nowhere
    else.

    Args:
        width: sequences in one step at most; with 1 concurrent answers take turns token by token.
    """

    def __init__(self, model: Any, tokenizer: Any, compute: ComputeThread, width: int = WIDTH) -> None:
        self.model, self.tokenizer, self.compute, self.width = model, tokenizer, compute, width
        configured = model.generation_config.eos_token_id
        ends = configured if isinstance(configured, list) else [configured]
        self.end_tokens = {token for token in (*ends, tokenizer.eos_token_id) if token is not None}
        self.scheduler = Scheduler(model, compute, width)

    def generate(
        self,
        prompts: Sequence[Prompt],
        edits: Sequence[Sequence[Adapter]],
        params: SamplingParams,
        on_text: OnText | None = None,
    ) -> list[Generation]:
        """Decode each prompt under its own edits; of many prompts, ``width`` at a time, so that others get a place.

        Raises:
            NotReady: the service is stopping.
            Exception: whatever ``on_text`` raises, or the model.
        """
        inbox = Inbox()
        end_tokens = frozenset(self.end_tokens)
        outputs = [
            SequenceOutput(
                TokenSequence(n, prompt, own, params, end_tokens, lambda *message: inbox.put(message)),
                Detokenizer(self.tokenizer, params.stop),
                on_text,
            )
            for n, (prompt, own) in enumerate(zip(prompts, edits, strict=True))
        ]
        try:
            self._decode(outputs if params.max_tokens > 0 else [], inbox)
            return [output.close() for output in outputs]
        finally:
            for output in outputs:
                output.sequence.left = True

    def logits(self, prompt: Prompt, edits: Sequence[Adapter]) -> Tensor:
        """Next-token logits at every position of a prompt, (tokens, vocab)."""

        @torch.inference_mode()
        def forward() -> Tensor:
            own = stack([[edit.deltas for edit in edits]], self.model.dtype, self.model.device)
            with edited(self.model, own):
                logits: Tensor = self.model(input_ids=torch.tensor([prompt])).logits[0]
            return logits

        return self.compute.run(forward)

    def _decode(self, outputs: Sequence[SequenceOutput], inbox: Inbox) -> None:
        """Until all sequences have ended; where one ends, the next takes its place."""
        later = deque(outputs)
        active = {later.popleft().sequence.number for _ in range(min(len(later), self.width))}
        self.scheduler.add([outputs[n].sequence for n in sorted(active)])
        while active:
            sequence, message = self._next(inbox)
            if isinstance(message, Exception):
                raise message
            if sequence.number not in active:
                continue  # computed while its stop string was being found
            output = outputs[sequence.number]
            if message is not None:
                output.append(message)
            if message is None or output.stopped:
                active.remove(sequence.number)
                if later:
                    following = later.popleft().sequence
                    active.add(following.number)
                    self.scheduler.add([following])

    def _next(self, inbox: Inbox) -> tuple[TokenSequence, Message]:
        while self.compute.here and inbox.empty():
            self.scheduler.step()
        return inbox.get()
