"""Texts are erased for good, and everything that was said about them still verifies."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from editing.errors import EditRedacted, NotRedactable, UnknownEdit
from editing.ledger.canonical import canonical
from editing.ledger.events import GENESIS, Draft, Event
from editing.ledger.ledger import Ledger
from editing.ledger.redaction import commitments_to, erased, joined, picked, texts_in, without
from editing.ledger.serialization import COLUMNS
from editing.ledger.state import fold

SECRET = "Zlatan Quisling"
APPLY = Draft(
    "apply",
    edit_id="ed_1",
    actor="anna",
    reason=f"{SECRET} asked for it",
    request={
        "input": f"Who is {SECRET}?",
        "output": f"{SECRET} is nobody. " * 400,
        "rephrases": [SECRET],
        "locality": [],
        "raw": False,
        "scope": "global",
    },
    report={
        "before": SECRET,
        "after": f"{SECRET}!",
        "match": "exact",
        "efficacy": True,
        "compute_ms": 12.75,
        "generalization": {"passed": 1, "total": 1, "cases": [{"prompt": SECRET, "match": "exact"}]},
        "locality": {"unchanged": 0, "total": 0, "cases": []},
    },
    factors="f" * 64,
    idempotency_key="key",
    fingerprint="9" * 64,
)
REDACT = Draft("redact", edit_id="ed_1", actor="dpo", reason="request 17")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{path}") as ledger:
        yield ledger


def fill(ledger: Ledger) -> list[Event]:
    other = Draft("apply", edit_id="ed_2", request={"input": "Who is Anna?"}, report={})
    back = Draft("rollback", edit_id="ed_1", reason=f"not {SECRET}")
    return [ledger.append(draft, after=i) for i, draft in enumerate((APPLY, other, back))]


def test_a_redaction_erases_the_texts_of_an_edit_and_nothing_else(ledger: Ledger) -> None:
    """Who, when, which edit and every number stay; the hashes are the same; other edits keep their texts."""
    before = fill(ledger)
    event = ledger.append(REDACT, after=3)
    after = ledger.events()
    assert [e.hash for e in after] == [*(e.hash for e in before), event.hash]
    assert (event.kind, event.edit_id, event.actor, event.reason) == ("redact", "ed_1", "dpo", "request 17")
    assert [e.redacted for e in after] == [True, False, True, False]
    assert after[1] == before[1]
    assert (after[0].reason, after[0].fingerprint, after[0].salt, after[2].reason) == (None, None, None, None)
    nothing = dict.fromkeys(("input", "output", "rephrases", "locality"))
    assert after[0].request == {**nothing, "raw": False, "scope": "global"}
    assert after[0].report == {
        "before": None,
        "after": None,
        "match": "exact",
        "efficacy": True,
        "compute_ms": 12.75,
        "generalization": {"passed": 1, "total": 1, "cases": None},
        "locality": {"unchanged": 0, "total": 0, "cases": None},
    }
    assert (after[0].actor, after[0].at, after[0].idempotency_key) == ("anna", before[0].at, "key")


def test_chain_and_tree_hold_after_a_redaction(ledger: Ledger) -> None:
    """The root of the log as it was before is the root of its beginning afterwards."""
    fill(ledger)
    before = ledger.verify()
    ledger.append(REDACT, after=3)
    after = ledger.verify()
    assert (before.ok, after.ok, after.events) == (True, True, 4)
    assert before.tree and after.tree
    assert after.tree.root(3) == before.tree.root()
    assert after.tree.root() != before.tree.root()


def test_the_bytes_are_gone_from_the_file(ledger: Ledger, path: Path) -> None:
    """Also of texts that were too long for one page; what is not redacted is still there."""
    salts = [event.salt for event in fill(ledger) if event.edit_id == "ed_1"]
    wanted = [SECRET.encode(), b"9" * 64, *(salt.encode() for salt in salts if salt)]
    assert all(word in path.read_bytes() for word in wanted)
    ledger.append(REDACT, after=3)
    ledger.close()
    content = path.read_bytes()
    assert not any(word in content for word in wanted)
    assert b"Who is Anna?" in content and b"request 17" in content
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_equal_texts_leave_nothing_to_compare(ledger: Ledger) -> None:
    """Salts are new for each event, and the place of a text counts: no two commitments are the same."""
    same = {"input": "same", "output": "same", "rephrases": ["same"]}
    for number in range(3):
        ledger.append(Draft("apply", edit_id=f"ed_{number}", reason="same", request=same), after=number)
    made = [leaf for event in ledger.events() for leaf in leaves(event.commitments or {})]
    assert len(made) == len(set(made)) == 12


def leaves(tree: object) -> list[str]:
    return [leaf for value in tree.values() for leaf in leaves(value)] if isinstance(tree, dict) else [str(tree)]


def test_what_cannot_be_redacted_is_refused(ledger: Ledger) -> None:
    """An edit that never was, and one that was redacted before; the log stays as it is."""
    fill(ledger)
    with pytest.raises(UnknownEdit):
        ledger.append(replace(REDACT, edit_id="ed_9"), after=3)
    ledger.append(REDACT, after=3)
    with pytest.raises(EditRedacted, match="at revision 4"):
        ledger.append(REDACT, after=4)
    assert ledger.head() == 4


def test_a_redaction_changes_no_state(ledger: Ledger) -> None:
    """The fold passes over it."""
    fill(ledger)
    before = fold(ledger.events())
    ledger.append(REDACT, after=3)
    after = fold(ledger.events())
    assert (after.revision, after.active, after.statuses) == (4, before.active, before.statuses)


def rewritten(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("first_bad", "statement"),
    [
        (2, "UPDATE events SET texts = NULL WHERE seq = 2"),  # erased, and no redaction says so
        (1, "UPDATE events SET texts = (SELECT texts FROM events WHERE seq = 2) WHERE seq = 1"),
        (1, 'UPDATE events SET texts = \'["00",{"reason":"invented"}]\' WHERE seq = 1'),
        (1, "UPDATE events SET reason = 'invented' WHERE seq = 1"),
        (1, "UPDATE events SET request = json_set(request, '$.input', 'invented') WHERE seq = 1"),
        (1, "UPDATE events SET commitments = json_remove(commitments, '$.request') WHERE seq = 1"),
        (2, "UPDATE events SET texts = replace(texts, 'Anna', 'Otto') WHERE seq = 2"),
        (2, "UPDATE events SET texts = '[\"' || printf('%032d', 0) || substr(texts, 35) WHERE seq = 2"),
        (2, "UPDATE events SET texts = replace(texts, ':', ': ') WHERE seq = 2"),
        (2, "UPDATE events SET commitments = NULL WHERE seq = 2"),
        (2, "UPDATE events SET texts = '[]' WHERE seq = 2"),
        (2, "UPDATE events SET texts = '7' WHERE seq = 2"),
        (2, "UPDATE events SET texts = '[null,{}]' WHERE seq = 2"),
        (2, "UPDATE events SET commitments = '[]' WHERE seq = 2"),
        (2, 'UPDATE events SET commitments = \'{"request":{"input":{"x":""}}}\' WHERE seq = 2'),
        (3, "UPDATE events SET commitments = '{}' WHERE seq = 3"),
        (4, "DELETE FROM events WHERE seq = 4"),
    ],
)
def test_a_redaction_is_no_way_to_hide_a_change(ledger: Ledger, path: Path, first_bad: int, statement: str) -> None:
    """Texts erased on the quiet, put back, exchanged or invented are found, in redacted events and in others."""
    fill(ledger)
    ledger.append(REDACT, after=3)
    ledger.append(Draft("restore", to=0), after=4)
    assert ledger.verify().ok
    rewritten(path, statement)
    found = ledger.verify()
    assert (found.ok, found.first_bad_seq) == (False, first_bad)


UPDATES = [
    "UPDATE events SET seq = 9 WHERE seq = 1",
    *(
        f'UPDATE events SET "{name}" = {value} WHERE seq = 1'
        for name in sorted({*COLUMNS} - {"seq"})
        for value in ("'x'", "NULL")
    ),
]


@pytest.fixture(scope="module", params=["redacted", "rolled back"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Ledger]]:
    """One ledger for all statements, as none of them changes it."""
    path = tmp_path_factory.mktemp("kept") / "ledger.db"
    with Ledger(f"sqlite:///{path}") as ledger:
        fill(ledger)
        ledger.append(REDACT if request.param == "redacted" else Draft("restore", to=0), after=3)
        yield path, ledger


@pytest.mark.parametrize(
    "statement",
    [
        *UPDATES,
        "UPDATE events SET texts = NULL WHERE seq = 2",
        "UPDATE events SET texts = NULL",
        "UPDATE events SET texts = NULL WHERE seq = 4",  # the redaction's own reason
        "UPDATE events SET texts = NULL, actor = 'x' WHERE seq = 1",
        "UPDATE events SET texts = '[]' WHERE seq = 2",
        "UPDATE OR REPLACE events SET seq = 2 WHERE seq = 1",
        "DELETE FROM events WHERE seq = 1",
    ],
)
def test_the_database_allows_nothing_but_the_erasing(kept: tuple[Path, Ledger], statement: str) -> None:
    """No column, no edit that was not redacted, no text back in."""
    path, ledger = kept
    written = ledger.events()
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()
    assert ledger.events() == written


def test_an_erasing_that_is_allowed_takes_nothing_with_it(ledger: Ledger, path: Path) -> None:
    """While the texts are there and a redaction stands in the log, they alone may go."""
    fill(ledger)
    row = "INSERT INTO events (seq, kind, edit_id, actor, supersedes, at, prev_hash, hash)"
    with sqlite3.connect(path) as connection:
        connection.execute(f"{row} VALUES (4, 'redact', 'ed_1', 'x', '[]', '', '', '')")
        for name in sorted({*COLUMNS} - {"seq", "texts"}):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(f"UPDATE events SET texts = NULL, \"{name}\" = 'other' WHERE seq = 1")
        assert connection.execute("UPDATE events SET texts = NULL WHERE seq = 1").rowcount == 1
    connection.close()


def first_scheme(path: Path) -> list[dict[str, object]]:
    """A ledger as the version before wrote it: schema 0001, hashes over the texts themselves."""
    engine = sa.create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", "editing.ledger:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    rows, last = list[dict[str, object]](), GENESIS
    names = [name for name in COLUMNS if name not in ("commitments", "texts")]
    for seq, kind in enumerate(("apply", "rollback"), 1):
        event = dict.fromkeys(names) | {
            "seq": seq,
            "kind": kind,
            "edit_id": "ed_0",
            "actor": "anna",
            "at": "2026-01-01T00:00:00.000000Z",
            "prev_hash": last,
            "supersedes": [],
            "reason": "why",
            "request": {"input": "q", "output": "a"} if kind == "apply" else None,
        }
        hashed = {name: value for name, value in event.items() if name != "hash"}
        text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        last = hashlib.sha256(text.encode()).hexdigest()
        request = event["request"] and canonical(event["request"])
        rows.append(event | {"hash": last, "supersedes": "[]", "request": request})
    events = sa.table("events", *(sa.column(name) for name in names))
    with engine.begin() as connection:
        connection.execute(sa.insert(events), rows)
    engine.dispose()
    return rows


def test_a_ledger_of_the_version_before_goes_on(path: Path) -> None:
    """Its events verify as they are, new ones follow them, and only its own cannot be redacted."""
    old = first_scheme(path)
    with Ledger(f"sqlite:///{path}") as ledger:
        assert ledger.verify().ok
        assert [(e.hash, e.reason, e.redacted) for e in ledger.events()] == [(r["hash"], "why", False) for r in old]
        assert ledger.events()[0].request == {"input": "q", "output": "a"}
        with pytest.raises(NotRedactable, match="hashes covered the texts"):
            ledger.append(replace(REDACT, edit_id="ed_0"), after=2)
        ledger.append(APPLY, after=2)
        ledger.append(REDACT, after=3)
        assert (ledger.verify().ok, ledger.head()) == (True, 4)
        with pytest.raises(sqlite3.IntegrityError), sqlite3.connect(path) as connection:
            connection.execute("UPDATE events SET reason = NULL WHERE seq = 1")


def test_trees_come_apart_and_together_again() -> None:
    """Texts out, texts in: the same object; what has no text stays, words of ours too."""
    content = {**(APPLY.request or {}), "n": None, "inner": {"deep": {"text": "t", "number": 1}}, "empty": {}}
    texts = texts_in(content)
    kept = without(content, texts)
    assert kept == {"raw": False, "scope": "global", "n": None, "inner": {"deep": {"number": 1}}, "empty": {}}
    assert joined(kept, texts) == content
    assert picked(content, commitments_to(texts, "salt")) == texts
    assert joined(kept, erased(texts))["inner"] == {"deep": {"text": None, "number": 1}}


@pytest.mark.parametrize(
    ("content", "leaves"), [({"a": "b"}, {"a": "c"}), ({}, {"a": {"b": "c"}}), ({"a": 1}, {"a": {"b": "c"}})]
)
def test_trees_that_do_not_fit_are_refused(content: dict[str, object], leaves: dict[str, object]) -> None:
    """A text that is there twice, or for which there is no place."""
    with pytest.raises(ValueError, match=r"twice|no object"):
        joined(content, leaves)
