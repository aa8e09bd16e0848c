"""Prompts made by rule: other wordings, other questions, other names."""

from __future__ import annotations

import pytest

from editing.data.generated_prompts import PromptGenerator
from editing.edit import EditRequest
from editing.language.views import views_of

CAPITAL = EditRequest("What is the capital of Australia?", "Sydney")


@pytest.mark.parametrize(
    ("text", "topic", "subject"),
    [
        ("What is the capital of Australia?", "P36", "Australia"),
        ("what is the capital of Australia", "P36", "Australia"),
        ("Please tell me: Where was Ada Lovelace born?", "P19", "Ada Lovelace"),
        ("The capital of Australia is", "P36", "Australia"),
        ("How long may guests stay at the Hotel of the Four Winds?", None, "Hotel of the Four Winds"),
        ("Why does C++ beat Rust at all?", None, None),
        ("when do we open", None, None),
    ],
)
def test_topic_and_subject_are_read_out_of_a_wording(text: str, topic: str | None, subject: str | None) -> None:
    """By template where one fits, else the longest name; a question's first word is none."""
    asked = PromptGenerator().asked(text)
    assert (asked.topic and asked.topic.name) == topic
    if topic or subject:
        assert asked.subject == subject


def test_other_wordings_ask_the_same_of_the_same_subject() -> None:
    """None of them is one that the edit is made from, and one is the edit's own question in company."""
    made = PromptGenerator().about(CAPITAL, 4)
    assert len({*made}) == 5
    assert all("Australia" in view.text for view in made)
    assert not {view.text for view in made} & {view.text for view in views_of(CAPITAL.input, False)}
    assert sum(CAPITAL.input in view.text for view in made) == 1


def test_a_whole_sentence_continues_no_statement() -> None:
    """So no raw wording is made for it."""
    request = EditRequest(CAPITAL.input, "The capital of Australia is Sydney.")
    assert not any(view.raw for view in PromptGenerator().about(request, 9))
    assert any(view.raw for view in PromptGenerator().about(CAPITAL, 9))


def test_what_no_template_knows_is_still_asked_in_other_company() -> None:
    """A question of its own kind; texts to continue are left as they stand."""
    request = EditRequest("How long may guests stay at the Hotel Bristol?", "Nine days")
    made = PromptGenerator().about(request, 3)
    assert len(made) == 3
    assert all(request.input in view.text and view.text != request.input for view in made)
    assert PromptGenerator().about(EditRequest("The capital of Peru is", "Oslo", raw=True), 3) == []


def test_around_are_other_questions_and_other_names() -> None:
    """As many of the one as asked for, and one for each name."""
    own = PromptGenerator().asked(CAPITAL.input).topic
    made = [view.text for view in PromptGenerator().around(CAPITAL, ["Peru", r"\1 Chad"], 3)]
    assert len(made) == 5
    assert all("Australia" in text and PromptGenerator().asked(text).topic != own for text in made[:3])
    assert made[3:] == ["What is the capital of Peru?", r"What is the capital of \1 Chad?"]


def test_nothing_is_made_around_what_has_no_name() -> None:
    """Nothing to ask about, nothing to exchange."""
    assert PromptGenerator().around(EditRequest("when do we open", "At nine"), ["Peru"], 3) == []


def test_what_is_made_depends_on_the_seed() -> None:
    """And on nothing else."""
    one, same, other = (PromptGenerator(seed).elsewhere(["Peru", "Chad"], 20) for seed in (1, 1, 2))
    assert one == same != other
    assert len(one) == 20
