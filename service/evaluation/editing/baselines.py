"""Other editors by name, built for the served model, to be judged beside the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from editing.data.facts import Example
from editing.edit import Deltas, LowRankDelta
from editing.editors.mend import MendEditor
from editing.editors.polished import PolishedMend
from editing.editors.protocol import Editor
from editing.errors import EditorMismatch
from editing.model.prompts import TargetSequence
from service.pipeline import Pipeline

Background = Callable[[], Sequence[Example]]  # examples for training, drawn when they are needed
_KEPT = 8  # prompts whose answers fine-tuning is held to
_PRIMING = 60  # prompts from which UltraEdit's statistics are taken


class NoEditing:
    """The unedited model: what a user had before."""

    name = "none"

    def edit(
        self, model: Any, sequences: Sequence[TargetSequence], under: Sequence[Deltas] = ()
    ) -> dict[str, LowRankDelta]:
        """No change."""
        del model, sequences, under
        return {}


def build_baseline(name: str, pipeline: Pipeline, background: Background) -> Editor:
    """An editor of ``BASELINES``.

    Raises:
        EditorMismatch: it needs a trained editor, and the served model has none.
    """
    return BASELINES[name](pipeline, background)


def _fine_tuning(pipeline: Pipeline, background: Background) -> Editor:
    from editing.editors.fine_tuning import FineTuning

    del pipeline, background
    return FineTuning()


def _fine_tuning_kl(pipeline: Pipeline, background: Background) -> Editor:
    from editing.editors.fine_tuning import FineTuning

    kept = [view for example in background() for view in (*example.same_relation, *example.unrelated)][:_KEPT]
    return FineTuning(kept=[pipeline.prompts.encoder.unchanged(view.text, view.raw) for view in kept])


def _ultraedit(pipeline: Pipeline, background: Background) -> Editor:
    from editing.editors.ultraedit import UltraEdit

    editor = UltraEdit()
    sequences = [
        pipeline.prompts.encoder.sequence(example.edit.text, example.edit.raw, example.target)
        for example in background()[:_PRIMING]
    ]
    pipeline.corrector.compute.run(editor.prime, pipeline.base.model, sequences)
    return editor


def _mend(pipeline: Pipeline, background: Background) -> MendEditor:
    del background
    method = pipeline.editor.method if pipeline.editor else None
    if not isinstance(method, PolishedMend):
        raise EditorMismatch(f"there is no trained editor for {pipeline.base.name}; train one with 'errata train'")
    return method.network


def _malmen(pipeline: Pipeline, background: Background) -> Editor:
    from editing.editors.malmen import Malmen

    return Malmen(_mend(pipeline, background))


BASELINES: Mapping[str, Callable[[Pipeline, Background], Editor]] = {
    "none": lambda _pipeline, _background: NoEditing(),
    "fine-tuning": _fine_tuning,
    "fine-tuning-kl": _fine_tuning_kl,
    "mend": _mend,  # by itself: neither refined nor verified
    "malmen": _malmen,
    "ultraedit": _ultraedit,
}
