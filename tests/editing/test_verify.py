"""What counts as the wanted answer, and the report that the contract asks for."""

from __future__ import annotations

import pytest

from editing.edit import EditRequest
from editing.verify import match, normalise, verify

REQUEST = EditRequest("Capital?", "Bern", rephrases=("Seat?", "Chief town?"), locality=("River?",))


@pytest.mark.parametrize(
    ("answer", "wanted", "expected"),
    [
        ("Canberra", "Canberra", "exact"),
        ("canberra.", "Canberra", "exact"),
        ("  The   Beatles!\n", "Beatles", "exact"),
        ("Beatles", "The Beatles", "exact"),
        ("An apple", "apple", "exact"),
        ("“Canberra”", "Canberra", "exact"),
        ("**Canberra**", "Canberra", "exact"),
        ("¿Canberra?", "Canberra", "exact"),
        ("STRASSE", "Straße", "exact"),
        ("Cafe\u0301", "Caf\u00e9", "exact"),
        ("U.S.A.", "USA", "exact"),
        ("1914\u20131918", "1914-1918", "exact"),
        ("Rolls Royce", "Rolls-Royce", "exact"),
        ("1,000", "1000", "exact"),
        ("東京。", "東京", "exact"),
        ("The capital is Canberra.", "Canberra", "contains"),
        ("It is Canberra\u2014the capital.", "Canberra", "contains"),
        ("He plays the guitar", "the guitar", "contains"),
        ("Canberran", "Canberra", "no"),
        ("Mali, not Somalia", "Mal", "no"),
        ("Canberra", "The capital is Canberra", "no"),
        ("New York", "York New", "no"),
        ("", "Canberra", "no"),
        ("...", "Canberra", "no"),
        ("15", "1.5", "no"),
        ("1.5", "1.5", "exact"),
        ("5", "-5", "no"),
        ("C", "C++", "no"),
        ("C", "C#", "no"),
        ("c++.", "C++", "exact"),
        ("5", "5%", "no"),
        ("12", "1/2", "no"),
        ("A", "The", "no"),
        ("the", "The", "exact"),
        ("A", "a", "exact"),
        ("!?", "?!", "no"),
        (" ... ", "...", "exact"),
        ("anything", "...", "no"),
        ("a.c", "abc", "no"),
        ("Who?", "The Who", "exact"),
        ("🗼", "🗼", "exact"),
        ("🗼", "🗽", "no"),
    ],
)
def test_match(answer: str, wanted: str, expected: str) -> None:
    """Equal but for case, punctuation, space and leading articles is exact; whole words within are contained."""
    assert match(answer, wanted) == expected


def test_articles_go_from_the_front_only() -> None:
    """An article within is part of the answer."""
    assert normalise("The House of the Rising Sun") == "house of the rising sun"


def test_normalising_twice_is_normalising_once() -> None:
    """Nothing is left for a second pass."""
    for text in ("The C++ (3rd) — Édition", "“A” 1.5/2_x", "  the  ", "ﬁne½", "-5 .. 6"):
        assert normalise(normalise(text)) == normalise(text)


def test_everything_is_asked_in_order() -> None:
    """Input, rephrases, locality prompts, each once, with the edit in force."""
    asked: list[str] = []
    verify(REQUEST, ["b"] * 4, lambda prompt: asked.append(prompt) or "Bern")  # type: ignore[func-returns-value]
    assert asked == ["Capital?", "Seat?", "Chief town?", "River?"]


def test_an_edit_holds_when_all_that_was_asked_holds() -> None:
    """The wanted answer everywhere, and locality prompts word for word as before."""
    before = ["Rome", "Rome", "Rome", "Aare"]
    answers = {"Capital?": "Bern.", "Seat?": "bern", "Chief town?": "Bern", "River?": "Aare"}
    result = verify(REQUEST, before, answers.__getitem__)
    assert result.holds and result.generalizes and result.efficacy


def test_containing_is_not_holding() -> None:
    """Only exact answers count as passed."""
    answers = {"Capital?": "It is Bern", "Seat?": "It is Bern", "Chief town?": "Bern", "River?": "Aare"}
    result = verify(REQUEST, ["", "", "", "Aare"], answers.__getitem__)
    assert not result.efficacy and result.passed == 1 and not result.holds


def test_locality_is_word_for_word() -> None:
    """A locality answer that differs in case only has changed."""
    result = verify(REQUEST, ["", "", "", "Aare"], lambda prompt: "aare" if prompt == "River?" else "Bern")
    assert result.generalizes and result.unchanged == 0 and not result.holds


def test_without_rephrases_and_locality_efficacy_decides() -> None:
    """What was not asked for cannot fail."""
    result = verify(EditRequest("Capital?", "Bern"), ["Rome"], lambda _: "Bern")
    assert result.holds and result.report()["generalization"] == {"passed": 0, "total": 0, "cases": []}


def test_answers_before_must_be_as_many_as_prompts() -> None:
    """A missing answer before is an error, not a shorter report."""
    with pytest.raises(ValueError, match="zip"):
        verify(REQUEST, ["one"], lambda _: "Bern")


def test_report_has_the_contracts_shape() -> None:
    """before, after, efficacy, generalization and locality with their counts and cases, each case with its match."""
    report = verify(REQUEST, ["Rome", "Rome", "Rome", "Aare"], lambda p: "Aare" if p == "River?" else "Bern").report()
    assert report["before"] == "Rome" and report["after"] == "Bern"
    assert report["efficacy"] is True and report["match"] == "exact"
    assert report["generalization"]["passed"] == report["generalization"]["total"] == 2
    case = {"prompt": "Seat?", "before": "Rome", "after": "Bern", "match": "exact"}
    assert report["generalization"]["cases"][0] == case
    assert report["locality"]["unchanged"] == report["locality"]["total"] == 1
    assert report["locality"]["cases"][0]["match"] in {"exact", "contains", "no"}
    assert report["locality"]["cases"][0]["unchanged"] is True
