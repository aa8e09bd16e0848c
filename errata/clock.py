"""The clock: times as they stand in logs, manifests and answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal


def now(precision: Literal["seconds", "microseconds"] = "microseconds") -> str:
    """The time in UTC as RFC 3339 writes it, e.g. ``2026-11-28T09:05:00.000000Z``."""
    return datetime.now(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
