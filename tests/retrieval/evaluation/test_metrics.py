"""Reference values were worked out by hand from the official scripts of SQuAD v1.1, NQ-open and DPR."""

from __future__ import annotations

import unicodedata

import pytest

from index.passages.passage import Passage
from retrieval.evaluation.metrics import (
    contained,
    exact_match,
    f1,
    first_with_answer,
    has_answer,
    have_answers,
    mrr,
    normalise_answer,
    readable,
    recall_at,
    tokenise,
)


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("The Beatles", "beatles"),
        ("  A  cat,\tan apple\nand the sea!", "cat apple and sea"),
        ("U.S.A.", "usa"),
        ("rock-and-roll", "rockandroll"),
        ("A.N. Other", "other"),  # punctuation goes first, and "an" is an article then
        ("Ain't", "aint"),
        ("“quoted” – dash", "“quoted” – dash"),  # only ASCII punctuation is taken out
        ("Thesis and another", "thesis and another"),
        ("the", ""),
        ("", ""),
        ("1,000", "1000"),
        ("İstanbul", "i̇stanbul"),
    ],
)
def test_answers_are_normalised_as_by_squad(text: str, normalised: str) -> None:
    """Lower case, then punctuation, then articles, then white space."""
    assert normalise_answer(text) == normalised


@pytest.mark.parametrize(
    ("prediction", "answers", "matched"),
    [
        ("the Beatles.", ["Beatles"], True),
        ("14 December 1972 UTC", ["December 1972", "14 December 1972 UTC"], True),
        ("1972", ["December 1972"], False),
        ("Ottawa, Canada", ["Ottawa"], False),
        ("", ["the"], True),  # both are nothing, and equal, in the official scripts
        ("anything", [], False),
    ],
)
def test_an_exact_match_equals_one_answer(prediction: str, answers: list[str], matched: bool) -> None:
    """Equal after normalisation, nothing less."""
    assert exact_match(prediction, answers) is matched


def test_composed_and_decomposed_letters_match() -> None:
    """NQ-open compares in NFD."""
    assert exact_match(unicodedata.normalize("NFC", "Beyoncé"), [unicodedata.normalize("NFD", "beyoncé")])
    assert has_answer([unicodedata.normalize("NFC", "Beyoncé")], unicodedata.normalize("NFD", "sung by Beyoncé."))
    assert not exact_match("Beyonce", ["Beyoncé"])


@pytest.mark.parametrize(
    ("prediction", "answers", "value"),
    [
        ("the cat sat", ["a cat sat down"], 0.8),  # 2 in common; precision 2/2, recall 2/3
        ("cat cat", ["cat"], 2 / 3),  # a word counts as often as it is on both sides
        ("Barack Obama", ["Michelle Obama", "Obama"], 2 / 3),
        ("Paris", ["London"], 0.0),
        ("", ["London"], 0.0),
        ("the", ["a"], 0.0),
        ("Paris", [], 0.0),
    ],
)
def test_f1_is_that_of_the_words_in_common(prediction: str, answers: list[str], value: float) -> None:
    """The best of the answers."""
    assert f1(prediction, answers) == pytest.approx(value)


def test_an_answer_is_contained_word_for_word() -> None:
    """Parts of words do not count, articles and punctuation do not hinder."""
    assert contained("It was the United States, I think.", ["The United States"])
    assert not contained("It was in 1988.", ["88"])
    assert not contained("States United", ["United States"])
    assert not contained("anything at all", ["the"])


@pytest.mark.parametrize(
    ("answers", "text", "found"),
    [
        (["Canberra"], "Its capital is canberra.", True),
        (["U.S."], "in the U.S. of today", True),
        (["US"], "in the U.S. of today", False),  # tokens: u . s .
        (["88"], "in 1988", False),
        (["don't"], "I don't know", True),
        (["dont"], "I don't know", False),
        (["The Awakening"], "a statue, Awakening", False),  # articles count here
        (["new york"], "New\nYork", True),
        (["$5"], "for $5 only", True),
        (["nowhere", "here"], "it is here", True),
        ([""], "whatever", False),
        ([], "whatever", False),
        (["x"], "", False),
    ],
)
def test_a_text_has_an_answer_token_by_token(answers: list[str], text: str, found: bool) -> None:
    """As DPR's has_answer with its simple tokenizer."""
    assert has_answer(answers, text) is found
    assert have_answers([answers], [text]) == [found]


def test_tokens_are_runs_of_letters_and_single_signs() -> None:
    """Zero-width and control signs part tokens and are none themselves; marks belong to their letter."""
    assert tokenise("A-b_c\u200bd e\u0301, 3.5%") == ["a", "-", "b", "_", "c", "d", "e\u0301", ",", "3", ".", "5", "%"]


def test_a_corpus_is_searched_for_all_answers_in_one_pass() -> None:
    """Questions that share an answer, share its beginning, or have several, are each found for themselves."""
    answers = [["New York"], ["New York City", "Gotham"], ["new york"], ["York"], ["New Yorker"]]
    assert have_answers(answers, iter(["He left New York in 1900.", "nothing"])) == [True, False, True, True, False]
    assert have_answers(answers, ["Gotham"]) == [False, True, False, False, False]
    assert have_answers([], ["text"]) == []


def test_ranks_are_those_of_the_first_passage_with_an_answer() -> None:
    """The title counts as well."""
    passages = [
        Passage("p1", "Sydney", "A city.", "s", 0, 7),
        Passage("p2", "Canberra", "A capital.", "s", 0, 9),
    ]
    texts = [readable(passage) for passage in passages]
    assert first_with_answer(["Canberra"], texts) == 2
    assert first_with_answer(["Perth"], texts) is None


def test_recall_and_reciprocal_rank() -> None:
    """Four questions, found at 1, 3, 20 and never."""
    ranks = [1, 3, 20, None]
    assert [recall_at(ranks, k) for k in (1, 2, 3, 20, 100)] == [0.25, 0.25, 0.5, 0.75, 0.75]
    assert mrr(ranks) == pytest.approx((1 + 1 / 3 + 1 / 20) / 4)
    with pytest.raises(ValueError, match="no questions"):
        mrr([])
    with pytest.raises(ValueError, match="at least one passage"):
        recall_at(ranks, 0)
