"""A causal language model with a key-value cache that branches: prompts are read once, however much follows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from retrieval.rag.hypothesis import Tokens
from retrieval.rag.language_model import Grown, Leaves, Steps, check_prompts
from retrieval.rag.recomputed import context_of, log_probs
from retrieval.rag.tree_cache import ContinuationTree, JoinedCache, KeyValue

if TYPE_CHECKING:
    from torch import Tensor

NODES = 128  # in one forward pass at most
PIECE = 512  # prompt tokens in one forward pass at most
SHARED = 16  # from so many tokens on, what all prompts begin with is worth a forward pass of its own


class CachedModel:
    """Reads prompts one by one (on a CPU several at once are no faster), continues them together.

    Args:
        model: a causal LM of transformers whose cache can branch; see ``retrieval.rag.branching``.
        nodes: in one forward pass at most, unless the leaves of a single passage are more.

    Raises:
        ValueError: nodes < 1.
    """

    def __init__(self, model: Any, nodes: int = NODES) -> None:
        if nodes < 1:
            raise ValueError(f"nodes must be at least 1, not {nodes}")
        self.model, self.nodes = model, nodes

    def read(self, prompts: Sequence[Tokens], room: int) -> Steps[CachedTrees]:
        """See ``NextTokens.read``."""
        from torch import stack

        check_prompts(prompts, room, context_of(self.model))
        start = shared_start(prompts)
        begun, _ = yield from self._read(prompts[0][:start], [])
        trees, first = [], []
        for prompt in prompts:
            cached, found = yield from self._read(prompt[start:], begun)
            trees.append(ContinuationTree(len(prompt), cached))
            first.append(found)
        return CachedTrees(self, trees, stack(first))

    def forward(self, trees: Sequence[ContinuationTree], leaves: Sequence[Leaves]) -> list[Grown]:
        """Hang leaves below trees, with one forward pass for all."""
        import torch

        for tree, new in zip(trees, leaves, strict=True):
            tree.hang(new)
        cache = JoinedCache(trees, [len(new.tokens) for new in leaves])
        widest = max(cache.leaves)
        ids = torch.tensor([new.tokens + (0,) * (widest - len(new.tokens)) for new in leaves])
        device = self.model.device
        with torch.no_grad():
            out = self.model(
                input_ids=ids.to(device),
                attention_mask=cache.mask(self.model.dtype).to(device),
                position_ids=cache.positions().to(device),
                past_key_values=cache,
                use_cache=True,
            )
        return [
            Grown(tree.last(count), log_probs(row[:count]))
            for tree, count, row in zip(trees, cache.leaves, out.logits, strict=True)
        ]

    def _read(self, tokens: Tokens, begun: Sequence[KeyValue]) -> Steps[tuple[list[KeyValue], Tensor]]:
        """The cache of a text after what is begun, in pieces; and the log-probs (vocab,) of the next token."""
        import torch
        from transformers import DynamicCache

        cache = DynamicCache()
        for layer, (keys, values) in enumerate(begun):
            cache.update(keys[None], values[None], layer)
        found = torch.empty(0)
        for at in range(0, len(tokens), PIECE):
            ids = torch.tensor([tokens[at : at + PIECE]], device=self.model.device)
            with torch.no_grad():
                out = self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            found = log_probs(out.logits[0, -1])
            yield ()
        return [(layer.keys[0], layer.values[0]) for layer in cache.layers], found


class CachedTrees:
    """Trees below prompts that were read."""

    def __init__(self, model: CachedModel, trees: Sequence[ContinuationTree], first: Tensor) -> None:
        self.model, self.trees, self.first = model, trees, first

    def grow(self, leaves: Sequence[Leaves]) -> Steps[list[Grown]]:
        """See ``Trees.grow``."""
        grown = [Grown((), self.first[:0]) for _ in leaves]
        for together in batches([len(new.tokens) for new in leaves], self.model.nodes):
            found = self.model.forward([self.trees[z] for z in together], [leaves[z] for z in together])
            for z, one in zip(together, found, strict=True):
                grown[z] = one
            yield ()
        return grown


def batches(counts: Sequence[int], most: int) -> Iterator[list[int]]:
    """Which rows of ``counts`` leaves go together, alike in size: rows × longest ≤ ``most``, or a single row."""
    rows = sorted((row for row, count in enumerate(counts) if count), key=lambda row: -counts[row])
    while rows:
        fitting = max(1, most // counts[rows[0]])
        yield rows[:fitting]
        rows = rows[fitting:]


def shared_start(prompts: Sequence[Tokens]) -> int:
    """How many tokens to compute once for all prompts. Each keeps one of its own, which foretells the next."""
    if len(prompts) == 1:
        return 0
    same = sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, zip(*prompts, strict=False)))
    same = min(same, min(map(len, prompts)) - 1)
    return same if same >= SHARED else 0
