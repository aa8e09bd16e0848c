"""Scope among many edits: some in force, some of one wording, some with nothing to say; and what outlives a process."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from editing.edit import EditRequest
from editing.errors import InvalidEdit
from editing.scope.cross_encoder import Kind, ScopePair
from editing.scope.decision import SAME
from editing.scope.index import ScopeIndex
from editing.scope.model import in_scope
from editing.scope.prompt import ScopePrompt
from editing.scope.vector_cache import VectorCache
from editing.scope.vectors import WordingVectors
from editing.scope.wording_index import CANDIDATES
from editing.scope.wordings import says_something, wording_key
from tests.editing.scope.test_index import CAPITAL, DIM, Cosine, add, vectorise

WORDS = ("river", "hymn", "flag", "king", "queen", "bread", "coast", "tower", "salt", "moon")


@pytest.fixture
def index() -> ScopeIndex:
    return ScopeIndex(Cosine(), vectorise, DIM)


def question(n: int) -> str:
    dice = random.Random(n)
    return f"what {' '.join(dice.sample(WORDS, 4))} of land{n % 40}"


def best(index: ScopeIndex, prompt: str | ScopePrompt, mask: list[bool] | np.ndarray) -> str | None:
    match = index.best(prompt, np.array(mask, bool))
    return match.edit_id if match else None


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95, 1.0])
def test_the_search_finds_what_looking_at_every_edit_finds(index: ScopeIndex, share: float) -> None:
    """Whatever part of two hundred edits is in force, nothing else answers and the best one does."""
    dice, count = random.Random(7), 200
    index.add_all([(f"ed_{n}", EditRequest(question(n), "x")) for n in range(count)])
    own = [index.wordings(EditRequest(question(n), "x")) for n in range(count)]
    mask = [dice.random() < share for _ in range(count)]
    for n in range(0, count, 13):
        prompt = f"and {question(n)}"
        pairs = [ScopePair(prompt, own[m].own) for m in range(count)]
        logits = in_scope(index.model.logits(pairs)) - index.model.thresholds[Kind.ASKS]
        scores = {m: float(logits[m]) for m in range(count) if mask[m]}
        top = max(scores.values(), default=-SAME)
        wanted = {f"ed_{m}" for m, score in scores.items() if score > max(0, top - 1e-5)}
        assert (best(index, prompt, mask) in wanted) if wanted else best(index, prompt, mask) is None


def test_edits_behind_the_end_of_a_mask_do_not_answer(index: ScopeIndex) -> None:
    """A state of the past has a shorter mask: it knows nothing of later edits."""
    for n in range(4):
        add(index, f"ed_{n}", CAPITAL)
    for prompt in (CAPITAL, "what is the old capital of Dorne"):
        assert [best(index, prompt, [True] * n) for n in range(5)] == [None, "ed_0", "ed_1", "ed_2", "ed_3"]
        assert best(index, prompt, [True, False, False, False]) == "ed_0"


def test_edits_of_one_wording_do_not_crowd_out_others(index: ScopeIndex) -> None:
    """However many edits have the wording that is nearest, the one that the prompt asks about is found."""
    index.add_all([(f"ed_{n}", EditRequest("the capital of Dorne", "x")) for n in range(500)])
    add(index, "other", "the very old capital of Dorne")
    mask = [True] * 501
    assert best(index, "so the very old capital of Dorne", mask) == "other"
    assert best(index, "the capital of Dorne", mask) == "ed_499"
    assert best(index, "so the capital of Dorne", [*[True] * 300, *[False] * 201]) == "ed_299"


def test_an_edit_of_many_wordings_does_not_crowd_out_others(index: ScopeIndex) -> None:
    """Other edits are looked at even when one edit has more near wordings than are looked at once."""
    rephrases = tuple(f"old {'very ' * n}capital of Dorne" for n in range(2 * CANDIDATES))
    add(index, "many", "capital of Dorne", *rephrases)
    add(index, "flag", "old flag of Dorne")
    matches = index.rank("old flag capital of Dorne", np.array([True, True]))
    assert {match.edit_id for match in matches} == {"many", "flag"}


def test_a_long_prompt_is_read_in_parts(index: ScopeIndex) -> None:
    """The question in the middle of five thousand words is found; without it nothing is."""
    add(index, "capital", CAPITAL)
    add(index, "river", "what is the river of Gondal")
    filler = " ".join(f"Line {n} says nothing useful." for n in range(500))
    asked = "So what is the river of Gondal? "
    index.model = Cosine(0.55)
    assert best(index, f"{filler} {asked * 10} {filler}", [True, True]) == "river"
    assert best(index, f"{filler} {filler}", [True, True]) is None and best(index, "", [True, True]) is None


def test_what_was_said_before_helps_to_find_an_edit(index: ScopeIndex) -> None:
    """The last turn alone is near to nothing."""
    add(index, "river", "what is the river of Gondal")
    turns = [("user", "What is the capital of Gondal?"), ("assistant", "Regina."), ("user", "And the river?")]
    about = ScopePrompt.of(turns)
    assert (about.text, about.context) == ("And the river?", "What is the capital of Gondal? / Regina.")
    assert [match.edit_id for match in index.rank(about, np.array([True]))] == ["river"]


def test_an_exact_wording_needs_no_encoder(index: ScopeIndex) -> None:
    """Nothing is embedded for a prompt that some edit has as its own wording."""
    add(index, "ed_1", CAPITAL)
    extra = ("new", index.wordings(EditRequest(CAPITAL, "y")))
    index.vectorise = lambda texts: pytest.fail(f"embedded {texts}")
    assert best(index, CAPITAL.upper(), [True]) == "ed_1"
    match = index.best(CAPITAL, np.array([True]), extra)
    assert match is not None and (match.edit_id, match.score) == ("new", SAME)


@pytest.mark.parametrize("text", ["???", " … ", "\t\n", "«»", "\u200b", "—", "?!\u0301"[:2]])
def test_an_input_of_signs_alone_is_refused_by_name(index: ScopeIndex, text: str) -> None:
    """No prompt could be told to ask it; an edit that acts everywhere needs no such thing."""
    assert not says_something(text)
    with pytest.raises(InvalidEdit, match=r"^input: nothing to match on"):
        index.wordings(EditRequest(text, "x"))
    with pytest.raises(InvalidEdit, match="input"):
        index.wordings(EditRequest(text, "x", raw=True))
    index.wordings(EditRequest(text, "x", scope="global"))


@pytest.mark.parametrize("text", ["C", "7", "東", "🙂", "+", "$"])
def test_one_letter_digit_or_symbol_is_enough(index: ScopeIndex, text: str) -> None:
    """Short is not empty."""
    assert wording_key(text) in index.wordings(EditRequest(text, "x")).keys


def test_recorded_inputs_of_signs_alone_answer_to_themselves_only(index: ScopeIndex) -> None:
    """An older ledger may hold them: they match their own text, no other text of signs, and no question."""
    index.model = Cosine(-99.0)
    index.add_all(
        [("signs", EditRequest("???", "x")), ("none", EditRequest("", "x")), ("words", EditRequest(CAPITAL, "x"))]
    )
    mask = [True, True, True]
    assert best(index, "???", mask) == "signs"
    assert best(index, "!!", mask) is None and best(index, "??", mask) is None
    assert best(index, "what is the flag of Dorne", [True, True, False]) is None


def test_an_edit_whose_texts_were_erased_matches_nothing(index: ScopeIndex, tmp_path: Path) -> None:
    """At once and after a restart; wordings that another edit has as well stay that edit's."""
    file = VectorCache(tmp_path, "e", DIM)
    index = ScopeIndex(Cosine(), vectorise, DIM, WordingVectors(vectorise, file))
    add(index, "gone", CAPITAL, "what is the seat of Dorne")
    add(index, "stays", CAPITAL)
    index.forget("gone")
    index.forget("unknown")
    assert best(index, "what is the seat of Dorne", [True, False]) is None
    assert best(index, CAPITAL, [True, True]) == "stays"
    assert "what is the seat of Dorne" not in file and CAPITAL in file
    later = ScopeIndex(Cosine(), vectorise, DIM, WordingVectors(vectorise, file))
    later.add_all([("gone", None), ("stays", EditRequest(CAPITAL, "x"))])
    assert [best(later, CAPITAL, mask) for mask in ([True, False], [True, True])] == [None, "stays"]


def test_a_restart_embeds_nothing_and_decides_the_same(tmp_path: Path) -> None:
    """With the vectors that were kept; without them they are made again from the requests."""
    requests = [(f"ed_{n}", EditRequest(question(n), "x", locality=(f"who is {question(n)}",))) for n in range(30)]

    def started(embed: object) -> ScopeIndex:
        vectors = WordingVectors(embed, VectorCache(tmp_path, "e", DIM))  # type: ignore[arg-type]
        index = ScopeIndex(Cosine(), vectorise, DIM, vectors)
        index.add_all(requests)
        return index

    first, later = started(vectorise), started(lambda texts: pytest.fail(f"embedded {texts}"))
    (tmp_path / "e-2.vectors").unlink()
    anew = started(vectorise)
    for n in range(30):
        prompt, mask = f"so {question(n)}", np.ones(30, bool)
        assert first.rank(prompt, mask) == later.rank(prompt, mask) == anew.rank(prompt, mask)
