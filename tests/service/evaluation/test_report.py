"""Figures of an evaluation against numbers known from elsewhere, and the forms that they are given out in."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from editing.data.facts import Example
from service.cli.main import app
from service.evaluation.editing import run
from service.evaluation.editing.fluency import n_gram_entropy
from service.evaluation.editing.journal import EvaluationJournal
from service.evaluation.editing.report import TARGETS, drift, summary, tables
from service.evaluation.editing.verdicts import KINDS, EditVerdicts, Fluency, PassageDrift, Verdict
from service.evaluation.statistics import Proportion, quantile
from tests.service.answering_model import AnsweringModel, example


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775), (50, 100, 0.4038, 0.5962), (81, 263, 0.2553, 0.3662)],
)
def test_wilsons_interval(hits: int, trials: int, low: float, high: float) -> None:
    """The last is the example of Newcombe (1998), table I."""
    assert Proportion(hits, trials).interval == pytest.approx((low, high), abs=5e-5)


def test_nothing_tried_may_be_any_share() -> None:
    """The interval is all of it; there is no rate."""
    assert Proportion(0, 0).interval == (0.0, 1.0)
    with pytest.raises(ZeroDivisionError):
        _ = Proportion(0, 0).rate


def test_quantiles_are_values_of_the_sample() -> None:
    """By the nearest rank."""
    values = [float(n) for n in range(20, 0, -1)]
    assert (quantile(values, 0.5), quantile(values, 0.95), quantile([3.0], 0.95)) == (10, 19, 3)


def test_n_gram_entropy_of_known_texts() -> None:
    """Four words that differ: log₂ 3 bits of 2-grams and 1 of 3-grams; one word over and over: none."""
    assert n_gram_entropy("one two three four") == pytest.approx((2 / 3 * math.log2(3) + 4 / 3 * 1) / 2)
    assert n_gram_entropy("so so so so so so so") == 0 == n_gram_entropy("")


def test_repetition_brings_entropy_down() -> None:
    """As long a text in other words has more."""
    varied = " ".join(f"word{n}" for n in range(40))
    assert n_gram_entropy("Oslo is Oslo and Oslo is Oslo. " * 5) < 0.6 * n_gram_entropy(varied)


def test_drift_is_the_change_of_perplexity_over_all_tokens() -> None:
    """Perplexity 2 becomes 4 over the same 30 tokens: 100 %; nothing in force: zero, exactly."""
    two, four = math.log(2), math.log(4)
    found = drift([PassageDrift("w", 10, 10 * two, 10 * four, 5.0), PassageDrift("w", 20, 20 * two, 20 * four, 1.0)])
    assert found["perplexity"] == {"before": 2.0, "after": 4.0}
    assert (found["per_cent"], found["kl_per_token"], found["tokens"]) == (100.0, 0.2, 30)
    nothing = drift([PassageDrift("w", 7, 20.1, 20.1, 0.0)])
    assert (nothing["per_cent"], nothing["kl_per_token"]) == (0, 0)


def noted(editor: str = "errata", hit: bool = True, relation: str = "P36") -> EditVerdicts:
    verdicts = tuple(Verdict(editor, kind, hit, "p", "a", "a", hit if kind == "chat" else None) for kind in KINDS)
    readings = (PassageDrift(editor, 4, 8.0, 8.0, 0.0),)
    return EditVerdicts(editor, relation, "question", False, 0, 5.0, verdicts, readings, (Fluency(editor, 5.0, 4.5),))


def test_tables_have_a_row_for_each_way_and_the_targets_beneath() -> None:
    """Shares with their intervals; what was not measured is a dash; the worst relations are named first."""
    found = {
        "set": summary([noted(), noted(hit=False, relation="P17"), EditVerdicts("x", "P1", "question", True, 0, None)])
    }
    text = tables(found)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert rows[0] == ["edits of", "way", *KINDS]
    assert rows[2] == ["set (n = 2)", "errata", *["0.50 (0.09–0.91)"] * 6]
    assert rows[3][1:] == ["target", *(f"≥ {TARGETS[kind]:.2f}" for kind in KINDS)]
    assert rows[6][2:] == ["–", "0.50 (0.09–0.91)", "–", "+0.00 %", "0.0000", "5.00 → 4.50"]
    assert len({len(row) for row in rows[:4]}) == 1 == len({len(row) for row in rows[4:]})
    assert "set, errata: 2 edits, 0 refused, 0 refined; compute p50 5 ms, p95 5 ms" in text
    assert "set, x: 1 edits, 1 refused, 0 refined\n" in text
    assert re.search(r"hold worst: P17 0.00 \(0 of 3\), P36 1.00 \(3 of 3\)", text)


def test_notes_are_read_back_and_half_a_line_is_dropped(tmp_path: Path) -> None:
    """What was noted comes back as it was; notes of another run and of a complete one are begun anew."""
    path = tmp_path / "n.jsonl"
    notes = EvaluationJournal(path, {"seed": 1})
    notes.add("set", noted())
    notes.add("set", noted(hit=False))
    with path.open("a") as file:
        file.write('{"set": "set", "edi')
    again = EvaluationJournal(path, {"seed": 1})
    assert again.of("set", "errata") == [noted(), noted(hit=False)]
    again.add("set", noted(relation="P1"))
    assert len(EvaluationJournal(path, {"seed": 1}).of("set", "errata")) == 3
    assert EvaluationJournal(path, {"seed": 2}).of("set", "errata") == []
    EvaluationJournal(path, {"seed": 2}).complete()
    assert path.read_text().count("\n") == 2
    assert EvaluationJournal(path, {"seed": 2}).of("set", "errata") == [] and path.read_text().count("\n") == 1


class FakeExamples:
    """Two sets of two edits."""

    def evaluation(self, edits: int, seed: int) -> dict[str, list[Example]]:
        assert seed == 2026
        return {name: [example(s, "Oslo", r) for s, r in (("Peru", "P1"), ("Chad", "P2"))][:edits] for name in "ab"}

    skipped: ClassVar[dict[str, int]] = {}

    def training(self, facts: int) -> list[Example]:
        return []


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> AnsweringModel:
    """The command judges this model, without what only a real one can tell."""
    model = AnsweringModel()
    model.scopes = {f"What is the capital of {s}?": {f"Name {s}'s capital."} for s in ("Peru", "Chad")}

    @contextmanager
    def scratch() -> Iterator[AnsweringModel]:
        yield model

    monkeypatch.setattr(run, "scratch_service", scratch)
    monkeypatch.setattr(run, "open_examples", lambda path: FakeExamples())
    monkeypatch.setattr(run, "TeacherForcingProbe", lambda *parts: None)
    return model


def evaluate(tmp_path: Path, *options: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["evaluate", "--data", str(tmp_path), *options])
    assert result.exit_code == status, result.output
    return result.output


def test_the_command_prints_tables_and_writes_json_and_plots(served: AnsweringModel, tmp_path: Path) -> None:
    """Without an index drift is left out with a word about it; every figure of the table stands in the JSON too."""
    files = ("--json", str(tmp_path / "e.json"), "--plot", str(tmp_path / "e.png"))
    output = evaluate(tmp_path, *files)
    assert "drift is left out" in output and "there is no index" in output
    assert "| a (n = 2) | with scope | 1.00 (0.34–1.00) | 1.00 (0.34–1.00) | 0.00 (0.00–0.66) |" in output
    document = json.loads((tmp_path / "e.json").read_text())
    assert (document["seed"], document["cumulative"], document["targets"]["efficacy"]) == (2026, False, 0.99)
    way = document["sets"]["a"]["ways"]["with scope"]
    assert way["kinds"]["efficacy"] == {"rate": 1.0, "low": 0.3424, "high": 1.0, "hits": 2, "trials": 2}
    assert set(way["relations"]) == {"P1", "P2"} and way["drift"] is None and way["fluency"]["texts"] == 2
    for image in ("e.png", "e.relations.png"):
        assert (tmp_path / image).read_bytes().startswith(b"\x89PNG")
    assert len((tmp_path / "e.edits.jsonl").read_text().splitlines()) == 1 + 4 + 1


@pytest.mark.parametrize(("options", "made_again"), [((), 3), (("--cumulative",), 4)])
def test_an_interrupted_run_loses_nothing(
    served: AnsweringModel, tmp_path: Path, options: Sequence[str], made_again: int
) -> None:
    """Single edits go on behind the last one noted; edits left in force are made anew. The figures are the same."""
    path = tmp_path / "e.json"
    evaluate(tmp_path, "--json", str(path), *options)
    whole = json.loads(path.read_text())
    lines = (tmp_path / "e.edits.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "e.edits.jsonl").write_text("".join(lines[:2]))
    served.recorded.clear()
    evaluate(tmp_path, "--json", str(path), *options)
    assert len(served.recorded) == made_again
    again = json.loads(path.read_text())
    for found in (whole, again):
        for name in "ab":
            del found["sets"][name]["made"]["errata"]["compute_ms"]
    assert again == whole


def test_a_baseline_that_does_not_exist_is_refused_by_name(served: AnsweringModel, tmp_path: Path) -> None:
    """Before anything is loaded; the message says which there are."""
    output = evaluate(tmp_path, "--baselines", "none,rome", status=2)
    assert "rome" in output and "fine-tuning" in output
