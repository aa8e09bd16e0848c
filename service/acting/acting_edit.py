"""An edit as it acts on one prompt."""

from __future__ import annotations

from dataclasses import dataclass

from editing.edit import Deltas, Edit
from editing.scope.cross_encoder import Kind
from service.types.edits import KindName

_NAMES: dict[Kind, KindName] = {
    Kind.ASKS: "asks",
    Kind.CONFIRMS: "confirms",
    Kind.DENIES: "confirms",
    Kind.WITHIN: "within",
    Kind.REVERSE: "reverse",
}


@dataclass(frozen=True, eq=False)
class ActingEdit:
    """An edit in force for a prompt.

    Attributes:
        kind: what the prompt is to it; None where it acts whatever is asked.
    """

    edit: Edit
    kind: Kind | None = None

    @property
    def id(self) -> str:
        return self.edit.id

    @property
    def deltas(self) -> Deltas:
        return self.edit.deltas

    @property
    def kind_name(self) -> KindName | None:
        return kind_name(self.kind)


def kind_name(kind: Kind | None) -> KindName | None:
    """As the contract has it."""
    return _NAMES.get(kind) if kind is not None else None
