"""Data-set files become examples, whatever their names; what cannot be used is counted or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from editing.data.facts import Example, split_of
from editing.data.readers import ExampleRecords, counted, in_splits, read_examples, with_neighbours
from editing.data.records import MAX_TEXT
from editing.errors import DataError
from editing.language.views import View

ZSRE = {
    "subject": "Lahti Town Hall",
    "src": "Who was the designer of Lahti Town Hall?",
    "pred": "Aimo Lahti",
    "rephrase": "The architect at Lahti Town Hall, who was that?",
    "alt": " Alfred Lahti",
    "answers": ["Eliel Saarinen"],
    "loc": "nq question: who sang the theme song for laverne and shirley",
    "loc_ans": "Cyndi Grecco",
    "cond": "Aimo Lahti >> Alfred Lahti || Who was the designer of Lahti Town Hall?",
}
STRUCTURED = {
    "id": "e635",
    "input": "What university did Watts Humphrey attend?",
    "output": [{"answer": "Illinois Institute of Technology", "provenance": [{"title": "Watts Humphrey"}]}],
    "meta": {"template_questions": ["What university did Watts Humphrey attend?"]},
    "rephrases": ["not filtered"],
    "prediction": "Trinity College",
    "alternatives": ["Yale University", "University of Chicago"],
    "filtered_rephrases": ["Which university did Watts Humphrey go to?", "What university did Watts Humphrey attend?"],
}
COUNTERFACT = {
    "case_id": 0,
    "pararel_idx": 2796,
    "requested_rewrite": {
        "prompt": "{}, which is located in",
        "relation_id": "P17",
        "subject": "Autonomous University of Madrid",
        "target_new": {"str": "Sweden", "id": "Q34"},
        "target_true": {"str": "Spain", "id": "Q29"},
    },
    "paraphrase_prompts": ["Tex. Autonomous University of Madrid, located in", "Autonomous University of Madrid, in"],
    "neighborhood_prompts": ["Biure is located in", "Lugo, which is located in"],
    "attribute_prompts": ["IKEA, located in"],
    "generation_prompts": ["Autonomous University of Madrid's surroundings include"],
}
PLAIN = {
    "input": "Who runs Acme?",
    "output": "Ada Byron",
    "rephrases": ["Who is the head of Acme?"],
    "subject": "Acme",
    "locality": ["Where is ACME's office?", "Who runs Acmetron?"],
}


def changed(record: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The record with other fields; None takes one away."""
    return {name: value for name, value in (record | fields).items() if value is not None}


def rewritten(**fields: Any) -> dict[str, Any]:
    return COUNTERFACT | {"requested_rewrite": changed(COUNTERFACT["requested_rewrite"], **fields)}  # type: ignore[arg-type]


def as_list(path: Path, *records: Any) -> Path:
    path.write_text(json.dumps(records, indent=1), encoding="utf-8")
    return path


def as_lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return path


def test_zsre_list(tmp_path: Path) -> None:
    """The new answer is ``alt``, one rephrasing is asked, and the NQ question is asked without its mark."""
    (example,) = read_examples(as_list(tmp_path / "any.json", ZSRE)).examples
    assert example == Example(
        "",
        "Lahti Town Hall",
        View("Who was the designer of Lahti Town Hall?", False),
        "Alfred Lahti",
        chat=(View("The architect at Lahti Town Hall, who was that?", False),),
        statements=(),
        same_subject=(),
        same_relation=(),
        unrelated=(View("who sang the theme song for laverne and shirley", False),),
    )


def test_structured_zsre_lines(tmp_path: Path) -> None:
    """The first alternative is the target, the filtered rephrasings are asked but for the edit's own wording."""
    (example,) = read_examples(as_lines(tmp_path / "any.jsonl", STRUCTURED)).examples
    assert (example.subject, example.target) == ("Watts Humphrey", "Yale University")
    assert example.edit == View("What university did Watts Humphrey attend?", False)
    assert example.chat == (View("Which university did Watts Humphrey go to?", False),)


@pytest.mark.parametrize(
    "output", [[], [{"answer": "x"}], [{"provenance": []}], [{"provenance": [{"title": 7}]}], "x", None]
)
def test_structured_zsre_without_a_source_goes_by_its_question(tmp_path: Path, output: Any) -> None:
    """Splits need a subject; where no article is named, the question is one of its own."""
    (example,) = read_examples(as_lines(tmp_path / "any.jsonl", STRUCTURED | {"output": output})).examples
    assert example.subject == STRUCTURED["input"]


def test_counterfact(tmp_path: Path) -> None:
    """Prompts are continued as they stand; neighbours ask the same relation, the other prompts are not read."""
    (example,) = read_examples(as_list(tmp_path / "any.json", COUNTERFACT)).examples
    assert example.edit == View("Autonomous University of Madrid, which is located in", True)
    assert (example.relation, example.subject, example.target) == ("P17", "Autonomous University of Madrid", "Sweden")
    assert [view.text for view in example.statements] == COUNTERFACT["paraphrase_prompts"]
    assert [view.text for view in example.same_relation] == COUNTERFACT["neighborhood_prompts"]
    assert all(view.raw for view in (*example.statements, *example.same_relation))
    assert example.chat == example.same_subject == example.unrelated == ()


def test_lines_of_ones_own(tmp_path: Path) -> None:
    """Locality about the subject, as a whole word in any case, asks something else of it; the rest is unrelated."""
    (example,) = read_examples(as_lines(tmp_path / "mine", PLAIN)).examples
    assert (example.edit, example.target, example.subject) == (View("Who runs Acme?", False), "Ada Byron", "Acme")
    assert example.chat == (View("Who is the head of Acme?", False),) and example.statements == ()
    assert example.same_subject == (View("Where is ACME's office?", False),)
    assert example.unrelated == (View("Who runs Acmetron?", False),)


def test_raw_lines_of_ones_own(tmp_path: Path) -> None:
    """With ``raw`` all wordings are statements; input and output are enough."""
    raw = {"input": "Acme is run by", "output": "Ada Byron", "raw": True, "rephrases": ["The head of Acme is"]}
    short = {"input": "Who runs Acme?", "output": "Ada Byron"}
    one, two = read_examples(as_lines(tmp_path / "mine.jsonl", raw, short)).examples
    assert one.edit.raw and one.statements == (View("The head of Acme is", True),) and one.chat == ()
    assert two.subject == "Who runs Acme?" and two.chat == two.unrelated == two.same_subject == ()


@pytest.mark.parametrize(
    "record", [ZSRE, STRUCTURED, COUNTERFACT, PLAIN], ids=["zsre", "structured", "counterfact", "own"]
)
def test_a_list_and_lines_hold_the_same(tmp_path: Path, record: dict[str, Any]) -> None:
    """Neither the file's name nor its outer form says what it holds; a byte order mark does not matter."""
    listed, lines = read_examples(as_list(tmp_path / "a", record)), read_examples(as_lines(tmp_path / "b", record))
    (tmp_path / "c").write_bytes(b"\xef\xbb\xbf\r\n" + (tmp_path / "b").read_bytes())
    assert listed == lines == read_examples(tmp_path / "c")


SKIPS = [
    (ZSRE, changed(ZSRE, subject="Turku Castle"), "subject not in the prompt"),
    (ZSRE, changed(ZSRE, subject="Lahti Town Hal"), "subject not in the prompt"),
    (ZSRE, changed(ZSRE, alt=None), "alt: missing"),
    (ZSRE, ZSRE | {"alt": None}, "alt: missing"),
    (ZSRE, changed(ZSRE, alt=" "), "alt: empty"),
    (ZSRE, changed(ZSRE, alt=["a"]), "alt: wrong type"),
    (ZSRE, changed(ZSRE, alt="x" * (MAX_TEXT + 1)), "alt: too long"),
    (ZSRE, changed(ZSRE, alt="\ud83d"), "alt: not valid Unicode"),
    (ZSRE, changed(ZSRE, rephrase=None), "rephrase: missing"),
    (ZSRE, changed(ZSRE, loc="nq question: "), "loc: empty"),
    (ZSRE, changed(ZSRE, src="?"), "src: empty"),
    (ZSRE, 7, "no JSON object"),
    (ZSRE, {}, "subject: missing"),
    (STRUCTURED, changed(STRUCTURED, alternatives=[]), "alternatives: empty"),
    (STRUCTURED, changed(STRUCTURED, alternatives=[7]), "alternatives: wrong type"),
    (STRUCTURED, changed(STRUCTURED, alternatives=None), "alternatives: missing"),
    (STRUCTURED, changed(STRUCTURED, filtered_rephrases="Who?"), "filtered_rephrases: wrong type"),
    (STRUCTURED, changed(STRUCTURED, filtered_rephrases=["Who?", ""]), "filtered_rephrases: empty"),
    (COUNTERFACT, rewritten(prompt="Madrid is located in"), "subject not in the prompt"),
    (COUNTERFACT, rewritten(prompt="{} and {} are in"), "subject not in the prompt"),
    (COUNTERFACT, rewritten(subject=None), "requested_rewrite.subject: missing"),
    (COUNTERFACT, rewritten(subject="x" * 990), "requested_rewrite.prompt: too long"),
    (COUNTERFACT, rewritten(target_new={"str": ""}), "requested_rewrite.target_new.str: empty"),
    (COUNTERFACT, rewritten(target_new="Sweden"), "requested_rewrite.target_new.str: wrong type"),
    (COUNTERFACT, changed(COUNTERFACT, requested_rewrite=[]), "requested_rewrite.subject: wrong type"),
    (COUNTERFACT, changed(COUNTERFACT, neighborhood_prompts=None), "neighborhood_prompts: missing"),
    (COUNTERFACT, changed(COUNTERFACT, paraphrase_prompts=[{"prompt": "x"}]), "paraphrase_prompts: wrong type"),
    (PLAIN, changed(PLAIN, output=["Ada"]), "output: wrong type"),
    (PLAIN, changed(PLAIN, output=None), "output: missing"),
    (PLAIN, changed(PLAIN, raw="yes"), "raw: wrong type"),
    (PLAIN, changed(PLAIN, rephrases="Who?"), "rephrases: wrong type"),
    (PLAIN, changed(PLAIN, locality=["Who RUNS Acme?"]), "the edit's own wording must keep its answer"),
]


@pytest.mark.parametrize(("good", "bad", "why"), SKIPS)
def test_a_record_that_cannot_be_used_is_counted(tmp_path: Path, good: Any, bad: Any, why: str) -> None:
    """The others are read; the reason names the field."""
    for path in (
        as_list(tmp_path / "x.json", bad, good, bad, good, good),
        as_lines(tmp_path / "x", good, good, bad, bad, good),
    ):
        reading = read_examples(path)
        assert len(reading.examples) == 3
        assert reading.skipped == {why: 2}


def test_nothing_left_is_an_error_with_counts(tmp_path: Path) -> None:
    """Where all records are skipped, the error says how many for which reason, the commonest first."""
    bad = [changed(ZSRE, alt=""), changed(ZSRE, subject="Turku"), changed(ZSRE, alt=""), 7]
    with pytest.raises(
        DataError, match=r"x\.json: none of the 4 records .*alt: empty 2, .*subject not in the prompt 1"
    ):
        read_examples(as_list(tmp_path / "x.json", *bad))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no records"),
        (" \n\n", "no records"),
        ("[]", "no records"),
        ("Errata\n", "1: not JSON"),
        ('{"input": "a"}\n{"input": \n', "2: not JSON"),
        ('{\n "input": "a",\n "output": "b"\n}', "1: not JSON"),
        ('[\n{"src": "a"},\n{"src": \n', "4: not JSON"),
        ('[{"src": "a"}]\n[1]', "2: not JSON"),
        ("[" * 200_000, "not JSON"),
        ("[" + "9" * 5000 + "]", "not JSON"),
        ("9" * 5000, "1: not JSON"),
        ("[1, 2]", " record 1: unknown shape"),
        ('"text"', "1: unknown shape"),
        ("[{}]", " record 1: unknown shape"),
        ('\n{"question": "a", "answer": ["b"]}', "2: unknown shape, an object of: answer, question"),
        ('[{"prompt": "a", "target_new": "b"}]', " record 1: unknown shape, an object of: prompt, target_new"),
    ],
)
def test_a_file_that_is_none_of_these_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """The error names the file and the line or record, and what was found."""
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=rf"x\.json:{why}" if why[0] in " 0123456789" else rf"x\.json: {why}"):
        read_examples(tmp_path / "x.json")


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    """Missing, a directory, not UTF-8."""
    (tmp_path / "latin").write_bytes(b'[{"src": "\xe9"}]')
    for name in ("none", ".", "latin"):
        with pytest.raises(DataError, match=name):
            read_examples(tmp_path / name)


def test_counts_are_told_in_a_line() -> None:
    """The most frequent reason first."""
    assert counted({"alt: empty": 2, "loc: missing": 31}) == "loc: missing 31, alt: empty 2"
    assert counted({}) == ""


def many(tmp_path: Path, n: int = 60) -> ExampleRecords:
    records = ({"input": f"Who runs firm {k}?", "output": f"Ann {k % 7}", "subject": f"firm {k}"} for k in range(n))
    return read_examples(as_lines(tmp_path / "many.jsonl", *records))


def test_examples_are_divided_by_subject(tmp_path: Path) -> None:
    """Each example stands on the side of its subject, the same side as a fact about it."""
    examples = many(tmp_path).examples
    sides = {side: in_splits(examples, (side,)) for side in ("train", "dev", "test")}
    assert sum(map(len, sides.values())) == len(examples)
    assert all(split_of(example.subject) == side for side, found in sides.items() for example in found)
    assert in_splits(examples, ("train", "test")) == [e for e in examples if split_of(e.subject) != "dev"]


def test_examples_without_neighbours_get_each_others_questions(tmp_path: Path) -> None:
    """Another subject's edit with another answer is unrelated; what a record says itself is kept."""
    examples = many(tmp_path).examples
    drawn = with_neighbours(examples, seed=1)
    edits = {example.edit: example for example in examples}
    for example in drawn:
        other = edits[example.unrelated[0]]
        assert other.subject != example.subject and other.target != example.target
    assert drawn == with_neighbours(examples, seed=1) != with_neighbours(examples, seed=2)
    own = read_examples(as_lines(tmp_path / "own", PLAIN)).examples
    assert with_neighbours(own) == list(own)


def test_a_lonely_example_stays_without_neighbours(tmp_path: Path) -> None:
    """Where all others say the same, none serves."""
    pair = [{"input": f"Who runs {name}?", "output": "Ann"} for name in ("Acme", "Bolt")]
    examples = read_examples(as_lines(tmp_path / "x", *pair)).examples
    assert [example.unrelated for example in with_neighbours(examples)] == [(), ()]
