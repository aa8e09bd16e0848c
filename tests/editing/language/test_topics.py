"""Questions that name what they are after, and name something else, are not the same question."""

from __future__ import annotations

import pytest

from editing.data.facts import relation_questions
from editing.language.question_forms import contradicts
from editing.language.topics import other_topic, topics_in

QUESTIONS = relation_questions()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the occupation of Ada Byron?", "Who does Ada Byron work for?"),
        ("Where was Ada Byron born?", "Where did Ada Byron die?"),
        ("What religion does Peru follow?", "Which language is spoken in Peru?"),
        ("What is the capital of Peru?", "Name a neighbour of Peru."),
        ("Who founded Twitter?", "Who owns Twitter?"),
    ],
)
def test_other_topics(one: str, other: str) -> None:
    """Either way round, and scope hears of it."""
    assert other_topic(one, other) and other_topic(other, one) and contradicts(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where does Ada Byron work?", "Who is the employer of Ada Byron?"),
        ("What does Ada Byron do for a living?", "Tell me the job of Ada Byron."),
        ("Who is the boss of Schwan Food Company?", "Who runs The Job?"),
        ("What is the capital of the country that borders Chile?", "Name the capital of Peru's neighbour."),
        ("", "?!"),
    ],
)
def test_what_is_not_named_is_no_other_topic(one: str, other: str) -> None:
    """One text without a topic, the same topic in other words, topics in names, or one in common."""
    assert not other_topic(one, other)


def test_wordings_of_one_relation_never_have_other_topics() -> None:
    """All questions that the project knows of a relation go together."""
    apart = [
        (relation, one, other)
        for relation, wordings in QUESTIONS.items()
        for one in wordings
        for other in wordings
        if other_topic(one.replace("[X]", "Ada Byron"), other.replace("[X]", "Ada Byron"))
    ]
    assert apart == []


def test_names_have_no_topic() -> None:
    """Only words in lower case count."""
    assert topics_in("Tell me about Born in the Currency Exchange") == frozenset()
