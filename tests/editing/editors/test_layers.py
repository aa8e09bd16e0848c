"""Which layers are edited when nobody says."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from editing.editors.layers import default_modules, whole_blocks
from editing.model.families import edited_modules
from tests.editing import tiny


def test_whole_blocks_of_a_llama(llama: Any) -> None:
    """All three projections of the last three of four layers."""
    first, endings = whole_blocks(llama)
    assert (first, endings) == (1, ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"))
    assert len(edited_modules(llama, first, endings)) == 9


def test_whole_blocks_of_gpt2() -> None:
    """GPT-2 names them otherwise; a model with fewer layers than asked for is edited in all of them."""
    assert whole_blocks(tiny.gpt2()) == (0, ("mlp.c_fc", "mlp.c_proj"))
    assert whole_blocks(tiny.gpt2(), layers=1)[0] == 1


def test_unknown_names_are_an_error_that_says_what_to_do() -> None:
    """A model whose layers have names of their own."""
    with pytest.raises(ValueError, match="name them with --module"):
        whole_blocks(nn.Sequential(nn.Linear(2, 3)))


def test_fine_tuning_changes_the_way_out_of_the_block(llama: Any) -> None:
    """The output projections of the last three layers."""
    assert default_modules(llama) == [f"model.layers.{i}.mlp.down_proj" for i in (1, 2, 3)]
