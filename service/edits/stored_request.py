"""An edit's request as JSON, as it stands in the ledger's apply events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from editing.edit import EditRequest


def request_of(stored: Mapping[str, Any]) -> EditRequest:
    """The request as recorded in an event; erased texts are empty."""
    return EditRequest(
        stored["input"] or "",
        stored["output"] or "",
        bool(stored.get("raw")),
        tuple(stored.get("rephrases") or ()),
        tuple(stored.get("locality") or ()),
        stored.get("scope", "matched"),
    )


def stored_request(request: EditRequest) -> dict[str, Any]:
    """A request as JSON, for an event."""
    return {
        "input": request.input,
        "output": request.output,
        "raw": request.raw,
        "rephrases": list(request.rephrases),
        "locality": list(request.locality),
        "scope": request.scope,
    }
