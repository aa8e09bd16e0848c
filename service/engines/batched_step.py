"""One decoding step for several sequences, each a row of the batch, which gets the bits that it would get alone.

Selective batching (Orca: Yu et al., OSDI 2022): all layers see the rows as one batch (n, 1, hidden), so that weights
are read once for all; attention and the side paths of edits go row by row, each over the row's own cache and factors.
No row is padded or masked, nothing is copied when rows come and go, and a row without edits pays nothing for others'.

What is left is the order of summation within a linear layer. In bfloat16 oneDNN sums a single row in blocks of the
inner dimension and several rows otherwise, unless the rows are stored column by column; then it is the same. Layers for
which this matters are found by trying (``ordered_layers``). In float32 the last bits may differ from alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from editing.model.side_path import RowFactors, edited
from service.engines.sequence import TokenSequence

ATTENTION = "errata_rows"  # under this name transformers finds ``attend``
_TRIED = 24  # rows on which layers are tried


class BatchedStep:
    """Decodes sequences together. See ``service.engines.capability`` for the models that can."""

    def __init__(self, model: Any) -> None:
        from transformers import AttentionInterface

        AttentionInterface.register(ATTENTION, attend)
        self.model = model
        self.ordered = ordered_layers(model)

    @torch.inference_mode()
    def step(self, sequences: Sequence[TokenSequence]) -> Tensor:
        """Logits (n, vocab) after each sequence's last token, float32."""
        ids = torch.tensor([sequence.tokens[-1:] for sequence in sequences])
        positions = torch.tensor([[sequence.position] for sequence in sequences])
        caches = BatchedCache([sequence.cache for sequence in sequences])
        with ExitStack() as stack:
            stack.enter_context(row_attention(self.model))
            for layer in self.ordered:
                stack.enter_context(by_columns(layer))
            stack.enter_context(edited(self.model, side_paths(sequences)))
            out = self.model(
                input_ids=ids, position_ids=positions, past_key_values=caches, use_cache=True, logits_to_keep=1
            )
        logits: Tensor = out.logits[:, -1].float()
        return logits


class BatchedCache:
    """The rows' caches as one, for a forward pass of one token a row."""

    is_compileable = False

    def __init__(self, caches: Sequence[Any]) -> None:
        self.caches = caches

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return max(int(cache.get_seq_length(layer_idx)) for cache in self.caches)

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *more: Any, **named: Any) -> tuple[Tensor, Tensor]:
        """Take in keys and values (n, heads, 1, dim), which come back with all of each row's hanging on them."""
        split = zip(self.caches, keys.split(1), values.split(1), strict=True)
        keys.of_rows = [cache.update(k, v, layer_idx, *more, **named) for cache, k, v in split]  # type: ignore[attr-defined]
        return keys, values


def attend(
    module: nn.Module, query: Tensor, key: Tensor, _value: Tensor, attention_mask: Tensor | None, **more: Any
) -> tuple[Tensor, None]:
    """Attention of each row, query (n, heads, 1, dim), over its own cache, as the row alone would compute it.

    Raises:
        TypeError: the model masks something, or changes keys after they were put into the cache.
    """
    from transformers import AttentionInterface

    of_rows = getattr(key, "of_rows", None)
    if attention_mask is not None or of_rows is None:
        raise TypeError("this attention is not the plain one over cached keys")
    alone = AttentionInterface()["sdpa"]
    found = [alone(module, q, k, v, None, **more)[0] for q, (k, v) in zip(query.split(1), of_rows, strict=True)]
    return torch.cat(found), None


@contextmanager
def row_attention(model: Any) -> Iterator[None]:
    """Within this block the model attends row by row."""
    config: Any = model.config.get_text_config()
    usual = config._attn_implementation
    config._attn_implementation = ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = usual


@contextmanager
def by_columns(layer: nn.Module) -> Iterator[None]:
    """Within this block the layer gets its rows stored column by column."""
    shape: list[int] = []

    def before(_layer: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        shape[:] = args[0].shape[:-1]
        return (_columns(args[0].flatten(0, -2)),)

    def after(_layer: nn.Module, _args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        whole: Tensor = output.unflatten(0, shape)
        return whole

    handles = (layer.register_forward_pre_hook(before), layer.register_forward_hook(after))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _columns(x: Tensor) -> Tensor:
    return x.t().contiguous().t()


@torch.inference_mode()
def ordered_layers(model: nn.Module) -> list[nn.Module]:
    """Linear layers that give a row other bits in company than alone, and the same when stored column by column."""
    found: dict[tuple[Any, ...], bool] = {}
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    for layer in linear:
        kind = (*layer.weight.shape, layer.weight.dtype, layer.bias is None)
        if kind not in found:
            found[kind] = _wants_columns(layer)
    return [m for m in linear if found[(*m.weight.shape, m.weight.dtype, m.bias is None)]]


def _wants_columns(layer: nn.Linear) -> bool:
    drawn = torch.randn(_TRIED, layer.in_features, generator=torch.Generator().manual_seed(0))
    x = drawn.to(layer.weight)
    alone = torch.cat([F.linear(row, layer.weight, layer.bias) for row in x.split(1)])
    if torch.equal(F.linear(x, layer.weight, layer.bias), alone):
        return False
    return torch.equal(F.linear(_columns(x), layer.weight, layer.bias), alone)


@dataclass(frozen=True, eq=False)
class BatchedSidePath:
    """The side paths of one layer for those rows of a batch that have one."""

    rows: tuple[tuple[int, RowFactors], ...]

    def apply(self, x: Tensor, y: Tensor) -> Tensor:
        """Add them in place: x (n, …, in), y (n, 1, out)."""
        for at, factors in self.rows:
            y[at : at + 1] = factors.apply(x[at].reshape(1, 1, -1).contiguous(), y[at : at + 1])
        return y


def side_paths(sequences: Sequence[TokenSequence]) -> dict[str, BatchedSidePath]:
    """By layer."""
    names = dict.fromkeys(name for sequence in sequences for name in sequence.factors)
    return {
        name: BatchedSidePath(
            tuple((row, sequence.factors[name]) for row, sequence in enumerate(sequences) if name in sequence.factors)
        )
        for name in names
    }
