import random
import threading
import time
from collections.abc import Sequence

import pytest

from editing.errors import CorruptLedger, UnknownEdit, UnknownRevision
from editing.ledger.canonical import canonical
from editing.ledger.events import Draft, Event, Kind
from editing.ledger.history import STRIDE, History
from editing.ledger.state import EMPTY, State, fold

SEEDS = range(40)


def events(*drafts: Draft) -> list[Event]:
    return [Event(**vars(draft), seq=i, at="", prev_hash="", hash="") for i, draft in enumerate(drafts, 1)]


def apply(edit_id: str, *supersedes: str) -> Draft:
    return Draft("apply", edit_id=edit_id, supersedes=supersedes)


def rollback(edit_id: str) -> Draft:
    return Draft("rollback", edit_id=edit_id)


def restore(to: int) -> Draft:
    return Draft("restore", to=to)


def random_events(seed: int, length: int) -> list[Event]:
    """A ledger as a correct writer makes it: it supersedes and takes back only what stands."""
    dice, drafts = random.Random(seed), list[Draft]()
    standing: list[list[str]] = [[]]
    for number in range(length):
        now, kind = standing[-1], dice.random()
        if kind < 0.15:
            to = dice.randrange(len(standing))
            drafts.append(restore(to))
            now = standing[to]
        elif kind < 0.45 and now:
            gone = dice.choice(now)
            drafts.append(rollback(gone))
            now = [e for e in now if e != gone]
        else:
            older = dice.sample(now, min(len(now), dice.choice([0, 0, 1, 1, 2])))
            drafts.append(apply(f"ed_{number}", *older))
            now = [*now, f"ed_{number}"]
        standing.append(now)
    return events(*drafts)


def naive(ledger: Sequence[Event]) -> tuple[list[str], dict[str, str]]:
    """The state written down a second time, forwards and slowly: every revision's edits are kept."""
    kept: list[list[str]] = [[]]
    for event in ledger:
        now = list(kept[-1])
        if event.kind == "restore":
            now = list(kept[event.to or 0])
        elif event.kind == "rollback":
            now.remove(event.edit_id or "")
        else:
            now.append(event.edit_id or "")
        kept.append(now)
    reach: dict[str, set[str]] = {}
    for event in ledger:
        if event.kind == "apply":
            older = set(event.supersedes)
            reach[event.edit_id or ""] = older.union(*(reach[e] for e in older))
    by = {old: new for new in kept[-1] for old in kept[-1] if old in reach[new]}  # the newest one is written last
    return kept[-1], by


def alike(one: State, other: State) -> bool:
    """Equal, and every status with it."""
    return one == other and one.statuses == other.statuses and one.active == other.active


@pytest.mark.parametrize("seed", SEEDS)
def test_the_fold_agrees_with_a_slow_one_at_every_revision(seed: int) -> None:
    """Applying, taking back anywhere, returning and superseding, in any order: two ways of computing it agree."""
    ledger = random_events(seed, 60)
    for n in range(len(ledger) + 1):
        state, (applied, by) = fold(ledger[:n]), naive(ledger[:n])
        assert (state.revision, list(state.applied), dict(state.superseded_by)) == (n, applied, by)
        assert set(state.superseded_by.values()) <= set(state.active)


@pytest.mark.parametrize("seed", SEEDS)
def test_catching_up_in_pieces_is_reading_everything(seed: int) -> None:
    """A replica that catches up has the state of one that read everything, also across a restore of the far past."""
    ledger, dice = random_events(seed, 60), random.Random(seed)
    history, at = History(), 0
    while at < len(ledger):
        at += dice.randint(1, 9)
        history.extend(ledger[:at])
        assert alike(history.state(), fold(ledger[:at]))


@pytest.mark.parametrize(
    ("seed", "length"), [*((seed, 60) for seed in SEEDS), *((seed, 4 * STRIDE) for seed in (1, 2))]
)
def test_history_gives_every_past_state(seed: int, length: int) -> None:
    """The state as of revision n does not depend on what came later, and is what the plain fold says."""
    ledger = random_events(seed, length)
    history = History(ledger[:20])
    history.extend(ledger[20:])
    assert history.revision == length
    for n in random.Random(seed).sample(range(length + 1), 61):
        assert alike(history.state(n), fold(ledger[:n]))
    assert alike(history.state(), fold(ledger))


@pytest.mark.parametrize("seed", SEEDS)
def test_history_agrees_on_events_that_no_careful_writer_makes(seed: int) -> None:
    """Replacing what does not stand, taking back or redacting twice, returning anywhere: the fold says the same."""
    dice, drafts, names = random.Random(seed), list[Draft](), list[str]()
    for number in range(80):
        kind = dice.random()
        if kind < 0.2:
            drafts.append(restore(dice.randrange(number + 1)))
        elif kind < 0.5:
            back: Kind = "redact" if kind > 0.45 else "rollback"
            drafts.append(Draft(back, edit_id=dice.choice([*names, "unknown"])))
        else:
            drafts.append(apply(f"ed_{number}", *dice.sample([*names, "unknown"], min(len(names), dice.randrange(4)))))
            names.append(f"ed_{number}")
    ledger = events(*drafts)
    history = History(ledger)
    for n in range(len(ledger) + 1):
        assert alike(history.state(n), fold(ledger[:n]))


def test_ten_thousand_edits_of_one_prompt_and_the_way_back() -> None:
    """Each supersedes the one before; reading after each and taking them all back again is no matter of minutes."""
    count, history = 10_000, History()
    for seq in range(1, count + 1):
        older = (f"ed_{seq - 1}",) if seq > 1 else ()
        history.extend([Event(**vars(apply(f"ed_{seq}", *older)), seq=seq, at="", prev_hash="", hash="")])
        assert int(history.state().in_force.sum()) == 1
    assert history.state().active == ("ed_10000",) and len(history.state().superseded_by) == count - 1
    for seq in range(count, 1, -1):
        event = Event(**vars(rollback(f"ed_{seq}")), seq=2 * count + 1 - seq, at="", prev_hash="", hash="")
        history.extend([event])
    assert history.state().active == ("ed_1",)
    assert history.state(count // 2).active == (f"ed_{count // 2}",)


def test_one_prompt_edited_and_taken_back_again_and_again() -> None:
    """The first edit comes back every time, and so it does by restores."""
    drafts = [apply("ed_0")]
    for number in range(1, 1_000):
        drafts += [apply(f"ed_{number}", "ed_0"), rollback(f"ed_{number}") if number % 2 else restore(1)]
    history = History(events(*drafts))
    assert {history.state(n).active for n in range(1, len(drafts), 2)} == {("ed_0",)}
    assert history.state(len(drafts) - 1).superseded_by == {"ed_0": "ed_999"}


def test_a_state_without_some_edits_is_what_a_new_edit_would_leave() -> None:
    """They act no longer, and what they had replaced does not come back; fallen and unknown ones change nothing."""
    state = History(events(apply("a"), apply("b", "a"), apply("c"), apply("d"), rollback("d"))).state()
    assert state.without(["b", "d", "nobody"]).active == ("c",)
    assert state.without(["d"]).status("d") == "rolled_back"
    assert state.active == ("b", "c")


def test_one_edit_is_taken_back_wherever_it_stands() -> None:
    """Rolling back the middle one leaves the others, in their order."""
    state = fold(events(apply("a"), apply("b"), apply("c"), rollback("b")))
    assert state.active == ("a", "c")
    assert [state.status(e) for e in "abc"] == ["active", "rolled_back", "active"]


def test_a_superseded_edit_comes_back_when_the_new_one_is_rolled_back() -> None:
    """Succession is in force only as long as the successor stands."""
    ledger = events(apply("a"), apply("b", "a"), rollback("b"))
    before, after = fold(ledger[:2]), fold(ledger)
    assert (before.applied, before.active, before.superseded_by) == (("a", "b"), ("b",), {"a": "b"})
    assert before.status("a") == "superseded"
    assert (after.active, after.superseded_by) == (("a",), {})


def test_rolling_back_a_superseded_edit_leaves_the_new_one_untouched() -> None:
    """An edit that does not act can be taken back as well; then it does not come back later either."""
    ledger = events(apply("a"), apply("b", "a"), rollback("a"), rollback("b"))
    assert fold(ledger[:3]).active == ("b",)
    assert fold(ledger).active == ()


def test_superseding_reaches_through_a_chain() -> None:
    """c replaced b, which had replaced a: taking back b does not set a against c, taking back c too brings a back."""
    ledger = events(apply("a"), apply("b", "a"), apply("c", "b"), rollback("b"), rollback("c"))
    assert fold(ledger[:3]).superseded_by == {"a": "c", "b": "c"}
    assert (fold(ledger[:4]).active, fold(ledger[:4]).superseded_by) == (("c",), {"a": "c"})
    assert fold(ledger).active == ("a",)


def test_a_restore_returns_to_the_state_of_then_and_can_itself_be_undone() -> None:
    """Returning to before a return brings everything back; the revision goes on counting."""
    ledger = events(apply("a"), apply("b", "a"), restore(1), apply("c"), restore(2), restore(0))
    assert fold(ledger[:3]).active == ("a",)
    assert fold(ledger[:4]).active == ("a", "c")
    assert (fold(ledger[:5]).applied, fold(ledger[:5]).active) == (("a", "b"), ("b",))
    assert (fold(ledger).revision, fold(ledger).applied, fold(ledger).superseded_by) == (6, (), {})
    assert set(fold(ledger).statuses.values()) == {"rolled_back"}


def test_a_redacted_edit_never_comes_back() -> None:
    """Neither by returning to before its redaction nor by undoing the return; what it had replaced is in force."""
    ledger = events(apply("a"), apply("b", "a"), Draft("redact", edit_id="b"), restore(2), restore(0), restore(2))
    assert [fold(ledger[:n]).active for n in range(2, 7)] == [("b",), ("a",), ("a",), (), ("a",)]


def test_a_rollback_of_what_does_not_stand_changes_nothing() -> None:
    """The fold is total where a second rollback got into the ledger."""
    state = fold(events(apply("a"), rollback("a"), rollback("a"), rollback("x")))
    assert (state.revision, state.applied, state.statuses) == (4, (), {"a": "rolled_back"})
    assert History().state() == EMPTY and state != EMPTY


@pytest.mark.parametrize(
    ("ledger", "why"),
    [
        (events(apply("a"), apply("b"), apply("c"))[::2], "missing"),
        (events(apply("a"), apply("a")), "second time"),
        (events(restore(1)), "did not exist"),
        (events(restore(-1)), "did not exist"),
    ],
)
def test_events_that_no_ledger_would_take_are_refused(ledger: list[Event], why: str) -> None:
    """A gap, an edit applied twice and a return to the future are named; the history stays as it was."""
    history = History()
    with pytest.raises(CorruptLedger, match=why):
        history.extend(ledger)
    assert history.revision == 0


def test_unknown_revisions_and_edits_are_refused() -> None:
    """What does not exist has no state; an edit does not exist before it was applied."""
    history = History(events(apply("a"), apply("b")))
    for revision in (-1, 3):
        with pytest.raises(UnknownRevision):
            history.state(revision)
    with pytest.raises(UnknownEdit):
        history.state(1).status("b")


@pytest.mark.parametrize("fields", [{"kind": "apply"}, {"kind": "rollback"}, {"kind": "restore"}, {"kind": "erase"}])
def test_a_draft_says_what_it_is_about(fields: dict[str, str]) -> None:
    """An apply without an edit, a restore without a revision and an unknown kind cannot be written down."""
    with pytest.raises(ValueError, match=r"edit|revision|kind"):
        Draft(**fields)  # type: ignore[arg-type]


def test_canonical_text_is_one_text() -> None:
    """The order of keys does not matter, letters stay letters, and what is not JSON is refused."""
    assert canonical({"b": 1, "a": ["é", None]}) == canonical({"a": ["é", None], "b": 1}) == '{"a":["é",null],"b":1}'
    for value in (float("nan"), "\ud800"):
        with pytest.raises(ValueError, match=r"JSON|surrogates"):
            canonical(value)


def test_any_revision_of_ten_thousand_events_is_quick() -> None:
    """The state as of a revision takes milliseconds (the limit leaves room for a busy machine)."""
    history = History(random_events(1, 10_000))
    started = time.perf_counter()
    for revision in range(9_500, 10_000, 50):
        assert history.state(revision).active is not None
    assert (time.perf_counter() - started) / 10 < 0.05


def test_readers_see_whole_states_while_the_history_grows() -> None:
    """Many threads catch up with the same events and read; nobody sees an event twice or half of one."""
    ledger = events(*(apply(f"ed_{i}") for i in range(500)))
    history, wrong = History(), list[State]()

    def catch_up() -> None:
        for start in range(0, 500, 5):
            known = history.revision
            history.extend(ledger[min(known, start) : start + 5])
            state = history.state()
            if len(state.applied) != state.revision:
                wrong.append(state)

    threads = [threading.Thread(target=catch_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert history.state() == fold(ledger)
