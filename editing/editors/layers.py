"""Which layers an editor changes when nobody says: the last projections of the uppermost feed-forward blocks."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

from editing.model.families import edited_modules
from editing.model.side_path import linear_shape

# How kinds of models name the layer that leads out of a feed-forward block.
_ENDINGS = (
    "mlp.down_proj",  # Llama, Mistral, Qwen, Gemma
    "mlp.c_proj",  # GPT-2
    "DenseReluDense.wo",  # T5
    "fc2",  # BART, OPT
    "mlp.fc2",  # Phi
    "mlp.dense_4h_to_h",  # GPT-NeoX, BLOOM, Falcon
    "mlp.fc_out",  # GPT-J
    "ffn.lin2",  # DistilBERT
    "output.dense",  # BERT, RoBERTa; attention's layer of the same ending is left out
)
_BLOCKS = (  # the same blocks whole
    ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
    ("mlp.c_fc", "mlp.c_proj"),
    ("DenseReluDense.wi_0", "DenseReluDense.wi_1", "DenseReluDense.wo"),
    ("DenseReluDense.wi", "DenseReluDense.wo"),
    ("fc1", "fc2"),
    ("mlp.fc1", "mlp.fc2"),
    ("mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
    ("intermediate.dense", "output.dense"),
)
_ATTENTION = re.compile(r"att", re.IGNORECASE)


def default_modules(model: Any, layers: int = 3) -> list[str]:
    """Names of the feed-forward output projections of the last ``layers`` layers.

    Facts are best changed in upper feed-forward layers (Mitchell et al. 2022, section 5.2 and table 3; Zhu et al. 2020,
    section 4), and the fewer layers stand above the lowest one, the cheaper is a gradient step. An encoder-decoder is
    changed in its decoder, which reads the whole source at each answer position. Models whose names are unknown give
    the narrowing linear layers outside attention, or, without such, every linear layer outside attention.

    Raises:
        ValueError: no numbered layer of the model has a linear layer outside attention.
    """
    names = _known(model) or _narrowing(model)
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        names = [name for name in names if re.search(r"(^|\.)decoder\.", name)] or names
    if not names:
        raise ValueError(f"{type(model).__name__} has no linear layer outside attention in a numbered layer")
    last = sorted({_layer(name) for name in names})[-layers:]
    return [name for name in names if _layer(name) in last]


def whole_blocks(model: Any, layers: int = 3) -> tuple[int, tuple[str, ...]]:
    """What an editor is trained for when nobody says: the first of the last ``layers`` layers, and all linear layers
    of a feed-forward block, by the endings of their names.

    Raises:
        ValueError: the model names them in no way that is known.
    """
    for endings in _BLOCKS:
        try:
            found = [edited_modules(model, 0, [ending]) for ending in endings]
        except (ValueError, TypeError):  # one of these layers is missing, or cannot be edited
            continue
        numbers = sorted({_layer(name) for names in found for name in names})
        return numbers[-layers:][0], endings
    raise ValueError(f"{type(model).__name__} has no feed-forward layers of a known name; name them with --module")


def _known(model: Any) -> list[str]:
    for ending in _ENDINGS:
        try:
            names = [name for name in edited_modules(model, 0, [ending]) if not _ATTENTION.search(name)]
        except (ValueError, TypeError):  # no layer of this name, or one that cannot be edited
            continue
        if names:
            return names
    return []


def _narrowing(model: Any) -> list[str]:
    shapes = {
        name: linear_shape(module)
        for name, module in model.named_modules()
        if _is_linear(module) and re.search(r"\.\d+\.", name) and not _ATTENTION.search(name)
    }
    return [name for name, (i, o) in shapes.items() if i > o] or list(shapes)


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def _layer(name: str) -> int:
    number = re.search(r"\.(\d+)\.", name)
    assert number is not None
    return int(number[1])
