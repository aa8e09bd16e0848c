"""A cache that branches gives what the model gives without; models for which it does not are read without."""

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

from retrieval.rag.branching import next_tokens, sliding_window, why_not
from retrieval.rag.cached_model import SHARED, CachedModel, batches, shared_start
from retrieval.rag.decode import in_steps
from retrieval.rag.hypothesis import Tokens
from retrieval.rag.language_model import PROMPT, LanguageModel, Leaves, Steps
from retrieval.rag.recomputed import RecomputingModel, log_probs_after
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


def grown(model: LanguageModel, prompts: Sequence[Tokens], *all_leaves: Sequence[Leaves]) -> list[torch.Tensor]:
    """Log-probs after the prompts and after all that was hung below them, by passage."""

    def steps() -> Steps[list[torch.Tensor]]:
        trees = yield from model.read(prompts, room=4)
        found = [[row[None]] for row in trees.first]
        for leaves in all_leaves:
            for own, new in zip(found, (yield from trees.grow(leaves)), strict=True):
                own.append(new.log_probs)
        return [torch.cat(own) for own in found]

    return in_steps(steps())


FIRST = (Leaves((1, 2, 3), (PROMPT, PROMPT, 1)), Leaves(), Leaves((5,), (PROMPT,)))  # the third hangs on the second
THEN = (Leaves((4, 4, 1), (2, 0, 4)), Leaves((3, 1), (PROMPT, PROMPT)), Leaves((5,), (0,)))
PATHS = [[(), (1,), (2,), (2, 3), (2, 3, 4), (1, 4), (1, 4, 1)], [(), (3,), (1,)], [(), (5,), (5, 5)]]


@pytest.mark.parametrize("kind", ["llama", "llama eager", "gpt2", "qwen2", "mistral", "gemma2", "bloom", "mamba"])
def test_every_continuation_is_as_if_it_were_alone(kind: str) -> None:
    """Prompts of unequal length, leaves hung on leaves, passages that rest: to 1e-5 what single unpadded texts give."""
    model, prompts = model_of(kind), prompts_of(3, seed=4)
    found = grown(next_tokens(model), prompts, FIRST, THEN)
    for prompt, paths, rows in zip(prompts, PATHS, found, strict=True):
        alone = torch.stack([log_probs_after(model, (*prompt, *path)) for path in paths])
        assert torch.allclose(rows, alone, atol=1e-5)


@pytest.mark.parametrize("nodes", [1, 2, 4, 100])
def test_the_size_of_passes_changes_nothing(nodes: int) -> None:
    """However few nodes go together."""
    model, prompts = llama(vocabulary=12), prompts_of(3, seed=4)
    found = grown(CachedModel(model, nodes), prompts, FIRST, THEN)
    plain = grown(RecomputingModel(model), prompts, FIRST, THEN)
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(found, plain, strict=True))


def test_what_prompts_begin_with_is_computed_once() -> None:
    """A long common start goes through the model by itself; the outcome is the same."""
    model = llama(vocabulary=12)
    start = tuple(n % 11 for n in range(SHARED + 3))
    prompts = [(*start, *own) for own in ((1, 2), (3,), (1, 4, 4))]
    read: list[int] = []
    handle = model.register_forward_pre_hook(
        lambda _m, _a, named: read.append(named["input_ids"].numel()), with_kwargs=True
    )
    found = grown(CachedModel(model), prompts, FIRST)
    handle.remove()
    assert read[:4] == [len(start), 2, 1, 3]
    plain = grown(RecomputingModel(model), prompts, FIRST)
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(found, plain, strict=True))


def test_a_shared_start_leaves_each_prompt_a_token() -> None:
    """Which foretells the next; and a short start, or a single prompt, is not worth a pass."""
    long = tuple(range(SHARED + 4))
    assert shared_start([long, long]) == SHARED + 3
    assert shared_start([long, long[: SHARED + 1]]) == SHARED
    assert shared_start([long, long[:SHARED]]) == 0
    assert shared_start([long]) == 0


def test_a_long_prompt_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that others get a turn; the outcome is the same."""
    model, prompts = llama(vocabulary=12), [tuple(n % 12 for n in range(23)), (1, 2)]
    whole = grown(CachedModel(model), prompts, (FIRST[0], FIRST[2]))
    monkeypatch.setattr("retrieval.rag.cached_model.PIECE", 5)
    passes = sum(1 for _ in CachedModel(model).read(prompts, room=4))
    assert passes == 5 + 1
    pieces = grown(CachedModel(model), prompts, (FIRST[0], FIRST[2]))
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(pieces, whole, strict=True))


def test_a_model_is_left_as_it_was() -> None:
    """No gradients are recorded and no hooks stay."""
    model = llama(vocabulary=12).requires_grad_(True)
    (rows, *_) = grown(CachedModel(model), prompts_of(3, 0), FIRST)
    assert not rows.requires_grad
    assert not model._forward_pre_hooks


@pytest.mark.parametrize(
    ("kind", "reason"), [("mistral", "reaches back 4"), ("gemma2", "reaches back 4"), ("mamba", "tried")]
)
def test_models_whose_cache_cannot_branch_are_read_without(kind: str, reason: str) -> None:
    """Attention that forgets, and states that are no keys and values."""
    model = model_of(kind)
    assert reason in str(why_not(model))
    assert isinstance(next_tokens(model), RecomputingModel)


@pytest.mark.parametrize("kind", ["llama", "llama eager", "gpt2", "qwen2"])
def test_plain_attention_branches(kind: str) -> None:
    assert isinstance(next_tokens(model_of(kind)), CachedModel)


def test_a_window_as_long_as_the_context_is_none() -> None:
    """And one that no layer uses."""
    assert sliding_window(MistralForCausalLM(MistralConfig(**_SIZES, sliding_window=64))) is None
    assert sliding_window(Qwen2ForCausalLM(Qwen2Config(**_SIZES, sliding_window=4))) is None


def test_rows_of_like_size_go_together() -> None:
    """Rows × longest stay within the limit, except for a row that is larger by itself; empty rows are left out."""
    assert list(batches([3, 0, 1, 9, 2, 3], 6)) == [[3], [0, 5], [4, 2]]
    assert list(batches([0, 0], 6)) == []
    with pytest.raises(ValueError, match="nodes must be at least 1"):
        CachedModel(llama(), 0)
