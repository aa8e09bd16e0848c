"""Tables of an evaluation of retrieval and answers, for a terminal of eighty columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from retrieval.evaluation.recall import AT
from service.evaluation.rag.figures import ALL, FOUND, IN_INDEX, NOT_IN_INDEX
from service.evaluation.report_table import ReportTable

Document = Mapping[str, Any]
_TITLES = {
    IN_INDEX: "answer in the index",
    FOUND: "answer in the passages given to the model",
    NOT_IN_INDEX: "answer not in the index",
    ALL: "all questions",
}


def evaluation_tables(document: Document) -> Iterator[ReportTable]:
    """Everything that was measured; beneath each figure its 95 % interval."""
    columns = ("search", *(f"recall@{k}" for k in AT), "MRR")
    for group in (IN_INDEX, ALL):
        yield from _tables("Retrieval", group, document["retrieval"], columns, _recall)
    columns = ("mode", "EM", "F1", "contained", "“not in\nindex”", "false\nanswers")
    for group in (IN_INDEX, FOUND, NOT_IN_INDEX, ALL):
        yield from _tables("Answers", group, document["answers"], columns, _answers)
    if document["edits"]:
        yield _edits(document["edits"])


def remarks(document: Document) -> Iterator[str]:
    """Lines beneath the tables: what was left out and why, and what the figures are of."""
    yield from (f"{how} is left out: {why}" for how, why in document["without"].items())
    yield _footnote(document)


def _edits(edits: Document) -> ReportTable:
    """How many corrections are answered with, and how many other answers stayed."""
    names = ("edited", "in_force", "overruling", "kept")
    rows = [(mode, *(_figure(of[name]) for name in names)) for mode, of in edits["modes"].items()]
    title = f"Edits beside passages, {edits['made']} made, {edits['wanted'] - edits['made']} refused"
    columns = ("mode", "answered with the edit", "edit in force", "a passage overruled", "others kept word for word")
    return ReportTable(title, columns, rows)


def _tables(
    what: str, group: str, of: Document, columns: Sequence[str], cells: Callable[[Document], Iterator[str]]
) -> Iterator[ReportTable]:
    """One table, if something of the group was measured."""
    rows = {name: groups[group] for name, groups in of.items() if group in groups}
    if rows:
        n = next(iter(rows.values()))["questions"]
        title = f"{what}, {_TITLES[group]}, n = {n}"
        yield ReportTable(title, columns, [(name, *cells(found)) for name, found in rows.items()])


def _recall(found: Document) -> Iterator[str]:
    yield from (_figure(found["recall"][str(k)]) for k in AT)
    yield _figure(found["mrr"])


def _answers(found: Document) -> Iterator[str]:
    yield from (_figure(found[name]) for name in ("em", "f1", "contained", "not_in_index", "false_answers"))


def _figure(of: Document | None) -> str:
    """A share or a mean."""
    return f"{of.get('rate', of.get('mean')):.2f}\n{of['low']:.2f}–{of['high']:.2f}" if of else "–"


def _footnote(document: Document) -> str:
    asked, refused = (
        document["questions"],
        max((found[ALL]["refused"] for found in document["answers"].values()), default=0),
    )
    parts = [
        f"index {document['index']['version']}",
        f"model {document['model']['base_model']}",
        f"{asked['asked']} of {asked['given']} questions, {asked['in_the_index']} with an answer in the index",
        *([f"{asked['without_answer']} without an answer left out"] if asked["without_answer"] else []),
        *([f"{refused} could not be asked"] if refused else []),
        *([f"{document['answers_taken_up']} answers taken up from before"] if document["answers_taken_up"] else []),
    ]
    return " · ".join(parts)
