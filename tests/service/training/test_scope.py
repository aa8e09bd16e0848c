"""``errata train-scope`` from corrections and messages to a model that the service loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from editing.data.corrections import OWN
from editing.scope.cross_encoder import Kind
from editing.scope.model import load_scope_model
from retrieval.encoders.encoder import locate_encoder
from service.cli.main import app


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A few corrections in place of all, messages of three intents, and some corrections in other languages."""
    for name in ("returns_law_games", "languages"):
        lines = (OWN / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[: 26 if name != "languages" else 11]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr("service.training.scope.OWN", tmp_path / "returns_law_games.jsonl")
    rows = [f"where is my {what} number {n},{what}" for what in ("card", "refund", "parcel") for n in range(8)]
    (tmp_path / "messages.csv").write_text("text,category\n" + "\n".join(rows))
    return tmp_path


def test_a_scope_model_is_trained_calibrated_and_served(data: Path) -> None:
    """The rates of what was kept back are printed; what was finished trains nothing again; a longer run goes on."""
    out = data / "scope"
    words = ["train-scope", "--out", str(out), "--corrections", str(data / "languages.jsonl")]
    words += ["--messages", str(data / "messages.csv"), "--steps"]
    made = CliRunner().invoke(app, [*words, "2"])
    assert made.exit_code == 0, made.output
    said, _, rates = made.stdout.partition("\n")
    assert said == f"wrote {out}" and {"asks", "confirms", "nothing"} <= set(json.loads(rates))
    config = json.loads((out / "config.json").read_text())
    assert config["training"]["steps"] == 2 and config["kept_back"]["in_scope"]["nothing"] <= 0.2
    assert load_scope_model(locate_encoder(), out).thresholds[Kind.ASKS] == config["thresholds"]["asks"]
    again = CliRunner().invoke(app, [*words, "2"])
    assert again.exit_code == 0 and again.stdout == made.stdout
    further = CliRunner().invoke(app, [*words, "3", "--learning-rate", "0.01"])
    assert further.exit_code == 1 and "another configuration" in further.stderr


def test_unusable_data_is_named(data: Path) -> None:
    """Before anything is trained."""
    (data / "messages.csv").write_text("text,category\na,b\n")
    words = ["train-scope", "--out", str(data / "scope"), "--messages", str(data / "messages.csv"), "--steps", "1"]
    made = CliRunner().invoke(app, words)
    assert made.exit_code == 1 and "messages.csv: fewer than two intents" in made.stderr
