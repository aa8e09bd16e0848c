"""Other editors by name, built for the served model, to be judged beside the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from editing.data.facts import Example
from editing.edit import Deltas
from editing.editors.malmen import Malmen
from editing.editors.mend import MendEditor, PolishedMend
from editing.editors.protocol import Editor, JointEditor
from editing.editors.ultraedit import UltraEdit
from editing.errors import EditorMismatch
from editing.model.edit_batch import EditBatch
from service.pipeline import Pipeline

Background = Callable[[], Sequence[Example]]  # examples for training, drawn when they are needed
_KEPT = 8  # prompts whose answers fine-tuning is held to
_PRIMING = 60  # prompts from which UltraEdit's statistics are taken


class NoEditing:
    """The unedited model: what a user had before."""

    name = "none"
    batch_size = 1

    def edit_batch(self, batch: EditBatch) -> list[Deltas]:
        """No change."""
        return [{} for _ in batch.corrections]


def build_baseline(name: str, pipeline: Pipeline, background: Background) -> Editor:
    """An editor of ``BASELINES``.

    Raises:
        EditorMismatch: it needs a trained editor, and the served model has none.
    """
    return BASELINES[name](pipeline, background)


def build_joint_baseline(name: str, pipeline: Pipeline, background: Background) -> JointEditor:
    """An editor of ``JOINT_BASELINES``.

    Raises:
        EditorMismatch: as ``build_baseline``.
    """
    return JOINT_BASELINES[name](pipeline, background)


def _fine_tuning(pipeline: Pipeline, background: Background) -> Editor:
    from editing.editors.fine_tuning import FineTuning

    del pipeline, background
    return FineTuning()


def _fine_tuning_kl(pipeline: Pipeline, background: Background) -> Editor:
    from editing.editors.fine_tuning import FineTuning

    kept = [view for example in background() for view in (*example.same_relation, *example.unrelated)][:_KEPT]
    return FineTuning(kept=[pipeline.prompts.encoder.unchanged(view.text, view.raw) for view in kept])


def _ultraedit(pipeline: Pipeline, background: Background) -> UltraEdit:
    editor = UltraEdit()
    sequences = [
        pipeline.prompts.encoder.sequence(example.edit.text, example.edit.raw, example.target)
        for example in background()[:_PRIMING]
    ]
    pipeline.compute.run(editor.prime, pipeline.base.model, sequences)
    return editor


def _mend(pipeline: Pipeline, background: Background) -> MendEditor:
    del background
    method = pipeline.editor.method if pipeline.editor else None
    if not isinstance(method, PolishedMend):
        raise EditorMismatch(f"there is no trained editor for {pipeline.base.name}; train one with 'errata train'")
    return method.network


def _malmen(pipeline: Pipeline, background: Background) -> Malmen:
    return Malmen(_mend(pipeline, background))


JOINT_BASELINES: Mapping[str, Callable[[Pipeline, Background], Malmen | UltraEdit]] = {
    "malmen": _malmen,
    "ultraedit": _ultraedit,
}
BASELINES: Mapping[str, Callable[[Pipeline, Background], Editor]] = {
    "none": lambda _pipeline, _background: NoEditing(),
    "fine-tuning": _fine_tuning,
    "fine-tuning-kl": _fine_tuning_kl,
    "mend": _mend,  # by itself: neither refined nor verified
    **JOINT_BASELINES,
}
