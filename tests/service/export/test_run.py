"""All edits in one file: PEFT and transformers load it and answer the same, and what is not good enough is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from editing.edit import EditRequest, LowRankDelta
from editing.errors import StorageError, UnknownRevision
from editing.model.side_path import edited, linear_shape, stack
from editing.store import EditStore
from editing.training.consolidate import Consolidation
from errata.lora import CONFIG, WEIGHTS
from service.bootstrap import build_pipeline
from service.cli.main import app
from service.export import bundle
from service.export.bundle import merge
from service.export.report import ExportReport
from service.export.run import ExportError, ExportOptions, export_edits
from service.export.teacher import TeacherPlan
from service.progress import SILENT
from service.settings import Settings
from service.types.edits import EditOptions
from tests.editing import tiny
from tests.real import new_home

ASKED = [tiny.QUESTIONS[0].format(subject) for subject in tiny.SUBJECTS[:3]]
QUICK = ExportOptions(
    Path("out"),
    steps=60,
    rank=8,
    rate=2e-2,
    layers=2,
    min_efficacy=0.0,
    min_locality=0.0,
    sample=20,
    plan=TeacherPlan(3, 1, 4, 2),
)
Build = Callable[[], Any]


def home_of(directory: Path, build: Build) -> Settings:
    """A home with a tiny model of random weights."""
    build().save_pretrained(directory / "tiny")
    tiny.tokenizer().save_pretrained(directory / "tiny")
    return Settings(
        home=new_home(directory / "home"), model=str(directory / "tiny"), dtype="float32", verify_tokens=8, threads=1
    )


def edit(settings: Settings, *requests: EditRequest) -> list[str]:
    """Recorded, whatever their checks say."""
    with ExitStack() as stack_:
        served = build_pipeline(settings, stack_, lambda _: None)
        return [served.edit(request, EditOptions("ada", force=True)).id or "" for request in requests]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Three edits in force; the fourth replaced the first."""
    made = home_of(tmp_path_factory.mktemp("compile"), tiny.llama)
    answers = [*tiny.ANSWERS[:3], tiny.ANSWERS[5]]
    edit(made, *(EditRequest(q, a) for q, a in zip([*ASKED, ASKED[0]], answers, strict=True)))
    return made


@torch.no_grad()
def said(model: Any, question: str) -> str:
    return tiny.greedy(model, tiny.encoder().prompt(question, False), 8)


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    ids = torch.tensor([tiny.encoder().prompt(ASKED[1], False)])
    found: torch.Tensor = model(input_ids=ids, use_cache=False).logits
    return found


def stored(directory: Path, root: Path) -> Any:
    """The adapter's factors, read as an edit's are."""
    content = b"".join((directory / name).read_bytes() for name in (CONFIG, WEIGHTS))
    digest = hashlib.sha256(content).hexdigest()
    shutil.copytree(directory, root / digest[:2] / digest)
    return EditStore(root).load(digest)


@pytest.fixture(scope="module")
def adapter(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportReport, dict[str, Any]]:
    """The three edits as one adapter."""
    out = tmp_path_factory.mktemp("adapter") / "out"
    return out, *export_edits(replace(QUICK, out=out, steps=150), settings, SILENT)


def test_peft_answers_with_the_adapter_as_errata_does(adapter: tuple[Path, Any, Any], tmp_path: Path) -> None:
    """Token for token in float32, and not as the unedited model."""
    model, deltas = tiny.llama(), stored(adapter[0], tmp_path)
    unedited = logits(model)
    with edited(model, stack([[deltas]], torch.float32)):
        ours, answers = logits(model), [said(model, question) for question in ASKED]
    adapted = PeftModel.from_pretrained(model, str(adapter[0])).eval()
    torch.testing.assert_close(logits(adapted), ours, rtol=1e-4, atol=1e-4)
    assert [said(adapted, question) for question in ASKED] == answers
    assert (ours - unedited).abs().max() > 0.1


def test_an_edit_that_was_superseded_is_not_in_it(adapter: tuple[Path, ExportReport, Any]) -> None:
    """What is asked for is the answer of the edit that took its place."""
    _, report, document = adapter
    wanted = {case.prompt.view.text: case.prompt.answer for case in report.cases if case.prompt.kind == "input"}
    assert wanted == dict(zip(ASKED, (tiny.ANSWERS[5], *tiny.ANSWERS[1:3]), strict=True))
    assert report.efficacy.rate > 0.5
    assert len(document["edits"]) == 3


def test_what_is_written_says_what_it_is(adapter: tuple[Path, ExportReport, dict[str, Any]]) -> None:
    """Base model, revision, head hash, edits and figures, for machines and for people."""
    out, report, document = adapter
    assert json.loads((out / "compile.json").read_text()) == document
    assert document["revision"] == 4
    assert len(document["head_hash"]) == 64
    assert document["report"]["efficacy"]["trials"] == 3
    assert {"input", "wording", "elsewhere"} <= {case.prompt.kind for case in report.cases}
    card = (out / "README.md").read_text()
    for fact in (document["head_hash"], document["base_model"]["digest"], "3 corrections", "revision 4"):
        assert fact in card
    assert [path.name for path in out.parent.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("build", "names"),
    [(tiny.llama, tiny.DOWN), (tiny.gpt2, ("transformer.h.1.mlp.c_fc", "transformer.h.1.mlp.c_proj"))],
)
def test_merging_adds_what_the_side_path_adds(build: Build, names: tuple[str, ...]) -> None:
    """For ``Linear`` and for ``Conv1D``, whose weight is transposed."""
    model = build()
    shapes = {name: linear_shape(model.get_submodule(name)) for name in names}
    torch.manual_seed(0)
    deltas = {name: LowRankDelta(torch.randn(2, i) / 5, torch.randn(o, 2) / 5) for name, (i, o) in shapes.items()}
    unedited = logits(model)
    with edited(model, stack([[deltas]], torch.float32)):
        wanted = logits(model)
    merge(model, deltas)
    torch.testing.assert_close(logits(model), wanted, rtol=1e-4, atol=1e-4)
    assert (wanted - unedited).abs().max() > 0.01


def test_the_merged_checkpoint_answers_as_the_adapter(tmp_path: Path) -> None:
    """Transformers loads it with nothing else; it was asked so before it got its name."""
    own = home_of(tmp_path, tiny.gpt2)
    edit(own, EditRequest(ASKED[0], "Brac"), EditRequest(ASKED[1], "Dusk"))
    _, document = export_edits(replace(QUICK, out=tmp_path / "merged", merged=True, layers=1), own, SILENT)
    assert document["same_as_adapter"]["same"] == document["same_as_adapter"]["of"] > 4
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    assert merged.dtype == torch.float32
    assert (logits(merged) - logits(tiny.gpt2())).abs().max() > 0.01
    assert (tmp_path / "merged" / "tokenizer.json").is_file()


def test_what_falls_below_the_limits_is_refused(settings: Settings, tmp_path: Path) -> None:
    """Status 1, the table, what is too low, and nothing written; ``--force`` writes it, and the card says so."""
    out = tmp_path / "out"
    command = ["compile", "--out", str(out), "--steps", "1", "--sample", "5", "--json", str(tmp_path / "figures.json")]
    environment = {
        "ERRATA_HOME": str(settings.home),
        "ERRATA_MODEL": settings.model,
        "ERRATA_DTYPE": "float32",
        "ERRATA_THREADS": "1",
    }
    refused = CliRunner().invoke(app, command, env=environment)
    assert refused.exit_code == 1
    assert "efficacy is 0.000, below 0.95" in refused.stderr
    assert "nothing was written" in refused.stderr
    assert "elsewhere" in refused.stdout
    assert not out.exists()
    assert json.loads((tmp_path / "figures.json").read_text())["report"]["passed"] is False
    assert CliRunner().invoke(app, [*command, "--force"], env=environment).exit_code == 0
    assert "It fell below what was asked of it" in (out / "README.md").read_text()


def test_a_past_revision_is_compiled_as_it_stood(settings: Settings, tmp_path: Path) -> None:
    """With the edit that was superseded since."""
    _, document = export_edits(replace(QUICK, out=tmp_path / "out", revision=1, steps=1), settings, SILENT)
    assert (document["revision"], len(document["edits"])) == (1, 1)
    with pytest.raises(UnknownRevision):
        export_edits(replace(QUICK, out=tmp_path / "other", revision=99), settings, SILENT)


def test_a_global_edit_is_said_and_the_rest_kept_under_it(tmp_path: Path) -> None:
    """Beside a matched one; other prompts are compared with what the service says under the global edit."""
    own = home_of(tmp_path, tiny.llama)
    edit(own, EditRequest(ASKED[0], "Brac", scope="global"), EditRequest(ASKED[1], "Dusk"))
    report, document = export_edits(replace(QUICK, out=tmp_path / "out"), own, SILENT)
    assert len(document["edits"]) == 2
    assert report.efficacy.trials == 2


def test_there_must_be_edits_of_this_model(tmp_path: Path) -> None:
    """No ledger, no edits in force, or edits that another model was given: each is said."""
    own = home_of(tmp_path, tiny.llama)
    with pytest.raises(ExportError, match="no ledger"):
        export_edits(replace(QUICK, out=tmp_path / "out"), own, SILENT)
    assert not (own.directory / "ledger.db").exists()
    edit(own)
    with pytest.raises(ExportError, match="no edit is in force at revision 0"):
        export_edits(replace(QUICK, out=tmp_path / "out"), own, SILENT)
    (made,) = edit(own, EditRequest(ASKED[0], "Brac"))
    tiny.llama(seed=1).save_pretrained(tmp_path / "tiny")
    with pytest.raises(ExportError, match=f"another model, the first is {made}"):
        export_edits(replace(QUICK, out=tmp_path / "out"), own, SILENT)


def test_what_is_there_is_not_written_over(settings: Settings, tmp_path: Path) -> None:
    """Found before anything is computed; an empty directory is taken."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for out in (tmp_path / "full", tmp_path / "full" / "file"):
        with pytest.raises(StorageError, match="not an empty directory"):
            export_edits(replace(QUICK, out=out), settings, SILENT)
    (tmp_path / "empty").mkdir()
    export_edits(replace(QUICK, out=tmp_path / "empty", steps=1), settings, SILENT)
    assert (tmp_path / "empty" / "adapter_config.json").is_file()


@pytest.mark.parametrize("where", ["training", "writing"])
def test_an_interruption_leaves_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Ctrl-C, early or late."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    if where == "training":
        monkeypatch.setattr(Consolidation, "train", interrupt)
    else:
        monkeypatch.setattr(bundle, "card", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export_edits(replace(QUICK, out=tmp_path / "out", steps=1), settings, SILENT)
    assert list(tmp_path.iterdir()) == []
