"""What every problem document must fulfil."""

from __future__ import annotations

from typing import Any


def problem(response: Any, status: int) -> dict[str, Any]:
    """The problem document of ``response``, checked."""
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.content) < 10_000
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["type"].startswith("/problems/")
    assert document["title"] and document["detail"]
    assert "Traceback" not in response.text
    for error in document.get("errors", []):
        assert set(error) == {"field", "in", "message", "type"}
    return document


def fields(document: dict[str, Any]) -> list[str]:
    """Which fields are wrong."""
    return [error["field"] for error in document["errors"]]
