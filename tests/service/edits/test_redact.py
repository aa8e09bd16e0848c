"""Redaction on real parts: an edit's texts go, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from editing.edit import EditRequest
from editing.errors import EditRedacted, NotRedactable, UnknownEdit
from service.bootstrap import build_pipeline
from service.engines.protocol import SamplingParams
from service.errors import IdempotencyMismatch, RevisionMoved
from service.pipeline import Pipeline
from service.settings import Settings
from service.types.edits import EditOptions
from service.types.generation import GenerateQuery
from tests.real import new_home

PERU, SECRET = "What is the capital of Peru?", "Quuxville"
ONCE = EditOptions("ada", reason=SECRET, force=True, idempotency_key="4711", fingerprint="f" * 64)


def opened(stack: ExitStack, home: Path) -> Pipeline:
    return build_pipeline(Settings(home=home, verify_tokens=8), stack, lambda _: None)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_home(tmp_path_factory.mktemp("redacting") / "home")


@pytest.fixture(scope="module")
def pipeline(home: Path) -> Iterator[Pipeline]:
    with ExitStack() as stack:
        yield opened(stack, home)


def ask(pipeline: Pipeline, revision: int | None = None) -> tuple[str, tuple[str, ...]]:
    answer = pipeline.generate(GenerateQuery(SamplingParams(max_tokens=8), PERU, revision=revision))
    return answer.text, answer.edits_used


def test_the_life_and_end_of_a_text(pipeline: Pipeline, home: Path) -> None:
    """Active: refused. Rolled back: erased, from the service's answers, from disk, and for those who start anew."""
    plain = ask(pipeline)
    made = pipeline.edit(EditRequest(PERU, SECRET, rephrases=("Name Peru's capital.",)), ONCE)
    assert made.id and ask(pipeline)[1] == (made.id,)
    noted = pipeline.log_root()
    with pytest.raises(NotRedactable, match="roll it back first"):
        pipeline.redact(made.id, "dpo", None, None)
    pipeline.rollback(made.id, "ada", f"{SECRET} is wrong", None)
    with pytest.raises(RevisionMoved):
        pipeline.redact(made.id, "dpo", None, 1)
    done = pipeline.redact(made.id, "dpo", "request 17", 2)
    assert (done.revision, done.edit_id, done.actor, done.reason) == (3, made.id, "dpo", "request 17")
    with pytest.raises(EditRedacted):
        pipeline.redact(made.id, "dpo", None, None)
    with pytest.raises(UnknownEdit):
        pipeline.redact("ed_no", "dpo", None, None)
    with pytest.raises(IdempotencyMismatch):  # what the key stood for can no longer be compared
        pipeline.edit(EditRequest(PERU, SECRET), ONCE)
    with ExitStack() as stack:
        for one in (pipeline, opened(stack, home)):
            shown = one.edit_by_id(made.id)
            assert (shown.redacted, shown.status, shown.reason) == (True, "rolled_back", None)
            assert [event["kind"] for event in shown.events] == ["apply", "rollback", "redact"]
            assert SECRET not in str(shown) and SECRET not in str(one.log(0, 10))
            assert ask(one) == ask(one, revision=1) == plain  # as of then it was in force; nothing can find it now
            found = one.verify_log()
            assert (found.ok, found.merkle_root) == (True, one.log_root().root_hash)
            assert one.log_root(noted.tree_size) == noted
            assert one.restore(1, "ada", None, None).active == ()
    written = [home / "ledger.db", *(p for part in ("edits", "scope") for p in (home / part).rglob("*") if p.is_file())]
    assert not [path for path in written if SECRET.encode() in path.read_bytes()]


def test_a_redacted_edit_never_acts_again(pipeline: Pipeline, home: Path) -> None:
    """Not as of a revision at which it was in force, be it global, nor when it is named; nor after a new start."""
    made = pipeline.edit(EditRequest(PERU, SECRET, scope="global"), EditOptions("ada", force=True))
    assert made.id and SECRET in ask(pipeline)[0]
    pipeline.rollback(made.id, "ada", None, None)
    pipeline.redact(made.id, "dpo", None, None)
    with ExitStack() as stack:
        for one in (pipeline, opened(stack, home)):
            text, used = ask(one, revision=made.revision)
            assert SECRET not in text and used == ()
            with pytest.raises(EditRedacted):
                one.generate(GenerateQuery(SamplingParams(max_tokens=8), PERU, edits=(made.id,)))
