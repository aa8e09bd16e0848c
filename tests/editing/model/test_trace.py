"""Keys and output gradients: as autograd has them, and nothing left behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from editing.model.trace import trace
from tests.editing import tiny

IDS = torch.tensor([[5, 9, 3, 7]])


def test_keys_and_gradients_make_the_weight_gradient() -> None:
    """Σ values_gradᵀ keys over tokens is the gradient of the weight, in a whole model."""
    model = tiny.llama().requires_grad_(True)
    with trace(model, tiny.DOWN) as record:
        loss = model(input_ids=IDS, use_cache=False).logits[0, -1].log_softmax(-1)[4]
        grads = record.values_grad(loss)
    model(input_ids=IDS, use_cache=False).logits[0, -1].log_softmax(-1)[4].backward()
    for name in tiny.DOWN:
        rebuilt = grads[name][0].T @ record.keys[name][0]
        torch.testing.assert_close(rebuilt, model.get_submodule(name).weight.grad, atol=1e-5, rtol=1e-4)


def test_works_on_gpt2s_transposed_layers() -> None:
    """For Conv1D, whose weight is (in, out), the same rows make its gradient the other way round."""
    model = tiny.gpt2()
    name = "transformer.h.1.mlp.c_fc"  # 24 → 96
    with trace(model, [name]) as record:
        grads = record.values_grad(model(input_ids=IDS).logits[0, -1].log_softmax(-1)[4])
    model(input_ids=IDS).logits[0, -1].log_softmax(-1)[4].backward()
    rebuilt = record.keys[name][0].T @ grads[name][0]
    torch.testing.assert_close(rebuilt, model.get_submodule(name).weight.grad, atol=1e-5, rtol=1e-4)


def test_frozen_weights_get_gradients_at_outputs_all_the_same(llama: Any) -> None:
    """No weight needs a gradient; the graph begins at the first traced output."""
    with trace(llama, tiny.DOWN) as record:
        grads = record.values_grad(llama(input_ids=IDS, use_cache=False).logits.sum())
    assert all(grads[name].abs().sum() > 0 for name in tiny.DOWN)
    assert all(parameter.grad is None for parameter in llama.parameters())


def test_gradients_at_lower_layers_pass_through_upper_ones(llama: Any) -> None:
    """The gradient at one layer is the same whether others are traced too or not."""
    grads = []
    for names in (tiny.DOWN[:1], tiny.DOWN):
        with trace(llama, names) as record:
            grads.append(record.values_grad(llama(input_ids=IDS, use_cache=False).logits[0, -1, 3]))
    torch.testing.assert_close(grads[0][tiny.DOWN[0]], grads[1][tiny.DOWN[0]])


def test_layer_without_part_in_the_loss_has_zero_gradient() -> None:
    """A traced layer that the loss does not depend on gives zeros, not an error."""
    model = nn.ModuleDict({"used": nn.Linear(3, 2), "aside": nn.Linear(3, 2)})
    with trace(model, ["used", "aside"]) as record:
        loss = model["used"](torch.ones(1, 3)).sum()
        model["aside"](torch.ones(1, 3))
        grads = record.values_grad(loss)
    assert torch.equal(grads["aside"], torch.zeros(1, 2))


def test_tracing_changes_no_output(llama: Any) -> None:
    """Logits with the trace are bit for bit those without."""
    plain = llama(input_ids=IDS, use_cache=False).logits
    with trace(llama, tiny.DOWN):
        assert torch.equal(llama(input_ids=IDS, use_cache=False).logits, plain)


def test_no_hook_stays_after_an_exception(llama: Any) -> None:
    """Whatever happens in the block, the model is left as it was found."""
    with pytest.raises(RuntimeError, match="inside"), trace(llama, tiny.DOWN):
        raise RuntimeError("inside")
    assert tiny.hooks(llama) == 0


def test_unknown_name_sets_no_hook(llama: Any) -> None:
    """A wrong name among right ones is an error that leaves nothing behind."""
    with pytest.raises(KeyError), trace(llama, [tiny.DOWN[0], "model.layers.99.mlp.down_proj"]):
        pass
    assert tiny.hooks(llama) == 0
