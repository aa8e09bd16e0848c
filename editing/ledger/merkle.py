"""The Merkle tree over a log (RFC 6962, section 2.1): one hash for all of it, and short proofs about its parts.

With it, somebody who noted down nothing but a size and a root can be shown that a certain event is in the log
(inclusion, 2.1.1) and that the log of today begins with the log of then (consistency, 2.1.2). A leaf's data is the 32
bytes of an event's hash, which covers the rest of the event. Hashes are ``bytes`` of length 32.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

EMPTY_ROOT = hashlib.sha256().digest()  # MTH({})


def leaf_hash(data: bytes) -> bytes:
    """MTH({d}) = SHA-256(0x00 || d)."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\1" + left + right).digest()


class MerkleTree:
    """A growing tree. It keeps the hash of every full subtree, so that no root and no proof hashes more than O(log²).

    ``_levels[h][i]`` is the hash of the 2^h leaves from leaf i·2^h on. One thread appends while others read.
    """

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        for data in leaves:
            self.append(data)

    @property
    def size(self) -> int:
        return len(self._levels[0])

    def append(self, data: bytes) -> None:
        """Adds a leaf, and the hash of every subtree that it fills."""
        node, index = leaf_hash(data), self.size
        filled = [node]
        for level in self._levels:
            if not index & 1:
                break
            node, index = node_hash(level[index - 1], node), index >> 1
            filled.append(node)
        if len(filled) > len(self._levels):
            self._levels.append([])
        for level, full in reversed(list(zip(self._levels, filled, strict=False))):
            level.append(full)  # the leaves' level last: ``size`` says what can be read

    def leaf(self, index: int) -> bytes:
        """The hash of a leaf. Raises IndexError where there is none."""
        if not 0 <= index < self.size:
            raise IndexError(f"no leaf {index} in a tree of {self.size}")
        return self._levels[0][index]

    def root(self, size: int | None = None) -> bytes:
        """MTH(D[0:size]): the root as it was when the tree had ``size`` leaves; without it, now.

        Raises:
            IndexError: the tree was never that large.
        """
        size = self._known(size)
        return self._hash(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """PATH(index, D[0:size]), from the leaf up (2.1.1).

        Raises:
            IndexError: no such leaf among the first ``size``, or no tree of that size.
        """
        size = self._known(size)
        if not 0 <= index < size:
            raise IndexError(f"no leaf {index} in a tree of {size}")
        start, end, path = 0, size, list[bytes]()
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._hash(middle, end))
                end = middle
            else:
                path.append(self._hash(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, first: int, second: int | None = None) -> list[bytes]:
        """PROOF(first, D[0:second]) (2.1.2); empty for equal sizes and for ``first`` 0, which everything extends.

        Raises:
            IndexError: ``first`` is larger than ``second``, or there is no tree of that size.
        """
        second = self._known(second)
        if not 0 <= first <= second:
            raise IndexError(f"no tree of {first} in a tree of {second}")
        if first in (0, second):
            return []
        start, end, proof = 0, second, list[bytes]()
        while end != first:
            middle = start + _split(end - start)
            if first <= middle:
                proof.append(self._hash(middle, end))
                end = middle
            else:
                proof.append(self._hash(start, middle))
                start = middle
        return [*([self._hash(start, end)] if start else []), *reversed(proof)]

    def _known(self, size: int | None) -> int:
        if size is None:
            return self.size
        if not 0 <= size <= self.size:
            raise IndexError(f"no tree of {size}: it has {self.size} leaves")
        return size

    def _hash(self, start: int, end: int) -> bytes:
        """MTH(D[start:end]) of a subtree: ``start`` is a multiple of the power of two that spans it."""
        width = end - start
        if width & (width - 1) == 0:
            return self._levels[width.bit_length() - 1][start // width]
        middle = start + _split(width)
        return node_hash(self._hash(start, middle), self._hash(middle, end))


def _split(width: int) -> int:
    """The largest power of two smaller than ``width``."""
    return 1 << ((width - 1).bit_length() - 1)


def departs(tree: MerkleTree, size: int, root: str) -> str | None:
    """Why a log with this tree is no continuation of one whose root, in hex, was noted down; None if it is."""
    if size > tree.size:
        return f"the log has {tree.size} events, and {size} were noted down: its end is missing"
    if tree.root(size).hex() != root.strip().lower():
        return f"the first {size} events are not those whose root was noted down"
    return None
