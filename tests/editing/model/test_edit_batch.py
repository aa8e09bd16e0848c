"""Corrections made together are those made alone, and the context's shortcuts change nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from editing.edit import Deltas, EditRequest
from editing.editors.mend import MendEditor, Polish, PolishedMend
from editing.editors.protocol import edit_one
from editing.editors.refine import predicts_targets, refine
from editing.model.edit_batch import EditBatch, EditContext
from editing.model.passes import CachedPasses, FullPasses, lowest_layer
from editing.model.prompts import TargetSequence
from editing.model.sequences import edit_sequences
from tests.editing import tiny

PAIRS = (("Dorne", "Alba"), ("Gondal", "Brac Cori"), ("Hyrule", "Dusk"))


def jobs() -> list[list[TargetSequence]]:
    requests = [EditRequest(f"What is the capital of {subject}?", answer) for subject, answer in PAIRS]
    requests[1] = EditRequest(requests[1].input, requests[1].output, rephrases=("Name the chief town of Gondal.",))
    return [edit_sequences(tiny.encoder(), request, 256) for request in requests]


def prepared(model: Any, under: tuple[Deltas, ...] = ()) -> EditBatch:
    batch = EditContext(model, tiny.DOWN, tiny.encoder().prefix()).batch(jobs(), under)
    batch.passes.ensure([row.sequence for row in batch.views])
    return batch


def assert_alike(one: Deltas, other: Deltas, tolerance: float = 1e-4) -> None:
    for name in tiny.DOWN:
        assert one[name].rank == other[name].rank
        change, wanted = one[name].dense(), other[name].dense()
        torch.testing.assert_close(change, wanted, rtol=1e-3, atol=tolerance * float(wanted.abs().max()))


@pytest.fixture
def method(llama: Any) -> PolishedMend:
    return PolishedMend(MendEditor.for_model(llama, tiny.DOWN, rank=4, lr=0.05), Polish(strength=1.4, short=2, steps=2))


def test_together_as_alone(llama: Any, method: PolishedMend) -> None:
    """Three corrections with different views and lengths of answers: each gets the factors that it gets by itself."""
    together = method.edit_batch(prepared(llama))
    for job, made in zip(jobs(), together, strict=True):
        assert_alike(made, edit_one(method, llama, job))


def test_together_beneath_the_same_edits(llama: Any, method: PolishedMend) -> None:
    """An edit in force acts beneath each; where it changes what lies below the cut, nothing is taken from the cache."""
    high = tiny.deltas(llama, 4, names=tiny.DOWN)
    low = tiny.deltas(llama, 4, names=("model.layers.0.mlp.down_proj", *tiny.DOWN))
    for under, kind in ((high, CachedPasses), (low, FullPasses)):
        batch = prepared(llama, (under,))
        assert isinstance(batch.passes, kind)
        for job, made in zip(jobs(), method.edit_batch(batch), strict=True):
            assert_alike(made, edit_one(method, llama, job, [under]))


def test_some_of_a_batch(llama: Any, method: PolishedMend) -> None:
    """A part of the corrections can be worked on alone."""
    batch = prepared(llama)
    (made,) = method.edit_batch(batch.only([1]))
    assert_alike(made, method.edit_batch(batch)[1])


def test_what_is_settled_and_what_is_refined_is_decided_for_each(llama: Any, method: PolishedMend) -> None:
    """Steps for one correction move no other, and each is as settled as it is alone."""
    batch = prepared(llama)
    weak = method.network.edit_batch(batch)
    strong = refine(batch, weak, steps=200, rate=0.3)
    mixed = [strong[0], weak[1], strong[2]]
    assert predicts_targets(batch, mixed) == [
        tiny.predicts_one(llama, d, j) for d, j in zip(mixed, jobs(), strict=True)
    ]
    assert predicts_targets(batch, mixed) == [True, False, True]
    for job, before, after in zip(jobs(), weak, strong, strict=True):
        assert_alike(after, tiny.refine_one(llama, before, job, steps=200, rate=0.3), tolerance=0.05)


def test_nothing_stays_behind(llama: Any, method: PolishedMend) -> None:
    """No hook, no gradient; and a new batch knows nothing of the sequences of the one before."""
    context = EditContext(llama, tiny.DOWN, tiny.encoder().prefix())
    first = context.batch(jobs()[:1])
    first.passes.ensure([row.sequence for row in first.views])
    method.edit_batch(first)
    second = context.batch(jobs()[1:])
    assert isinstance(second.passes, CachedPasses)
    with pytest.raises(KeyError):
        second.passes.hidden.padded([jobs()[0][0]])
    assert tiny.hooks(llama) == 0 and all(p.grad is None for p in llama.parameters())


def test_lowest_layer() -> None:
    """The smallest number in the names; None where one has no number, or there are none."""
    assert lowest_layer(["model.layers.12.mlp.up_proj", "model.layers.9.mlp.down_proj"]) == 9
    assert lowest_layer(["lm_head", "model.layers.9.mlp.down_proj"]) is None
    assert lowest_layer([]) is None
