"""``errata evaluate-rag`` on a service that knows some answers by heart, beside a real small index."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from editing.edit import EditRequest
from index.passages.passage import Hit, Passage
from service.cli import evaluate as cli
from service.cli.evaluate import show_rag_evaluation
from service.cli.main import app
from service.errors import ChecksFailed, IndexNotReady, InvalidPrompt
from service.evaluation.rag import run
from service.evaluation.rag.run import ANSWERS, FIGURES, RagEvaluationOptions, evaluate_rag, write_evaluation
from service.progress import SILENT
from service.types.answers import AskAnswer, AskQuery, RetrievedPassage, UsedPassage
from service.types.edits import EditOptions, EditResult
from service.types.generation import Answer, GenerateQuery, OnPiece, UsedEdit
from service.types.service import ModelInfo
from tests.service.fakes import FakeService

PASSAGES = (
    Passage("p_1", "Peru", "Its capital is Lima.", "s", 0, 20),
    Passage("p_2", "Norway", "Its capital is Oslo.", "s", 0, 20),
)
SAID = {
    "what is the capital of peru": "Lima.",
    "what is the capital of norway": "Oslo is the capital",
    "what is the capital of mars": "Olympus",
    "what is the capital of venus": "Not in the index.",
}
ANSWERED = {
    "what is the capital of peru": ["Lima"],
    "what is the capital of norway": ["Oslo"],
    "what is the capital of mars": ["Nowhere"],
    "what is the capital of venus": ["Elsewhere"],
}


class Manifest:
    version = "small-1"

    def to_json(self) -> bytes:
        return json.dumps({"version": self.version, "passages": 2, "files": {}, "built_at": "today"}).encode()


class Service(FakeService):
    """Says what is in ``SAID``, or what an edit of that very question says.

    Attributes:
        refusing: questions that cannot be asked.
        leaking: an edit changes every other answer as well.
    """

    def __init__(self) -> None:
        super().__init__()
        self.edits_made: dict[str, str] = {}
        self.refusing: set[str] = set()
        self.unverified: set[str] = set()
        self.leaking = False
        self.revision = 0
        self.model_digest = "c" * 64
        self.index = SimpleNamespace(manifest=Manifest(), passages=PASSAGES)
        self.retriever: Any = SimpleNamespace(
            index=self.index, search_many=self._search, kind=self._kind, reranker=None, version="small-1"
        )
        self.encoder = SimpleNamespace(encode_query=lambda query: np.ones(4, np.float32))
        self.index_manager: Any = SimpleNamespace(
            is_open=True, failure=None, retriever=lambda: self.retriever, encoder=self.encoder
        )
        self.answerer = SimpleNamespace(reader=None)
        self.prompts = SimpleNamespace(budget=2048)

    def _kind(self, how: str) -> str:
        return "dense" if how == "hybrid" else how

    def _search(self, queries: list[str], k: int, how: str = "dense", rerank: bool = False) -> list[list[Hit]]:
        order = PASSAGES if how == "dense" and not rerank else PASSAGES[::-1]
        return [[Hit(p, 1 / rank, rank) for rank, p in enumerate(order[:k], 1)] for _ in queries]

    def ask(self, query: AskQuery, on_text: OnPiece | None = None) -> AskAnswer:
        self._asked("ask", query.question, query.mode, query.decoding)
        text, used = self._says(query.question)
        passages = tuple(
            UsedPassage(RetrievedPassage(p.id, p.title, p.text, 0.5, n, p.source), cited=False, overruled=bool(used))
            for n, p in enumerate(PASSAGES[: query.k], 1)
        )
        supported = text != "Not in the index."
        return AskAnswer(
            text,
            passages,
            "stop",
            self.revision,
            tuple(map(UsedEdit, used)),
            "small-1",
            query.mode,
            90,
            2,
            supported=supported,
        )

    def generate(self, query: GenerateQuery, on_text: OnPiece | None = None) -> Answer:
        self._asked("generate", query.prompt)
        text, used = self._says(query.prompt or "")
        return Answer(text if used else "I do not know", "stop", self.revision, tuple(map(UsedEdit, used)), 9, 2)

    def _says(self, question: str) -> tuple[str, tuple[str, ...]]:
        if question in self.refusing:
            raise InvalidPrompt("question", "longer than the context")
        if question in self.edits_made:
            return self.edits_made[question], ("ed_1",)
        return SAID[question] + ("!" if self.leaking and self.edits_made else ""), ()

    def edit(self, request: EditRequest, options: EditOptions) -> EditResult:
        if request.input in self.unverified:
            raise ChecksFailed({"after": "no"})
        self.edits_made[request.input] = request.output
        self.revision += 1
        return EditResult(f"ed_{self.revision}", self.revision, "active", "", options.actor, request, {})

    def restore(self, to_revision: int, actor: str, reason: str | None, if_match: int | None) -> Any:
        self.edits_made.clear()

    def model(self) -> ModelInfo:
        return ModelInfo("tiny", self.model_digest, "mend", "d" * 64, (), self.revision, len(self.edits_made))


@pytest.fixture(autouse=True)
def drawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots take a second; they are drawn where they are looked at."""
    if request.function is not test_the_document_says_what_was_measured:
        monkeypatch.setattr(run, "draw_evaluation", lambda document, out: [])


@pytest.fixture
def served() -> Service:
    return Service()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    lines = (json.dumps({"question": question, "answer": answer}) for question, answer in ANSWERED.items())
    path.write_text("\n".join(lines))
    return path


def evaluated(served: Service, file: Path, out: Path, **choices: Any) -> dict[str, Any]:
    @contextmanager
    def service() -> Iterator[Any]:
        yield served

    chosen = replace(RagEvaluationOptions(("concat", "closed-book"), ("dense", "bm25")), **choices)
    document = evaluate_rag([file], chosen, out, SILENT, service)
    show_rag_evaluation(document)
    write_evaluation(document, out)
    found: dict[str, Any] = json.loads((out / FIGURES).read_text())
    return found


def test_answers_are_judged_by_where_their_answer_is(served: Service, file: Path, tmp_path: Path) -> None:
    """Two of four questions are answerable; one answer is exact, one only contains it; one false, one "not in"."""
    found = evaluated(served, file, tmp_path / "out")
    concat = found["answers"]["concat"]
    told = concat["in the index"]
    assert (told["questions"], told["em"]["rate"], told["contained"]["rate"]) == (2, 0.5, 1.0)
    assert told["f1"]["mean"] == 0.75  # 1, and 2 · ⅓ · 1 / (⅓ + 1): "the" is no word
    assert (told["not_in_index"]["rate"], told["false_answers"]["rate"]) == (0, 0)
    missing = concat["not in the index"]
    assert (missing["questions"], missing["em"]["rate"]) == (2, 0)
    assert (missing["not_in_index"]["rate"], missing["false_answers"]["rate"]) == (0.5, 0.5)
    assert concat["found"]["questions"] == 2 and concat["all"]["questions"] == 4
    assert found["answers"]["closed-book"]["found"]["questions"] == 2
    assert found["answers"]["closed-book"]["in the index"]["contained"]["rate"] == 0


def test_retrieval_is_judged_for_each_kind_of_search(served: Service, file: Path, tmp_path: Path) -> None:
    """Of the answerable questions one is found first and one second, in each order of the passages."""
    found = evaluated(served, file, tmp_path / "out", modes=())["retrieval"]
    dense = found["dense"]["in the index"]
    assert (dense["recall"]["1"]["rate"], dense["recall"]["5"]["rate"], dense["mrr"]["mean"]) == (0.5, 1.0, 0.75)
    assert found["bm25"]["all"]["recall"]["100"] == {**found["bm25"]["all"]["recall"]["100"], "hits": 2, "trials": 4}
    assert dense["curve"][:3] == [0.5, 1.0, 1.0]
    assert not any(call[0] in ("ask", "generate") for call in served.calls)


def test_searches_that_the_index_does_not_offer_are_left_out(
    served: Service, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hybrid that would be dense in truth, and re-ranking without a re-ranker; with one, it is measured."""
    how = ("dense", "hybrid", "rerank")
    found = evaluated(served, file, tmp_path / "out", modes=(), how=how)
    assert list(found["retrieval"]) == ["dense"] and list(found["without"]) == ["hybrid", "rerank"]
    assert "rerank is left out" in capsys.readouterr().out
    served.retriever.reranker = object()
    assert list(evaluated(served, file, tmp_path / "out", modes=(), how=how)["retrieval"]) == ["dense", "rerank"]


def test_the_document_says_what_was_measured(
    served: Service, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Index, model, questions, seed and revision; tables on the terminal; two plots."""
    found = evaluated(served, file, tmp_path / "out")
    assert found["index"]["version"] == "small-1" and "built_at" not in found["index"]
    assert (found["model"]["base_digest"], found["revision"], found["seed"]) == ("c" * 64, 0, 2026)
    asked = found["questions"]
    assert (asked["given"], asked["asked"], asked["in_the_index"]) == (4, 4, 2)
    assert asked["files"][0]["file"] == "questions.jsonl" and len(asked["files"][0]["sha256"]) == 64
    shown = capsys.readouterr().out
    assert "Answers, answer not in the index, n = 2" in shown and "Retrieval, all questions, n = 4" in shown
    for name in ("rag_recall.png", "rag_answers.png"):
        assert (tmp_path / "out" / name).read_bytes()[:4] == b"\x89PNG"


def test_an_interrupted_run_goes_on(served: Service, file: Path, tmp_path: Path) -> None:
    """What was answered before is not asked again, though the last line is half; the figures are the same."""
    whole = evaluated(served, file, tmp_path / "whole")
    lines = (tmp_path / "whole" / ANSWERS).read_text().splitlines(keepends=True)
    assert len(lines) == 8
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ANSWERS).write_text("".join(lines[:5]) + lines[5][:20])
    served.calls.clear()
    found = evaluated(served, file, tmp_path / "out")
    assert len([call for call in served.calls if call[0] in ("ask", "generate")]) == 3
    assert found["answers"] == whole["answers"] and found["answers_taken_up"] == 5


@pytest.mark.parametrize("other", ["model", "index", "encoder", "budget", "k", "answers"])
def test_answers_of_another_run_are_not_taken_up(served: Service, file: Path, tmp_path: Path, other: str) -> None:
    """Another model, index or number of passages, or other right answers, ask again."""
    evaluated(served, file, tmp_path / "out", modes=("concat",))
    served.calls.clear()
    choices: dict[str, Any] = {"modes": ("concat",)}
    if other == "model":
        served.model_digest = "e" * 64
    elif other == "index":
        served.index.manifest.version = "small-2"
    elif other == "encoder":
        served.encoder.encode_query = lambda query: np.zeros(4, np.float32)
    elif other == "budget":
        served.prompts.budget = 512
    elif other == "k":
        choices["k"] = 1
    else:
        file.write_text(file.read_text().replace('"Lima"', '"Cusco"'))
    assert evaluated(served, file, tmp_path / "out", **choices)["answers_taken_up"] == (3 if other == "answers" else 0)


def test_the_sample_is_drawn_by_the_seed(served: Service, file: Path, tmp_path: Path) -> None:
    """The same seed draws the same questions; a sample larger than the file is the file."""
    digests = [
        evaluated(served, file, tmp_path / "out", sample=sample, seed=seed, modes=())["questions"]["digest"]
        for sample, seed in ((2, 1), (2, 1), (2, 5), (4, 1), (9, 1))
    ]
    assert digests[0] == digests[1] != digests[2] and digests[3] == digests[4] != digests[0]


def test_edits_stay_in_force_beside_passages(served: Service, file: Path, tmp_path: Path) -> None:
    """Corrected questions are answered with the edit in each mode, the others as before; then all is taken back."""
    edits = evaluated(served, file, tmp_path / "out", edits=2)["edits"]
    assert (edits["wanted"], edits["made"]) == (2, 2)
    for mode in ("concat", "closed-book"):
        assert edits["modes"][mode]["edited"] == {**edits["modes"][mode]["edited"], "hits": 2, "trials": 2}
        assert edits["modes"][mode]["kept"] == {**edits["modes"][mode]["kept"], "hits": 2, "trials": 2}
    overruling = {mode: of["overruling"]["rate"] for mode, of in edits["modes"].items()}
    assert overruling == {"concat": 1, "closed-book": 0}
    right = {answer for answers in ANSWERED.values() for answer in answers}
    for one in edits["corrections"]:
        assert one["answer"] in right - set(ANSWERED[one["question"]])
    assert served.edits_made == {}


def test_edits_that_leak_or_are_refused_show(served: Service, file: Path, tmp_path: Path) -> None:
    """An answer that changed by one sign is not kept; a refused edit is counted and its question not asked."""
    served.leaking, served.unverified = True, {"what is the capital of peru"}
    edits = evaluated(served, file, tmp_path / "out", edits=2, modes=("concat",))["edits"]
    assert (edits["wanted"], edits["made"]) == (2, 1)
    concat = edits["modes"]["concat"]
    assert (concat["edited"]["trials"], concat["kept"]["hits"], concat["kept"]["trials"]) == (1, 0, 2)
    assert concat["changed"][0]["after"] == concat["changed"][0]["before"] + "!"


def test_thorough_and_fast_decoding_are_modes(served: Service, file: Path, tmp_path: Path) -> None:
    """Each is asked for as such, and has figures of its own."""
    found = evaluated(served, file, tmp_path / "out", modes=("sequence", "sequence-fast"))
    asked = {call[2:] for call in served.calls if call[0] == "ask"}
    assert asked == {("sequence", "thorough"), ("sequence", "fast")} and len(found["answers"]) == 2


def test_a_question_that_cannot_be_asked_is_counted(served: Service, file: Path, tmp_path: Path) -> None:
    """It is wrong, and the run goes on."""
    served.refusing = {"what is the capital of peru"}
    concat = evaluated(served, file, tmp_path / "out")["answers"]["concat"]
    assert (concat["all"]["refused"], concat["in the index"]["em"]["rate"]) == (1, 0)


def test_without_an_index_the_run_ends(served: Service, file: Path, tmp_path: Path) -> None:
    """And says why there is none."""
    served.index_manager = SimpleNamespace(is_open=False, failure="the index cannot be used: disk full")
    with pytest.raises(IndexNotReady, match="disk full"):
        evaluated(served, file, tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        (("--modes", "concat,magic"), 2, "there is no magic"),
        (("--how", "sparse"), 2, "there is no sparse"),
        (("--modes", ","), 2, "choose of"),
        (("--sample", "-1"), 2, "--sample"),
        ((), 1, "broken.jsonl, line 1 column 2: broken JSON"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, arguments: tuple[str, ...], status: int, why: str) -> None:
    """In a line, before any model is loaded."""
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{\n")
    result = CliRunner().invoke(app, ["evaluate-rag", str(broken), *arguments], env={"COLUMNS": "300"})
    assert result.exit_code == status and why in result.stderr


def test_the_command_passes_its_choices_on(monkeypatch: pytest.MonkeyPatch, file: Path, tmp_path: Path) -> None:
    """Names are listed once; none leaves a part out."""
    heard: list[Any] = []
    monkeypatch.setattr(run, "evaluate_rag", lambda *given: heard.append(given[:3]))
    monkeypatch.setattr(run, "write_evaluation", lambda *given: None)
    monkeypatch.setattr(cli, "show_rag_evaluation", lambda document: None)
    given = ("--modes", "token, concat,token", "--how", "none", "--sample", "7", "--edits", "3", "--out", str(tmp_path))
    result = CliRunner().invoke(app, ["evaluate-rag", str(file), str(file), *given])
    assert result.exit_code == 0, result.output
    assert heard == [([file, file], RagEvaluationOptions(("token", "concat"), (), 7, edits=3), tmp_path)]
