"""Answers as readable tables. Texts from outside are never read as markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Document = Mapping[str, Any]
GREEN = {"active", "exact", "yes"}
RED = {"no", "rolled_back", "CHANGED"}


def show(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]], stderr: bool = False) -> None:
    """Print one table."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console(stderr=stderr).print(table)


def _cell(value: Any) -> Text:
    text = "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)
    return Text(text, style="green" if text in GREEN else "red" if text in RED else "")


def show_edits(page: Document) -> None:
    rows = [
        (
            edit["id"],
            edit["revision"],
            edit["status"],
            edit["request"]["input"],
            edit["request"]["output"],
            edit["actor"],
        )
        for edit in page["edits"]
    ]
    show(f"{len(rows)} edits at revision {page['revision']}", ("id", "rev", "status", "input", "output", "actor"), rows)


def show_matches(prompts: Iterable[str], found: Document) -> None:
    """For each prompt the edits that were considered."""
    for prompt, one in zip(prompts, found["results"], strict=True):
        acting = f"{one['in_force']} ({one['kind']})" if one["in_force"] else "no edit"
        rows = [(c["edit_id"], c["score"], c["kind"], c["nearest_wording"], c["why"]) for c in one["candidates"]]
        show(f"{prompt} → {acting}", ("edit", "score", "kind", "nearest wording", "why"), rows)


def show_edit(edit: Document) -> None:
    """One edit, made or rehearsed, with its report and its events."""
    request = edit["request"]
    rows = [
        ("id", edit["id"] or "none (dry run: nothing was recorded)"),
        ("revision", edit["revision"]),
        ("status", edit["status"]),
        ("input", request["input"]),
        ("output", request["output"]),
        ("scope", request["scope"]),
        ("by", edit["actor"]),
        ("at", edit["created_at"]),
        ("reason", edit.get("reason")),
        ("supersedes", edit["supersedes"]),
    ]
    show("Edit", ("", ""), [row for row in rows if row[1] not in (None, [])])
    show_report(edit["report"])
    if edit.get("events"):
        show_events(edit["events"])


def show_report(report: Document, stderr: bool = False) -> None:
    """What free generation said before and after."""
    wide, near = report.get("generalization", {}), report.get("locality", {})
    rows = [
        ("before", _answer(report.get("before"))),
        ("after", _answer(report.get("after"))),
        ("holds", "yes" if report.get("efficacy") else "no"),
        ("rephrases", f"{wide.get('passed')} of {wide.get('total')} hold"),
        ("locality", f"{near.get('unchanged')} of {near.get('total')} unchanged"),
        ("took", f"{report.get('compute_ms')} ms to compute, {report.get('verify_ms')} ms to verify"),
    ]
    show("Checked by free generation", ("", ""), rows, stderr)
    cases = [*(wide.get("cases") or []), *(near.get("cases") or [])]
    if cases:
        show("Cases", ("prompt", "before", "after", "match"), [_case(case) for case in cases], stderr)


def _case(case: Document) -> tuple[Any, ...]:
    after = case.get("after", case.get("answer"))
    return case.get("prompt"), _answer(case.get("before")), _answer(after), case.get("match")


def _answer(answer: Any) -> Any:
    """An answer is a text, or an object around one."""
    return answer.get("text", answer) if isinstance(answer, dict) else answer


def show_events(events: Iterable[Document]) -> None:
    rows = [
        (event["seq"], event["kind"], event["edit_id"] or event["to"], event["actor"], event["reason"], event["at"])
        for event in events
    ]
    show("Log", ("seq", "kind", "edit or revision", "actor", "reason", "at"), rows)


def show_passages(passages: Iterable[Document], index: str) -> None:
    """With their weights where an answer was marginal over them, and which were cited or overruled."""
    found = list(passages)
    weighed = any(place.get("weight") is not None for place in found)
    columns = ("rank", "score", *(("weight",) if weighed else ()), "cited", "title", "text")
    rows = [
        (
            place["rank"],
            f"{place['score']:.3f}",
            *((f"{place['weight']:.3f}",) if weighed else ()),
            _standing(place),
            place["title"],
            place["text"],
        )
        for place in found
    ]
    show(f"Passages (index {index})", columns, rows)


def _standing(passage: Document) -> str:
    """Whether an answer rests on a passage, or goes against it."""
    return "yes" if passage.get("cited") else "overruled" if passage.get("overruled") else ""


def show_indexes(indexes: Iterable[Document]) -> None:
    names = ("version", "passages", "dimension", "type", "built_at")
    rows = [(*(index[name] for name in names), "active" if index["active"] else "") for index in indexes]
    show("Indexes", (*names, "status"), rows)


def show_versions(versions: Iterable[Document]) -> None:
    """Versions on the disk, the oldest first."""
    rows = [
        (one["version"], f"{one['passages']:,}", one["type"], one["size"], one["built_at"][:10], _status(one))
        for one in versions
    ]
    show("Indexes", ("version", "passages", "type", "size", "built", "status"), rows)


def _status(version: Document) -> str:
    return "active" if version["active"] else ""


def footnote(answer: Document) -> str:
    """One line under an answer: what it rests on."""
    used = ", ".join(answer["edits_used"]) or "no edits"
    parts = [
        f"revision {answer['revision']}",
        used,
        f"{answer['usage']['completion_tokens']} tokens",
        *(["quoted, since no few words are certain"] if answer.get("quoted") else []),
        *([f"the passages say: {answer['passages_say']}"] if answer.get("passages_say") else []),
    ]
    return " · ".join(parts)
