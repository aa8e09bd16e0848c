"""Questions of which it is known where the answer stands."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from index.passages.passage import Passage
from index.versions.passage_index import PassageIndex
from index.versions.registry import IndexVersions
from retrieval.evaluation.nq_open import Question
from retrieval.indexing.builder import build_source_index
from retrieval.indexing.corpus_cache import CorpusSource
from retrieval.training.known_questions import (
    AnnotatedQuestionSet,
    StatedFact,
    made_from_facts,
    made_from_passages,
    part_of,
    placed,
    searching,
)
from tests.retrieval.conftest import WordEncoder

TEXTS = {
    "Avaria": "Avaria is a small state in the far north. It was founded in 1820 by Ada Berg. Its capital is Alba.",
    "Borland": "Borland is a large state in the far south. Its capital is Nord.",
}


@pytest.fixture
def index(tmp_path: Path, words: WordEncoder) -> PassageIndex:
    corpus = tmp_path / "a.jsonl"
    corpus.write_text("".join(json.dumps({"title": title, "text": text}) + "\n" for title, text in TEXTS.items()))
    version = build_source_index(tmp_path / "indexes", CorpusSource(corpus), words).manifest.version
    return IndexVersions(tmp_path / "indexes").open(version, words.identity)


def passage(title: str, text: str) -> Passage:
    return Passage("p", title, text, "s", 0, len(text))


def test_a_question_belongs_to_one_part_by_its_text() -> None:
    """Six tenths, two and two, and the same each time."""
    counts = Counter(part_of(f"question {n}") for n in range(2000))
    assert 1100 < counts["train"] < 1300 and 330 < counts["tune"] < 470 and 330 < counts["test"] < 470
    assert part_of("question 7") == part_of("question 7")


def test_a_fact_is_asked_about_where_a_passage_states_it() -> None:
    """In the wording of its relation, of the passage that names the object; others are left out."""
    passages = [passage("Avaria (state)", TEXTS["Avaria"]), passage("Borland", TEXTS["Borland"])]
    facts = [
        StatedFact("P36", "Avaria", "Alba"),
        StatedFact("P36", "Borland", "Alba"),
        StatedFact("P36", "Cavia", "Rome"),
    ]
    made = list(made_from_facts(facts, {"P36": ["what is the capital of [X]"]}, passages))
    assert made == [("what is the capital of Avaria", "Alba", 0)]


def test_questions_made_of_passages_name_the_row_that_answers() -> None:
    """So that a reader can be shown it, or others."""
    made = list(made_from_passages([passage("Borland", TEXTS["Borland"]), passage("Avaria", TEXTS["Avaria"])]))
    assert ("when was Avaria founded", "1820", 1) in made
    assert {row for _, _, row in made} <= {0, 1}


def test_asked_questions_are_told_where_the_named_article_has_the_answer(
    index: PassageIndex, words: WordEncoder
) -> None:
    """One whose answer stands nowhere is unanswerable; one that holds its own answer is neither."""
    questions = [
        Question("what is the capital of avaria", ("Alba",)),
        Question("who founded avaria", ("Zoe Nobody",)),
        Question("is alba in avaria", ("Alba",)),
    ]
    asked = AnnotatedQuestionSet(questions, index, words)
    (answerable,) = asked.answerable
    assert answerable.text == questions[0].text
    assert [index.passages[row].title for row in answerable.evidence] == ["Avaria"]
    assert set(answerable.evidence) <= set(answerable.hits)
    assert [one.text for one in asked.unanswerable] == ["who founded avaria"]


def test_made_questions_come_with_what_the_retriever_finds(index: PassageIndex, words: WordEncoder) -> None:
    """The passages that are shown beside them are its own hits."""
    (known,) = placed([("capital of Borland is Nord", "Nord", 1)], "made", searching(index, words))
    assert (known.answers, known.evidence, known.kind) == (("Nord",), (1,), "made")
    assert sorted(known.hits) == [0, 1]
