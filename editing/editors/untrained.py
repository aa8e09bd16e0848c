"""The editor of a model that nobody has trained one for: constrained fine-tuning."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from editing.editors.checkpoint import EditorCheckpoint
from editing.editors.fine_tuning import FineTuning, Limits
from editing.editors.layers import default_modules


def untrained_editor(model: Any) -> EditorCheckpoint:
    """Fine-tuning for this model. Its digest names the method, its limits, and the layers."""
    names, limits = default_modules(model), Limits()
    described = json.dumps({"method": FineTuning.name, "limits": asdict(limits), "layers": names}, sort_keys=True)
    digest = hashlib.sha256(described.encode()).hexdigest()
    return EditorCheckpoint(FineTuning.name, digest, FineTuning(names, limits=limits), tuple(names), {})
