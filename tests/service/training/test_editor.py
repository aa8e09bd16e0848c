"""``errata train`` on tiny parts: from a file of examples to a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from editing.editors.checkpoint import load_editor
from service.cli.main import app
from service.engines.model_loader import load_base_model
from service.settings import Settings
from tests.editing import tiny
from tests.retrieval.tiny_training import save_encoder

Errata = Callable[..., Result]
SIZE = ("--steps", "3", "--batch", "2", "--facts", "12", "--layers", "1", "--rank", "4")


def firm(n: int) -> dict[str, object]:
    """An example of short words."""
    rephrases = [f"Who leads firm {n}?", f"Name the head of firm {n}."]
    return {
        "input": f"Who runs firm {n}?",
        "output": f"Ann {n}",
        "subject": f"firm {n}",
        "rephrases": rephrases,
        "locality": [f"Where is firm {n}?"],
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, a tiny encoder, and examples of which two cannot be used."""
    home = tmp_path_factory.mktemp("home")
    save_encoder(home / "encoder")
    tiny.llama().save_pretrained(home / "model")
    tiny.tokenizer().save_pretrained(home / "model")
    records = [*map(firm, range(600)), firm(600) | {"output": ""}, firm(601) | {"output": 7}]
    (home / "firms.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return home


@pytest.fixture
def errata(home: Path, monkeypatch: pytest.MonkeyPatch) -> Errata:
    settings = {"HOME": home, "ENCODER": home / "encoder" / "model", "MODEL": home / "model", "THREADS": 1}
    for name, value in settings.items():
        monkeypatch.setenv(f"ERRATA_{name}", str(value))
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_an_editor_is_trained_and_can_be_loaded(errata: Errata, home: Path, tmp_path: Path) -> None:
    """What cannot be used is told; a run that was finished trains nothing again."""
    out = tmp_path / "editor"
    result = errata("train", "--data", home / "firms.jsonl", "--out", out, *SIZE)
    assert result.exit_code == 0, result.output
    assert "2 records left out" in result.stderr and "12 training examples" in result.stderr
    assert result.stdout == f"wrote {out}\n"
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    base = load_base_model(str(home / "model"), Settings().directory, "float32")
    editor = load_editor(out, base.model, base.digest)
    config = json.loads((out / "config.json").read_text())
    assert editor.name == "mend-model" and config["training"]["steps"] == 3 and config["training"]["facts"] == 12
    again = errata("train", "--data", home / "firms.jsonl", "--out", out, *SIZE)
    assert again.exit_code == 0 and again.stdout == result.stdout
