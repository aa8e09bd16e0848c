"""Batches of different edits: where the targets are predicted, and what each edit is made from and judged by."""

from __future__ import annotations

import random
from dataclasses import replace

from editing.training.batch import KINDS, BatchBuilder
from tests.editing import tiny


def test_every_edit_has_views_that_end_in_its_target() -> None:
    """What an edit is computed from is its own wording and others, all with its answer and the end of turn."""
    builder, decode = BatchBuilder(tiny.encoder()), tiny.tokenizer().decode
    for seed in range(10):
        batch = builder.batch(tiny.examples(), random.Random(seed))
        assert {row.edit for row in batch.views} == set(range(8))
        for row in (*batch.views, *batch.judged):
            said = row.sequence.ids[row.sequence.start :]
            assert decode(said) == f"{tiny.examples()[row.edit].target} <end>"


def test_kinds_are_those_that_losses_weigh() -> None:
    """Judged rows are edit, chat or statement, kept rows the three kinds of locality."""
    batch = BatchBuilder(tiny.encoder()).batch(tiny.examples(), random.Random(0))
    assert {row.kind for row in batch.judged} == set(KINDS[:3])
    assert {row.kind for row in batch.kept} <= set(KINDS[3:])


def test_batches_depend_on_the_generator_alone() -> None:
    """The same random state gives the same batch."""
    builder = BatchBuilder(tiny.encoder())
    assert builder.batch(tiny.examples(), random.Random(3)) == builder.batch(tiny.examples(), random.Random(3))


def test_kept_prompts_begin_the_plausible_answer() -> None:
    """A question that has a statement is followed by it, so that later tokens are kept too."""
    (view,) = tiny.examples()[0].same_subject
    sequence, decode = tiny.encoder().unchanged(view.text, view.raw), tiny.tokenizer().decode
    assert decode(sequence.ids[sequence.start :]) == "The river of Avaria is"


def test_over_long_examples_do_not_fit() -> None:
    """Any wording longer than the limit makes the example too long."""
    builder, example = BatchBuilder(tiny.encoder(), max_tokens=20), tiny.examples()[0]
    assert builder.fits(example)
    assert not builder.fits(replace(example, target="Alba " * 20))
