"""Tiny models for all tests of editing; one thread, so that the tests may share a machine."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.editing import tiny


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def llama() -> Any:
    """A frozen tiny Llama in fp32 that no test changes."""
    return tiny.llama()
