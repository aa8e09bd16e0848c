"""``errata train-reader`` and ``errata examine-reader`` on tiny parts: from questions to a served reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from index.versions.registry import IndexVersions
from retrieval.encoders.encoder import Encoder
from retrieval.reader.card import CARD, read_card
from retrieval.reader.lora import Lora
from service.cli.main import app
from tests.retrieval.tiny_training import LANDS, QUESTIONS, TOWNS, build, llama, save_encoder, tokenizer

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An active index, its encoder, a generator, questions of which some have no answer, and facts."""
    home = tmp_path_factory.mktemp("home")
    index = build(home / "indexes", Encoder.load(save_encoder(home / "encoder")))
    IndexVersions(home / "indexes").activate(index.manifest.version)
    llama().save_pretrained(home / "generator")
    tokenizer().save_pretrained(home / "generator")
    asked = [{"question": one.text, "answer": list(one.answers)} for one in QUESTIONS]
    vain = [{"question": f"seat of {land} beyond ?", "answer": ["Zed"]} for land in LANDS]
    facts = [{"relation": "P36", "subject": town, "object": land} for town, land in zip(TOWNS, LANDS, strict=True)]
    for name, lines in (("questions.jsonl", asked + vain), ("facts.jsonl", facts)):
        (home / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return home


@pytest.fixture
def errata(home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    settings = {"HOME": home, "ENCODER": home / "encoder" / "model", "MODEL": home / "generator", "THREADS": 1}
    for name, value in settings.items():
        monkeypatch.setenv(f"ERRATA_{name}", str(value))
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def made(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A run of two steps, and what it said."""
    out = tmp_path_factory.mktemp("run") / "out"
    size = ("--steps", "2", "--batch", "1", "--rank", "2", "--layers", "2")
    command = ["train-reader", home / "questions.jsonl", "--facts", home / "facts.jsonl", "--out", out, *size]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"ENCODER": home / "encoder" / "model", "MODEL": home / "generator", "THREADS": 1}.items():
            patch.setenv(f"ERRATA_{name}", str(value))
        return out, CliRunner().invoke(app, [*map(str, command), "--home", str(home)])


def test_a_reader_is_trained_and_its_thresholds_measured(made: tuple[Path, Result]) -> None:
    """Factors in half the bytes, and a card that says for which model, from what, and with which thresholds."""
    out, result = made
    assert result.exit_code == 0, result.output
    assert "ERRATA_READER" in result.stdout and "thresholds" in result.stdout
    card = read_card(out / "reader")
    assert 0 < card.together.not_told < 1 and 0 < card.alone.not_told < 1
    assert card.training["config"]["steps"] == 2 and len(card.training["questions"]) == 1
    assert Lora.load(out / "reader").rank == 2


def test_a_reader_is_examined_as_it_is_served(
    errata: Run, made: tuple[Path, Result], home: Path, tmp_path: Path
) -> None:
    """A table of both modes, every answer on the disk, and the card as it was."""
    reader, answers = made[0] / "reader", tmp_path / "answers.jsonl"
    before = (reader / CARD).read_text()
    result = errata("examine-reader", home / "questions.jsonl", "--reader", reader, "--parts", "tune", "--out", answers)
    assert result.exit_code == 0, result.output
    assert "concat" in result.stdout and "sequence" in result.stdout
    found = [json.loads(line) for line in answers.read_text().splitlines()]
    assert {one["mode"] for one in found} == {"concat", "sequence"}
    assert all(0 <= one["not_told"] <= 1 and one["log_probability"] <= 0 for one in found)
    assert (reader / CARD).read_text() == before


def test_what_cannot_be_examined_is_told_in_a_line(errata: Run, home: Path, tmp_path: Path) -> None:
    """No reader for the model; a folder that holds none; a part that there is not; a broken file."""
    questions, broken = home / "questions.jsonl", tmp_path / "broken.jsonl"
    broken.write_text("{")
    for command, said in (
        ((questions,), "train-reader"),
        ((questions, "--reader", tmp_path), "not a reader"),
        ((questions, "--parts", "half"), "there is no half"),
        ((broken,), "broken.jsonl"),
        ((questions, "--reader", home / "none", "--parts", "tune"), "none"),
    ):
        result = errata("examine-reader", *command)
        assert result.exit_code != 0
        assert said in " ".join(result.stderr.split())


@pytest.mark.parametrize("line", ["{", '{"relation": "P36", "subject": "Alba"}', "[]"])
def test_broken_facts_are_named_before_anything_is_loaded(errata: Run, home: Path, tmp_path: Path, line: str) -> None:
    """The file and the line."""
    facts = tmp_path / "facts.jsonl"
    facts.write_text(f'{{"relation": "P36", "subject": "Alba", "object": "Albaia"}}\n{line}\n')
    result = errata("train-reader", home / "questions.jsonl", "--facts", facts, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "facts.jsonl:2" in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
