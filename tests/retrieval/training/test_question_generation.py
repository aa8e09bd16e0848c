"""Questions made from articles by rules: each is answered by the text, in its own words."""

from __future__ import annotations

import pytest

from retrieval.training.question_generation import GeneratedQuestion, make_questions

TOWER = (
    "The Eiffel Tower is a wrought-iron lattice tower on the Champ de Mars in Paris, France. It is named after the "
    "engineer Gustave Eiffel, whose company designed and built the tower from 1887 to 1889. It was criticised by some "
    "of France's leading artists. It has 108 storeys."
)
FRINK = (
    "Ada Frink (12 May 1820 – 3 June 1888) was an English engineer who invented the steam whisk. She was born in Bath."
)


def asked(title: str, text: str, opening: bool = True) -> dict[str, str]:
    return {made.text: made.answer for made in make_questions(title, text, opening)}


def test_the_words_of_an_answer_stand_in_the_text_or_are_its_title() -> None:
    """A reader is never taught to say what the passage does not."""
    for title, text in (("Eiffel Tower", TOWER), ("Ada Frink", FRINK)):
        made = asked(title, text)
        assert len(made) > 3
        assert all(answer in text or answer == title for answer in made.values())


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("when was Ada Frink born", "12 May 1820"),
        ("when did Ada Frink die", "3 June 1888"),
        ("where was Ada Frink born", "Bath"),
        ("which English engineer invented the steam whisk", "Ada Frink"),
    ],
)
def test_a_life_is_asked_about(question: str, answer: str) -> None:
    """Dates behind the name, places, and what somebody is known by."""
    assert asked("Ada Frink", FRINK)[question] == answer


def test_a_sentence_that_begins_with_a_pronoun_is_about_the_title() -> None:
    """ "It has 108 storeys" asks about the tower, "It is named after" too."""
    made = asked("Eiffel Tower", TOWER)
    assert made["how many storeys does Eiffel Tower have"] == "108"
    assert "Gustave Eiffel" in made["who or what is Eiffel Tower named after"]


def test_what_is_in_brackets_behind_a_title_is_not_asked() -> None:
    """Nobody types "Mercury (planet)"."""
    made = make_questions("Mercury (planet)", "Mercury is the first planet from the Sun. It has two neighbours.")
    assert made and not any("(" in one.text for one in made)
    assert GeneratedQuestion("how many neighbours does Mercury have", "two") in made


def test_a_question_does_not_hold_its_answer() -> None:
    """Otherwise repeating the question would do."""
    for made in make_questions("Eiffel Tower", TOWER):
        assert made.answer.casefold() not in made.text.casefold()


@pytest.mark.parametrize("text", ["", "   ", "( ) , .", "x" * 5000, "Wor\u0301d (((", "12 34 56."])
def test_any_text_gives_some_questions_or_none(text: str) -> None:
    """Rules meet every kind of text."""
    assert all(made.text and made.answer for made in make_questions("T", text))


def test_a_passage_from_within_an_article_has_no_opening() -> None:
    """What stands before its first verb need not be the title's own description."""
    text = "The committee was founded in 1901 by Jane Roe."
    assert "when was X founded" not in asked("X", text, opening=False)


def test_an_answer_is_a_whole_name() -> None:
    """ "English" of "English author" answers no question about a book."""
    made = asked(
        "Emma", "Emma is a novel written by English author Jane Austen. It was published in London by John Murray."
    )
    assert "English" not in made.values()
    assert "John Murray" in made.values()


def test_a_sentence_that_needs_the_one_before_it_is_not_asked_about() -> None:
    """ "The treaty was signed in what year" asks nothing by itself."""
    text = "It is old. The treaty was signed by all the neighbours in 1815. Avaria has belonged to Borland since 1820."
    made = asked("Avaria", text, opening=False)
    assert not any(question.startswith("The treaty") for question in made)
