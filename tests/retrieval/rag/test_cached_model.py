"""A cache gives what the model gives without; models for which it does not are read without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from retrieval.rag.cached_model import SHARED, CachedModel, alike, language_model, shared_start, why_not
from retrieval.rag.decode import in_steps
from retrieval.rag.hypothesis import Tokens
from retrieval.rag.language_model import LanguageModel, Steps
from retrieval.rag.recomputed import RecomputingModel, last_log_probs
from tests.retrieval.enumerated import llama, prompts_of

_SIZES = {
    "vocab_size": 12,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": None,
}


def model_of(kind: str) -> Any:
    torch.manual_seed(0)
    made: dict[str, Any] = {
        "llama": lambda: llama(vocabulary=12, dtype=torch.float32),
        "llama eager": lambda: _eager(llama(vocabulary=12, dtype=torch.float32)),
        "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=12, n_positions=64, n_embd=16, n_layer=2, n_head=2)),
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**_SIZES)),
        "mistral": lambda: MistralForCausalLM(MistralConfig(**_SIZES, sliding_window=4)),
        "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**_SIZES, head_dim=4, sliding_window=4)),
        "bloom": lambda: BloomForCausalLM(BloomConfig(vocab_size=12, hidden_size=16, n_layer=2, n_head=2)),
        "mamba": lambda: MambaForCausalLM(MambaConfig(vocab_size=12, hidden_size=16, num_hidden_layers=2)),
    }
    return made[kind]().eval().requires_grad_(False)


def _eager(model: Any) -> Any:
    model.set_attn_implementation("eager")
    return model


PATHS: list[list[Tokens]] = [[(), (1,), (2,), (2, 3)], [(), (3,), (3, 1)], [(), (5,), (5, 5)]]
ANSWERS: list[tuple[int, Tokens]] = [(0, (2, 3, 4)), (2, (5,)), (0, (1, 4)), (1, (3, 1, 1, 2))]  # passage and answer


def continued(model: LanguageModel, prompts: Sequence[Tokens]) -> tuple[list[list[torch.Tensor]], list[torch.Tensor]]:
    """Log-probs after PATHS, by passage, and those of ANSWERS but for their first tokens."""

    def steps() -> Steps[tuple[list[list[torch.Tensor]], list[torch.Tensor]]]:
        zero = yield from model.read(prompts, room=4)
        one = yield from zero.extend((0, 0, 2, 1), (1, 2, 5, 3))  # the second text of the first passage goes on
        two = yield from one.extend((3, 1, 2), (1, 3, 5))
        rest = yield from zero.rest_of([z for z, _ in ANSWERS], [answer for _, answer in ANSWERS])
        first, once, twice = zero.log_probs, one.log_probs, two.log_probs
        rows = [[first[0], once[0], once[1], twice[1]], [first[1], once[3], twice[0]], [first[2], once[2], twice[2]]]
        return rows, rest

    return in_steps(steps())


def differences(model: LanguageModel, plain: Any, prompts: Sequence[Tokens]) -> float:
    """The largest, between a model's log-probs and those of single unpadded texts."""
    rows, rest = continued(model, prompts)
    alone = [
        last_log_probs(plain, (*prompt, *path), 1)[0]
        for prompt, paths in zip(prompts, PATHS, strict=True)
        for path in paths
    ]
    for z, answer in ANSWERS:
        begun = [(*prompts[z], *answer[:n]) for n in range(1, len(answer))]
        following = [float(last_log_probs(plain, text, 1)[0, y]) for text, y in zip(begun, answer[1:], strict=True)]
        alone.append(torch.tensor(following, dtype=torch.float64))
    found = [*(row for own in rows for row in own), *rest]
    return max(float((a - b).abs().max()) for a, b in zip(found, alone, strict=True) if len(a))


@pytest.mark.parametrize("kind", ["llama", "llama eager", "gpt2", "qwen2", "mistral", "gemma2", "bloom", "mamba"])
def test_every_continuation_is_as_if_it_were_alone(kind: str) -> None:
    """Prompts of unequal length, several continuations of one: to 1e-5 what single unpadded texts give."""
    model = model_of(kind)
    assert differences(language_model(model), model, prompts_of(3, seed=4)) < 1e-5


@pytest.mark.parametrize("padded", [1.0, 1.25, 100.0])
def test_which_prompts_go_together_changes_nothing(padded: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each alone, some together, or all."""
    model, prompts = llama(vocabulary=12), prompts_of(3, seed=4)
    monkeypatch.setattr("retrieval.rag.cached_model.PADDED", padded)
    assert differences(CachedModel(model), model, prompts) < 1e-9


@pytest.mark.parametrize("scored", [1, 4, 1000])
def test_how_many_answers_go_together_changes_nothing(scored: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompts = llama(vocabulary=12), prompts_of(3, seed=4)
    monkeypatch.setattr("retrieval.rag.cached_model.SCORED", scored)
    assert differences(CachedModel(model), model, prompts) < 1e-9


def test_what_prompts_begin_with_is_computed_once() -> None:
    """A long common start goes through the model by itself; the outcome is the same."""
    model = llama(vocabulary=12)
    start = tuple(n % 11 for n in range(SHARED + 3))
    prompts = [(*start, *own) for own in ((1, 2), (3,), (1, 4, 4))]
    read: list[int] = []
    handle = model.register_forward_pre_hook(
        lambda _m, _a, named: read.append(named["input_ids"].numel()), with_kwargs=True
    )
    in_steps(CachedModel(model).read(prompts, room=4))
    handle.remove()
    assert read == [len(start), 2, 1, 3]
    assert differences(CachedModel(model), model, prompts) < 1e-9


def test_a_shared_start_leaves_each_prompt_a_token() -> None:
    """After which the answer begins; and a short start, or a single prompt, is not worth a pass."""
    long = tuple(range(SHARED + 4))
    assert shared_start([long, long]) == SHARED + 3
    assert shared_start([long, long[: SHARED + 1]]) == SHARED
    assert shared_start([long, long[:SHARED]]) == 0
    assert shared_start([long]) == 0


def test_a_long_prompt_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that others get a turn; the outcome is the same."""
    model, prompts = llama(vocabulary=12), [tuple(n % 12 for n in range(23)), (1, 2), (3,)]
    monkeypatch.setattr("retrieval.rag.cached_model.PIECE", 5)
    passes = sum(1 for _ in CachedModel(model).read(prompts, room=4))
    assert passes == 5 + 1 + 1
    assert differences(CachedModel(model), model, prompts) < 1e-9


def test_a_model_is_left_as_it_was() -> None:
    """No gradients are recorded and no hooks stay."""
    model = llama(vocabulary=12).requires_grad_(True)
    rows, rest = continued(CachedModel(model), prompts_of(3, 0))
    assert not any(row.requires_grad for row in (*rows[0], *rest))
    assert not model._forward_pre_hooks


def test_a_model_whose_cache_holds_no_keys_is_read_without() -> None:
    """States that are no keys and values cannot be copied and padded."""
    model = model_of("mamba")
    assert "tried" in str(why_not(model))
    assert isinstance(language_model(model), RecomputingModel)


@pytest.mark.parametrize("kind", ["llama", "llama eager", "gpt2", "qwen2", "mistral", "gemma2"])
def test_attention_is_cached(kind: str) -> None:
    """Attention that reaches back a few tokens only, too."""
    assert isinstance(language_model(model_of(kind)), CachedModel)


def test_prompts_of_like_length_go_together() -> None:
    """So that no memory is lost to padding; the longest first."""
    assert alike([100, 10, 95, 11, 90]) == [[0, 2, 4], [3, 1]]
    assert alike([7]) == [[0]]
