"""The log as values: its root, its proofs (RFC 6962), what a verification found, and a redaction."""

from __future__ import annotations

from dataclasses import dataclass

from service.types.edits import Damage


@dataclass(frozen=True)
class NotedRoot:
    """A root that somebody noted down earlier."""

    tree_size: int
    root_hash: str


@dataclass(frozen=True)
class LogRoot:
    """The tree over the first ``tree_size`` events; ``head_hash`` and ``at`` are of the last of them."""

    tree_size: int
    root_hash: str
    head_hash: str
    at: str | None


@dataclass(frozen=True)
class InclusionProof:
    """That event ``seq`` of this hash is leaf ``leaf_index`` of the tree (2.1.1). ``proof`` goes from leaf to root."""

    seq: int
    tree_size: int
    leaf_index: int
    event_hash: str
    leaf_hash: str
    root_hash: str
    proof: tuple[str, ...]


@dataclass(frozen=True)
class ConsistencyProof:
    """That the tree of ``second`` events begins with that of ``first`` (2.1.2)."""

    first: int
    second: int
    first_root: str
    second_root: str
    proof: tuple[str, ...]


@dataclass(frozen=True)
class LogVerification:
    """Whether the log is whole.

    Attributes:
        first_bad_seq, why: set when ``ok`` is false; the first is None where only the noted root does not fit.
        damaged: all edits without whole factors.
        merkle_root: of the tree over the events that follow each other.
        extends: whether the log begins with the one noted down, if one was given.
    """

    ok: bool
    events: int
    head_hash: str
    first_bad_seq: int | None = None
    why: str | None = None
    damaged: tuple[Damage, ...] = ()
    merkle_root: str | None = None
    extends: bool | None = None


@dataclass(frozen=True)
class RedactResult:
    """The redaction as it was recorded."""

    revision: int
    edit_id: str
    at: str
    actor: str
    reason: str | None
