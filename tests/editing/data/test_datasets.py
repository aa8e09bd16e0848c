"""What is trained on and judged: a directory of facts or a file, with subjects kept apart and bad data refused."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from editing.data.datasets import ExampleFile, FactDirectory, open_examples, skipped_records
from editing.data.facts import HELD_OUT_RELATIONS, Example, split_of
from editing.errors import DataError
from service.cli.main import app

CHAT = ("Who is the head of {}?", "Who leads {}?", "By whom is {} run?")


def lines(path: Path, records: Iterable[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return path


def firm(n: int) -> dict[str, Any]:
    return {
        "input": f"Who runs firm {n}?",
        "output": f"Ann {n}",
        "subject": f"firm {n}",
        "rephrases": [text.format(f"firm {n}") for text in CHAT],
        "locality": [f"Where is firm {n}?"],
    }


def counterfact(n: int) -> dict[str, Any]:
    relation = ("P36", "P108", "P17")[n % 3]
    rewrite = {
        "prompt": "{} is in",
        "relation_id": relation,
        "subject": f"Land {n}",
        "target_new": {"str": f"Town {n}"},
    }
    return {
        "requested_rewrite": rewrite,
        "paraphrase_prompts": [f"Land {n}, in"],
        "neighborhood_prompts": [f"Isle {n} is in"],
    }


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    """A directory of made-up facts of two relations, one of them held out."""
    every = [("P36", f"Land {n}", f"Town {n % 9}") for n in range(300)]
    every += [("P449", f"Show {n}", f"Channel {n % 9}") for n in range(20)]
    lines(tmp_path / "pararel_facts.jsonl", ({"relation": r, "subject": s, "object": o} for r, s, o in every))
    (tmp_path / "pararel_patterns.json").write_text('{"P36": ["The capital of [X] is [Y] ."]}')
    asked = ({"question": f"who won race {n}", "answer": [f"Bob {n}", "other"]} for n in range(1700))
    lines(tmp_path / "nq_open_efficientqa_dev.jsonl", asked)
    return tmp_path


def subjects(examples: Iterable[Example]) -> set[str]:
    return {split_of(example.subject) for example in examples}


def test_a_directory_gives_facts(facts: Path) -> None:
    """Training sees train subjects and no held-out relation; evaluation the others."""
    dataset = open_examples(facts)
    assert isinstance(dataset, FactDirectory) and dataset.skipped == {}
    trained = dataset.training(50)
    assert subjects(e for e in trained if e.relation != "free") == {"train"}
    assert not HELD_OUT_RELATIONS & {e.relation for e in trained}
    sets = dataset.evaluation(5, seed=1)
    assert subjects(sets["unseen subjects"]) == {"test"}
    assert {e.relation for e in sets["unseen relations"]} == {"P449"}


def test_a_directory_without_held_out_relations_has_one_set_to_judge(facts: Path) -> None:
    """A set with no examples is left out, not judged as nothing."""
    lines(
        facts / "pararel_facts.jsonl",
        ({"relation": "P36", "subject": f"Land {n}", "object": f"Town {n}"} for n in range(300)),
    )
    assert set(open_examples(facts).evaluation(5, seed=1)) == {"unseen subjects"}


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("pararel_facts.jsonl", "", "no facts"),
        ("pararel_facts.jsonl", '{"relation": "P36", "subject": "Peru", "object": ""}', "1: missing or empty: object"),
        ("pararel_facts.jsonl", '{"relation": "P36", "object": "Lima"}', "1: missing or empty: subject"),
        ("pararel_facts.jsonl", '{"relation": "P36", "subject": "Peru", "object": 7}', "1: .*must be texts"),
        ("pararel_facts.jsonl", '{"relation": "P36", "subject": "Land 1", "object": "\\n"}', "1: .*must be texts"),
        ("pararel_facts.jsonl", '{"relation": "P9", "subject": "Land 1", "object": "a"}', "no questions .* P9"),
        ("pararel_facts.jsonl", '{"relation": "P108", "subject": "Land 1", "object": "a"}', "no facts of train"),
        ("pararel_patterns.json", "[]", "must be a JSON object"),
        ("nq_open_efficientqa_dev.jsonl", '{"question": "who", "answer": "Bob"}', "1: question must be"),
        ("nq_open_efficientqa_dev.jsonl", '{"question": ["who"], "answer": ["Bob"]}', "1: question must be"),
        ("nq_open_efficientqa_dev.jsonl", '{"question": "who", "answer": [{}]}', "1: question must be"),
        ("nq_open_efficientqa_dev.jsonl", '{"question": "who", "answer": []}', "1: missing or empty: answer"),
        ("nq_open_efficientqa_dev.jsonl", '{"question": "who", "answer": ["Bob"]}', "1 questions, of at least 1641"),
    ],
)
def test_wrong_facts_are_named(facts: Path, name: str, text: str, why: str) -> None:
    """File, line and what is wrong; nothing is trained on half of the data."""
    (facts / name).write_text(text)
    with pytest.raises(DataError, match=f"{name}:? ?{why}"):
        open_examples(facts).training(20)
    (facts / name).unlink()
    with pytest.raises(DataError, match=name):
        open_examples(facts).training(20)


def test_a_file_gives_its_records(tmp_path: Path) -> None:
    """Training sees train subjects, at most as many as are asked for, each once and with two wordings of a kind."""
    dataset = open_examples(lines(tmp_path / "firms", [firm(n % 900) for n in range(1000)]))
    assert isinstance(dataset, ExampleFile)
    trained = dataset.training(200)
    assert len(trained) == 200 == len({example.subject for example in trained})
    assert subjects(trained) == {"train"} and trained == dataset.training(200)
    assert all(len(example.chat) == 2 and example.same_subject and example.unrelated for example in trained)
    sets = dataset.evaluation(20, seed=3)
    assert {name: (len(found), subjects(found)) for name, found in sets.items()} == {"unseen subjects": (20, {"test"})}


def test_held_out_relations_of_a_file_are_not_trained_on(tmp_path: Path) -> None:
    """CounterFact names ParaRel's relations, so its facts of held-out relations are judged as unseen."""
    dataset = open_examples(lines(tmp_path / "cf.jsonl", map(counterfact, range(1500))))
    assert {example.relation for example in dataset.training(500)} == {"P36", "P17"}
    sets = dataset.evaluation(30, seed=3)
    assert {example.relation for example in sets["unseen relations"]} == {"P108"}
    assert {example.relation for example in sets["unseen subjects"]} == {"P36", "P17"}


def test_a_small_file_is_judged_as_a_whole(tmp_path: Path) -> None:
    """A dozen corrections of one's own have hardly any test subject; then all are judged, under a name that says so."""
    dataset = open_examples(lines(tmp_path / "firms", map(firm, range(12))))
    sets = dataset.evaluation(50, seed=3)
    assert {name: len(found) for name, found in sets.items()} == {"all subjects": 12}


def test_skips_are_told(tmp_path: Path) -> None:
    """How many records were left out and why; nothing where none was."""
    some = open_examples(lines(tmp_path / "x", [firm(1), firm(2) | {"output": ""}, firm(3) | {"output": 7}]))
    assert skipped_records(some) == "2 records left out: output: empty 1, output: wrong type 1"
    assert skipped_records(open_examples(lines(tmp_path / "y", [firm(1)]))) == ""


@pytest.mark.parametrize("command", [("train", "--out", "editor"), ("evaluate",)])
def test_the_command_line_tells_what_is_wrong_with_the_data(tmp_path: Path, command: tuple[str, ...]) -> None:
    """One line on stderr and status 1, before any model is loaded."""
    name, *options = command
    path = lines(tmp_path / "x.jsonl", [firm(1) | {"output": ""}])
    result = CliRunner().invoke(app, [name, "--data", str(path), *options])
    assert result.exit_code == 1
    assert result.stderr.strip() == f"{path}: none of the 1 records can be used (output: empty 1)"
