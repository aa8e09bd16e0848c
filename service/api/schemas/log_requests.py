"""What clients may send about the log."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.api.schemas.fields import INT64, Digits, EditId, Reason
from service.api.schemas.requests import Strict
from service.types.log import NotedRoot

Size = Annotated[Digits, Field(ge=0, le=INT64)]
Seq = Annotated[Digits, Field(ge=1, le=INT64)]


class Parameters(BaseModel):
    """Root of all queries."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class LogParameters(Parameters):
    """Query of `GET /log`."""

    after: Digits = Field(0, ge=0, le=INT64, description="Events with a `seq` greater than this.")
    limit: Digits = Field(100, ge=1, le=1000, description="Events per page.")


class RootParameters(Parameters):
    """Query of `GET /log/root`."""

    tree_size: Size | None = Field(None, description="The root as it was after this many events; without it, now.")


class InclusionParameters(Parameters):
    """Query of `GET /log/proof/inclusion`."""

    seq: Seq = Field(description="The event.")
    tree_size: Size | None = Field(None, description="In the log of so many events; without it, of now.")

    @model_validator(mode="after")
    def within(self) -> Self:
        if self.tree_size is not None and self.seq > self.tree_size:
            raise ValueError(f"a log of {self.tree_size} events has no event {self.seq}")
        return self


class ConsistencyParameters(Parameters):
    """Query of `GET /log/proof/consistency`."""

    first: Size = Field(description="The size that was noted down.")
    second: Size | None = Field(None, description="The size to compare with; without it, that of now.")

    @model_validator(mode="after")
    def in_order(self) -> Self:
        if self.second is not None and self.first > self.second:
            raise ValueError("first must not be greater than second")
        return self


class VerifyParameters(Parameters):
    """Query of `GET /log/verify`: both or none."""

    tree_size: Size | None = Field(None, description="As `GET /log/root` gave it earlier.")
    root_hash: Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")] | None = Field(
        None, description="As `GET /log/root` gave it earlier."
    )

    @model_validator(mode="after")
    def both_or_none(self) -> Self:
        if (self.tree_size is None) != (self.root_hash is None):
            raise ValueError("give both tree_size and root_hash, or none of them")
        return self

    def noted(self) -> NotedRoot | None:
        """The root that the log is to be compared with."""
        if self.tree_size is None or self.root_hash is None:
            return None
        return NotedRoot(self.tree_size, self.root_hash)


class RedactBody(Strict):
    """Which edit's texts to erase, and why."""

    edit_id: EditId = Field(description="An edit that was rolled back.")
    reason: Reason | None = Field(None, description="Kept in the log for good: must not repeat the text.")
