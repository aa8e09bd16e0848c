"""The service on real parts: what an edit does, and that taking it back is exact."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from editing.edit import EditRequest
from editing.errors import EditNotActive, UnknownEdit, UnknownRevision
from editing.ledger.events import Draft, Event
from editing.scope.wordings import Wordings
from service.bootstrap import build_pipeline
from service.engines.local import LocalEngine
from service.engines.protocol import SamplingParams
from service.errors import ChecksFailed, InvalidPrompt, RevisionMoved
from service.pipeline import Pipeline
from service.settings import Settings
from service.types.edits import EditOptions, EditResult, RollbackResult
from service.types.generation import GenerateQuery
from tests.real import new_home

PERU, CHAD, HAMLET = "What is the capital of Peru?", "What is the capital of Chad?", "Who wrote Hamlet?"
FORCED = EditOptions("ada", force=True)
CHECKED = EditOptions("ada")
UNREACHABLE = "one two three four five six seven eight nine ten eleven twelve"  # longer than a verified answer may be
Dtype = Literal["float32", "bfloat16"]


def opened(stack: ExitStack, home: Path, dtype: Dtype) -> Pipeline:
    settings = Settings(home=home, dtype=dtype, verify_tokens=8)
    return build_pipeline(settings, stack, lambda _: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """One pipeline for the tests of this module; every test begins with no edit in force."""
    with ExitStack() as stack:
        yield opened(stack, new_home(tmp_path_factory.mktemp("pipeline") / "home"), "bfloat16")


@pytest.fixture
def pipeline(whole: Pipeline) -> Pipeline:
    whole.restore(0, "test", None, None)
    return whole


def head(pipeline: Pipeline) -> int:
    return pipeline.model().revision


def edit(pipeline: Pipeline, question: str, answer: str, **more: Any) -> str:
    made = pipeline.edit(EditRequest(question, answer, **more), FORCED)
    assert made.id is not None
    return made.id


def back(pipeline: Pipeline, edit_id: str) -> RollbackResult:
    return pipeline.rollback(edit_id, "ada", None, None)


def ask(pipeline: Pipeline, prompt: str, **more: Any) -> tuple[str, tuple[str, ...]]:
    answer = pipeline.generate(GenerateQuery(SamplingParams(max_tokens=8), prompt, **more))
    return answer.text, answer.edits_used


def logits(pipeline: Pipeline) -> list[Tensor]:
    """Of every prompt, under the edits in force for it now."""
    assert isinstance(pipeline.engine, LocalEngine)
    found = []
    for prompt in (PERU, CHAD, HAMLET, "Name Peru's capital city."):
        used = pipeline.registry.acting(prompt, pipeline.registry.refresh())
        ids = pipeline.prompts.question(prompt, "prompt", 8).ids
        found.append(pipeline.engine.logits(ids, used))
    return found


def equal(some: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_logits_after_a_rollback_are_bit_for_bit_those_of_the_state_returned_to(tmp_path: Path, dtype: Dtype) -> None:
    """Real MEND edits, matched and global, taken back in order, out of order and by restore; then read once more by a
    pipeline that is opened anew on the same home."""
    home = new_home(tmp_path / "home")
    with ExitStack() as stack:
        pipeline = opened(stack, home, dtype)
        assert pipeline.base.model.dtype == getattr(torch, dtype)
        base = logits(pipeline)
        peru = edit(pipeline, PERU, "Oslo")
        one = logits(pipeline)
        chad = edit(pipeline, CHAD, "Rome")
        two = logits(pipeline)
        everywhere = edit(pipeline, HAMLET, "Bacon", scope="global")
        three = logits(pipeline)
        assert not equal(base, one) and not equal(one, two) and not equal(two, three)
        back(pipeline, everywhere)  # in order
        assert equal(logits(pipeline), two)
        back(pipeline, peru)  # out of order: the older of two
        assert torch.equal(logits(pipeline)[0], base[0]) and torch.equal(logits(pipeline)[1], two[1])
        back(pipeline, chad)
        assert equal(logits(pipeline), base)
        for revision, state in ((3, three), (1, one), (0, base), (2, two)):
            pipeline.restore(revision, "ada", None, None)
            assert equal(logits(pipeline), state)
    with ExitStack() as stack:
        assert equal(logits(opened(stack, home, dtype)), two)


def test_answers_as_of_a_revision_without_edits_and_with_exactly_these(pipeline: Pipeline) -> None:
    """Old revisions answer as they did; ``none`` is the base model; a list acts even when it was taken back."""
    before = head(pipeline)
    plain = ask(pipeline, PERU)
    one = edit(pipeline, PERU, "Oslo")
    edited = ask(pipeline, PERU)
    assert edited[1] == (one,) and edited != plain
    assert ask(pipeline, PERU, revision=before) == plain == ask(pipeline, PERU, edits="none")
    back(pipeline, one)
    assert ask(pipeline, PERU) == plain
    assert ask(pipeline, PERU, edits=(one,)) == edited == ask(pipeline, PERU, revision=before + 1)
    with pytest.raises(UnknownEdit):
        ask(pipeline, PERU, edits=(one,), revision=before)
    with pytest.raises(UnknownRevision):
        ask(pipeline, PERU, revision=head(pipeline) + 1)


def test_a_second_edit_of_a_fact_replaces_the_first_until_it_is_taken_back(pipeline: Pipeline) -> None:
    """Roll back the newer one and the older is in force again; roll back the older and the newer stays as it is."""
    old = edit(pipeline, PERU, "Oslo")
    first = ask(pipeline, PERU)
    made = pipeline.edit(EditRequest(PERU, "Rome"), FORCED)
    assert made.id and made.supersedes == (old,)
    second = ask(pipeline, PERU)
    assert second[1] == (made.id,) and pipeline.edit_by_id(old).status == "superseded"
    assert back(pipeline, made.id).active == (old,)
    assert ask(pipeline, PERU) == first
    newest = edit(pipeline, PERU, "Rome")
    again = ask(pipeline, PERU)
    assert back(pipeline, old).active == (newest,)
    assert ask(pipeline, PERU) == again


def test_a_dry_run_reports_and_records_nothing(pipeline: Pipeline) -> None:
    """It has a report and no id, and the head stays."""
    before = head(pipeline)
    made = pipeline.edit(EditRequest(PERU, "Oslo"), replace(CHECKED, dry_run=True))
    assert (made.id, made.revision, head(pipeline)) == (None, before, before)
    assert made.report["after"]
    assert ask(pipeline, PERU)[1] == ()


def test_an_edit_that_does_not_hold_is_refused_with_its_report_unless_forced(pipeline: Pipeline) -> None:
    """An answer longer than verification reads cannot hold: nothing is recorded, the report says what was said."""
    before = head(pipeline)
    with pytest.raises(ChecksFailed) as refused:
        pipeline.edit(EditRequest(PERU, UNREACHABLE), CHECKED)
    assert refused.value.report["efficacy"] is False and refused.value.report["after"]
    assert head(pipeline) == before
    forced: EditResult = pipeline.edit(EditRequest(PERU, UNREACHABLE), FORCED)
    assert forced.report["efficacy"] is False and forced.revision == before + 1


def test_writers_that_name_another_head_or_an_edit_that_is_not_there_change_nothing(pipeline: Pipeline) -> None:
    """If-Match of the past, a second rollback, unknown edits and revisions are refused, each with its own error."""
    one = edit(pipeline, PERU, "Oslo")
    now = head(pipeline)
    with pytest.raises(RevisionMoved):
        pipeline.edit(EditRequest(CHAD, "Rome"), replace(FORCED, if_match=now - 1))
    with pytest.raises(RevisionMoved):
        pipeline.rollback(one, "ada", None, now - 1)
    with pytest.raises(UnknownEdit):
        back(pipeline, "ed_unknown")
    with pytest.raises(UnknownRevision):
        pipeline.restore(now + 1, "ada", None, None)
    assert head(pipeline) == now
    back(pipeline, one)
    with pytest.raises(EditNotActive):
        back(pipeline, one)
    assert head(pipeline) == now + 1


def test_prompts_and_answers_beyond_the_context_are_refused_by_name(pipeline: Pipeline) -> None:
    """The field that is too long is named; the next request is answered."""
    for params, prompt, field in ((8, "word " * 9000, "prompt"), (100_000, PERU, "max_tokens")):
        with pytest.raises(InvalidPrompt) as refused:
            pipeline.generate(GenerateQuery(SamplingParams(max_tokens=params), prompt))
        assert [name for name, _ in refused.value.fields] == [field]
    assert ask(pipeline, PERU)[0]


def test_a_key_that_another_process_used_meanwhile_gives_its_answer(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same request in two processes at once is recorded once; the slower one replays the answer of the quicker."""
    once = replace(FORCED, idempotency_key="4712", fingerprint="same")
    append = pipeline.registry.append

    def slower(draft: Draft, after: int, wordings: Wordings | None = None) -> Event:
        append(replace(draft, edit_id="ed_of_the_quicker_process"), after)
        return append(draft, after, wordings)

    before = head(pipeline)
    with monkeypatch.context() as raced:
        raced.setattr(pipeline.registry, "append", slower)
        made = pipeline.edit(EditRequest(PERU, "Oslo"), once)
    assert (made.id, made.replayed, made.revision) == ("ed_of_the_quicker_process", True, before + 1)
    assert head(pipeline) == before + 1
