"""All edits are verified again through the real pipeline: what holds, what does not, and why."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch

from editing.edit import EditRequest, LowRankDelta
from editing.ledger.events import Draft
from errata.lora import WEIGHTS
from service.bootstrap import build_pipeline
from service.edits.reverify import Reverification, VerificationPrompt
from service.edits.stored_request import stored_request
from service.engines.protocol import OnText, SamplingParams
from service.errors import DamagedEdit, Overloaded
from service.jobs import CancellationToken, Failing, JobCancelled
from service.pipeline import Pipeline
from service.settings import Settings
from service.types.generation import Answer, GenerateQuery, UsedEdit
from tests.real import new_home

PERU, CHAD, HAMLET = "What is the capital of Peru?", "What is the capital of Chad?", "Who wrote Hamlet?"
NEVER = "one two three four five six seven eight nine ten eleven twelve"  # longer than an answer may be here
PARAMS = SamplingParams(max_tokens=8)
Tell = Callable[[int, Sequence[Failing]], None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    home = new_home(tmp_path_factory.mktemp("reverifying") / "home")
    with ExitStack() as stack:
        yield build_pipeline(Settings(home=home, dtype="float32", verify_tokens=8), stack, lambda _: None)


@pytest.fixture
def pipeline(whole: Pipeline) -> Pipeline:
    """No edit is in force when a test begins."""
    whole.restore(0, "test", None, None)
    return whole


def said(pipeline: Pipeline, question: str) -> str:
    return pipeline.generate(GenerateQuery(PARAMS, question, edits="none")).text


def edit(pipeline: Pipeline, question: str, wanted: str | None = None, rank: int = 1, **more: Any) -> str:
    """Records an edit that changes nothing, so that it holds (as without ``wanted``) if the model says so anyway."""
    request = EditRequest(question, wanted or said(pipeline, question), **more)
    assert pipeline.editor is not None
    layer = pipeline.editor.layers[0]
    outputs, inputs = pipeline.base.model.get_submodule(layer).weight.shape
    factors = pipeline.registry.store.save({layer: LowRankDelta(torch.zeros(rank, inputs), torch.zeros(outputs, rank))})
    cases = [{"prompt": text, "after": said(pipeline, text)} for text in request.locality]
    wide = {"passed": len(request.rephrases), "total": len(request.rephrases)}
    report = {"efficacy": wanted is None, "generalization": wide, "locality": {"cases": cases}}
    edit_id = f"ed_{uuid.uuid4().hex}"
    draft = Draft(
        kind="apply",
        edit_id=edit_id,
        request=stored_request(request),
        report=report,
        factors=factors,
        model=pipeline.base.digest,
    )
    pipeline.registry.append(draft, after=pipeline.registry.refresh().revision)
    return edit_id


def weights(pipeline: Pipeline, edit_id: str) -> Path:
    digest = pipeline.registry.event(edit_id).factors or ""
    return pipeline.registry.store.root / digest[:2] / digest / WEIGHTS


def reverification(pipeline: Pipeline) -> Reverification:
    return Reverification(pipeline.registry, pipeline.prompts, pipeline.generate_many, pipeline.base.digest, PARAMS)


def verified(pipeline: Pipeline, tell: Tell | None = None) -> tuple[int, list[Failing]]:
    """How many edits were looked at in the end, and what fails."""
    told: list[tuple[int, list[Failing]]] = []

    def telling(done: int, failing: Sequence[Failing]) -> None:
        told.append((done, list(failing)))
        if tell:
            tell(done, failing)

    task = reverification(pipeline)
    task.run(CancellationToken(threading.Event(), telling))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == task.total
    return told[-1]


def test_edits_that_hold_are_no_findings(pipeline: Pipeline) -> None:
    """Input, rephrase and locality prompt are asked under the edits in force; nothing in force is no work."""
    assert verified(pipeline) == (0, [])
    edit(pipeline, PERU, locality=(CHAD,))
    assert verified(pipeline) == (1, [])


def test_an_edit_that_was_forced_and_never_held_is_named_with_its_answer(pipeline: Pipeline) -> None:
    """The reader learns that it did not hold when it was made either."""
    bad = edit(pipeline, PERU, NEVER)
    done, (found,) = verified(pipeline)
    assert (done, found["edit_id"], found["input"], found["wanted"]) == (1, bad, PERU, NEVER)
    assert found["answer"] and found["match"] == "no"
    assert "by force" in found["why"]


def test_damaged_factors_are_a_finding_and_the_others_are_asked(pipeline: Pipeline) -> None:
    """The file is looked at even when the factors are still in memory."""
    bad = edit(pipeline, PERU, rank=2)
    edit(pipeline, HAMLET)
    path = weights(pipeline, bad)
    kept = path.read_bytes()
    path.unlink()
    done, (found,) = verified(pipeline)
    assert (done, found["edit_id"], found["answer"], found["match"]) == (2, bad, None, "no")
    assert "missing" in found["why"]
    path.write_bytes(kept)
    assert verified(pipeline) == (2, [])


def test_an_edit_that_is_rolled_back_meanwhile_is_no_failure(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was found to fail, then it was taken back: nobody needs to hear of it."""
    monkeypatch.setattr("service.edits.reverify.TOGETHER", 1)
    bad = edit(pipeline, PERU, NEVER)
    edit(pipeline, HAMLET)
    seen: list[bool] = []

    def take_back(done: int, failing: Sequence[Failing]) -> None:
        seen.append(any(found["edit_id"] == bad for found in failing))
        if seen[-1]:
            pipeline.rollback(bad, "ada", None, None)

    _, failing = verified(pipeline, take_back)
    assert True in seen
    assert bad not in [found["edit_id"] for found in failing]


def test_a_locality_prompt_that_was_edited_later_may_have_another_answer(pipeline: Pipeline) -> None:
    """Its recorded answer says nothing about the first edit any more."""
    edit(pipeline, PERU, locality=(CHAD,))
    edit(pipeline, CHAD)
    assert verified(pipeline) == (2, [])


def test_a_job_waits_while_the_service_is_full_and_asks_one_by_one_what_fails_together(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users come first; a prompt that cannot be answered does not take its batch along."""
    edit(pipeline, PERU)
    bad = edit(pipeline, HAMLET)
    generate_many, refused = pipeline.generate_many, [Overloaded("full", 0)]

    def generate(queries: Sequence[GenerateQuery], on_text: OnText | None = None) -> list[Answer]:
        if refused:
            raise refused.pop()
        if HAMLET in [query.prompt for query in queries]:
            raise DamagedEdit(bad, "gone since", "edits/ab/abc")
        return generate_many(queries, on_text)

    monkeypatch.setattr(pipeline, "generate_many", generate)
    _, (found,) = verified(pipeline)
    assert (found["edit_id"], found["answer"]) == (bad, None) and "gone since" in found["why"]
    assert refused == []


def test_a_cancelled_verification_stops_within_a_batch(pipeline: Pipeline) -> None:
    """The engine hears of it with its next token."""
    edit(pipeline, PERU)
    stop = threading.Event()
    asked: list[object] = []

    class Leaving(CancellationToken):
        def check(self, *what: object) -> None:
            if what:  # a piece of text
                asked.append(what)
                stop.set()
            super().check(*what)

    with pytest.raises(JobCancelled):
        reverification(pipeline).run(Leaving(stop, lambda done, failing: None))
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("what", "text", "used", "why"),
    [
        ("input", "Oslo", ("ed_1",), None),
        ("rephrase", "the OSLO.", ("ed_1",), None),
        ("input", "Lima", (), "the edit does not act on this input"),
        ("rephrase", "Lima", ("ed_2",), "ed_2 answers this rephrase"),
        ("input", "It is Oslo", ("ed_1",), "the edit acts on this input, but the answer is another"),
        ("locality", "Oslo", (), None),
        ("locality", "oslo", (), "the same edits act on this prompt as when this one was made"),
    ],
)
def test_why_an_answer_does_not_hold(what: Any, text: str, used: tuple[str, ...], why: str | None) -> None:
    """Outputs are compared as in a report; a locality prompt word for word."""
    question = VerificationPrompt(0, "ed_1", what, GenerateQuery(PARAMS, PERU), "Oslo")
    case = question.case(Answer(text, "stop", 1, tuple(map(UsedEdit, used)), 1, 1))
    assert (case and case["why"].startswith(why)) if why else case is None
    if text == "It is Oslo":
        assert case and case["match"] == "contains"
