"""The record of edits: what is in force for a prompt, now and then, in this process and in others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from editing.edit import EditRequest, LowRankDelta
from editing.errors import LedgerConflict, UnknownEdit
from editing.ledger.events import Draft, Event
from editing.ledger.ledger import Ledger
from editing.ledger.state import State
from editing.scope.cross_encoder import Kind
from editing.scope.index import ScopeIndex
from editing.scope.vector_cache import VectorCache
from editing.scope.vectors import WordingVectors
from editing.store import EditStore
from service.edits.listing import page
from service.edits.registry import EditRegistry
from service.edits.stored_request import stored_request
from service.engines.compute_thread import ComputeThread
from tests.editing.scope.test_index import CAPITAL, DIM, Cosine, vectorise

RIVER = "what is the river of Gondal"
Open = Callable[..., EditRegistry]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Registries on one home, as several processes or one after another have them."""
    ledgers: list[Ledger] = []
    compute = ComputeThread()

    def open_registry(embed: Any = vectorise) -> EditRegistry:
        ledgers.append(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"))
        vectors = WordingVectors(embed, VectorCache(tmp_path / "scope", "e", DIM))
        scope = ScopeIndex(Cosine(), vectorise, DIM, vectors)
        return EditRegistry(ledgers[-1], EditStore(tmp_path / "edits"), scope, compute)

    yield open_registry
    for ledger in ledgers:
        ledger.close()
    compute.close()


def never(texts: object) -> Any:
    pytest.fail(f"embedded {texts}")


def apply(registry: EditRegistry, edit_id: str, text: str, *supersedes: str, **more: Any) -> Event:
    request = EditRequest(text, "x", **more)
    factors = registry.store.save({"layer": LowRankDelta(torch.ones(1, 2), torch.ones(2, 1))})
    draft = Draft("apply", edit_id, request=stored_request(request), factors=factors, report={}, supersedes=supersedes)
    return registry.append(draft, registry.refresh().revision, registry.wordings(request))


def write(registry: EditRegistry, kind: Any, edit_id: str | None = None, **more: Any) -> Event:
    return registry.append(Draft(kind, edit_id, **more), registry.refresh().revision)


def test_all_global_edits_and_the_best_matched_one_act(opened: Open) -> None:
    """In the order of the ledger; a candidate takes part as the last."""
    registry = opened()
    apply(registry, "first", CAPITAL)
    apply(registry, "everywhere", "anything at all", scope="global")
    apply(registry, "later", CAPITAL)
    apply(registry, "river", RIVER)
    state = registry.refresh()
    assert registry.in_force(CAPITAL, state) == {"everywhere": None, "later": Kind.ASKS}
    assert list(registry.in_force("who sings in Hyrule", state)) == ["everywhere"] == registry.everywhere(state)
    assert list(registry.in_force(f"so {RIVER}", state)) == ["everywhere", "river"]
    candidate = ("new", registry.wordings(EditRequest(RIVER, "y")))
    assert list(registry.in_force(RIVER, state, "active", candidate)) == ["everywhere", "new"]
    assert list(registry.in_force(CAPITAL, state, "none")) == []
    assert list(registry.in_force(CAPITAL, state, ("river", "first", "river"))) == ["first", "river"]
    with pytest.raises(UnknownEdit):
        registry.in_force(CAPITAL, registry.state(1), ("river",))


def test_every_revision_has_its_own_scope(opened: Open) -> None:
    """What was recorded, replaced, taken back or restored later makes no difference to what was in force then."""
    registry = opened()
    apply(registry, "one", CAPITAL)
    apply(registry, "two", CAPITAL, "one")
    write(registry, "rollback", "two")
    write(registry, "restore", to=0)
    write(registry, "restore", to=2)
    for one in (registry, opened()):
        assert [list(one.in_force(CAPITAL, one.state(n))) for n in range(6)] == [
            [],
            ["one"],
            ["two"],
            ["one"],
            [],
            ["two"],
        ]
        assert list(one.in_force("so what is the capital of Dorne", one.state(1))) == ["one"]


def test_a_new_edit_supersedes_what_asks_the_very_same_and_is_of_its_kind(opened: Open) -> None:
    """Only of what is in force; global edits supersede global ones."""
    registry = opened()
    apply(registry, "one", CAPITAL)
    apply(registry, "everywhere", CAPITAL, scope="global")
    apply(registry, "river", RIVER)
    state = registry.refresh()

    def superseded(state: State, **more: Any) -> tuple[str, ...]:
        request = EditRequest(CAPITAL, "z", **more)
        return registry.superseded(request, registry.wordings(request), state)

    assert superseded(state) == ("one",)
    assert superseded(state, scope="global") == ("everywhere",)
    assert superseded(registry.without(state, ["one"])) == ()


def test_a_second_process_catches_up_and_embeds_nothing(opened: Open) -> None:
    """Wordings are kept before the event is recorded, so whoever reads the event finds them."""
    writer, reader = opened(), opened(embed=never)
    apply(writer, "one", CAPITAL)
    assert list(reader.in_force(CAPITAL, reader.refresh())) == ["one"]
    assert reader.request("one") == EditRequest(CAPITAL, "x")
    assert set(reader.edit("one").deltas) == {"layer"}


def test_a_lost_race_leaves_no_trace(opened: Open) -> None:
    """The edit that was not recorded is nowhere; the one that was is found."""
    one, two = opened(), opened()
    apply(two, "quicker", CAPITAL)
    draft = Draft("apply", "slower", request=stored_request(EditRequest(CAPITAL, "y")), factors="0" * 64, report={})
    with pytest.raises(LedgerConflict):
        one.append(draft, 0, one.wordings(EditRequest(CAPITAL, "y")))
    assert list(one.in_force(CAPITAL, one.refresh())) == ["quicker"] and "slower" not in one.scope


def test_many_readers_while_edits_are_recorded(opened: Open) -> None:
    """Each state that a reader is given has the scope that belongs to it."""
    registry, wrong = opened(), list[object]()
    ids = [f"ed_{n}" for n in range(25)]

    def read() -> None:
        state = registry.refresh()
        while state.revision < len(ids):
            state = registry.refresh()
            found = list(registry.in_force(CAPITAL, state))
            if found != ids[: state.revision][-1:]:
                wrong.append((state.revision, found))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n, edit_id in enumerate(ids):
        apply(registry, edit_id, CAPITAL, *ids[max(0, n - 1) : n])
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_redacted_edit_is_gone_from_memory_and_disk(opened: Open) -> None:
    """It matches nothing, its vectors are overwritten, and the registry opens again; so in a process that looked on."""
    registry, other = opened(), opened()
    apply(registry, "secret", "who is the spy of Dorne", rephrases=("name the spy of Dorne",))
    apply(registry, "plain", CAPITAL)
    assert other.refresh().revision == 2 and other.request("secret").input
    write(registry, "rollback", "secret")
    write(registry, "redact", "secret")
    for one in (registry, other, opened(embed=never)):
        assert list(one.in_force(CAPITAL, one.refresh())) == ["plain"]
        assert list(one.in_force("who is the spy of Dorne", one.state(2))) == []
        assert one.request("secret").input == ""
        assert one.scope.vectors.file is not None and one.scope.vectors.file.load("name the spy of Dorne") is None


def test_a_list_of_edits_goes_on_where_it_stopped(opened: Open) -> None:
    """Page by page, in the order of the ledger."""
    registry = opened()
    for n in range(5):
        apply(registry, f"ed_{n}", f"what is number {n} of Dorne")
    seen, cursor = list[str](), None
    for _ in range(3):
        part = page(registry, "all", 2, cursor)
        seen += [record.id for record in part.edits]
        cursor = part.next_cursor
    assert seen == [f"ed_{n}" for n in range(5)] and cursor is None
