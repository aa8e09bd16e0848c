"""A model without a trained editor: fine-tuning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from editing.edit import EditRequest
from editing.editors import untrained
from editing.editors.fine_tuning import Limits
from editing.editors.layers import default_modules
from editing.editors.protocol import edit_one
from editing.editors.untrained import untrained_editor
from editing.model.sequences import edit_sequences
from editing.model.side_path import edited, stack
from tests.editing import tiny


def test_a_model_without_an_editor_can_be_edited(llama: Any) -> None:
    """The edit's own wording gets its answer in free generation, on a model that nothing was trained for."""
    model, encoder = llama, tiny.encoder()
    editor = untrained_editor(model)
    request = EditRequest("What is the capital of Dorne?", "Alba")
    deltas = edit_one(editor.method, model, edit_sequences(encoder, request, 120))
    assert set(deltas) <= set(editor.layers) == set(default_modules(model))
    with edited(model, stack([[deltas]], model.dtype)):
        assert tiny.greedy(model, encoder.prompt(request.input, False)) == "Alba"


def test_digest_tells_what_edits_depend_on(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the same method, limits and layers; another one for others."""
    first = untrained_editor(llama).digest
    assert untrained_editor(llama).digest == first
    monkeypatch.setattr(untrained, "Limits", lambda: replace(Limits(), steps=3))
    assert untrained_editor(llama).digest != first
