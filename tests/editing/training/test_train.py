"""Training a tiny editor: it learns, it resumes bit for bit, it refuses what does not fit."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from editing.edit import EditRequest
from editing.editors.mend import MendEditor
from editing.editors.protocol import edit_one
from editing.errors import EditorTrainingError
from editing.model.sequences import edit_sequences
from editing.model.side_path import edited, stack
from editing.training.batch import BatchBuilder
from editing.training.train import EditorTrainer, EditorTrainingConfig
from tests.editing import tiny

CONFIG = EditorTrainingConfig(
    steps=12, batch=4, rank=8, first_layer=2, normaliser_steps=8, warmup=4, initial_step_size=0.1, learning_rate=1e-2
)


def trainer(workdir: Path, config: EditorTrainingConfig = CONFIG, model: Any = None, **changes: Any) -> EditorTrainer:
    builder = BatchBuilder(tiny.encoder())
    return EditorTrainer(model or tiny.llama(), builder, tiny.examples(), replace(config, **changes), workdir)


def same(one: MendEditor, other: MendEditor) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


class Killed(BaseException):
    """Ends a run as a signal would."""


def interrupt(run: EditorTrainer, at: int, save_every: int) -> None:
    def stop(step: int, _figures: dict[str, float]) -> None:
        if step == at:
            raise Killed

    with pytest.raises(Killed):
        run.run(on_step=stop, save_every=save_every)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> MendEditor:
    return trainer(tmp_path_factory.mktemp("unbroken")).run(save_every=5)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, MendEditor, list[dict[str, float]]]:
    """A model, an editor trained on it for a while, and the figures of each step."""
    figures: list[dict[str, float]] = []
    model = tiny.llama()
    run = trainer(tmp_path_factory.mktemp("learned"), model=model, steps=60, batch=8)
    return model, run.run(on_step=lambda _, f: figures.append(f)), figures


def test_loss_falls(learned: tuple[Any, MendEditor, list[dict[str, float]]]) -> None:
    """Over sixty steps on a handful of examples the loss of the last ten is well below that of the first ten."""
    losses = [figures["loss"] for figures in learned[2]]
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])


def test_trained_editor_makes_the_wanted_answer_the_greedy_one(
    learned: tuple[Any, MendEditor, list[dict[str, float]]],
) -> None:
    """Real edits by the trained editor: free generation gives the wanted word and stops."""
    model, editor, _ = learned
    encoder, hits = tiny.encoder(), 0
    for example in tiny.examples():
        request = EditRequest(example.edit.text, example.target)
        deltas = edit_one(editor, model, edit_sequences(encoder, request, 256))
        with edited(model, stack([[deltas]], model.dtype)):
            hits += tiny.greedy(model, encoder.prompt(request.input, False)) == example.target
    assert hits == len(tiny.examples())


def test_training_leaves_the_model_as_it_was(learned: tuple[Any, MendEditor, list[dict[str, float]]]) -> None:
    """No weight changed, no hook stays."""
    model, fresh = learned[0], tiny.llama()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), fresh.parameters(), strict=True))
    assert tiny.hooks(model) == 0


@pytest.mark.parametrize(("at", "save_every"), [(3, 5), (6, 3), (7, 5), (11, 2)])
def test_interrupted_run_ends_like_an_unbroken_one(
    tmp_path: Path, unbroken: MendEditor, at: int, save_every: int
) -> None:
    """Killed at any step, before the first save too, a new trainer in the same directory ends with the same bits."""
    interrupt(trainer(tmp_path), at, save_every)
    assert same(trainer(tmp_path).run(save_every=save_every), unbroken)


def test_run_interrupted_twice_ends_like_an_unbroken_one(tmp_path: Path, unbroken: MendEditor) -> None:
    """Resuming what was resumed is no different."""
    interrupt(trainer(tmp_path), 5, 2)
    interrupt(trainer(tmp_path), 9, 2)
    assert same(trainer(tmp_path).run(), unbroken)


def test_log_has_each_step_once(tmp_path: Path) -> None:
    """Rows of steps that were run but not saved are replaced when the run is resumed."""
    interrupt(trainer(tmp_path), 8, 5)
    trainer(tmp_path).run()
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 13))
    assert all(float(row["loss"]) > 0 for row in rows)


def test_finished_run_is_not_run_again(tmp_path: Path, unbroken: MendEditor) -> None:
    """A trainer on a finished directory gives the same editor without a step."""
    trainer(tmp_path).run()
    steps: list[int] = []
    assert same(trainer(tmp_path).run(on_step=lambda step, _: steps.append(step)), unbroken)
    assert steps == []


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    """A directory holds one configuration's run."""
    trainer(tmp_path, steps=2).run()
    with pytest.raises(EditorTrainingError, match="another configuration"):
        trainer(tmp_path, steps=2, seed=1)


def test_runs_begun_before_a_setting_was_there_go_on(tmp_path: Path, unbroken: MendEditor) -> None:
    """A state whose configuration lacks a later field is that of the field's default."""
    interrupt(trainer(tmp_path), 6, 3)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    del state["config"]["autocast"]
    torch.save(state, tmp_path / "state.pt")
    assert same(trainer(tmp_path).run(), unbroken)


def test_mixed_precision_learns_too(tmp_path: Path) -> None:
    """The model's passes run in bfloat16, the network stays in float32, and the loss falls."""
    run, figures = trainer(tmp_path, autocast=True, steps=40, batch=8), []
    batch = run._batch(0)
    assert {rows.values_grad.dtype for rows in run.gradients(batch).values()} == {torch.bfloat16}
    editor = run.run(on_step=lambda _, f: figures.append(f["loss"]))
    assert sum(figures[-8:]) < 0.6 * sum(figures[:8])
    assert all(p.dtype == torch.float32 for p in editor.parameters())


def test_damaged_state_is_refused(tmp_path: Path) -> None:
    """A truncated state file is named in the error, and what to do about it."""
    trainer(tmp_path, steps=2).run()
    path = tmp_path / "state.pt"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(EditorTrainingError, match=r"state\.pt cannot be read"):
        trainer(tmp_path, steps=2)


def test_too_few_examples_are_refused(tmp_path: Path) -> None:
    """A batch larger than the data is said at once."""
    with pytest.raises(EditorTrainingError, match="8 examples"):
        trainer(tmp_path, batch=9)


def test_batch_without_prompts_to_keep_trains(tmp_path: Path) -> None:
    """Edits that have no locality prompts at all still teach."""
    bare = [replace(e, same_subject=(), same_relation=(), unrelated=()) for e in tiny.examples()]
    run = EditorTrainer(tiny.llama(), BatchBuilder(tiny.encoder()), bare, replace(CONFIG, steps=2), tmp_path)
    figures: list[dict[str, float]] = []
    run.run(on_step=lambda _, f: figures.append(f))
    assert all(torch.tensor(f["loss"]).isfinite() for f in figures)


def test_steps_without_finite_gradient_are_skipped_and_counted(tmp_path: Path) -> None:
    """A single broken step changes no parameter and is counted; the run goes on."""
    run = trainer(tmp_path, steps=3)
    gradients, calls = run.gradients, list[int]()

    def broken_once(batch: Any) -> Any:
        rows = gradients(batch)
        calls.append(len(calls))
        if len(calls) == 4:  # two warm batches, then the steps; the second one breaks
            next(iter(rows.values())).values_grad[0, 0, 0] = float("nan")
        return rows

    run.gradients = broken_once  # type: ignore[method-assign]
    editor = run.run()
    assert run.skipped == 1
    assert all(value.isfinite().all() for value in editor.state_dict().values())


def test_training_that_breaks_for_good_says_so(tmp_path: Path) -> None:
    """After many steps without finite gradients the run ends with an error that names the step."""
    model = tiny.llama()
    model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(EditorTrainingError, match="no finite gradient"):
        trainer(tmp_path, model=model, steps=60, batch=8).run()


def test_gradients_are_those_of_each_edit_alone(tmp_path: Path) -> None:
    """What the cut model gives for a batch makes the factors that ``MendEditor.edit`` makes one by one."""
    run = trainer(tmp_path)
    batch = run._batch(0)
    together = run.editor.factors(run.gradients(batch))
    for edit in range(batch.size):
        sequences = [row.sequence for row in batch.views if row.edit == edit]
        for name, delta in edit_one(run.editor, run.model, sequences).items():
            rows = together[name]
            torch.testing.assert_close(rows.B[edit] @ rows.A[edit], delta.dense(), atol=1e-5, rtol=1e-3)


def test_several_edits_in_force_at_once_learn_too(tmp_path: Path) -> None:
    """Groups of edits share their factors while they are judged; the loss falls all the same."""
    losses: list[float] = []
    run = trainer(tmp_path, steps=40, batch=8, together=2)
    run.run(on_step=lambda _, figures: losses.append(figures["loss"]))
    assert sum(losses[-8:]) < 0.8 * sum(losses[:8])


def test_groups_must_divide_the_batch(tmp_path: Path) -> None:
    """Four edits cannot be judged three at a time."""
    with pytest.raises(EditorTrainingError, match="groups of 3"):
        trainer(tmp_path, together=3)
