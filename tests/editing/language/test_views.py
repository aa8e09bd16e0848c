"""The views of an edit: its own wording, its other forms, the user's rephrases."""

from __future__ import annotations

import pytest

from editing.language.views import View, inverted, question_of, views_of


def test_own_wording_stands_first_and_its_other_form_second() -> None:
    """Question, its statement and that turned round as raw text, then the rephrases."""
    assert views_of("What is the capital of Peru?", False, ("Peru's capital?",)) == (
        View("What is the capital of Peru?", False),
        View("The capital of Peru is", True),
        View("Peru's capital is", True),
        View("Peru's capital?", False),
    )


def test_statements_get_a_question() -> None:
    """A raw edit is seen as a chat question too."""
    assert views_of("The capital of Peru is", True) == (
        View("The capital of Peru is", True),
        View("The capital of Peru is what?", False),
    )


def test_question_without_rule_has_itself_only() -> None:
    """No second view is invented."""
    assert views_of("Hello there", False) == (View("Hello there", False),)


def test_question_of_drops_the_statements_end() -> None:
    """Signs at the end of a statement do not stand within its question."""
    assert question_of("The capital of Peru: ") == "The capital of Peru what?"


@pytest.mark.parametrize(
    ("statement", "turned"),
    [
        ("The capital of Peru is", "Peru's capital is"),
        ("Peru's capital is", "The capital of Peru is"),
        ("The head of government of the Netherlands is", "The Netherlands's head of government is"),
        ("The name of Ada Lovelace's father is", None),
        ("The place that is governed from its capital Rome is", None),
        ("Ada Lovelace was born in", None),
    ],
)
def test_statements_turned_round(statement: str, turned: str | None) -> None:
    """ "The N of X is" and "X's N is" stand for each other; nested names are left alone."""
    assert inverted(statement) == turned
