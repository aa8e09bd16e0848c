"""The served model with everything that asks or changes it."""

from __future__ import annotations

from dataclasses import dataclass

from editing.editors.checkpoint import EditorCheckpoint
from service.acting.edited_engine import EditedEngine
from service.engines.compute_thread import ComputeThread
from service.engines.model_loader import LoadedModel
from service.engines.protocol import Engine
from service.prompt import PromptBuilder


@dataclass(frozen=True, eq=False)
class ServedModel:
    """What every part of the service shares of the model.

    Attributes:
        base: weights, tokenizer, name and digest.
        editor: turns corrections into low-rank changes of it; None: it cannot be edited.
        engine: generates; ``edited``: with edits in force.
        prompts: makes token ids of texts.
        compute: the one thread in which the model runs.
    """

    base: LoadedModel
    editor: EditorCheckpoint | None
    engine: Engine
    edited: EditedEngine
    prompts: PromptBuilder
    compute: ComputeThread
