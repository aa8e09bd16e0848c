"""A service of its own for an evaluation, in this process, on an empty home that borrows the real one's model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from service.bootstrap import build_pipeline
from service.pipeline import Pipeline
from service.settings import Settings


@contextmanager
def scratch_service(settings: Settings | None = None) -> Iterator[Pipeline]:
    """A service without edits; its home is gone afterwards, the real one's models and indexes are used in place."""
    chosen = settings or Settings()
    with tempfile.TemporaryDirectory(prefix="errata-", ignore_cleanup_errors=True) as scratch, ExitStack() as stack:
        for part in ("models", "indexes"):
            (chosen.directory / part).mkdir(parents=True, exist_ok=True)
            Path(scratch, part).symlink_to(chosen.directory / part)
        yield build_pipeline(chosen.model_copy(update={"home": Path(scratch)}), stack, lambda _: None)
