"""Facts, wordings, splits and examples: read strictly, drawn by seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from editing.data import HELD_OUT_RELATIONS, ExampleMaker, Fact, near, read_facts, read_jsonl, read_templates, split_of
from editing.errors import DataError

SHARED = Path(__file__).parents[3] / "shared" / "data"
UNRELATED = [("who sings the song", "Ann"), ("when was it built", "1901"), ("where is the sea", "west")]
FACTS = [
    *(Fact("P36", f"Land {n}", f"Town {n}") for n in range(6)),
    *(Fact("P19", f"Person {n}", f"Town {n}") for n in range(6)),
    *(Fact("P106", f"Person {n}", f"trade {n % 3}") for n in range(6)),
]


def maker(seed: int = 0, seen: bool = True) -> ExampleMaker:
    return ExampleMaker(FACTS, read_templates(), UNRELATED, seen=seen, seed=seed)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "2: not JSON"),
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


def test_facts_are_texts(tmp_path: Path) -> None:
    """A number where a name should stand is an error that shows the record."""
    path = write(tmp_path / "x.jsonl", '{"relation": "P36", "subject": 7, "object": "x"}')
    with pytest.raises(DataError, match='"subject": 7'):
        read_facts(path)


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


def test_examples_depend_on_the_seed_alone() -> None:
    """The same seed draws the same, another one something else."""
    one, two, three = ([m.example(f) for f in FACTS] for m in (maker(), maker(), maker(seed=1)))
    assert one == two and one != three


def test_an_example_asks_and_judges() -> None:
    """Its rephrasings are other wordings than the edit's, its neighbours are about other things."""
    m = maker()
    for fact in FACTS:
        example = m.example(fact)
        assert fact.subject in example.edit.text and not example.edit.raw
        assert example.target.strip()
        assert example.edit.text not in {view.text for view in example.chat}
        assert all(view.raw and fact.subject in view.text for view in example.statements)
        assert all(fact.subject not in view.text for view in example.same_relation)
        assert all(fact.subject in view.text for view in example.same_subject)


def test_same_subject_questions_ask_something_else() -> None:
    """They are questions of a relation that is not near the fact's own."""
    templates = read_templates()
    own = {q.replace("[X]", "Person 1").casefold() for q in templates.questions["P19"]}
    drawn = [v.text.casefold() for seed in range(20) for v in maker(seed).example(FACTS[7]).same_subject]
    assert drawn and not own & set(drawn)


def test_evaluation_rephrases_with_unseen_wordings() -> None:
    """Chat rephrasings of evaluation are none that training uses."""
    questions = read_templates().questions["P36"]
    for seed in range(10):
        example = maker(seed, seen=False).example(FACTS[0])
        unseen = [q.replace("[X]", "Land 0") for q in questions[5:]]
        assert all(any(text in view.text for text in unseen) for view in example.chat)


def test_free_form_neighbours_are_other_questions() -> None:
    """The question that is edited is never among those that must not change."""
    for seed in range(20):
        example = maker(seed).free_form(1)
        kept = (*example.same_relation, *example.unrelated)
        assert all(view.text != UNRELATED[1][0] for view in kept)
        assert example.edit.text == "When was it built?"


def test_shared_facts_are_readable() -> None:
    """All facts of the training data have a relation with wordings, and the held-out ones exist as questions."""
    path = SHARED / "pararel_facts.jsonl"
    if not path.exists():
        pytest.skip(f"the training data is not here: {path}")
    facts, templates = read_facts(path), read_templates(SHARED / "pararel_patterns.json")
    assert len(facts) > 20_000
    assert {fact.relation for fact in facts} <= templates.questions.keys()
    assert templates.questions.keys() >= HELD_OUT_RELATIONS
