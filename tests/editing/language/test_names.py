"""What names say about whether two texts are about the same."""

from __future__ import annotations

import pytest

from editing.language.names import named, names_apart

AUSTRALIA = "What is the capital of Australia?"


def apart(prompt: str, asked: str, *others: str) -> float:
    return names_apart(prompt, asked, (asked, *others))


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("Name Australia's capital city.", AUSTRALIA),
        ("what is the capital of australia", AUSTRALIA),
        (AUSTRALIA, "what is the capital of australia"),
        ("Who wrote Dune?", "Who is the author of the novel Dune?"),
        ("Where was Beyonce born?", "Where was Beyoncé born?"),
        ("Which larger thing is baculum part of?", "What is the parent of baculum?"),
        ("what is it made of", "how do they do that"),
    ],
)
def test_the_same_names_or_none_say_nothing_against(prompt: str, asked: str) -> None:
    """Endings, accents and case do not count, and a text without names is no evidence."""
    assert apart(prompt, asked) == 0


def test_other_names_speak_against() -> None:
    """Neither text has the other's name: as much as there can be."""
    assert apart("What channel was Frontline on?", "Which network aired Whew!?") == 2
    assert apart("What is the capital of Peru?", AUSTRALIA) == 2


def test_the_title_that_is_spelt_out_wins() -> None:
    """Part of a longer name is less than the name itself."""
    asked = "Which network aired ESPN Major League Baseball?"
    own = "Which network aired ESPN Major League Soccer?"
    prompt = "What channel was ESPN Major League Soccer on?"
    assert apart(prompt, own) == 0 < apart(prompt, asked) < 2


def test_a_name_in_any_wording_is_known() -> None:
    """The edit's rephrases count for what the prompt names."""
    asked = "Who leads Twitter?"
    assert apart("Who leads X?", asked) > apart("Who leads X?", asked, "Who leads X, the former Twitter?")


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("What is the capital of Austrlia?", AUSTRALIA),
        ("What is the capital of the USA?", "What is the capital of the United States of America?"),
        ("Who governs the United Kingdom?", "Who governs the U.K.?"),
        ("Who runs Twitter?", "Who is the CEO of Twitter?"),
    ],
)
def test_what_may_be_the_same_name_counts_half(prompt: str, asked: str) -> None:
    """Slips of the finger, and abbreviations of what the other text spells out; the head decides."""
    assert 0 < apart(prompt, asked) <= 1


def test_names() -> None:
    """Capitalised or with a digit, in lower case and without accents; a first word only where it belongs to a name."""
    assert named("Who met Zoë's cat at Gate 7?") == {"zoe", "gate", "7"}
    assert named("Hello! And what is Peru? Just the name.") == {"peru"}
    assert named("New York's mayor is") == {"new", "york"} and named("Peru's capital is") == {"peru"}
    assert named("Performance art belongs to what?") == frozenset()


def test_any_text_is_judged() -> None:
    """Signs, other scripts and very long texts."""
    for text in ("", "?!", "日本の首都はどこですか", "A" * 100_000, "A b " * 50_000, "\ud800"):
        assert 0 <= apart(text, AUSTRALIA) <= 2 and 0 <= apart(AUSTRALIA, text) <= 2
