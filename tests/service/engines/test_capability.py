"""How it is decided whether a model's rows can be decoded together."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from transformers import Cache

from service.engines import batched_step
from service.engines.capability import why_apart
from tests.editing import tiny
from tests.service.meeting import SHORT, EngineCall, alone, answered, built, gemma3, meeting, prompt


@pytest.mark.parametrize("make", [tiny.llama, tiny.gpt2, gemma3])
def test_models_with_plain_and_sliding_attention_can(make: Any) -> None:
    """Llama, GPT-2 and Gemma 3; trying it leaves the model as it was."""
    model = make()
    assert why_apart(model) is None
    assert tiny.hooks(model) == 0 and model.config._attn_implementation == "sdpa"


def test_a_cache_that_is_not_keys_and_values_cannot() -> None:
    """Recurrent states are no keys and values: Qwen3-Next's rows are decoded apart."""
    from transformers import Qwen3NextConfig, Qwen3NextForCausalLM

    config = Qwen3NextConfig(
        vocab_size=len(tiny.tokenizer()),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        head_dim=8,
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=["linear_attention", "full_attention"],
        linear_num_value_heads=2,
        linear_num_key_heads=2,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        num_experts=0,
        mlp_only_layers=[0, 1],
        eos_token_id=1,
    )
    torch.manual_seed(0)
    model = Qwen3NextForCausalLM(config).eval().requires_grad_(False)
    reason = why_apart(model)
    assert reason is not None and "LinearAttentionLayer" in reason
    apart(model)


def test_an_attention_of_its_own_cannot() -> None:
    """Eager attention is not exchanged for another."""
    model = tiny.llama()
    model.set_attn_implementation("eager")
    reason = why_apart(model)
    assert reason is not None and "eager" in reason
    apart(model)


def test_a_model_that_comes_out_differently_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial compares logits: a cache that is not looked at is found."""
    monkeypatch.setattr(batched_step.BatchedCache, "update", forgetful)
    reason = why_apart(tiny.llama())
    assert reason is not None and "are off by" in reason


def forgetful(self: batched_step.BatchedCache, keys: Any, values: Any, layer_idx: int) -> Any:
    for cache, k, v in zip(self.caches, keys.split(1), values.split(1), strict=True):
        assert isinstance(cache, Cache)
        cache.update(k, v, layer_idx)
    keys.of_rows = list(zip(keys.split(1), values.split(1), strict=True))
    return keys, values


def test_a_model_that_fails_when_tried_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names what it said."""

    def refuse(*_: Any) -> None:
        raise ValueError("no such cache")

    monkeypatch.setattr(batched_step.BatchedCache, "update", refuse)
    model = tiny.llama()
    assert why_apart(model) == "tried together, it fails: ValueError: no such cache"
    assert tiny.hooks(model) == 0 and model.config._attn_implementation == "sdpa"


def apart(model: Any) -> None:
    """Its concurrent answers are those of each alone, without a step together."""
    engine, draw = built(model), random.Random(1)
    asked = [EngineCall((prompt(draw, 4 + n),), ((),), SHORT) for n in range(3)]
    expected = [alone(engine, one) for one in asked]
    found = meeting(engine, *(lambda one=one: answered(engine, one) for one in asked))
    engine.compute.close()
    assert found == expected
    assert "batched" not in vars(engine.scheduler) and engine.scheduler.why_apart
