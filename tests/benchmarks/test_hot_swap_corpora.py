"""Two corpora that disagree, and what is right by which."""

from __future__ import annotations

import pytest

from benchmarks.hot_swap_corpora import (
    QUESTIONS,
    Accuracy,
    SwapQuestion,
    accuracy,
    disagree,
    made_up_facts,
)
from editing.data.facts import Fact
from retrieval.evaluation.metrics import contained, has_answer

CAPITALS = [Fact("P36", country, city) for country, city in (("Peru", "Lima"), ("Norway", "Oslo"), ("Italy", "Rome"))]


def test_both_corpora_tell_each_fact_and_no_two_the_same() -> None:
    """Same titles, same objects, each with another subject; each text has its own answer and not the other's."""
    apart = disagree([*CAPITALS, *made_up_facts(20)])
    first, second = apart.corpora
    assert [a.title for a in first] == [a.title for a in second] and len(first) == len(apart.questions) == 23
    for question, one, other in zip(apart.questions, first, second, strict=True):
        told, exchanged = question.answers
        assert has_answer([told], one.text) and not has_answer([exchanged], one.text)
        assert has_answer([exchanged], other.text) and not has_answer([told], other.text)
        assert one.title in question.text and not contained(question.text, question.answers)
    assert sorted(q.answers[0] for q in apart.questions) == sorted(q.answers[1] for q in apart.questions)


def test_facts_are_drawn_by_the_seed_and_evenly() -> None:
    """As many as asked for, in turns from each relation."""
    facts = [*CAPITALS, *made_up_facts(50)]
    assert disagree(facts, 6, seed=1) == disagree(facts, 6, seed=1) != disagree(facts, 6, seed=2)
    apart = disagree(facts, 6, seed=1)
    assert len(apart.questions) == 6
    assert sum("capital" in question.text for question in apart.questions) == 3
    assert len(disagree(made_up_facts()).questions) == QUESTIONS


def test_what_cannot_be_exchanged_is_left_out() -> None:
    """A subject that was there, an object within another, an object told by the subject, an unknown relation."""
    facts = [
        *CAPITALS[:2],
        Fact("P36", "Peru", "Cusco"),
        Fact("P36", "Elsewhere", "Oslo"),
        Fact("P36", "Mexico", "Mexico City"),
        Fact("P9999", "a", "b"),
    ]
    for seed in range(9):
        asked = {question.text for question in disagree(facts, seed=seed).questions}
        assert len(asked) == 2 and "What is the capital of Peru?" in asked
        assert asked & {"What is the capital of Norway?", "What is the capital of Elsewhere?"}
    with pytest.raises(ValueError, match="can be exchanged"):
        disagree([CAPITALS[0], Fact("P36", "Elsewhere", "Lima")])
    with pytest.raises(ValueError, match="can be exchanged"):
        disagree([])


def test_answers_are_counted_by_the_corpus_they_are_of() -> None:
    """Exact and contained, for the first corpus and for the second."""
    questions = [SwapQuestion(f"q{n}", ("Lima", "Oslo")) for n in range(4)]
    said = ["Lima.", "It is Lima", "Oslo", "Rome"]
    assert accuracy(questions, said, 0) == Accuracy(1, 2, 4)
    assert accuracy(questions, said, 1) == Accuracy(1, 1, 4)


def test_made_up_names_are_their_own() -> None:
    """No two countries or heads of state are the same, nor hard to tell."""
    facts = made_up_facts(200)
    assert len({fact.subject[:4] for fact in facts}) == len({fact.object for fact in facts}) == 200
    assert made_up_facts(5) == facts[:5]
