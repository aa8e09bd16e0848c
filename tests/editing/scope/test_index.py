"""Which edits a prompt asks about: allowed ones, exact wordings always, prompts set apart never."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest

from editing.edit import EditRequest
from editing.errors import InvalidEdit
from editing.scope.cross_encoder import Kind, ScopePair
from editing.scope.decision import SAME
from editing.scope.index import ScopeIndex
from editing.scope.model import ScopeModel
from editing.scope.wording_index import Floats
from editing.scope.wordings import wording_key

DIM = 64
CAPITAL = "What is the capital of Dorne?"


def word(text: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    vector = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    return vector / np.linalg.norm(vector)


def vectorise(texts: Sequence[str]) -> Floats:
    """A text is the sum of its words."""
    sums = [np.stack([word(w) for w in text.lower().rstrip("?.").split()] or [word("")]).sum(0) for text in texts]
    made: Floats = np.stack([one / np.linalg.norm(one) for one in sums]).astype(np.float32)
    return made


class Cosine(ScopeModel):
    """Says the cosine to the nearest wording, less 0.8; what it reads is asked or nothing."""

    def __init__(self, threshold: float = 0.8) -> None:
        super().__init__(None, None, (threshold,) * len(Kind))  # type: ignore[arg-type]

    def logits(self, pairs: Sequence[ScopePair]) -> Floats:
        found = np.full((len(pairs), len(Kind)), -99.0, np.float32)
        for n, pair in enumerate(pairs):
            prompt, *own = vectorise([pair.prompt, *pair.wordings])
            found[n, [Kind.NOTHING, Kind.ASKS]] = 0, max((float(prompt @ one) for one in own), default=-1.0)
        return found


@pytest.fixture
def index() -> ScopeIndex:
    return ScopeIndex(Cosine(), vectorise, DIM)


def add(index: ScopeIndex, edit_id: str, text: str, *rephrases: str, locality: tuple[str, ...] = ()) -> None:
    index.add(edit_id, index.wordings(EditRequest(text, "x", rephrases=rephrases, locality=locality)))


def found(index: ScopeIndex, prompt: str, *allowed: str) -> list[str]:
    return [match.edit_id for match in index.rank(prompt, allowed) if match.score > 0]


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
    index.model = Cosine(99.0)
    add(index, "ed_1", CAPITAL)
    assert index.rank(prompt, ["ed_1"])[0].score == SAME


def test_rephrases_are_wordings_too(index: ScopeIndex) -> None:
    """They fire exactly as the input does, whatever the model thinks."""
    index.model = Cosine(99.0)
    add(index, "ed_1", CAPITAL, "Name Dorne's seat.")
    assert found(index, "name dorne's seat", "ed_1") == ["ed_1"]


def test_exact_wording_fires_among_many_nearer_vectors() -> None:
    """Even if the encoder puts a hundred other edits nearer, the exact wording is found."""
    rng = np.random.default_rng(0)

    def unlucky(texts: Sequence[str]) -> Floats:
        far = np.eye(DIM, dtype=np.float32)
        vectors = [
            far[1] if text == CAPITAL else far[0] + rng.normal(size=DIM).astype(np.float32) / 99 for text in texts
        ]
        return np.stack([v / np.linalg.norm(v) for v in vectors]).astype(np.float32)

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
    index.model = Cosine(-99.0)
    add(index, "ed_1", CAPITAL, locality=("What is the capital of Dorne now?",))
    assert found(index, "what is the capital of dorne now", "ed_1") == []
    assert found(index, CAPITAL, "ed_1") == ["ed_1"]


def test_what_is_nearer_to_a_prompt_set_apart_is_out_of_scope(index: ScopeIndex) -> None:
    """Locality prompts speak for their neighbourhood too."""
    add(index, "ed_1", CAPITAL, locality=("Which is the old capital of Dorne?",))
    assert found(index, "Which is the very old capital of Dorne?", "ed_1") == []


@pytest.mark.parametrize("both", [CAPITAL.lower(), "Name Dorne's seat"])
def test_a_prompt_cannot_be_a_wording_and_set_apart(index: ScopeIndex, both: str) -> None:
    """The error names it."""
    with pytest.raises(InvalidEdit, match=r"locality: .*is the input or one of the rephrases as well"):
        add(index, "ed_1", CAPITAL, "Name Dorne's seat.", locality=("Where is Dorne?", both))


def test_further_wordings_count_where_their_event_does(index: ScopeIndex) -> None:
    """Missed prompts fire and leaks stop from the event on, and as of an earlier revision nothing changes."""
    index.model = Cosine(99.0)
    add(index, "ed_1", CAPITAL)
    add(index, "ed_2", "Who sings in Hyrule?")
    index.amend("ed_1", ["Name Dorne's seat."], ["Who rules Dorne?"], event=7)
    for prompt, now in (("name dorne's seat", "ed_1"), (CAPITAL, "ed_1"), ("who rules Dorne", None)):
        match = index.best(prompt, ["ed_1", "ed_2"], amended={7})
        assert (match.edit_id if match else None) == now
    assert index.best("name dorne's seat", ["ed_1"], amended={}) is None
    index.model = Cosine(-99.0)
    assert index.best("who rules Dorne", ["ed_1"], amended={7}) is None
    assert index.best("who rules Dorne", ["ed_1"], amended={}) is not None


def test_a_match_says_why(index: ScopeIndex) -> None:
    """What was considered comes with its score, the nearest wording and a reason, in scope or not."""
    add(index, "ed_1", CAPITAL, "name its seat", locality=("What is the capital of old Dorne?",))
    (near,) = index.rank("So what is the capital of Dorne?", ["ed_1"])
    assert near.score > 0 and near.kind is Kind.ASKS and near.wording == CAPITAL and near.why == "it asks the same"
    (apart,) = index.rank("And what is the capital of old Dorne?", ["ed_1"])
    assert apart.score == -SAME and "nearer to the prompt set apart: What is the capital of old" in apart.why
    (other,) = index.rank("Who is the mother of the king of Dorne?", ["ed_1"])
    assert other.score < 0 and other.why == "it asks something else"


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
