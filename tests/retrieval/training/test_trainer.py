"""A training run: it learns, it can be killed, and it never mixes with another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from retrieval.errors import RetrieverTrainingError
from retrieval.training.config import TrainingConfig
from retrieval.training.run_folder import open_run
from retrieval.training.trainer import STATE, Progress, Trainer

CONFIG = TrainingConfig("contrastive", epochs=5, batch=4, lr=0.02)


class Line:
    """Fits y = 3 x + 1 through dropout, so that a step that is repeated with other random numbers shows."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        self.x = torch.randn(18, 1)
        self.model = nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.3), nn.Linear(8, 1)).eval()
        self.modules: Mapping[str, Any] = {"question_encoder": self.model}
        self.broken_at: int | None = None
        self.steps = 0

    def batches(self, size: int, seed: int) -> list[list[int]]:
        order = torch.randperm(18, generator=torch.Generator().manual_seed(seed)).tolist()
        return [order[first : first + size] for first in range(0, 18, size)]

    def backward(self, rows: Sequence[int]) -> float:
        self.steps += 1
        if self.steps == self.broken_at:
            raise KeyboardInterrupt
        x = self.x[list(rows)]
        loss = (self.model(x) - 3 * x - 1).pow(2).mean()
        loss.backward()
        return float(loss.detach())


def weights(task: Line) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in task.model.parameters()])


def test_the_loss_falls(tmp_path: Path) -> None:
    """Every epoch has every example; the last is cheaper than the first."""
    task, heard = Line(), list[Progress]()
    losses = Trainer(task, CONFIG, tmp_path).run(heard.append)
    assert len(losses) == task.steps == 25 == heard[-1].steps
    assert sum(losses[-5:]) < sum(losses[:5]) / 2
    assert [made.loss for made in heard] == losses


@pytest.mark.parametrize("at", [1, 4, 7, 12, 25])
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(tmp_path: Path, at: int) -> None:
    """To the bit: weights and all losses, wherever it was killed, though the last steps were not saved."""
    whole = Line()
    losses = Trainer(whole, CONFIG, tmp_path / "whole").run()
    first = Line()
    first.broken_at = at
    with pytest.raises(KeyboardInterrupt):
        Trainer(first, CONFIG, tmp_path / "killed").run(save_every=3)
    second = Line()
    trainer = Trainer(second, CONFIG, tmp_path / "killed")
    assert trainer.step == (at - 1) // 3 * 3
    assert trainer.run() == losses
    assert torch.equal(weights(second), weights(whole))


def test_the_seed_decides(tmp_path: Path) -> None:
    """Another seed draws other batches."""
    one, other = Line(), Line()
    Trainer(one, CONFIG, tmp_path / "one").run()
    Trainer(other, replace(CONFIG, seed=1), tmp_path / "other").run()
    assert not torch.equal(weights(one), weights(other))


def test_training_leaves_the_random_numbers_of_others_alone(tmp_path: Path) -> None:
    """A run in between changes nothing of what is drawn next; and dropout is off after it."""
    torch.manual_seed(3)
    wanted = torch.rand(4)
    task = Line()
    torch.manual_seed(3)
    Trainer(task, CONFIG, tmp_path).run()
    assert torch.equal(torch.rand(4), wanted)
    assert not task.model.training


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    """Cut short, foreign, or of a model of another shape: the file is named."""
    Trainer(Line(), CONFIG, tmp_path).run()
    good = (tmp_path / STATE).read_bytes()
    wrong = Line()
    wrong.model[0] = nn.Linear(1, 9)
    for content, task in ((good[:200], Line()), (b"x", Line()), (b"", Line()), (good, wrong)):
        (tmp_path / STATE).write_bytes(content)
        with pytest.raises(RetrieverTrainingError, match=r"state\.pt: the state of the run is damaged"):
            Trainer(task, CONFIG, tmp_path)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    """And nothing is saved of that step."""
    task = Line()
    task.x[5] = float("nan")
    with pytest.raises(RetrieverTrainingError, match="choose a lower --lr"):
        Trainer(task, CONFIG, tmp_path).run()


def opened(folder: Path, of: Mapping[str, Any], resume: bool) -> None:
    with open_run(folder, of, resume):
        (folder / STATE).touch()


def test_a_folder_is_of_one_run(tmp_path: Path) -> None:
    """The same run goes on if asked to; another, or another's files, are refused, each saying why."""
    folder = tmp_path / "a" / "b"
    opened(folder, {"lr": 1e-5, "k": (1, 2)}, resume=False)
    opened(folder, {"lr": 1e-5, "k": [1, 2]}, resume=True)
    with pytest.raises(RetrieverTrainingError, match="--resume goes on with it"):
        opened(folder, {"lr": 1e-5, "k": [1, 2]}, resume=False)
    with pytest.raises(RetrieverTrainingError, match=r"lr was 1e-05, and is 0\.1 now"):
        opened(folder, {"lr": 0.1, "k": [1, 2]}, resume=True)
    (folder / "run.json").unlink()
    (folder / "holiday.jpg").write_text("x")
    with pytest.raises(RetrieverTrainingError, match="holds something else"):
        opened(folder, {}, resume=True)
    assert (folder / "holiday.jpg").read_text() == "x"


def test_a_run_that_failed_before_it_wrote_anything_leaves_no_folder(tmp_path: Path) -> None:
    """So that the next one may have the name; what was written stays, and is not taken for nothing by a refusal."""
    with pytest.raises(RuntimeError, match="no questions"), open_run(tmp_path / "a", {}, resume=False):
        raise RuntimeError("no questions")
    assert not (tmp_path / "a").exists()
    with pytest.raises(RuntimeError, match="later"), open_run(tmp_path / "a", {}, resume=False):
        (tmp_path / "a" / STATE).write_text("x")
        raise RuntimeError("later")
    with pytest.raises(RetrieverTrainingError):
        opened(tmp_path / "a", {}, resume=False)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["run.json", STATE]


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    """The second is told; after the first it may."""
    folder = tmp_path / "run"
    with open_run(folder, {}, resume=False):
        with pytest.raises(RetrieverTrainingError, match="another process"):
            opened(folder, {}, resume=True)
        assert [path.name for path in folder.iterdir()] == ["run.json"]
    opened(folder, {}, resume=False)
