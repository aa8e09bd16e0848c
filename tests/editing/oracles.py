"""What tests hold the product against: the verification of Merkle proofs by RFC 9162, and a change of nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from editing.edit import LowRankDelta
from editing.ledger.merkle import EMPTY_ROOT, node_hash
from editing.model.side_path import linear_shape


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the leaf of this hash is number ``index`` of the ``size`` leaves under the root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(step, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, step)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree of ``second`` leaves begins with the tree of ``first`` (RFC 9162, 2.1.4.2)."""
    if not 0 <= first <= second:
        return False
    if first == 0:
        return not proof and first_root == EMPTY_ROOT
    if first == second:
        return not proof and first_root == second_root
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, step)
        node, last = node >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def initial_factors(model: nn.Module, names: Sequence[str], rank: int, seed: int = 0) -> dict[str, LowRankDelta]:
    """A change of nothing: A random with rows of length about one, B zero. A layer's rank is at most its size."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name in names:
        n_in, n_out = linear_shape(model.get_submodule(name))
        r = min(rank, n_in, n_out)
        made[name] = LowRankDelta(torch.randn(r, n_in, generator=generator) / n_in**0.5, torch.zeros(n_out, r))
    return made
