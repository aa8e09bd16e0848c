"""Questions that sound alike and ask something else."""

from __future__ import annotations

import pytest

from editing.language.question_forms import asked_for, contradicts, numbers_in


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where was Ada Lovelace born?", "When was Ada Lovelace born?"),
        ("Where was Ada Lovelace born?", "Please tell me: in which year was Ada Lovelace born?"),
        ("In which city was Mozart born?", "What year was Mozart born?"),
        ("When did the Second World War end?", "When did the First World War end?"),
        ("Who won the 1998 World Cup?", "Who won the 2002 World Cup?"),
        ("How many people live in Rome?", "Where is Rome?"),
        ("Who founded King's College?", "When was King's College founded?"),
        ("Thanks, good to know!", "What is the currency of Peru?"),
    ],
)
def test_other_kinds_of_answers_and_other_numbers_contradict(one: str, other: str) -> None:
    """In either order."""
    assert contradicts(one, other) and contradicts(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where was Ada Lovelace born?", "What is the birthplace of Ada Lovelace?"),
        ("Where was Ada Lovelace born?", "In which city was Ada Lovelace born?"),
        ("Where was Ada Lovelace born?", "Ada Lovelace was born in"),
        ("When did World War II end?", "In what year did the Second World War end?"),
        ("Where is Ann Lee employed?", "Who is the employer of Ann Lee?"),
        ("What is the population of Rome?", "How many people live in Rome?"),
        ("When was the 1998 World Cup?", "When was the World Cup in France?"),
        ("What time zone is Peru in?", "Which country's time zone is Peru's?"),
        ("Who does Ann Lee work for?", "Where is Ann Lee employed?"),
        ("Thanks! What is the capital of Peru?", "What is Peru's capital?"),
        ("", ""),
    ],
)
def test_what_is_implicit_contradicts_nothing(one: str, other: str) -> None:
    """Rephrasings stay rephrasings; statements say nothing of the kind of answer."""
    assert not contradicts(one, other) and not contradicts(other, one)


def test_what_is_asked_for() -> None:
    """By the first words, politeness aside."""
    assert asked_for("Quick question: when did Rome fall?") == "time"
    assert asked_for("To which country does Rome belong?") == "place"
    assert asked_for("How much does it weigh?") == "number"
    assert asked_for("What happens when ice melts?") is None


def test_numbers_in_any_form() -> None:
    """Digits, ordinals and Roman numerals in capitals; a small i is a word."""
    assert numbers_in("The Third Man, Apollo 11, Henry VIII and i") == {3, 11, 8}
