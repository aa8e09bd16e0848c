"""The editor of a model that nobody has trained one for: constrained fine-tuning, and a scope head shipped for another.

A scope head compares texts through a sentence encoder and never sees the language model, so one serves them all.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from editing.editors.checkpoint import PRETRAINED, EditorCheckpoint
from editing.editors.fine_tuning import FineTuning, Limits
from editing.editors.layers import default_modules
from editing.scope.head import ScopeHead


def untrained_editor(model: Any, encoder_digest: str) -> EditorCheckpoint | None:
    """Fine-tuning for this model, or None where no scope head is shipped for the encoder.

    Its digest names the method, its limits, the layers, and the scope head.
    """
    directory = find_scope(encoder_digest)
    if directory is None:
        return None
    names, limits = default_modules(model), Limits()
    weights = (directory / "scope.safetensors").read_bytes()
    described = json.dumps({"method": FineTuning.name, "limits": asdict(limits), "layers": names}, sort_keys=True)
    digest = hashlib.sha256(described.encode() + hashlib.sha256(weights).digest()).hexdigest()
    head = ScopeHead.load(directory / "scope.safetensors")
    return EditorCheckpoint(FineTuning.name, digest, FineTuning(names, limits=limits), tuple(names), head, {})


def find_scope(encoder_digest: str) -> Path | None:
    """A shipped checkpoint whose scope head was trained on vectors of this encoder."""
    for path in sorted(PRETRAINED.glob("*/config.json")):
        scope = json.loads(path.read_text(encoding="utf-8")).get("scope", {})
        if scope.get("encoder_digest") == encoder_digest:
            return path.parent
    return None
