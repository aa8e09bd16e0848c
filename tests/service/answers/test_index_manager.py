"""The index beside the model, as the server starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from index.versions.manifest import Manifest
from index.versions.registry import IndexVersions
from retrieval.encoders.encoder import Encoder
from retrieval.indexing.builder import build_summaries_index
from service.answers import index_manager
from service.answers.index_manager import IndexManager
from tests.retrieval.conftest import WordEncoder


def summaries(path: Path, text: str) -> Path:
    path.write_text(json.dumps({"A": {"title": "A", "extract": text}}))
    return path


def test_the_first_start_takes_the_version_that_another_build_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``errata index build`` may finish first: what answers is what the pointer names."""
    encoder, root = WordEncoder(), tmp_path / "indexes"

    def build(*arguments: Any) -> Manifest:
        other = build_summaries_index(root, encoder, summaries=summaries(tmp_path / "other.json", "other"))
        own = build_summaries_index(root, encoder, summaries=summaries(tmp_path / "own.json", "own"))
        assert other.version != own.version
        return own

    monkeypatch.setattr(index_manager, "build_summaries_index", build)
    manager = IndexManager(root, cast(Encoder, encoder))
    manager._open_or_build()
    assert manager.failure is None
    assert manager.retriever().version == IndexVersions(root).active()
    assert [info.active for info in manager.list() if info.version == manager.retriever().version] == [True]
