"""Batches on real parts: as if each edit had been asked for alone, in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
import torch

from editing.edit import EditRequest
from editing.errors import InvalidEdit
from editing.ledger.events import Draft, Event
from editing.scope.wordings import Wordings
from service.errors import ChecksFailed, ClientGone, ContradictingEdits, IdempotencyMismatch, RevisionMoved
from service.pipeline import Pipeline
from service.types.edits import EditItem, EditOptions, EditResult, Outcome
from tests.real import new_home
from tests.service.test_pipeline import FORCED, UNREACHABLE, ask, head, opened

CAPITALS = (("Peru", "Oslo"), ("Chad", "Rome"), ("Kenya", "Lima"), ("Nepal", "Bern"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with ExitStack() as stack:
        yield opened(stack, new_home(tmp_path_factory.mktemp("batch") / "home"), "float32")


@pytest.fixture
def pipeline(whole: Pipeline) -> Pipeline:
    whole.restore(0, "test", None, None)
    return whole


def asked(country: str) -> str:
    return f"What is the capital of {country}?"


def items(options: EditOptions = FORCED) -> list[EditItem]:
    return [(EditRequest(asked(country), city), options) for country, city in CAPITALS]


def keyed(given: list[EditItem], key: str) -> list[EditItem]:
    return [(r, replace(o, idempotency_key=f"{key}/{n}", fingerprint=r.output)) for n, (r, o) in enumerate(given)]


def made(outcome: Outcome) -> EditResult:
    assert isinstance(outcome, EditResult), outcome
    return outcome


def test_a_batch_is_its_edits_one_after_the_other(pipeline: Pipeline) -> None:
    """The same factors, answers and reports as alone, in the order asked for; and each answers its own question."""
    first = head(pipeline)
    result = pipeline.edit_many(items())
    together = [made(outcome) for outcome in result.outcomes]
    assert [one.revision for one in together] == [first + n for n in range(1, 5)] and result.revision == first + 4
    for (country, city), one in zip(CAPITALS, together, strict=True):
        assert ask(pipeline, asked(country)) == (city, (one.id,))
    pipeline.restore(0, "test", None, None)
    for (request, options), one in zip(items(), together, strict=True):
        alone = pipeline.edit(request, options)
        for name in ("before", "after", "efficacy", "generalization", "locality", "refinements"):
            assert alone.report[name] == one.report[name]
        close(pipeline, alone, one)


def close(pipeline: Pipeline, one: EditResult, other: EditResult) -> None:
    mine, theirs = (pipeline.registry.edit(result.id or "").deltas for result in (one, other))
    for name, delta in mine.items():
        change, wanted = delta.dense(), theirs[name].dense()
        assert float((change - wanted).norm()) < 0.05 * float(wanted.norm())


def test_later_items_see_the_earlier_ones(pipeline: Pipeline) -> None:
    """An item that asks what an earlier one answers supersedes it, and finds its answer as the one before."""
    peru, other = items()[:2]
    again = (EditRequest("What is the capital of Peru", "oslo", rephrases=("Name Peru's capital city.",)), FORCED)
    first, _, second = (made(outcome) for outcome in pipeline.edit_many([peru, other, again]).outcomes)
    assert second.supersedes == (first.id,) and second.report["before"] == "Oslo"
    assert ask(pipeline, asked("Peru"))[1] == (second.id,)


def test_global_edits_act_on_what_follows(pipeline: Pipeline) -> None:
    """They stand in a group of their own: what comes after them is made on top of them."""
    everywhere = (EditRequest("Who are you?", "Errata", scope="global"), FORCED)
    outcomes = [made(outcome) for outcome in pipeline.edit_many([everywhere, *items()[:1]]).outcomes]
    assert ask(pipeline, asked("Peru")) == ("Oslo", tuple(one.id for one in outcomes))


def test_what_fails_stops_nothing_else(pipeline: Pipeline) -> None:
    """Each item has its own outcome; what was refused is not recorded, nor is what was rehearsed."""
    peru, chad, kenya, nepal = items(EditOptions("ada"))
    given = [
        peru,
        (EditRequest(asked("Togo"), UNREACHABLE), EditOptions("ada")),
        (EditRequest("?!", "Oslo"), FORCED),
        (chad[0], replace(FORCED, dry_run=True)),
        nepal,
    ]
    first = head(pipeline)
    told: list[int] = []
    one, checks, invalid, rehearsed, last = pipeline.edit_many(given, lambda place, _: told.append(place)).outcomes
    assert made(one).revision == first + 1 and made(last).revision == first + 2 == head(pipeline)
    assert isinstance(checks, ChecksFailed) and checks.report["efficacy"] is False
    assert isinstance(invalid, InvalidEdit) and "input" in str(invalid)
    assert made(rehearsed).id is None and made(rehearsed).report["efficacy"]
    assert sorted(told) == [0, 1, 2, 3, 4]
    assert ask(pipeline, asked("Chad"))[1] == ask(pipeline, asked("Kenya"))[1] == ()
    assert kenya


def test_contradictions_are_refused_whole(pipeline: Pipeline) -> None:
    """Nothing is recorded, and both places are named; the same question with the same answer is no contradiction."""
    first = head(pipeline)
    other = (EditRequest("Name the capital of Peru.", "Lima"), FORCED)
    with pytest.raises(ContradictingEdits) as refused:
        pipeline.edit_many([*items(), other])
    assert [name for name, _ in refused.value.fields] == ["edits.0", "edits.4"]
    assert head(pipeline) == first


def test_the_same_batch_again_goes_on_where_it_stopped(pipeline: Pipeline) -> None:
    """A client that leaves stops the batch; sent again, what stands is replayed and the rest is made, nothing twice."""
    first = head(pipeline)
    peru, chad, kenya, nepal = items()
    given = keyed([peru, (replace(peru[0], output="oslo."), FORCED), chad, kenya, nepal], "b")

    def gone(place: int, _: Outcome) -> None:
        if place == 1:
            raise ClientGone("left")

    with pytest.raises(ClientGone):
        pipeline.edit_many(given, gone)
    assert head(pipeline) == first + 2
    again = [made(outcome) for outcome in pipeline.edit_many(given).outcomes]
    assert [one.replayed for one in again] == [True, True, False, False, False]
    assert [one.revision for one in again] == [first + n for n in range(1, 6)]
    changed = [(replace(given[0][0], output="Bonn"), replace(given[0][1], fingerprint="Bonn"))]
    assert isinstance(pipeline.edit_many(changed).outcomes[0], IdempotencyMismatch)


def test_a_moved_head_refuses_all(pipeline: Pipeline) -> None:
    """Writers that name another revision change nothing."""
    first = head(pipeline)
    conditional = [(r, replace(o, if_match=first - 1 if n == 0 else None)) for n, (r, o) in enumerate(items())]
    outcomes = pipeline.edit_many(conditional).outcomes
    assert all(isinstance(outcome, RevisionMoved) for outcome in outcomes) and head(pipeline) == first


def test_another_process_that_writes_in_between(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not recorded yet is looked at anew and recorded behind the other's event."""
    append, calls, ledger = pipeline.registry.append, list[str](), pipeline.registry.ledger

    def raced(draft: Draft, after: int, wordings: Wordings | None = None) -> Event:
        calls.append(draft.edit_id or "")
        if len(calls) == 3:
            ledger.append(Draft("restore", to=ledger.head()), ledger.head())
        return append(draft, after, wordings)

    first = head(pipeline)
    with monkeypatch.context() as patched:
        patched.setattr(pipeline.registry, "append", raced)
        outcomes = [made(outcome) for outcome in pipeline.edit_many(items()).outcomes]
    assert [one.revision - first for one in outcomes] == [1, 2, 4, 5]
    assert [ask(pipeline, asked(country))[0] for country, _ in CAPITALS] == [city for _, city in CAPITALS]


def test_base_weights_stay(pipeline: Pipeline) -> None:
    """No batch writes them."""
    before: dict[str, Any] = {name: p.clone() for name, p in pipeline.base.model.named_parameters()}
    pipeline.edit_many(items())
    assert all(torch.equal(p, before[name]) for name, p in pipeline.base.model.named_parameters())
