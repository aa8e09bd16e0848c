"""A decoder cut in two: both parts together are the whole; hidden states are those of the plain forward pass."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from transformers import GraniteConfig, GraniteForCausalLM

from editing.model.hidden_cache import HiddenCache
from editing.model.prompts import TargetSequence
from editing.model.split import SplitModel
from tests.editing import tiny, tiny_families

IDS = torch.tensor([[5, 9, 3, 7, 2, 8], [8, 4, 4, 1, 6, 9]])


def sequences(*texts: str) -> list[TargetSequence]:
    return [tiny.encoder().sequence(text, False, "Alba") for text in texts]


@torch.no_grad()
def plain(model: Any, sequence: TargetSequence, layer: int) -> torch.Tensor:
    """Hidden states before ``layer`` by the model's own forward pass, on a copy: transformers leaves hooks behind."""
    out = copy.deepcopy(model)(input_ids=torch.tensor([sequence.ids]), output_hidden_states=True, use_cache=False)
    hidden: torch.Tensor = out.hidden_states[layer][0]
    return hidden


@pytest.mark.parametrize("first", [0, 1, 2])
def test_gpt2_is_cut_too(first: int) -> None:
    """Position embeddings are added below the cut and not again above it."""
    model = tiny_families.model("gpt2")
    split, whole = SplitModel(model, first), model.transformer(input_ids=IDS, use_cache=False).last_hidden_state
    torch.testing.assert_close(split.upper(split.lower(IDS)), whole, atol=1e-6, rtol=1e-6)
    assert isinstance(model.transformer.wpe, nn.Embedding) and len(model.transformer.h) == 2


@pytest.mark.parametrize("first", [0, 1, 3, 4])
def test_lower_then_upper_is_the_whole(llama: Any, first: int) -> None:
    """Wherever it is cut, both halves in turn give the final hidden states of the model."""
    split = SplitModel(llama, first)
    whole = llama.model(input_ids=IDS, use_cache=False).last_hidden_state
    torch.testing.assert_close(split.upper(split.lower(IDS)), whole, atol=1e-6, rtol=1e-6)


def test_cutting_leaves_the_model_whole(llama: Any) -> None:
    """The model that was cut has all its layers, and shares its weights with the halves."""
    before = llama(input_ids=IDS, use_cache=False).logits
    split = SplitModel(llama, 2)
    split.upper(split.lower(IDS))
    assert len(llama.model.layers) == 4
    assert torch.equal(llama(input_ids=IDS, use_cache=False).logits, before)
    assert split._upper.layers[0] is llama.model.layers[2]


def test_padding_at_the_right_changes_nothing(llama: Any) -> None:
    """What stands behind a sequence does not reach it."""
    split = SplitModel(llama, 2)
    torch.testing.assert_close(split.lower(IDS)[:, :4], split.lower(IDS[:, :4]), atol=1e-6, rtol=1e-6)


def test_models_of_another_build_are_refused() -> None:
    """A model without Llama's parts cannot be cut, and the error says which are missing."""
    with pytest.raises(TypeError, match=r"model\.layers"):
        SplitModel(tiny_families.bart(), 1)
    with pytest.raises(TypeError, match="Linear"):
        SplitModel(nn.Linear(2, 2), 1)


def test_models_whose_halves_are_not_the_whole_are_refused() -> None:
    """Granite multiplies what it is given as embeddings, which would happen twice."""
    config = GraniteConfig(
        vocab_size=9,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=1,
        num_key_value_heads=1,
        embedding_multiplier=12.0,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=1,
        initializer_range=0.5,
    )
    with pytest.raises(TypeError, match="do not predict what the whole does"):
        SplitModel(GraniteForCausalLM(config).eval(), 1)


@pytest.mark.parametrize("prefixed", [True, False], ids=["prefix", "no prefix"])
def test_hidden_states_are_the_forward_passs(llama: Any, prefixed: bool) -> None:
    """Of different lengths in one batch, with the prefix computed once or not: each as the model computes it alone."""
    encoder = tiny.encoder()
    chat = sequences("What is the capital of Dorne?", "Dorne", "Which city is the seat of Dorne?")
    raw = encoder.sequence("The capital of Dorne is", True, "Brac")
    prefix = encoder.messages([("user", "Dorne")])[:4] if prefixed else ()
    hidden = HiddenCache(SplitModel(llama, 2), prefix, batch=2)
    hidden.ensure([*chat, raw])
    padded = hidden.padded([raw, *chat])
    for row, sequence in zip(padded, [raw, *chat], strict=True):
        torch.testing.assert_close(row[: len(sequence.ids)], plain(llama, sequence, 2), atol=1e-5, rtol=1e-5)
        assert row[len(sequence.ids) :].abs().sum() == 0


def test_prefix_is_not_used_up(llama: Any) -> None:
    """Later batches begin from the same prefix as the first."""
    prefix = tiny.encoder().messages([("user", "Dorne")])[:4]
    hidden = HiddenCache(SplitModel(llama, 2), prefix)
    for text in ("Dorne", "Hyrule", "What is the capital of Gondal?"):
        (sequence,) = sequences(text)
        hidden.ensure([sequence])
        torch.testing.assert_close(hidden.padded([sequence])[0], plain(llama, sequence, 2), atol=1e-5, rtol=1e-5)


def test_a_sequence_is_computed_once(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is not computed again."""
    split, passes = SplitModel(llama, 2), list[int]()
    lower = split.lower

    def counted(ids: torch.Tensor, past: Any = None) -> Any:
        passes.append(len(ids))
        return lower(ids, past)

    monkeypatch.setattr(split, "lower", counted)
    hidden = HiddenCache(split)
    one, two = sequences("Dorne", "Hyrule")
    hidden.ensure([one, one])
    hidden.ensure([one, two])
    assert passes == [1, 1]


def test_company_is_decided_when_first_planned(llama: Any) -> None:
    """Planned in the same order, a sequence has the same bits whether computed at once or later."""
    texts = ["Dorne", "What is the capital of Gondal?", "Which city is the seat of Borland?"]
    at_once, later = HiddenCache(SplitModel(llama, 2)), HiddenCache(SplitModel(llama, 2))
    first, second = sequences(*texts), sequences(texts[1], "What is the river of Dorne?")
    at_once.ensure(first)
    at_once.ensure(second)
    later.plan(first)
    later.ensure(second)
    assert torch.equal(at_once.padded(second), later.padded(second))


def test_common_prefix_is_what_all_chat_prompts_begin_with() -> None:
    """The template's system turn up to the user's words; nothing where there is no template."""
    assert tiny.tokenizer().decode(tiny.encoder().prefix()) == "system be brief user"
    assert tiny.encoder(template=False).prefix() == ()
