"""Keys and values of prompts and of the continuations that hang below them as trees.

A node's position is its depth behind the prompt, and it attends to the prompt and to its own ancestors (as in the tree
attention of SpecInfer, Miao et al. 2024). So no beam is ever copied, and nodes of several prompts go through a model
together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from retrieval.rag.hypothesis import Tokens
from retrieval.rag.language_model import PROMPT, Leaves

if TYPE_CHECKING:
    from torch import Tensor, dtype

KeyValue: TypeAlias = "tuple[Tensor, Tensor]"  # of one text in one layer, (heads, tokens, dim) each


class ContinuationTree:
    """One prompt and the nodes below it. It grows.

    Attributes:
        length: tokens of the prompt.
        prompt: its keys and values by layer.
        nodes: those of the nodes.
        paths: for each node the numbers of its ancestors and its own.
    """

    def __init__(self, length: int, prompt: Sequence[KeyValue]) -> None:
        self.length, self.prompt = length, prompt
        self.nodes: list[KeyValue] = [(keys[:, :0], values[:, :0]) for keys, values in prompt]
        self.paths: list[Tokens] = []

    def hang(self, leaves: Leaves) -> None:
        """Find the leaves' paths; their keys and values follow from the forward pass."""
        for parent in leaves.parents:
            before = self.paths[parent] if parent != PROMPT else ()
            self.paths.append((*before, len(self.paths)))

    def last(self, count: int) -> Tokens:
        """Numbers of the nodes that were hung last."""
        return tuple(range(len(self.paths) - count, len(self.paths)))

    def take(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Keys and values (heads, n, dim) of the n nodes that were hung last."""
        from torch import cat

        known_keys, known_values = self.nodes[layer]
        self.nodes[layer] = (cat([known_keys, keys], 1), cat([known_values, values], 1))


@dataclass(frozen=True, eq=False)
class JoinedCache:
    """The trees of g prompts as one cache of transformers, for the forward pass of the leaves that were just hung.

    Each row is [prompt, padding, nodes, padding]; the mask hides what is not a leaf's own past.

    Attributes:
        trees: g of them.
        leaves: how many each has to compute.
    """

    trees: Sequence[ContinuationTree]
    leaves: Sequence[int]

    is_compileable = False

    @property
    def start(self) -> int:
        """Where nodes begin."""
        return max(tree.length for tree in self.trees)

    @property
    def length(self) -> int:
        return self.start + max(len(tree.paths) for tree in self.trees)

    def get_seq_length(self, *_: Any) -> int:
        return self.length - max(self.leaves)

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Take in the leaves' (g, heads, n, dim); give out all, (g, heads, length, dim)."""
        for tree, count, own_keys, own_values in zip(self.trees, self.leaves, keys, values, strict=True):
            tree.take(layer_idx, own_keys[:, :count], own_values[:, :count])
        return self._all(layer_idx, 0), self._all(layer_idx, 1)

    def _all(self, layer: int, side: int) -> Tensor:
        heads, _, dim = self.trees[0].prompt[layer][side].shape
        joined = self.trees[0].prompt[layer][side].new_zeros(len(self.trees), heads, self.length, dim)
        for row, tree in zip(joined, self.trees, strict=True):
            row[:, : tree.length] = tree.prompt[layer][side]
            row[:, self.start : self.start + len(tree.paths)] = tree.nodes[layer][side]
        return joined

    def positions(self) -> Tensor:
        """Of the leaves, (g, n)."""
        from torch import tensor

        rows = [[tree.length + len(path) - 1 for path in paths] for tree, paths in self._new()]
        return tensor([row + [0] * (max(self.leaves) - len(row)) for row in rows])

    def mask(self, kind: dtype) -> Tensor:
        """Added to attention scores, (g, 1, n, length): 0 where a leaf may look, else the least number of this kind."""
        from torch import finfo, full

        hidden = full((len(self.trees), 1, max(self.leaves), self.length), finfo(kind).min, dtype=kind)
        for row, (tree, paths) in zip(hidden, self._new(), strict=True):
            row[:, :, : tree.length] = 0
            for leaf, path in enumerate(paths):
                row[0, leaf, [self.start + node for node in path]] = 0
        return hidden

    def _new(self) -> list[tuple[ContinuationTree, list[Tokens]]]:
        """The leaves' paths, by tree."""
        pairs = zip(self.trees, self.leaves, strict=True)
        return [(tree, tree.paths[len(tree.paths) - count :]) for tree, count in pairs]
