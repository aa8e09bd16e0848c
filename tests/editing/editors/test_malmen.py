"""MALMEN: joining MEND's edits by the normal equation, against dense algebra and in free generation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from editing.edit import Deltas, EditRequest
from editing.editors.layers import default_modules
from editing.editors.malmen import Malmen
from editing.editors.mend import MendEditor
from editing.editors.protocol import edit_one
from editing.model.edit_batch import EditBatch
from editing.model.gradients import edit_gradients
from editing.model.prompts import TargetSequence
from editing.model.sequences import edit_sequences
from editing.model.side_path import edited, linear_shape, stack
from tests.editing import tiny

WANTED = {"Dorne": "Alba", "Avaria": "Gril", "Cestia": "Fana"}


def views(subject: str, answer: str) -> list[TargetSequence]:
    return edit_sequences(tiny.encoder(), EditRequest(f"What is the capital of {subject}?", answer), 128)


def edits() -> list[list[TargetSequence]]:
    return [views(*pair) for pair in WANTED.items()]


def mend(model: Any, lr: float = 0.05, std: float = 0.1) -> MendEditor:
    """An editor whose network is not the identity."""
    torch.manual_seed(2)
    editor = MendEditor.for_model(model, default_modules(model), rank=3, lr=lr)
    for parameter in editor.transforms.parameters():
        nn.init.normal_(parameter, std=std)
    return editor


def answer(model: Any, subject: str, deltas: Deltas) -> str:
    with edited(model, stack([[deltas]], model.dtype)):
        return tiny.greedy(model, tiny.encoder().prompt(f"What is the capital of {subject}?", False))


@pytest.mark.parametrize("build", [tiny.llama, tiny.gpt2], ids=["Linear", "Conv1D"])
@pytest.mark.parametrize("ridge", [0.1, 1.0])
def test_joined_edit_is_the_normal_equation(build: Any, ridge: float) -> None:
    """ΔW = (Σ Dᵢᵀ Kᵢ)(Kᵀ K + λ I)⁻¹ with Dᵢ = Kᵢ ΔWᵢᵀ of MEND's own edits, dense, on layers that are not square."""
    model = build()
    net = mend(model)
    deltas = Malmen(net, ridge).edit_jointly(EditBatch.whole(model, edits()))
    for name in net.names:
        K = [edit_gradients(model, [name], own)[name].keys[0] for own in edits()]
        D = [keys @ edit_one(net, model, own)[name].dense().T for keys, own in zip(K, edits(), strict=True)]
        gram = sum(keys.T @ keys for keys in K).double() + ridge * torch.eye(K[0].shape[1])  # type: ignore[union-attr]
        sums = sum(d.T @ keys for d, keys in zip(D, K, strict=True)).double()  # type: ignore[union-attr]
        assert deltas[name].dense().shape == linear_shape(model.get_submodule(name))[::-1]
        torch.testing.assert_close(deltas[name].dense(), (sums @ torch.linalg.inv(gram)).float(), atol=1e-5, rtol=1e-3)


def test_rank_is_the_number_of_rows_or_the_width(llama: Any) -> None:
    """Three edits of six rows make rank 18; more rows than the layer is wide make its width."""
    joined = Malmen(mend(llama))
    assert {delta.rank for delta in joined.edit_jointly(EditBatch.whole(llama, edits())).values()} == {18}
    assert {delta.rank for delta in joined.edit_jointly(EditBatch.whole(llama, edits() * 3)).values()} == {48}


def test_one_edit_with_little_ridge_does_what_mend_does(llama: Any) -> None:
    """At the edit's own keys, the joined change adds what MEND's own adds."""
    net = mend(llama)
    own = views("Dorne", "Alba")
    joined, alone = edit_one(Malmen(net, 1e-7), llama, own), edit_one(net, llama, own)
    for name in net.names:
        keys = edit_gradients(llama, [name], own)[name].keys[0]
        torch.testing.assert_close(keys @ joined[name].dense().T, keys @ alone[name].dense().T, atol=1e-4, rtol=1e-3)


def test_ridge_cuts_the_change_down_layer_by_layer(llama: Any) -> None:
    """A larger λ makes that layer's change smaller and leaves the others."""
    net = mend(llama)
    plain = Malmen(net, 0.1).edit_jointly(EditBatch.whole(llama, edits()))
    cut = Malmen(net, {name: 10.0 if n == 0 else 0.1 for n, name in enumerate(net.names)}).edit_jointly(
        EditBatch.whole(llama, edits())
    )
    for n, name in enumerate(net.names):
        if n == 0:
            assert cut[name].dense().norm() < 0.9 * plain[name].dense().norm()
        else:
            assert torch.equal(cut[name].B, plain[name].B)


@pytest.mark.parametrize(("build", "lr"), [(tiny.llama, 10.0), (tiny.gpt2, 1.0)], ids=["Linear", "Conv1D"])
def test_wanted_answer_becomes_the_greedy_one(build: Any, lr: float) -> None:
    """In free generation, end of turn included, where the network takes one step far enough."""
    model = build()
    net = MendEditor.for_model(model, default_modules(model, layers=1), rank=3, lr=lr)
    assert answer(model, "Dorne", {}) != "Alba"
    assert answer(model, "Dorne", edit_one(Malmen(net, 0.01), model, views("Dorne", "Alba"))) == "Alba"


def test_edits_that_hold_alone_hold_together(llama: Any) -> None:
    """One change for all corrections that can be made one by one gives each its own answer."""
    joined = Malmen(MendEditor.for_model(llama, default_modules(llama, layers=1), rank=3, lr=10.0), 1e-3)
    possible = {s: a for s, a in WANTED.items() if answer(llama, s, edit_one(joined, llama, views(s, a))) == a}
    assert len(possible) >= 2
    deltas = joined.edit_jointly(EditBatch.whole(llama, [views(*pair) for pair in possible.items()]))
    assert {subject: answer(llama, subject, deltas) for subject in possible} == possible


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_model_is_left_as_it_was_found(dtype: torch.dtype) -> None:
    """No hook, no gradient, no changed bit; finite factors in the model's dtype without a graph behind them."""
    model = tiny.llama(dtype).requires_grad_(True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    deltas = Malmen(mend(model)).edit_jointly(EditBatch.whole(model, edits()))
    assert all(d.A.dtype == d.B.dtype == dtype and not d.B.requires_grad for d in deltas.values())
    assert all(bool(d.A.isfinite().all() and d.B.isfinite().all()) for d in deltas.values())
    assert tiny.hooks(model) == 0 and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_computing_is_deterministic(llama: Any) -> None:
    """The same corrections give the same bits."""
    joined = Malmen(mend(llama))
    one, two = (
        joined.edit_jointly(EditBatch.whole(llama, edits())),
        joined.edit_jointly(EditBatch.whole(llama, edits())),
    )
    assert all(torch.equal(one[n].A, two[n].A) and torch.equal(one[n].B, two[n].B) for n in one)


def test_edits_rest_on_the_edits_in_force(llama: Any) -> None:
    """Keys and gradients are those of the model as it answers now."""
    joined = Malmen(mend(llama))
    alone, under = (edit_one(joined, llama, views("Dorne", "Alba"), edits) for edits in ((), [tiny.deltas(llama, 5)]))
    name = joined.mend.names[-1]
    assert not torch.allclose(alone[name].dense(), under[name].dense(), rtol=1e-2)


def test_a_broken_model_gives_an_empty_edit(llama: Any) -> None:
    """Gradients that are not finite are no rows."""
    broken = tiny.llama()
    broken.model.norm.weight.data.fill_(torch.nan)
    assert all(delta.rank == 0 for delta in Malmen(mend(llama)).edit_jointly(EditBatch.whole(broken, edits())).values())
