"""``errata train-rag`` with a tiny encoder, generator and index: from questions to files that can be served."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peft import PeftModel
from typer.testing import CliRunner, Result

from retrieval.encoders.encoder import Encoder
from retrieval.reader.card import read_card
from retrieval.training.config import TrainingConfig
from retrieval.training.trainer import STATE, Trainer
from service.cli.main import app
from tests.retrieval.tiny_training import QUESTIONS, build, llama, save_encoder, tokenizer

Train = Callable[..., Result]
SHORT = ("--epochs", "2", "--lr", "0.003", "--held-out", "0.25")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index, the encoder that made it, another encoder, a generator and questions."""
    home = tmp_path_factory.mktemp("home")
    encoder = Encoder.load(save_encoder(home / "encoder"))
    (home / "version").write_text(build(home / "indexes", encoder).manifest.version)
    save_encoder(home / "another", seed=7)
    llama().save_pretrained(home / "generator")
    tokenizer().save_pretrained(home / "generator")
    write(home / "questions.jsonl", [(question.text, list(question.answers)) for question in QUESTIONS])
    return home


@pytest.fixture
def train(home: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Runs ``errata train-rag`` on the tiny parts."""
    settings = {"HOME": home, "ENCODER": home / "encoder" / "model", "MODEL": home / "generator", "THREADS": 1}
    for name, value in settings.items():
        monkeypatch.setenv(f"ERRATA_{name}", str(value))

    def run(objective: str, out: Path, *more: str, questions: Path = home / "questions.jsonl") -> Result:
        command = ["train-rag", str(questions), "--objective", objective, "--out", str(out)]
        return CliRunner().invoke(app, [*command, "--index", (home / "version").read_text(), *SHORT, *more])

    return run


def write(path: Path, questions: list[tuple[str, list[str]]]) -> Path:
    lines = [json.dumps({"question": text, "answer": answers}) for text, answers in questions]
    path.write_text("\n".join(lines) + "\n")
    return path


def report_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report.json").read_text())
    return found


def refused(result: Result) -> str:
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    return " ".join(result.stderr.split())


def test_a_question_encoder_is_trained_and_served(train: Train, home: Path, tmp_path: Path) -> None:
    """The report has figures before and after and what it was made from; the encoder loads beside the document's."""
    result = train("contrastive", tmp_path / "run")
    assert result.exit_code == 0, result.output
    for said in ("recall@1", "recall@20", "loss, questions trained on", "ERRATA_QUESTION_ENCODER"):
        assert said in result.stdout
    report = report_of(tmp_path / "run")
    assert report["questions"]["train"] == 27 and report["questions"]["held_out"] == 9
    assert report["before"]["recall"].keys() == report["after"]["recall"].keys() == {"1", "5", "20"}
    assert report["before"]["loss"] != report["after"]["loss"]
    assert len(report["losses"]) >= 2 and report["config"]["seed"] == 0
    assert report["libraries"]["sentence-transformers"] and report["index"] == (home / "version").read_text()
    document = home / "encoder" / "model"
    encoder = Encoder.load(document, questions=tmp_path / "run" / "question_encoder")
    assert encoder.digest == report["document_encoder"]["digest"] == Encoder.load(document).digest
    assert not (tmp_path / "run" / STATE).exists()


def test_encoder_and_generator_are_trained_together(train: Train, home: Path, tmp_path: Path) -> None:
    """The marginal loss falls; PEFT loads the adapter; training can go on from it and from the question encoder."""
    learning = ("--k", "2", "--generator-lr", "0.05", "--layers", "2", "--judged", "4")
    result = train("marginal", tmp_path / "run", *learning, "--mode", "token")
    assert result.exit_code == 0, result.output
    report = report_of(tmp_path / "run")
    for loss in ("loss", "trained_loss"):
        assert report["after"][loss] < report["before"][loss] and report["before"][f"{loss}_questions"] == 4
    assert report["written"] == ["question_encoder", "generator"]
    assert report["generator"]["digest"] and report["config"]["mode"] == "token"
    PeftModel.from_pretrained(llama(), tmp_path / "run" / "generator")
    card = read_card(tmp_path / "run" / "generator")
    assert (card.base_digest, card.temperature) == (report["generator"]["digest"], 0.05)
    again = train("marginal", tmp_path / "next", *learning, "--adapter", str(tmp_path / "run" / "generator"))
    assert again.exit_code == 0, again.output
    assert report_of(tmp_path / "next")["before"]["loss"] < report["before"]["loss"]
    kept = ("--adapter", str(tmp_path / "run" / "generator"), "--freeze", "generator")
    assert train("marginal", tmp_path / "encoder", *learning, *kept).exit_code == 0
    frozen = report_of(tmp_path / "encoder")
    assert frozen["written"] == ["question_encoder"]
    assert frozen["before"]["loss"] == report_of(tmp_path / "next")["before"]["loss"]


def test_an_adapter_that_cannot_be_used_is_refused(train: Train, tmp_path: Path) -> None:
    """One that is not there, and one where no generator takes part."""
    adapter = ("--adapter", str(tmp_path))
    assert "not a LoRA adapter" in refused(train("marginal", tmp_path / "run", *adapter))
    assert "takes no part" in refused(train("contrastive", tmp_path / "run", *adapter))
    assert not (tmp_path / "run").exists()


def test_what_is_frozen_is_not_written(train: Train, tmp_path: Path) -> None:
    """Each side can be trained alone; an encoder trained for both sides says that an index has to be built."""
    assert train("marginal", tmp_path / "e", "--freeze", "generator", "--k", "2").exit_code == 0
    assert report_of(tmp_path / "e")["written"] == ["question_encoder"]
    assert train("marginal", tmp_path / "g", "--freeze", "encoder", "--k", "2").exit_code == 0
    assert report_of(tmp_path / "g")["written"] == ["generator"]
    assert report_of(tmp_path / "g")["before"]["recall"] == report_of(tmp_path / "g")["after"]["recall"]
    both = train("contrastive", tmp_path / "b", "--sides", "both")
    assert both.exit_code == 0 and "errata index build" in " ".join(both.stdout.split())
    assert report_of(tmp_path / "b")["written"] == ["encoder"] and report_of(tmp_path / "b")["before"]["pool"] == 12


def test_an_interrupted_run_goes_on(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --resume, and only then; the result is that of a run which was not interrupted."""
    assert train("contrastive", tmp_path / "whole").exit_code == 0
    run = Trainer.run

    def broken(trainer: Trainer, on_step: Any = None, save_every: int = 1) -> list[float]:
        def stop(made: Any) -> None:
            on_step(made)
            if made.step == 1:
                raise KeyboardInterrupt

        return run(trainer, stop, save_every=1)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run", broken)
        interrupted = train("contrastive", tmp_path / "run")
    assert interrupted.exit_code == 130 and "--resume goes on" in interrupted.stderr
    assert "--resume goes on with it" in refused(train("contrastive", tmp_path / "run"))
    assert "seed was 0, and is 5 now" in refused(train("contrastive", tmp_path / "run", "--resume", "--seed", "5"))
    assert train("contrastive", tmp_path / "run", "--resume").exit_code == 0
    figures = [
        {key: report_of(tmp_path / name)[key] for key in ("losses", "before", "after")} for name in ("run", "whole")
    ]
    assert figures[0] == figures[1]
    assert "is finished" in train("contrastive", tmp_path / "run", "--resume").stdout


def test_questions_that_cannot_be_used_are_named(train: Train, tmp_path: Path) -> None:
    """No file, broken JSON, empty answers, answers that the index does not hold: file and reason; no folder is left."""
    absent = tmp_path / "absent.jsonl"
    assert "absent.jsonl" in refused(train("contrastive", tmp_path / "a", questions=absent))
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"question": "q", "answer": ["a"]}\n{"question"\n')
    assert "line 2" in refused(train("contrastive", tmp_path / "a", questions=broken))
    empty = write(tmp_path / "empty.jsonl", [("who", []), ("what", [" "])])
    assert "none of its 2 questions has an answer" in refused(train("contrastive", tmp_path / "a", questions=empty))
    assert not (tmp_path / "a").exists()
    foreign = write(tmp_path / "foreign.jsonl", [(f"who {n}", [f"Nobody {n}"]) for n in range(20)])
    assert "give questions that it answers" in refused(train("contrastive", tmp_path / "a", questions=foreign))
    few = write(tmp_path / "few.jsonl", [("which city leads Albaia", ["Alba"]), ("name the chief", ["Brac"])])
    assert "give more questions" in refused(train("contrastive", tmp_path / "a", "--held-out", "0.01", questions=few))
    assert not (tmp_path / "a").exists()


def test_an_index_that_does_not_fit_is_refused(
    train: Train, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not there, one of another encoder, a question encoder of another encoder."""
    assert "no index version 'absent'" in refused(train("contrastive", tmp_path / "a", "--index", "absent"))
    Encoder.load(home / "another" / "model").trainable("questions").save(
        tmp_path / "questions", Encoder.load(home / "another" / "model").identity
    )
    monkeypatch.setenv("ERRATA_QUESTION_ENCODER", str(tmp_path / "questions"))
    assert "belongs to the document encoder" in refused(train("contrastive", tmp_path / "a"))
    monkeypatch.delenv("ERRATA_QUESTION_ENCODER")
    monkeypatch.setenv("ERRATA_ENCODER", str(home / "another" / "model"))
    assert "built with the encoder" in refused(train("contrastive", tmp_path / "a"))


def test_a_folder_with_something_else_is_left_alone(train: Train, tmp_path: Path) -> None:
    """Nothing in it is touched."""
    (tmp_path / "photo.jpg").write_text("x")
    assert "holds something else" in refused(train("contrastive", tmp_path, "--resume"))
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_the_generators_learning_rate_has_one_default(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line's is the configuration's, with which the documentation's figures were measured."""
    found: list[TrainingConfig] = []

    def begin(_: Trainer, task: Any, config: TrainingConfig, out: Path) -> None:
        found.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "__init__", begin)
    train("marginal", tmp_path / "run", "--k", "2", "--layers", "2", "--judged", "4")
    assert [config.generator_lr for config in found] == [TrainingConfig("marginal").generator_lr] == [1e-3]
