"""Forward passes: where targets are predicted, how rows are grouped, and that all ways give the same predictions."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForSequenceClassification

from editing.model.passes import CachedPasses, FullPasses, by_length, passes_for, positions, scatter
from editing.model.prompts import TargetSequence
from editing.model.row import Row
from editing.training.batch import BatchBuilder
from tests.editing import tiny, tiny_families

ROWS = (
    Row(0, "view", TargetSequence((7, 8, 9, 1), 2)),
    Row(0, "view", TargetSequence((7, 5, 1), 1)),
    Row(1, "view", TargetSequence((4, 3, 1), 2)),
)


def test_positions_predict_the_next_token() -> None:
    """Each position of a row stands one before the token that it predicts, targets only."""
    where = positions(ROWS)
    assert where.row.tolist() == [0, 0, 1, 1, 2]
    assert where.at.tolist() == [1, 2, 0, 1, 1]
    assert where.target.tolist() == [9, 1, 5, 1, 1]


def test_prompt_without_answer_has_one_position() -> None:
    """A prompt that must keep its answer is looked at where the answer would begin."""
    where = positions([Row(0, "unrelated", TargetSequence((4, 3, 1), 3))])
    assert where.at.tolist() == [2]


def test_scatter_puts_values_in_their_groups() -> None:
    """In order within a group, whatever the order of the groups; zeros where one is shorter; gradients pass through."""
    values = torch.arange(1.0, 6.0, requires_grad=True)
    out = scatter(values, torch.tensor([0, 1, 0, 0, 0]), 2)
    assert out.tolist() == [[1, 3, 4, 5], [2, 0, 0, 0]]
    out.sum().backward()
    assert values.grad is not None and values.grad.tolist() == [1] * 5


def test_a_group_without_values_is_empty() -> None:
    """A group that nothing falls into is all zeros."""
    assert scatter(torch.ones(2), torch.tensor([2, 2]), 3).tolist() == [[0, 0], [0, 0], [1, 1]]


@pytest.mark.parametrize("lengths", [(5,), (5, 5, 5), (3, 40, 4, 41), (40, 3), (1, 2, 3, 4, 50)])
def test_groups_by_length_hold_each_row_once_and_waste_less(lengths: tuple[int, ...]) -> None:
    """Every row is in one group; the groups' padded size is never more than that of one block."""
    rows = [Row(0, "view", TargetSequence(tuple(range(n)), 1)) for n in lengths]
    groups = by_length(rows)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    padded = sum(len(group) * max(lengths[i] for i in group) for group in groups)
    assert padded <= len(lengths) * max(lengths)
    assert len(groups) == (1 if len(set(lengths)) == 1 else 2)


def test_cached_passes_predict_what_full_ones_do(llama: Any) -> None:
    """Running the upper half from kept hidden states gives the whole model's predictions."""
    builder = BatchBuilder(tiny.encoder())
    rows = builder.batch(tiny.examples(), random.Random(0)).judged
    sequences, where = [row.sequence for row in rows], positions(rows)
    cached = CachedPasses(llama, 2, builder.encoder.prefix())
    cached.ensure(sequences)
    torch.testing.assert_close(
        cached.logits(sequences, where), FullPasses(llama).logits(sequences, where), atol=1e-5, rtol=1e-5
    )


def test_models_that_cannot_be_cut_run_whole() -> None:
    """Decoders are cut; an encoder-decoder and a classifier run whole, one of Llama's type too."""
    assert isinstance(passes_for(tiny.llama(), 2), CachedPasses)
    assert isinstance(passes_for(tiny.gpt2(), 1), CachedPasses)
    config = LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    for whole in (tiny_families.t5(), tiny_families.bert(), LlamaForSequenceClassification(config)):
        assert isinstance(passes_for(whole, 0), FullPasses)


def test_kept_rows_of_every_family_compare_what_begins_the_answer() -> None:
    """A prompt that must keep its answer: the decoder's start token, or a classifier's one place, with no target."""
    for name, begin in (("t5", (0,)), ("bart", (1,)), ("bert", (0,))):
        model = tiny_families.model(name)
        sequence = tiny_families.encoder(model).unchanged("Dorne", raw=False)
        where = positions([Row(0, "unrelated", sequence)])
        assert sequence.ids == begin and where.at.tolist() == [0]
        assert FullPasses(model).logits([sequence], where).shape == (1, 2 if name == "bert" else len(tiny.tokenizer()))
