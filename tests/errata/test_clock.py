"""Times as logs and manifests hold them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from errata.clock import now


def test_the_time_is_utc_in_the_form_of_rfc_3339() -> None:
    """To the microsecond or the second, always of the same length, so that texts are in the order of the times."""
    before = datetime.now(UTC)
    exact, plain = now(), now("seconds")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", exact)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", plain)
    assert before <= datetime.fromisoformat(exact) <= datetime.now(UTC)
    assert abs((datetime.fromisoformat(plain) - before).total_seconds()) <= 2
