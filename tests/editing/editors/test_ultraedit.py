"""UltraEdit: the formula against dense algebra, lifelong statistics, and edits that hold together."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from editing.edit import Deltas, EditRequest
from editing.editors.layers import default_modules
from editing.editors.protocol import edit_one
from editing.editors.ultraedit import UltraEdit
from editing.model.edit_batch import EditBatch
from editing.model.gradients import edit_gradients
from editing.model.prompts import TargetSequence
from editing.model.sequences import edit_sequences
from editing.model.side_path import edited, linear_shape, stack
from tests.editing import tiny

RATE = 0.03


def views(subject: str, answer: str) -> list[TargetSequence]:
    return edit_sequences(tiny.encoder(), EditRequest(f"What is the capital of {subject}?", answer), 128)


def others() -> list[TargetSequence]:
    """Prompts with targets for the statistics, none of them an edit of these tests."""
    return [s for n, subject in enumerate(tiny.SUBJECTS[4:]) for s in views(subject, tiny.ANSWERS[n])]


def answer(model: Any, subject: str, deltas: Deltas) -> str:
    with edited(model, stack([[deltas]], model.dtype)):
        return tiny.greedy(model, tiny.encoder().prompt(f"What is the capital of {subject}?", False))


def primed(model: Any, lifelong: bool = False, **arguments: Any) -> UltraEdit:
    editor = UltraEdit(lifelong=lifelong, **{"rate": RATE, "ridge": 0.01, **arguments})
    editor.prime(model, others())
    return editor


@pytest.mark.parametrize("build", [tiny.llama, tiny.gpt2], ids=["Linear", "Conv1D"])
def test_edit_is_the_papers_formula(build: Any) -> None:
    """ΔW = solve(Kᵀ K + λ I, Kᵀ V)ᵀ with V = −η ‖k̃‖² δ̃, mean and deviation taken over all rows seen, dense."""
    model = build()
    names = default_modules(model)
    deltas = edit_one(primed(model, lifelong=True, ridge=1.0), model, views("Dorne", "Alba"))
    seen = [edit_gradients(model, names, [s]) for s in others()] + [
        edit_gradients(model, names, views("Dorne", "Alba"))
    ]
    for name in names:
        K, G = (torch.cat([getattr(rows[name], part)[0] for rows in seen]).double() for part in ("keys", "values_grad"))
        own = seen[-1][name].keys[0].double()
        V = -RATE * _normal(own, K).square().sum(-1, keepdim=True) * _normal(seen[-1][name].values_grad[0].double(), G)
        expected = torch.linalg.solve(own.T @ own + torch.eye(own.shape[1]), own.T @ V).T.float()
        assert deltas[name].dense().shape == linear_shape(model.get_submodule(name))[::-1]
        torch.testing.assert_close(deltas[name].dense(), expected, atol=1e-5, rtol=1e-3)


def _normal(rows: Tensor, seen: Tensor) -> Tensor:
    return (rows - seen.mean(0)) / (seen.std(0) + 1e-7)


@pytest.mark.parametrize("build", [tiny.llama, tiny.gpt2], ids=["Linear", "Conv1D"])
def test_wanted_answer_becomes_the_greedy_one(build: Any) -> None:
    """In free generation, in one step and without training."""
    model = build()
    deltas = edit_one(primed(model, rate=0.3), model, views("Dorne", "Alba"))
    assert answer(model, "Dorne", {}) != "Alba" and answer(model, "Dorne", deltas) == "Alba"


def test_many_edits_hold_together(llama: Any) -> None:
    """One change for three corrections gives each its own answer; its rank is the number of their rows."""
    wanted = {"Dorne": "Alba", "Avaria": "Gril", "Cestia": "Fana"}
    editor = primed(llama, names=default_modules(llama, layers=1), rate=0.3)
    deltas = editor.edit_jointly(EditBatch.whole(llama, [views(*pair) for pair in wanted.items()]))
    assert {delta.rank for delta in deltas.values()} == {18}
    assert {subject: answer(llama, subject, deltas) for subject in wanted} == wanted


def test_lifelong_statistics_take_each_edit_in(llama: Any) -> None:
    """The second edit is normalised by what was seen with the first; without ``lifelong`` it is the same again."""
    for lifelong in (True, False):
        editor = primed(llama, lifelong)
        one, two = (edit_one(editor, llama, views("Dorne", "Alba")) for _ in range(2))
        assert all(torch.equal(one[n].B, two[n].B) != lifelong for n in one)


def test_computing_is_deterministic(llama: Any) -> None:
    """Two editors with the same history give the same bits."""
    one, two = (edit_one(primed(llama, lifelong=True), llama, views("Dorne", "Alba")) for _ in range(2))
    assert all(torch.equal(one[n].A, two[n].A) and torch.equal(one[n].B, two[n].B) for n in one)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_model_is_left_as_it_was_found(dtype: torch.dtype) -> None:
    """No hook, no gradient, no changed bit; finite factors in its dtype, even from one row without statistics."""
    model = tiny.llama(dtype).requires_grad_(True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    one_row = [TargetSequence((3, 4, 5), 2)]
    for deltas in (edit_one(primed(model), model, views("Dorne", "Alba")), edit_one(UltraEdit(), model, one_row)):
        assert all(d.A.dtype == d.B.dtype == dtype and not d.B.requires_grad for d in deltas.values())
        assert all(bool(d.A.isfinite().all() and d.B.isfinite().all()) for d in deltas.values())
    assert tiny.hooks(model) == 0 and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_broken_model_spoils_neither_edit_nor_statistics(llama: Any) -> None:
    """Gradients that are not finite are no rows: the edit is empty, and the next one is as if nothing had been."""
    broken = tiny.llama()
    broken.model.norm.weight.data.fill_(torch.nan)
    editor = primed(llama, lifelong=True)
    assert all(delta.rank == 0 for delta in edit_one(editor, broken, views("Dorne", "Alba")).values())
    after, clean = (edit_one(e, llama, views("Dorne", "Alba")) for e in (editor, primed(llama, lifelong=True)))
    assert all(torch.equal(after[n].B, clean[n].B) for n in after)
