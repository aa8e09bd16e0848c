"""A change that begins where the edits are: A answers to their keys, B adds nothing yet."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from editing.edit import LowRankDelta
from editing.model.passes import FullPasses, passes_for, positions
from editing.model.prompts import TargetSequence
from editing.model.row import Row
from editing.model.trace import trace
from editing.training.covariance_init import covariance_factors
from editing.training.sampler import ConsolidationExamples
from tests.editing import tiny
from tests.editing.oracles import initial_factors

NAMES = ["model.layers.2.mlp.gate_proj", "model.layers.2.mlp.down_proj"]


def lessons() -> ConsolidationExamples:
    encoder = tiny.encoder()
    said = tuple(encoder.sequence(e.edit.text, False, e.target) for e in tiny.examples()[:3])
    kept = tuple(encoder.unchanged(f"What is the river of {subject}?", False) for subject in tiny.SUBJECTS)
    return ConsolidationExamples(said, kept)


@torch.no_grad()
def response(model: Any, delta: LowRankDelta, name: str, sequences: tuple[TargetSequence, ...], start: int) -> float:
    """Mean square of A k over the positions from ``start`` on, or, at 0, of those that predict the target."""
    rows = [Row(0, "view", TargetSequence(s.ids, start or s.start)) for s in sequences]
    where = positions(rows)
    with trace(model, [name]) as record:
        FullPasses(model).logits([row.sequence for row in rows], where)
    return float((record.keys[name][where.row, where.at] @ delta.A.T).square().mean())


@pytest.mark.parametrize("name", NAMES)
def test_a_answers_to_the_edits_and_hardly_to_others(name: str) -> None:
    """Several times more than a random A does; as strongly, on other prompts, as these are large."""
    model, every = tiny.llama(), lessons()

    def contrast(delta: LowRankDelta) -> float:
        return response(model, delta, name, every.said, 0) / response(model, delta, name, every.kept, 1)

    passes = passes_for(model, 2)
    passes.ensure([*every.said, *every.kept])
    made = covariance_factors(passes, NAMES, 3, every)[name]
    assert contrast(made) > 2 * contrast(initial_factors(model, [name], 3)[name])
    identity = LowRankDelta(torch.eye(made.A.shape[1]), torch.zeros(1, made.A.shape[1]))
    assert response(model, made, name, every.kept, 1) <= response(model, identity, name, every.kept, 1) * 1.01


def test_it_changes_nothing_yet() -> None:
    """B A = 0; ranks stay within the layers; two runs are the same."""
    model, every = tiny.llama(), lessons()
    passes = passes_for(model, 2)
    passes.ensure([*every.said, *every.kept])
    one, other = (covariance_factors(passes, NAMES, 500, every) for _ in range(2))
    assert [delta.rank for delta in one.values()] == [32, 32]
    assert all(not delta.dense().any() and delta.A.isfinite().all() for delta in one.values())
    assert all(torch.equal(delta.A, other[name].A) for name, delta in one.items())


def test_a_random_change_is_nothing_and_no_wider_than_its_layer() -> None:
    """B A = 0; the seed decides."""
    model = tiny.llama()
    one, same, other = (initial_factors(model, NAMES, 500, seed)[NAMES[0]] for seed in (1, 1, 2))
    assert one.rank == 32
    assert not one.dense().any()
    assert torch.equal(one.A, same.A)
    assert not torch.equal(one.A, other.A)
