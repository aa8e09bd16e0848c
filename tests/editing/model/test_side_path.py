"""The side path: exact, per row, and gone after the block; rollback bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from editing.edit import Deltas, LowRankDelta
from editing.model.side_path import RowFactors, edited, linear_shape, select, stack, together
from tests.editing import tiny

IDS = torch.tensor([[5, 9, 3, 7, 2], [8, 4, 4, 1, 6], [2, 2, 9, 3, 5]])
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])


@torch.no_grad()
def logits(model: Any, ids: torch.Tensor, rows: list[list[Deltas]]) -> torch.Tensor:
    with edited(model, stack(rows, model.dtype)):
        found: torch.Tensor = model(input_ids=ids, use_cache=False).logits
        return found


@DTYPES
def test_taking_an_edit_out_is_never_having_made_it(dtype: torch.dtype) -> None:
    """With e1, e2, e3 in force and e2 taken out, logits are bit for bit those of a fresh model with e1 and e3 only."""
    model = tiny.llama(dtype)
    e1, e2, e3 = (tiny.deltas(model, seed) for seed in (1, 2, 3))
    with_all = logits(model, IDS[:1], [[e1, e2, e3]])
    after = logits(model, IDS[:1], [[e1, e3]])
    assert torch.equal(after, logits(tiny.llama(dtype), IDS[:1], [[e1, e3]]))
    assert not torch.equal(after, with_all)


@DTYPES
def test_taking_all_edits_out_is_the_base_model(dtype: torch.dtype) -> None:
    """After any edits, the plain model's logits are the bits they were."""
    model = tiny.llama(dtype)
    before = model(input_ids=IDS, use_cache=False).logits
    logits(model, IDS, [[tiny.deltas(model, 1), tiny.deltas(model, 2)], [], [tiny.deltas(model, 3)]])
    assert torch.equal(logits(model, IDS, [[], [], []]), before)


@DTYPES
def test_weights_are_never_written(dtype: torch.dtype) -> None:
    """Every parameter has the same bits during and after an edit."""
    model = tiny.llama(dtype)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with edited(model, stack([[tiny.deltas(model, 1)]], dtype)):
        model(input_ids=IDS[:1])
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_side_path_is_the_changed_weight(llama: Any) -> None:
    """y + (x Aᵀ) Bᵀ is what a model with W + B A gives."""
    deltas = tiny.deltas(llama, 1)
    merged = tiny.llama()
    for name, delta in deltas.items():
        merged.get_submodule(name).weight += delta.dense()
    expected = merged(input_ids=IDS[:1], use_cache=False).logits
    torch.testing.assert_close(logits(llama, IDS[:1], [[deltas]]), expected, atol=1e-4, rtol=1e-4)


def test_side_path_is_the_changed_weight_for_gpt2() -> None:
    """The same for Conv1D, whose weight is stored (in, out)."""
    model, merged = tiny.gpt2(), tiny.gpt2()
    name = "transformer.h.0.mlp.c_proj"  # 96 → 24
    delta = LowRankDelta(torch.randn(2, 96), torch.randn(24, 2))
    with torch.no_grad():
        merged.get_submodule(name).weight += delta.dense().T
        expected = merged(input_ids=IDS[:1]).logits
    with edited(model, stack([[{name: delta}]], torch.float32)), torch.no_grad():
        torch.testing.assert_close(model(input_ids=IDS[:1]).logits, expected, atol=1e-4, rtol=1e-4)


def test_rows_hold_different_edits(llama: Any) -> None:
    """A batch with other edits in each row, of other ranks and numbers, gives each row what it gets alone."""
    rows: list[list[Deltas]] = [
        [tiny.deltas(llama, 1)],
        [],
        [tiny.deltas(llama, 2, rank=5), tiny.deltas(llama, 3, names=tiny.DOWN[1:])],
    ]
    together = logits(llama, IDS, rows)
    for i, row in enumerate(rows):
        torch.testing.assert_close(together[i : i + 1], logits(llama, IDS[i : i + 1], [row]), atol=1e-5, rtol=1e-5)


def test_rows_without_edits_keep_their_bits_beside_edited_ones(llama: Any) -> None:
    """In a mixed batch, an unedited row is equal to the same row of the plain batch."""
    plain = llama(input_ids=IDS, use_cache=False).logits
    mixed = logits(llama, IDS, [[tiny.deltas(llama, 1)], [], []])
    assert torch.equal(mixed[1:], plain[1:])
    assert not torch.equal(mixed[0], plain[0])


def test_batch_without_edits_has_no_factors() -> None:
    """No edit in any row: the model takes exactly its own path."""
    assert stack([[], []], torch.float32) == {}


def test_edits_are_concatenated_in_order(llama: Any) -> None:
    """A row's factors are those of its edits one after the other, zeros behind shorter rows."""
    name = tiny.DOWN[0]
    one, two = tiny.deltas(llama, 1)[name], tiny.deltas(llama, 2, rank=3)[name]
    factors = stack([[{name: one}, {name: two}], [{name: one}]], torch.float32)[name]
    assert torch.equal(factors.A[0], torch.cat([one.A, two.A]))
    assert torch.equal(factors.B[0], torch.cat([one.B, two.B], dim=1))
    assert factors.A[1, 2:].abs().sum() == factors.B[1, :, 2:].abs().sum() == 0


def test_edit_of_rank_0_changes_nothing(llama: Any) -> None:
    """An edit that learned nothing is harmless."""
    empty = {name: LowRankDelta(d.A[:0], d.B[:, :0]) for name, d in tiny.deltas(llama, 1).items()}
    assert torch.equal(logits(llama, IDS[:1], [[empty]]), llama(input_ids=IDS[:1], use_cache=False).logits)


def test_blocks_nest(llama: Any) -> None:
    """An edit within another's block adds to it, and the outer one stays when the inner ends."""
    e1, e2 = tiny.deltas(llama, 1), tiny.deltas(llama, 2)
    with edited(llama, stack([[e1]], torch.float32)):
        outer = llama(input_ids=IDS[:1], use_cache=False).logits
        nested = logits(llama, IDS[:1], [[e2]])
        assert torch.equal(llama(input_ids=IDS[:1], use_cache=False).logits, outer)
    torch.testing.assert_close(nested, logits(llama, IDS[:1], [[e1, e2]]), atol=1e-5, rtol=1e-5)


def test_no_hook_stays_after_an_exception(llama: Any) -> None:
    """An exception inside the block leaves the model as it was found."""
    with pytest.raises(RuntimeError, match="inside"), edited(llama, stack([[tiny.deltas(llama, 1)]], torch.float32)):
        raise RuntimeError("inside")
    assert tiny.hooks(llama) == 0


def test_no_hook_stays_when_the_forward_pass_fails(llama: Any) -> None:
    """Factors for two rows and a batch of three: an error, and a clean model."""
    factors = stack([[tiny.deltas(llama, 1)], []], torch.float32)
    with pytest.raises(RuntimeError), edited(llama, factors):
        llama(input_ids=IDS)
    assert tiny.hooks(llama) == 0


def test_unknown_layer_sets_no_hook(llama: Any) -> None:
    """A layer that the model does not have, named after one that it has, is an error that leaves nothing behind."""
    factors = dict(stack([[tiny.deltas(llama, 1)]], torch.float32))
    factors["model.layers.99.mlp.down_proj"] = factors[tiny.DOWN[0]]
    with pytest.raises(KeyError), edited(llama, factors):
        pass
    assert tiny.hooks(llama) == 0


def test_select_gives_each_row_its_edits_factors() -> None:
    """Row i gets the factors of the edit that it names; one edit may serve many rows."""
    factors = {"a": RowFactors(torch.arange(6.0).view(3, 1, 2), torch.arange(12.0).view(3, 4, 1))}
    chosen = select(factors, torch.tensor([2, 0, 2]))["a"]
    assert torch.equal(chosen.A[0], factors["a"].A[2]) and torch.equal(chosen.B[1], factors["a"].B[0])
    assert torch.equal(chosen.A[2], chosen.A[0])


@pytest.mark.parametrize("layer", [nn.Linear(5, 3), Conv1D(3, 5)], ids=["Linear", "Conv1D"])
def test_shape_is_in_and_out_by_type(layer: nn.Module) -> None:
    """(in, out), whichever way the weight is stored."""
    assert linear_shape(layer) == (5, 3)


def test_other_layers_have_no_linear_shape() -> None:
    """What is not linear cannot be edited, and the error names its type."""
    with pytest.raises(TypeError, match="LayerNorm"):
        linear_shape(nn.LayerNorm(3))


def test_factors_must_fit_each_other() -> None:
    """A and B of different ranks are refused when made."""
    with pytest.raises(ValueError, match="expected"):
        LowRankDelta(torch.zeros(2, 5), torch.zeros(3, 3))


def test_edits_put_together_act_as_their_sum() -> None:
    """Two edits side by side change a row by what each changes it, added up; one alone is left as it is."""
    torch.manual_seed(0)
    factors = {"layer": RowFactors(torch.randn(4, 3, 5), torch.randn(4, 6, 3))}
    x, y = torch.randn(2, 7, 5), torch.zeros(2, 7, 6)
    joined = together(factors, 2)["layer"]
    one, two = (select(factors, torch.tensor(rows))["layer"] for rows in ([0, 2], [1, 3]))
    torch.testing.assert_close(joined.apply(x, y), one.apply(x, y) + two.apply(x, y))
    assert together(factors, 1) is factors
