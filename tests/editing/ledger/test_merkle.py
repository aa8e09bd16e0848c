"""The Merkle tree against RFC 6962's reference numbers and against its definition written down naively."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import pytest

from editing.ledger.merkle import EMPTY_ROOT, MerkleTree, leaf_hash
from tests.editing.oracles import verify_consistency, verify_inclusion

# The tree that google/certificate-transparency (now transparency-dev/merkle, testonly) tests every implementation with
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
FIRST_8 = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): FIRST_8,
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        ROOTS[4],
    ],
    (2, 3): [ROOTS[2]],
    (1, 5): [ROOTS[1], FIRST_8[1], "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): FIRST_8,
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        ROOTS[4],
    ],
    (2, 5): [FIRST_8[1], "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"],
}


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def split(leaves: Sequence[bytes]) -> int:
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return k


def mth(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, 2.1, as it is written there."""
    if len(leaves) < 2:
        return sha(b"\0" + leaves[0]) if leaves else sha(b"")
    k = split(leaves)
    return sha(b"\1" + mth(leaves[:k]) + mth(leaves[k:]))


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(leaves)
    return [*path(m, leaves[:k]), mth(leaves[k:])] if m < k else [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
    """2.1.2."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split(leaves)
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def hexed(proof: Sequence[bytes]) -> list[str]:
    return [step.hex() for step in proof]


def test_the_reference_trees_roots() -> None:
    """Of all sizes from 0 to 8, read off one tree and off a tree that grows."""
    whole, growing = MerkleTree(LEAVES), MerkleTree()
    assert [whole.root(size).hex() for size in range(9)] == ROOTS
    for leaf, root in zip(LEAVES, ROOTS[1:], strict=True):
        growing.append(leaf)
        assert growing.root().hex() == root
    assert EMPTY_ROOT.hex() == ROOTS[0] == MerkleTree().root().hex()


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_the_reference_inclusion_proofs(index: int, size: int) -> None:
    """Made and accepted as published."""
    proof = MerkleTree(LEAVES).inclusion(index, size)
    assert hexed(proof) == INCLUSION[index, size]
    assert verify_inclusion(leaf_hash(LEAVES[index]), index, size, proof, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("first", "second"), CONSISTENCY)
def test_the_reference_consistency_proofs(first: int, second: int) -> None:
    """Made and accepted as published."""
    proof = MerkleTree(LEAVES).consistency(first, second)
    assert hexed(proof) == CONSISTENCY[first, second]
    assert verify_consistency(first, second, bytes.fromhex(ROOTS[first]), bytes.fromhex(ROOTS[second]), proof)


def test_every_root_and_proof_of_small_trees_is_the_definitions() -> None:
    """All sizes to 33, all leaves, all pairs of sizes: the same as the RFC's recursion, and all are accepted."""
    leaves = [bytes([i]) * 32 for i in range(33)]
    tree = MerkleTree(leaves)
    for size in range(34):
        assert tree.root(size) == mth(leaves[:size])
        for index in range(size):
            proof = tree.inclusion(index, size)
            assert proof == path(index, leaves[:size])
            assert verify_inclusion(tree.leaf(index), index, size, proof, tree.root(size))
        for first in range(1, size + 1):
            proof = tree.consistency(first, size)
            assert proof == subproof(first, leaves[:size], True)
            assert verify_consistency(first, size, tree.root(first), tree.root(size), proof)


@pytest.mark.parametrize("seed", range(20))
def test_large_trees_agree_with_the_definition(seed: int) -> None:
    """Random sizes to 3,000, a random leaf and a random earlier size of each."""
    dice = random.Random(seed)
    leaves = [dice.randbytes(32) for _ in range(dice.randint(34, 3000))]
    tree, size = MerkleTree(leaves), len(leaves)
    index, first = dice.randrange(size), dice.randint(1, size)
    assert tree.root() == mth(leaves)
    assert tree.inclusion(index) == path(index, leaves)
    assert tree.consistency(first) == subproof(first, leaves, True)
    assert len(tree.inclusion(index)) <= (size - 1).bit_length()


@pytest.mark.parametrize("seed", range(200))
def test_no_other_claim_is_proved(seed: int) -> None:
    """A proof with a step changed, lost, added or moved, another leaf, place, size or root: none is accepted."""
    dice = random.Random(seed)
    tree = MerkleTree(dice.randbytes(32) for _ in range(dice.randint(2, 70)))
    index, first = dice.randrange(tree.size), dice.randrange(1, tree.size)
    leaf, root, old = tree.leaf(index), tree.root(), tree.root(first)
    for proof in spoiled(tree.inclusion(index), dice):
        assert not verify_inclusion(leaf, index, tree.size, proof, root)
    for proof in spoiled(tree.consistency(first), dice):
        assert not verify_consistency(first, tree.size, old, root, proof)
    proof, both = tree.inclusion(index), tree.consistency(first)
    assert not verify_inclusion(dice.randbytes(32), index, tree.size, proof, root)
    assert not verify_inclusion(leaf, index, tree.size, proof, dice.randbytes(32))
    assert not any(verify_inclusion(leaf, i, tree.size, proof, root) for i in range(-1, tree.size + 2) if i != index)
    assert not verify_consistency(first, tree.size, dice.randbytes(32), root, both)
    assert not verify_consistency(first, tree.size, old, dice.randbytes(32), both)


def spoiled(proof: list[bytes], dice: random.Random) -> list[list[bytes]]:
    wrong = [[*proof, dice.randbytes(32)], [dice.randbytes(32), *proof]]
    if proof:
        at = dice.randrange(len(proof))
        wrong += [proof[:-1], proof[1:], [*proof[:at], dice.randbytes(32), *proof[at + 1 :]]]
    if len(set(proof)) > 1:
        wrong.append(proof[::-1])
    return wrong


def test_sizes_and_leaves_that_do_not_exist_are_refused() -> None:
    """By an IndexError that names them; a verifier says no."""
    tree = MerkleTree(LEAVES)
    for ask in (
        lambda: tree.root(9),
        lambda: tree.root(-1),
        lambda: tree.leaf(8),
        lambda: tree.leaf(-1),
        lambda: tree.inclusion(8),
        lambda: tree.inclusion(3, 3),
        lambda: tree.inclusion(-1),
        lambda: tree.inclusion(0, 9),
        lambda: tree.consistency(9),
        lambda: tree.consistency(5, 4),
        lambda: tree.consistency(-1),
    ):
        with pytest.raises(IndexError, match=r"no (leaf|tree)"):
            ask()
    assert not verify_inclusion(tree.leaf(0), 8, 8, [], tree.root())
    assert not verify_consistency(5, 4, tree.root(5), tree.root(4), [])
    assert not verify_consistency(3, 8, tree.root(3), tree.root(), [])


def test_every_log_extends_the_empty_one() -> None:
    """With no proof at all, as long as the root noted down is the empty tree's."""
    tree = MerkleTree(LEAVES)
    assert tree.consistency(0) == []
    assert verify_consistency(0, 8, EMPTY_ROOT, tree.root(), [])
    assert not verify_consistency(0, 8, tree.root(1), tree.root(), [])
    assert verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
