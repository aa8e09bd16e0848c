"""Pairs for the scope model: what they are labelled as, and that they depend on the seed alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from editing.data.corrections import Correction
from editing.scope.cross_encoder import Kind
from editing.scope.wording_index import Floats
from editing.training.scope_pairs import CorrectionPairs, FactPairs, IntentPairs, prompts_of
from tests.editing.scope.test_index import vectorise


def correction(n: int) -> Correction:
    return Correction(
        input=f"What is the price of plan {n}?",
        output=f"{n} EUR",
        old="7 EUR",
        rephrases=(f"plan {n} price", f"How much is Plan {n}?", f"I like it here. What do I pay for plan {n}?"),
        near=(f"What is in plan {n}?", f"When does plan {n} begin?"),
        statements=(f"Plan {n} costs",),
        denied=(f"Is plan {n} 7 EUR?", f"No, {n} EUR."),
        confirmed=(f"Is plan {n} {n} EUR?", f"Yes, {n} EUR."),
        within=(f"Write a line about plan {n}'s price.", f"It is {n} EUR."),
        reverse=(f"Which plan is {n} EUR?", f"plan {n}"),
        dialog_in=("Plans?", "Some.", f"And the price of {n}?"),
        dialog_out=("Plans?", "Some.", f"And the start of {n}?"),
    )


@pytest.fixture
def pairs() -> CorrectionPairs:
    return CorrectionPairs([correction(n) for n in range(10, 40)], vectorise)


def test_every_prompt_has_its_kind() -> None:
    """Near prompts and the dialog out of scope are nothing to the edit."""
    kinds = Counter(prompt.kind for prompt in prompts_of(correction(1)))
    assert kinds == {Kind.ASKS: 6, Kind.NOTHING: 3, Kind.DENIES: 1, Kind.CONFIRMS: 1, Kind.WITHIN: 1, Kind.REVERSE: 1}
    (dialog,) = [p for p in prompts_of(correction(1)) if p.context and p.kind is Kind.ASKS]
    assert (dialog.text, dialog.context) == ("And the price of 1?", "Plans? / Some.")


def test_pairs_depend_on_the_seed_alone(pairs: CorrectionPairs) -> None:
    """The same draws again, others with another seed; all kinds come, a little more of them negative."""
    one, again, other = (pairs.draw(400, random.Random(seed)) for seed in (1, 1, 2))
    assert one == again != other
    kinds = Counter(kind for _, kind in one)
    assert set(kinds) == set(Kind) and 200 < kinds[Kind.NOTHING] < 280


def test_a_prompt_that_concerns_an_edit_is_not_one_of_its_wordings(pairs: CorrectionPairs) -> None:
    """Those are certain; only a near prompt that stands for an edit is beside itself, and written otherwise."""
    for pair, kind in pairs.draw(400, random.Random(3)):
        if kind is not Kind.NOTHING:
            assert pair.prompt not in pair.wordings


def test_another_number_makes_another_question(pairs: CorrectionPairs) -> None:
    """What asks about plan 12 asks nothing of plan 13."""
    negatives = [p for p, kind in pairs.draw(3000, random.Random(4)) if kind is Kind.NOTHING]
    prices = [(p.prompt.split()[4][:2], p.wordings[0]) for p in negatives if p.prompt.startswith("How much is Plan")]
    assert any(number not in wording for number, wording in prices)


def test_what_the_model_took_for_positive_is_drawn_more_often(pairs: CorrectionPairs) -> None:
    """Hard negatives stand beside the neighbours that the encoder found."""
    hard = pairs.neighbours[0][0]
    before = sum(p.prompt == hard.text for p, _ in pairs.draw(3000, random.Random(5)))
    pairs.hard = {n: [hard] for n in range(len(pairs.corrections))}
    assert sum(p.prompt == hard.text for p, _ in pairs.draw(3000, random.Random(5))) > 2 * before


def test_messages_of_an_intent_stand_for_an_edit() -> None:
    """Its own further messages ask the same, others and those of no intent do not; three wordings are read at most."""
    words = ("card", "refund", "limit", "fee")
    messages: dict[str | None, Sequence[str]] = {word: [f"my {word} number {n}" for n in range(9)] for word in words}
    drawn = IntentPairs(messages | {None: ["hello there"]}, vectorise).draw(300, random.Random(0))
    for pair, kind in drawn:
        assert 2 <= len(pair.wordings) <= 3
        same = pair.prompt.split()[1] == pair.wordings[0].split()[1]
        assert same is (kind is Kind.ASKS)


def test_facts_are_asked_in_many_wordings() -> None:
    """Positive from the same, negative from the others."""
    drawn = FactPairs([("What is A?", "x", ["A is"], ["What is B?"])]).draw(50, random.Random(0))
    assert {(pair.prompt, kind) for pair, kind in drawn} == {("A is", Kind.ASKS), ("What is B?", Kind.NOTHING)}


def test_vectors_are_those_that_were_given() -> None:
    """Each text is embedded once for the neighbours."""
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> Floats:
        asked.extend(texts)
        return vectorise(texts)

    made = CorrectionPairs([correction(n) for n in range(10, 40)], embed)
    assert np.unique(asked).size == len(set(asked)) and all(len(near) == 24 for near in made.neighbours)
