"""MEND as it is served: longer steps for short answers, then a few gradient steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from editing.edit import EditRequest
from editing.editors.mend import MendEditor, Polish, PolishedMend
from editing.editors.protocol import edit_one
from editing.model.prompts import TargetSequence
from editing.model.sequences import edit_sequences, target_logits
from editing.model.side_path import edited, stack
from tests.editing import tiny


@pytest.fixture
def network(llama: Any) -> MendEditor:
    return MendEditor.for_model(llama, tiny.DOWN, rank=4, lr=0.02)


def views(output: str) -> list[TargetSequence]:
    return edit_sequences(tiny.encoder(), EditRequest("What is the capital of Dorne?", output), 256)


def test_short_answers_take_a_longer_step(llama: Any, network: MendEditor) -> None:
    """B is ``strength`` times the proposal's, A is the proposal's own."""
    plain = edit_one(network, llama, views("Alba"))
    longer = edit_one(PolishedMend(network, Polish(strength=1.5, steps=0)), llama, views("Alba"))
    for name in tiny.DOWN:
        assert torch.equal(longer[name].A, plain[name].A)
        torch.testing.assert_close(longer[name].B, plain[name].B * 1.5)


def test_long_answers_keep_the_learned_step(llama: Any, network: MendEditor) -> None:
    """More tokens than ``short``: the proposal as it is."""
    answer = "Alba Brac Cori Dusk Emer"
    plain = edit_one(network, llama, views(answer))
    same = edit_one(PolishedMend(network, Polish(strength=1.5, short=5, steps=0)), llama, views(answer))
    assert all(torch.equal(same[name].B, plain[name].B) for name in tiny.DOWN)


def test_gradient_steps_follow(llama: Any, network: MendEditor) -> None:
    """The same as ``refine`` on the proposal, and the answer is likelier than by the proposal alone."""
    plain = edit_one(network, llama, views("Alba"))
    polished = edit_one(PolishedMend(network, Polish(strength=1.0, steps=2)), llama, views("Alba"))
    for name, delta in tiny.refine_one(llama, plain, views("Alba"), steps=2).items():
        assert torch.equal(polished[name].B, delta.B)

    def loss(deltas: Any) -> float:
        with torch.no_grad(), edited(llama, stack([[deltas]], llama.dtype)):
            logits, targets = target_logits(llama, views("Alba")[0])
        return float(torch.nn.functional.cross_entropy(logits, targets))

    assert loss(polished) < loss(plain)


def test_edits_in_force_stay_in_force(llama: Any, network: MendEditor) -> None:
    """What is made on top of another edit differs from what is made without it; the model is left as it was."""
    method = PolishedMend(network)
    alone, under = (
        edit_one(method, llama, views("Alba")),
        edit_one(method, llama, views("Alba"), [tiny.deltas(llama, 5)]),
    )
    assert any(not torch.equal(alone[name].B, under[name].B) for name in tiny.DOWN)
    assert tiny.hooks(llama) == 0
