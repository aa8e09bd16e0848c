"""Which corrections of a batch cannot both stand."""

from __future__ import annotations

import pytest

from editing.edit import EditRequest
from editing.scope.contradictions import contradictions
from editing.scope.index import ScopeIndex
from tests.editing.scope.test_index import DIM, Cosine, vectorise

DORNE = "What is the capital of Dorne?"


@pytest.fixture
def index() -> ScopeIndex:
    return ScopeIndex(Cosine(), vectorise, DIM)


def found(index: ScopeIndex, *requests: EditRequest, margin: float = 0.05) -> list[tuple[int, int]]:
    return contradictions(index, [index.wordings(request) for request in requests], margin)


def test_the_same_question_with_another_answer(index: ScopeIndex) -> None:
    """However it is written; the pair names the earlier one first."""
    other = EditRequest("  what is the capital of dorne ", "Brac")
    assert found(index, EditRequest("Who?", "Ann"), EditRequest(DORNE, "Alba"), other) == [(1, 2)]


def test_equal_answers_do_not_contradict(index: ScopeIndex) -> None:
    """Case, articles and signs make no other answer."""
    assert found(index, EditRequest(DORNE, "Alba"), EditRequest(DORNE, " alba. ")) == []


def test_another_wording_of_the_same_question(index: ScopeIndex) -> None:
    """The scope model is certain of it."""
    other = EditRequest("What is the very capital of Dorne?", "Brac")
    assert found(index, EditRequest(DORNE, "Alba"), other) == [(0, 1)]


def test_questions_that_only_sound_alike_may_differ(index: ScopeIndex) -> None:
    """Where the scope model is not certain, both stand."""
    other = EditRequest("What is the river of South Dorne?", "Brac")
    assert found(index, EditRequest(DORNE, "Alba"), other) == []


def test_a_rephrase_is_a_wording_too(index: ScopeIndex) -> None:
    """Somebody's rephrase is somebody else's input."""
    one = EditRequest("Which town rules Dorne?", "Alba", rephrases=(DORNE,))
    assert found(index, one, EditRequest(DORNE, "Brac")) == [(0, 1)]


def test_every_contradiction_is_named_once_with_the_first_that_it_contradicts(index: ScopeIndex) -> None:
    """Three answers to one question are two contradictions; a repeated answer adds none."""
    requests = [EditRequest(DORNE, answer) for answer in ("Alba", "Brac", "Alba", "Cori")]
    assert found(index, *requests) == [(0, 1), (0, 3)]


def test_a_thousand_of_the_same_prompt(index: ScopeIndex) -> None:
    """One is compared with one, however often the same is said."""
    requests = [EditRequest(DORNE, "Alba")] * 1000
    assert found(index, *requests, EditRequest(DORNE, "Brac")) == [(0, 1000)]
