"""Homes for real server processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real import new_home


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home; model and index are shared."""
    return new_home(tmp_path / "home")
