"""A model without a trained editor: fine-tuning and a borrowed scope head."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from editing.edit import EditRequest
from editing.editors import untrained
from editing.editors.fine_tuning import Limits
from editing.editors.layers import default_modules
from editing.editors.protocol import edit_one
from editing.editors.untrained import find_scope, untrained_editor
from editing.model.sequences import edit_sequences
from editing.model.side_path import edited, stack
from editing.scope.head import Member, ScopeHead
from tests.editing import tiny

ENCODER = "e" * 64


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shipped checkpoint whose scope head was trained for ``ENCODER``."""
    directory = tmp_path / "some-model"
    directory.mkdir()
    head = ScopeHead([Member(dim=8, hidden=4)])
    head.threshold = 0.25
    head.save(directory / "scope.safetensors")
    (directory / "config.json").write_text(json.dumps({"scope": {"encoder_digest": ENCODER}}))
    monkeypatch.setattr(untrained, "PRETRAINED", tmp_path)
    return directory


@pytest.mark.usefixtures("shipped")
def test_a_model_without_an_editor_can_be_edited(llama: Any) -> None:
    """The edit's own wording gets its answer in free generation, on a model that nothing was trained for."""
    model, encoder = llama, tiny.encoder()
    editor = untrained_editor(model, ENCODER)
    assert editor is not None
    request = EditRequest("What is the capital of Dorne?", "Alba")
    deltas = edit_one(editor.method, model, edit_sequences(encoder, request, 120))
    assert set(deltas) <= set(editor.layers) == set(default_modules(model))
    with edited(model, stack([[deltas]], model.dtype)):
        assert tiny.greedy(model, encoder.prompt(request.input, False)) == "Alba"


def test_the_scope_head_is_the_shipped_one(shipped: Path, llama: Any) -> None:
    """Threshold and place are those of the checkpoint that fits the encoder."""
    editor = untrained_editor(llama, ENCODER)
    assert editor is not None and editor.scope.threshold == 0.25
    assert find_scope(ENCODER) == shipped


@pytest.mark.usefixtures("shipped")
def test_another_encoder_has_no_scope_head(llama: Any) -> None:
    """A head that was trained on another encoder's vectors is of no use; there is no editor then."""
    assert find_scope("f" * 64) is None
    assert untrained_editor(llama, "f" * 64) is None


def test_digest_tells_what_edits_depend_on(shipped: Path, llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the same method, limits, layers and scope head; another one for others."""

    def digest() -> str:
        editor = untrained_editor(llama, ENCODER)
        assert editor is not None
        return editor.digest

    first = digest()
    assert digest() == first
    monkeypatch.setattr(untrained, "Limits", lambda: replace(Limits(), steps=3))
    other_limits = digest()
    monkeypatch.undo()
    monkeypatch.setattr(untrained, "PRETRAINED", shipped.parent)
    head = ScopeHead([Member(dim=8, hidden=4)])
    head.save(shipped / "scope.safetensors")
    assert len({first, other_limits, digest()}) == 3
