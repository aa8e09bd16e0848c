"""Requests that meet in the engine: made at random, asked alone, asked all at once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch

from editing.edit import Edit, EditRequest
from service.engines.compute_thread import ComputeThread
from service.engines.local import LocalEngine
from service.engines.protocol import Generation, OnText, Prompt, SamplingParams
from tests.editing import tiny

SHORT = SamplingParams(max_tokens=6)
EMPTY = Edit("ed_none", EditRequest("a", "b"), {})


@dataclass(frozen=True)
class EngineCall:
    """One request."""

    prompts: tuple[Prompt, ...]
    edits: tuple[tuple[Edit, ...], ...]
    params: SamplingParams


def built(model: Any, width: int = 8) -> LocalEngine:
    engine = LocalEngine(model, tiny.tokenizer(), ComputeThread(1), width)
    engine.end_tokens = {1}
    return engine


def edit(model: Any, seed: int, rank: int = 2) -> Edit:
    names = tiny.DOWN if seed % 2 else tiny.DOWN[:1]
    return Edit(f"ed_{seed}", EditRequest("a", "b"), tiny.deltas(model, seed, rank, names))


def prompt(draw: random.Random, length: int) -> Prompt:
    return tuple(draw.randrange(2, len(tiny.tokenizer())) for _ in range(length))


def request(draw: random.Random, edits: Sequence[Edit]) -> EngineCall:
    """Rows, lengths, edits, seeds and stop strings at random."""
    rows = draw.choice((1, 1, 1, 2, 5))
    params = SamplingParams(
        draw.choice((1, 2, 7, 20)),
        draw.choice((0.0, 0.0, 1.3)),
        draw.choice((1.0, 0.8)),
        draw.randrange(9),
        draw.choice(((), (), ("Alba", "is of"))),
    )
    return EngineCall(
        tuple(prompt(draw, draw.choice((1, 2, 9, 30, 75))) for _ in range(rows)),
        tuple(tuple(draw.sample(edits, draw.choice((0, 0, 1, 1, 2, 3)))) for _ in range(rows)),
        params,
    )


def answered(engine: LocalEngine, asked: EngineCall, on_text: OnText | None = None) -> list[Generation]:
    return engine.generate(asked.prompts, asked.edits, asked.params, on_text)


def alone(engine: LocalEngine, asked: EngineCall) -> list[Generation]:
    """Each row in a call of its own, one after the other."""
    rows = zip(asked.prompts, asked.edits, strict=True)
    return [answered(engine, EngineCall((ids,), (own,), asked.params))[0] for ids, own in rows]


def held(engine: LocalEngine) -> threading.Event:
    """The compute thread waits until the event is set, so that what is asked meanwhile meets."""
    release = threading.Event()
    engine.compute.later(release.wait)
    return release


def meeting(engine: LocalEngine, *calls: Callable[[], Any]) -> list[Any]:
    """What each call returns or raises, all begun before the first token."""
    release = held(engine)
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(call) for call in calls]
        while len(engine.scheduler.added) < len(calls):
            time.sleep(0.001)
        release.set()
        return [future.exception(30) or future.result() for future in futures]


def idle(engine: LocalEngine) -> bool:
    """Whether nothing is left to do and no row is kept, once the turns that are under way are over."""
    for _ in range(10):
        engine.compute.run(int)
    return not (engine.scheduler.added or engine.scheduler.waiting or engine.scheduler.running)


def gemma3() -> Any:
    """Three layers that see 8 tokens back, and one that sees all."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=len(tiny.tokenizer()),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        head_dim=8,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=8,
        max_position_embeddings=256,
        layer_types=["sliding_attention"] * 3 + ["full_attention"],
        initializer_range=0.2,
        eos_token_id=1,
        bos_token_id=None,
        pad_token_id=0,
        query_pre_attn_scalar=8,
    )
    return Gemma3ForCausalLM(config).eval().requires_grad_(False)
