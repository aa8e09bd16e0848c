"""Facts, wordings and splits: read strictly, the same for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from editing.data.facts import HELD_OUT_RELATIONS, near, read_facts, read_jsonl, read_templates, split_of
from editing.errors import DataError

SHARED = Path(__file__).parents[4] / "shared" / "data"


def shared(name: str) -> Path:
    """A file of the training data, which is no part of the project."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the training data is not here: {path}")
    return path


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "2: not JSON"),
        ("[" * 100_000, "2: not JSON"),
        ('{"a": ' + "9" * 5000 + "}", "2: not JSON"),
        ("[1]", "2: missing or empty: a"),
        ("7", "2: missing or empty: a"),
        ('{"b": 1}', "2: missing or empty: a"),
        ('{"a": ""}', "2: missing or empty: a"),
        ('{"a": null}', "2: missing or empty: a"),
    ],
)
def test_bad_line_is_named(tmp_path: Path, line: str, why: str) -> None:
    """The error says file, line and what is wrong with it."""
    path = write(tmp_path / "x.jsonl", '{"a": "fine"}\n' + line + "\n")
    with pytest.raises(DataError, match=f"x.jsonl:{why}"):
        read_jsonl(path, ("a",))


def test_missing_and_undecodable_files_are_named(tmp_path: Path) -> None:
    """A file that is not there or is not UTF-8 is an error with its name."""
    with pytest.raises(DataError, match=r"none\.jsonl"):
        read_jsonl(tmp_path / "none.jsonl", ())
    (tmp_path / "latin.jsonl").write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(DataError, match=r"latin\.jsonl"):
        read_jsonl(tmp_path / "latin.jsonl", ())


def test_line_separators_within_texts_are_kept(tmp_path: Path) -> None:
    """U+2028 and U+0085 may stand within a JSON text; empty lines and carriage returns do not matter."""
    path = write(tmp_path / "x.jsonl", '{"a": "one\u2028two\x85three"}\r\n\n{"a": "four"}')
    assert [r["a"] for r in read_jsonl(path, ("a",))] == ["one\u2028two\x85three", "four"]


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    """Files that some editors write begin with one."""
    (tmp_path / "x.jsonl").write_bytes(b'\xef\xbb\xbf{"a": "fine"}')
    assert read_jsonl(tmp_path / "x.jsonl", ("a",)) == [{"a": "fine"}]


@pytest.mark.parametrize(
    "fact",
    [
        '{"relation": "P36", "subject": 7, "object": "x"}',
        '{"relation": "P36", "subject": "Peru", "object": ["Lima"]}',
        '{"relation": "P36", "subject": "Peru", "object": "  "}',
        '{"relation": "P36", "subject": "Peru", "object": ""}',
        '{"relation": "P36", "subject": "Peru"}',
        '{"relation": "P36", "subject": "\\ud83d", "object": "x"}',
    ],
)
def test_facts_are_three_texts(tmp_path: Path, fact: str) -> None:
    """A number, a list, half a character or nothing where a name should stand is an error that names the line."""
    fine = '{"relation": "P36", "subject": "Ghana", "object": "Accra"}'
    with pytest.raises(DataError, match=r"x\.jsonl:3: "):
        read_facts(write(tmp_path / "x.jsonl", f"{fine}\n\n{fact}\n{fine}\n"))


def test_no_facts_are_an_error(tmp_path: Path) -> None:
    """An empty file holds no data set."""
    with pytest.raises(DataError, match=r"x\.jsonl: no facts"):
        read_facts(write(tmp_path / "x.jsonl", "\n"))


def test_every_relation_has_statements_of_its_questions() -> None:
    """Rules make at least two statements for each relation, each with the subject's place."""
    templates = read_templates()
    assert all("[X]" in q for questions in templates.questions.values() for q in questions)
    few = {r: s for r, s in templates.statements.items() if len(s) < 2 or any("[X]" not in t for t in s)}
    assert few == {}


def test_splits_are_by_subject_and_stable() -> None:
    """A subject stands on one side for ever; most are for training."""
    sides = [split_of(f"subject {n}") for n in range(2000)]
    assert 0.84 < sides.count("train") / 2000 < 0.92
    assert {"train", "dev", "test"} == set(sides)
    assert split_of("Paris") == split_of("Paris")


def test_near_relations_are_no_hard_negatives() -> None:
    """Relations that mean nearly the same are near, both ways; others are not."""
    assert near("P17", "P131") and near("P131", "P17") and near("P36", "P36")
    assert not near("P36", "P106")


def test_statements_and_questions_of_evaluation_are_not_used_in_training() -> None:
    """No wording that evaluation rephrases with is one that training sees, however it is written."""
    for templates in (read_templates(), read_templates(shared("pararel_patterns.json"))):
        for relation in templates.questions:
            assert templates.questions[relation] and templates.unseen_questions[relation], relation
            for seen, unseen in (
                (templates.questions, templates.unseen_questions),
                (templates.statements, templates.unseen_statements),
            ):
                assert not {plain(text) for text in seen[relation]} & {plain(text) for text in unseen[relation]}


def plain(text: str) -> str:
    """Without case, spaces and closing signs."""
    return " ".join(text.casefold().split()).rstrip(" .,?")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "object"),
        ('{"P36": "[X] is [Y]"}', "P36"),
        ('{"P36": [7]}', "P36"),
    ],
)
def test_bad_patterns_are_named(tmp_path: Path, text: str, why: str) -> None:
    """A file of patterns that is none is an error with its name and what is wrong."""
    with pytest.raises(DataError, match=rf"patterns\.json.*{why}"):
        read_templates(write(tmp_path / "patterns.json", text))
    with pytest.raises(DataError, match=r"none\.json"):
        read_templates(tmp_path / "none.json")


def test_shared_facts_are_readable() -> None:
    """All facts of the training data have a relation with wordings, and the held-out ones exist as questions."""
    facts = read_facts(shared("pararel_facts.jsonl"))
    templates = read_templates(shared("pararel_patterns.json"))
    assert len(facts) > 20_000
    assert {fact.relation for fact in facts} <= templates.questions.keys()
    assert templates.questions.keys() >= HELD_OUT_RELATIONS
