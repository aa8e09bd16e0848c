"""Which edits a prompt asks about: allowed ones, exact wordings always, prompts set apart never."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from editing.edit import EditRequest
from editing.language.names import names_in
from editing.scope.decision import SAME
from editing.scope.head import Member, ScopeHead, Texts, TextVectors
from editing.scope.index import ScopeIndex
from editing.scope.wordings import wording_key

DIM = 64
CAPITAL = "What is the capital of Dorne?"


def word(text: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    vector = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    return vector / np.linalg.norm(vector)


def vectorise(texts: Sequence[str]) -> list[TextVectors]:
    """A text is the sum of its words."""
    made = []
    for text in texts:
        tokens = np.stack([word(w) for w in text.lower().rstrip("?.").split()] or [word("")])
        sentence = tokens.sum(0)
        made.append(TextVectors((sentence / np.linalg.norm(sentence)).astype(np.float32), tokens))
    return made


class Cosine(ScopeHead):
    """Says the cosine, less 0.8."""

    def __init__(self) -> None:
        super().__init__([Member(dim=DIM, hidden=2)])
        self.threshold = 0.8

    def forward(self, prompt: Texts, edit: Texts, match: torch.Tensor) -> torch.Tensor:
        return match[:, 0]


@pytest.fixture
def index() -> ScopeIndex:
    return ScopeIndex(Cosine(), vectorise, DIM)


def add(index: ScopeIndex, edit_id: str, text: str, *rephrases: str, locality: tuple[str, ...] = ()) -> None:
    index.add(edit_id, index.wordings(EditRequest(text, "x", rephrases=rephrases, locality=locality)))


def found(index: ScopeIndex, prompt: str, *allowed: str) -> list[str]:
    return [match.edit_id for match in index.rank(prompt, allowed)]


def test_empty_index_finds_nothing(index: ScopeIndex) -> None:
    """No edits, no answer, and no error."""
    assert found(index, CAPITAL) == [] and found(index, CAPITAL, "ed_1") == []


def test_nearly_the_same_question_is_in_scope(index: ScopeIndex) -> None:
    """A wording near the edit's fires, one far from it does not."""
    add(index, "ed_1", CAPITAL)
    assert found(index, "And what is the capital of Dorne?", "ed_1") == ["ed_1"]
    assert found(index, "Who wrote the hymn of Elbonia?", "ed_1") == []


@pytest.mark.parametrize("allowed", [(), ("ed_2",), ("ed_2", "ed_3"), ("ed_2", "ed_3", "ed_9", "ed_8")])
def test_only_allowed_edits_answer(index: ScopeIndex, allowed: tuple[str, ...]) -> None:
    """An edit that is not allowed never fires, however many unknown ids are allowed beside it."""
    add(index, "ed_1", CAPITAL)
    add(index, "ed_2", "What is the river of Gondal?")
    add(index, "ed_3", "Who sings in Hyrule?")
    assert found(index, CAPITAL, *allowed) == []


@pytest.mark.parametrize(
    "prompt", [CAPITAL, CAPITAL.lower(), CAPITAL.upper(), "  What is the capital\n of Dorne ", CAPITAL + "!?"]
)
def test_exact_wording_always_fires(index: ScopeIndex, prompt: str) -> None:
    """Whatever the head thinks: case, white space and the signs at the end do not matter."""
    index.head.threshold = 99.0
    add(index, "ed_1", CAPITAL)
    assert index.rank(prompt, ["ed_1"])[0].score == SAME


def test_rephrases_and_the_statement_are_wordings_too(index: ScopeIndex) -> None:
    """The edit's other form and its rephrases fire exactly as its input does."""
    index.head.threshold = 99.0
    add(index, "ed_1", CAPITAL, "Name Dorne's seat.")
    assert found(index, "The capital of Dorne is", "ed_1") == ["ed_1"]
    assert found(index, "name dorne's seat", "ed_1") == ["ed_1"]


def test_exact_wording_fires_among_many_nearer_vectors() -> None:
    """Even if the encoder puts a hundred other edits nearer, the exact wording is found."""
    rng = np.random.default_rng(0)

    def unlucky(texts: Sequence[str]) -> list[TextVectors]:
        far = np.eye(DIM, dtype=np.float32)
        vectors = [
            far[1] if text == CAPITAL else far[0] + rng.normal(size=DIM).astype(np.float32) / 99 for text in texts
        ]
        return [TextVectors(v / np.linalg.norm(v), v[None]) for v in vectors]

    index = ScopeIndex(Cosine(), unlucky, DIM)
    add(index, "own", CAPITAL)
    for number in range(100):
        add(index, f"ed_{number}", f"text {number}")
    everyone = ["own", *(f"ed_{n}" for n in range(100))]
    assert index.rank(CAPITAL.lower(), everyone)[0].edit_id == "own"


def test_signs_within_a_question_matter() -> None:
    """C, C++ and C# are three questions; a dot at the end is none."""
    keys = {wording_key(f"Who invented {name}?") for name in ("C", "C++", "C#", "2*2", "22", "1.5", "15")}
    assert len(keys) == 7
    assert wording_key("Who invented C.") == wording_key("who  invented c?!")


def test_texts_of_signs_alone_are_told_apart() -> None:
    """A prompt of nothing but signs is not every other such prompt."""
    assert wording_key("???") != wording_key("!!") and wording_key("") == ""


def test_prompts_set_apart_never_fire(index: ScopeIndex) -> None:
    """A locality prompt of the edit is out of scope, however near it is, in any case or end."""
    index.head.threshold = -99.0
    add(index, "ed_1", CAPITAL, locality=("What is the capital of Dorne now?",))
    assert found(index, "what is the capital of dorne now", "ed_1") == []
    assert found(index, CAPITAL, "ed_1") == ["ed_1"]


def test_what_is_nearer_to_a_prompt_set_apart_is_out_of_scope(index: ScopeIndex) -> None:
    """Locality prompts speak for their neighbourhood too."""
    add(index, "ed_1", CAPITAL, locality=("Which is the old capital of Dorne?",))
    assert found(index, "Which is the very old capital of Dorne?", "ed_1") == []


def test_own_wording_wins_over_a_locality_prompt_of_the_same_text(index: ScopeIndex) -> None:
    """An edit cannot set its own input apart."""
    add(index, "ed_1", CAPITAL, locality=(CAPITAL,))
    assert found(index, CAPITAL, "ed_1") == ["ed_1"]


def test_of_equals_the_later_edit_is_first(index: ScopeIndex) -> None:
    """Two edits of one wording: the one that was added later wins, for the wording itself and for one near it."""
    add(index, "ed_2", CAPITAL)
    add(index, "ed_1", CAPITAL)
    for prompt in (CAPITAL, "And what is the capital of Dorne?"):
        assert found(index, prompt, "ed_1", "ed_2") == found(index, prompt, "ed_2", "ed_1") == ["ed_1", "ed_2"]


def test_nearer_edit_is_first(index: ScopeIndex) -> None:
    """Order of time decides between equals only."""
    add(index, "near", CAPITAL)
    add(index, "far", "What is the capital of old Dorne?")
    assert found(index, "What is the capital of Dorne now?", "near", "far")[0] == "near"


def test_an_edit_not_recorded_yet_takes_part_as_the_last(index: ScopeIndex) -> None:
    """A candidate wins ties, and leaves no trace in the index."""
    add(index, "ed_1", CAPITAL)
    extra = ("ed_new", index.wordings(EditRequest(CAPITAL, "y")))
    assert [m.edit_id for m in index.rank(CAPITAL, ["ed_1"], extra)] == ["ed_new", "ed_1"]
    assert "ed_new" not in index and found(index, CAPITAL, "ed_1", "ed_new") == ["ed_1"]


def test_edits_are_added_one_by_one(index: ScopeIndex) -> None:
    """Each is found from the moment that it was added; adding it again changes nothing."""
    names = [f"ed_{n}" for n in range(30)]
    for n, name in enumerate(names):
        add(index, name, f"What is number {n} in Elbonia?")
        add(index, name, "something else")
        assert found(index, f"What is number {n} in Elbonia?", *names)[0] == name
    assert found(index, "something else", *names) == []


def test_odd_prompts_find_nothing_and_raise_nothing(index: ScopeIndex) -> None:
    """Empty prompts, signs, other scripts."""
    add(index, "ed_1", CAPITAL)
    assert all(found(index, prompt, "ed_1") == [] for prompt in ("", "   ", "???", "東京", "\x00"))


def test_names_tell_questions_apart_that_sound_alike() -> None:
    """What a question names decides whether a new edit may take an old one's place."""
    assert names_in("What is the capital of Guinea-Bissau?") != names_in("What is the capital of Guinea?")
    assert names_in("Name Australia's capital city.") == names_in("What is the capital of Australia?")
    assert not names_in("What is our refund window?")
