"""The one JSON text of a value, so that equal values have equal hashes."""

from __future__ import annotations

import json
from typing import Any


def canonical(value: Any) -> str:
    """Sorted keys, no spaces, no escapes that are not needed.

    Raises:
        ValueError, TypeError: the value cannot be written as JSON (NaN, an unpaired surrogate, an object).
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text.encode()  # an unpaired surrogate has no UTF-8
    return text
