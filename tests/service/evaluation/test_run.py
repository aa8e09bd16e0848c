"""``errata evaluate`` on a service that is real but for its size: edits, baselines, drift, and what is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.cli.main import app
from tests.editing import tiny
from tests.real import new_home

Errata = Callable[..., Result]


@pytest.fixture
def errata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Errata:
    tiny.llama().save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    settings = {"HOME": new_home(tmp_path / "home"), "MODEL": tmp_path / "model", "DTYPE": "float32", "THREADS": 1}
    for name, value in settings.items():
        monkeypatch.setenv(f"ERRATA_{name}", str(value))
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Corrections of questions that the tiny model can read."""
    records = [
        {
            "input": tiny.QUESTIONS[0].format(subject),
            "output": answer,
            "subject": subject,
            "rephrases": [tiny.QUESTIONS[1].format(subject)],
        }
        for subject, answer in zip(tiny.SUBJECTS[:3], tiny.ANSWERS[:3], strict=True)
    ]
    path = tmp_path / "corrections.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize("cumulative", [False, True])
def test_the_service_and_baselines_are_judged_side_by_side(
    errata: Errata, data: Path, tmp_path: Path, cumulative: bool
) -> None:
    """Every method has its row and its figures; unedited answers and passages are those of the same model."""
    figures = tmp_path / "figures.json"
    options = ("--edits", 2, "--passages", 2, "--long-answers", 0, "--baselines", "none,fine-tuning", "--json", figures)
    result = errata("evaluate", "--data", data, *options, *(["--cumulative"] if cumulative else []))
    assert result.exit_code == 0, result.output
    document = json.loads(figures.read_text())
    (found,) = document["sets"].values()
    assert set(found["made"]) == {"errata", "none", "fine-tuning"} and found["edits"] == 2
    assert {"with scope", "none", "fine-tuning"} <= set(found["ways"])
    assert found["ways"]["none"]["drift"]["per_cent"] == 0 and found["ways"]["none"]["drift"]["passages"] >= 2
    for way in found["ways"]:
        assert f"| {way} |" in result.stdout
    assert json.loads((tmp_path / "figures.edits.jsonl").read_text().splitlines()[-1]) == {"complete": True}
