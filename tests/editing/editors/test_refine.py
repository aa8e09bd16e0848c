"""A few steps on the factors: they reach the answer, and touch nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from editing.edit import EditRequest
from editing.editors.mend import MendEditor
from editing.editors.protocol import edit_one
from editing.model.prompts import TargetSequence
from editing.model.sequences import edit_sequences
from editing.model.side_path import edited, stack
from tests.editing import tiny

REQUEST = EditRequest("What is the capital of Dorne?", "Alba")


@pytest.fixture(scope="module")
def sequences() -> list[TargetSequence]:
    return edit_sequences(tiny.encoder(), REQUEST, 256)


def proposal(model: Any, sequences: list[TargetSequence], lr: float = 0.1) -> Any:
    return edit_one(MendEditor.for_model(model, tiny.DOWN, rank=4, lr=lr), model, sequences)


def answer(model: Any, edits: list[Any]) -> str:
    with edited(model, stack([edits], model.dtype)):
        return tiny.greedy(model, tiny.encoder().prompt(REQUEST.input, False))


def test_wanted_answer_becomes_the_greedy_one(llama: Any, sequences: list[TargetSequence]) -> None:
    """An edit that does not hold holds after refinement, end of turn included."""
    weak = proposal(llama, sequences)
    assert answer(llama, [weak]) != "Alba"
    assert answer(llama, [tiny.refine_one(llama, weak, sequences, steps=60, rate=0.3)]) == "Alba"


def test_refines_on_top_of_the_edits_in_force(llama: Any, sequences: list[TargetSequence]) -> None:
    """With another edit acting on the same prompt, both together give the answer."""
    under = tiny.deltas(llama, 4)
    own = tiny.refine_one(llama, proposal(llama, sequences), sequences, [under], steps=60, rate=0.3)
    assert answer(llama, [under, own]) == "Alba"


def test_only_b_moves(llama: Any, sequences: list[TargetSequence]) -> None:
    """A, rank and dtype stay; the given factors are not written to."""
    before = proposal(llama, sequences)
    copies = {name: delta.B.clone() for name, delta in before.items()}
    after = tiny.refine_one(llama, before, sequences, steps=2)
    for name, delta in before.items():
        assert torch.equal(after[name].A, delta.A) and torch.equal(delta.B, copies[name])
        assert after[name].B.shape == delta.B.shape and not torch.equal(after[name].B, delta.B)


def test_no_steps_change_nothing(llama: Any, sequences: list[TargetSequence]) -> None:
    """Zero steps give the same factors."""
    before = proposal(llama, sequences)
    after = tiny.refine_one(llama, before, sequences, steps=0)
    assert all(torch.equal(after[name].B, before[name].B) for name in before)


def test_an_edit_that_holds_is_left_alone(sequences: list[TargetSequence]) -> None:
    """Where every target is all but certain, no step is taken."""
    model, own = tiny.llama(), sequences[:1]
    model.lm_head.weight *= 3  # so that the tiny model can be certain of anything
    strong = tiny.refine_one(model, proposal(model, own), own, steps=200, rate=0.1)
    again = tiny.refine_one(model, strong, own, steps=5)
    assert all(torch.equal(again[name].B, strong[name].B) for name in strong)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_model_is_left_as_it_was_found(dtype: torch.dtype, sequences: list[TargetSequence]) -> None:
    """Even with weights that ask for gradients: none is collected, no hook stays, factors keep their dtype."""
    model = tiny.llama(dtype).requires_grad_(True)
    after = tiny.refine_one(model, proposal(model, sequences), sequences, steps=2)
    assert all(p.grad is None for p in model.parameters()) and tiny.hooks(model) == 0
    assert all(delta.B.dtype == dtype and not delta.B.requires_grad for delta in after.values())
