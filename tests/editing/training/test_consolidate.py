"""One change for many edits: it says what they say, keeps the rest, and leaves the model alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from editing.model.passes import FullPasses, passes_for
from editing.model.prompts import TargetSequence
from editing.model.side_path import edited, stack
from editing.training.consolidate import Consolidation, ConsolidationConfig, ConsolidationResult
from editing.training.sampler import ConsolidationExamples
from tests.editing import tiny
from tests.editing.oracles import initial_factors

LAYERS = [f"model.layers.{n}.mlp.{part}_proj" for n in (2, 3) for part in ("gate", "up", "down")]
COURSE = ConsolidationConfig(steps=160, said=8, kept=8, rate=2e-2, kept_weight=3.0, check=20, patience=99)


def kept_answer(model: Any, question: str) -> TargetSequence:
    """A prompt with what the model says to it."""
    encoder = tiny.encoder()
    ids = encoder.prompt(question, raw=False)
    return TargetSequence((*ids, *encoder.target(tiny.greedy(model, ids), spaced=False)), len(ids))


def lessons(model: Any) -> ConsolidationExamples:
    encoder = tiny.encoder()
    said = [encoder.sequence(view.text, view.raw, e.target) for e in tiny.examples()[:4] for view in (e.edit, *e.chat)]
    kept = [kept_answer(model, f"What is the river of {subject}?") for subject in tiny.SUBJECTS]
    return ConsolidationExamples(tuple(said), tuple(kept))


def trained(model: Any, names: list[str], course: ConsolidationConfig = COURSE) -> ConsolidationResult:
    every = lessons(model)
    first = 2 if "model" in names[0] else 0
    return Consolidation(passes_for(model, first), course).train(initial_factors(model, names, 8), every, every)


def test_one_change_says_all_answers_and_keeps_the_rest() -> None:
    """By free generation; an untrained change says none of them."""
    model = tiny.llama()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    made = trained(model, LAYERS)
    assert made.checks[0].said == 0.0
    assert made.checks[0].kept == 1.0
    assert made.best.said == 1.0
    assert made.best.kept > 0.7
    factors = stack([[made.deltas]], model.dtype)
    with edited(model, factors):
        for example in tiny.examples()[:4]:
            assert tiny.greedy(model, tiny.encoder().prompt(example.edit.text, False)) == example.target
    assert tiny.hooks(model) == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_gpt2_is_trained_the_same() -> None:
    """``Conv1D`` layers; so small a model learns some of it."""
    model = tiny.gpt2()
    made = trained(model, ["transformer.h.1.mlp.c_fc", "transformer.h.1.mlp.c_proj"])
    assert made.best.said > 0.0
    assert made.best.step > 0
    assert made.deltas["transformer.h.1.mlp.c_fc"].A.shape == (8, 24)


def test_what_did_best_on_the_held_back_is_given() -> None:
    """Not what came last."""
    model = tiny.llama()
    made = trained(model, LAYERS, replace(COURSE, rate=0.3, steps=60, check=5))
    assert made.best.score == max(check.score for check in made.checks)
    assert made.checks[-1].step == made.steps == 60


def last_progress(made: ConsolidationResult) -> int:
    """The step of the last check that was better than all before it."""
    better = [c.step for n, c in enumerate(made.checks) if all(c.score > before.score for before in made.checks[:n])]
    return better[-1]


def test_training_ends_when_nothing_gets_better() -> None:
    """At a rate of nothing all checks are equal, at a ruinous one they are worse: patience ends both."""
    for rate in (0.0, 30.0):
        made = trained(tiny.llama(), LAYERS, replace(COURSE, rate=rate, steps=500, check=2, patience=3))
        assert made.steps == last_progress(made) + 6 < 500
        assert made.best.score == max(check.score for check in made.checks)


def test_of_equal_checks_the_last_is_the_best() -> None:
    """It was trained longest."""
    made = trained(tiny.llama(), LAYERS, replace(COURSE, rate=0.0, steps=4, check=2))
    assert made.best == made.checks[-1]


def test_it_ends_in_time() -> None:
    """A course of no seconds is one step."""
    heard: list[float] = []
    model = tiny.llama()
    every = lessons(model)
    course = replace(COURSE, seconds=1e-9)
    made = Consolidation(passes_for(model, 2), course, on_step=heard.append).train(
        initial_factors(model, LAYERS, 2), every, every
    )
    assert (made.steps, heard) == (1, [1.0])


def test_the_same_course_gives_the_same_factors() -> None:
    """Whatever else drew random numbers before."""
    model = tiny.llama()
    one = trained(model, LAYERS, replace(COURSE, steps=10))
    torch.rand(3)
    other = trained(model, LAYERS, replace(COURSE, steps=10))
    for name, delta in one.deltas.items():
        assert torch.equal(delta.A, other.deltas[name].A)
        assert torch.equal(delta.B, other.deltas[name].B)


def test_answers_are_kept_as_they_are_under_what_acts_everywhere() -> None:
    """The unedited model is then not what is kept: doing nothing is no longer right."""
    model = tiny.llama()
    everywhere = stack([[tiny.deltas(model, seed=3, size=1.0)]], model.dtype)
    with edited(model, everywhere):
        every = lessons(model)
    course = replace(COURSE, steps=200, kept_weight=5.0)
    made = Consolidation(FullPasses(model), course, everywhere).train(initial_factors(model, LAYERS, 8), every, every)
    assert made.checks[0].kept < 0.8
    assert made.best.kept > made.checks[0].kept


@pytest.mark.parametrize("missing", ["said", "kept"])
def test_there_must_be_something_to_learn(missing: str) -> None:
    """And something to leave alone, in training and held back."""
    model = tiny.llama()
    every = lessons(model)
    lacking = replace(every, **{missing: ()})
    for one, other in ((every, lacking), (lacking, every)):
        with pytest.raises(ValueError, match="held back"):
            Consolidation(passes_for(model, 2), COURSE).train(initial_factors(model, LAYERS, 2), one, other)
