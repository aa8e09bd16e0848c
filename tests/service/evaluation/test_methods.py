"""Editors by themselves and what the model alone can tell, on a tiny model that is real."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from editing.edit import Deltas, EditRequest
from editing.editors.mend import MendEditor, PolishedMend
from editing.language.views import View
from editing.model.edit_batch import EditBatch
from editing.model.prompts import TargetSequence
from editing.model.sequences import target_logits
from editing.model.side_path import edited, stack
from service.engines.compute_thread import ComputeThread
from service.engines.local import LocalEngine
from service.engines.protocol import SamplingParams
from service.evaluation.editing.baselines import BASELINES, NoEditing, build_baseline
from service.evaluation.editing.evaluator import Evaluation, EvaluationPlan, UneditedAnswers
from service.evaluation.editing.judge import AnswerCollector, EvaluationPrompt
from service.evaluation.editing.methods import EditingMethod, EditorMethod, JointMethod
from service.evaluation.editing.report import summary
from service.evaluation.editing.run import EvaluationOptions, methods_of
from service.evaluation.editing.teacher_forcing import TeacherForcingProbe
from service.prompt import PromptBuilder
from tests.editing import tiny

PASSAGE = "The capital of Avaria is the chief town of Borland and the seat of Cestia"
ASKED = View(tiny.QUESTIONS[0].format("Avaria"), False)
REQUEST = EditRequest(ASKED.text, "Alba")


@dataclass
class RandomEditor:
    """Every edit is another random change; ``joined`` says how many corrections one change was made of."""

    name: str = "random"
    under: list[int] = field(default_factory=list)
    joined: list[int] = field(default_factory=list)

    batch_size: int = 1

    def edit_batch(self, batch: EditBatch) -> list[Deltas]:
        self.under += [len(batch.under) for _ in batch.corrections]
        return [tiny.deltas(batch.model, seed=len(self.under), size=1.0) for _ in batch.corrections]

    def edit_jointly(self, batch: EditBatch) -> Deltas:
        self.joined.append(len(batch.corrections))
        return tiny.deltas(batch.model, seed=99, size=1.0)


@pytest.fixture
def pipeline() -> Iterator[Any]:
    compute, model = ComputeThread(), tiny.llama()
    yield SimpleNamespace(
        base=SimpleNamespace(model=model, name="tiny"),
        editor=None,
        prompts=PromptBuilder(tiny.encoder(), 200),
        engine=LocalEngine(model, tiny.tokenizer(), compute),
        compute=compute,
    )
    compute.close()


def probe(pipeline: Any, method: EditingMethod) -> TeacherForcingProbe:
    return TeacherForcingProbe(pipeline.base.model, pipeline.prompts.encoder, pipeline.compute, method, {})


def test_drift_is_zero_with_nothing_in_force_and_not_under_an_edit(pipeline: Any) -> None:
    """By the same bits, not by a tolerance; KL and the change of −log p are those of the two passes."""
    method = EditorMethod("random", RandomEditor(), pipeline)
    reader = probe(pipeline, method)
    edit_id = str(method.edit(REQUEST).id)
    reading = reader.read("w", PASSAGE, "none")
    assert (reading.before, reading.kl) == (reading.after, 0.0)
    assert reading.tokens == len(PASSAGE.split()) - 1
    moved = reader.read("w", PASSAGE, (edit_id,))
    assert moved.before == reading.before != moved.after and moved.kl > 0
    sequence = TargetSequence(tiny.encoder().raw(PASSAGE), 1)
    with edited(pipeline.base.model, stack([[method.deltas(edit_id)]], pipeline.base.model.dtype)):
        logits, targets = target_logits(pipeline.base.model, sequence)
    own = logits.log_softmax(-1).gather(1, targets[:, None])
    assert moved.after == pytest.approx(-float(own.sum()), rel=1e-5)


def test_teacher_forcing_agrees_with_what_the_model_says_freely(pipeline: Any) -> None:
    """What is said freely succeeds when forced, under the same edits only; a target of two lengths shares a pass."""
    method = EditorMethod("random", RandomEditor(), pipeline)
    model, prompt = pipeline.base.model, pipeline.prompts.encoder.prompt(ASKED.text, False)
    edit_id = str(method.edit(REQUEST).id)
    said: dict[tuple[str, ...], list[int]] = {(): _said(model, prompt, 3)}
    with edited(model, stack([[method.deltas(edit_id)]], model.dtype)):
        said[(edit_id,)] = _said(model, prompt, 5)
    assert said[()] != said[(edit_id,)][:3]
    reader = probe(pipeline, method)
    reader.encoder = SimpleNamespace(  # type: ignore[assignment]  # targets are token ids here
        sequence=lambda text, raw, target: TargetSequence((*prompt, *map(int, target.split())), len(prompt))
    )
    targets = {ids: " ".join(map(str, tokens)) for ids, tokens in said.items()}
    rows = [(ASKED, target, ids) for target in targets.values() for ids in said]
    assert reader.forced(rows) == [True, False, False, True]
    assert reader.forced(rows * 5) == [True, False, False, True] * 5


def _said(model: Any, prompt: tuple[int, ...], steps: int) -> list[int]:
    said: list[int] = []
    for _ in range(steps):
        said.append(int(model(input_ids=torch.tensor([[*prompt, *said]]), use_cache=False).logits[0, -1].argmax()))
    return said


def test_no_editing_leaves_every_answer_as_it_was(pipeline: Any) -> None:
    """The trivial baseline: nothing said, nothing lost, no drift."""
    method = EditorMethod("none", NoEditing(), pipeline)
    plan = EvaluationPlan(passages=(PASSAGE,), long_answers=1, max_tokens=4, long_tokens=8)
    found = list(Evaluation(method, plan, UneditedAnswers(), probe(pipeline, method)).run(tiny.examples()[:3]))
    figures = summary(found)["ways"]["none"]
    assert [figures["kinds"][kind]["rate"] for kind in ("efficacy", "same_subject", "unrelated")] == [0, 1, 1]
    assert figures["kinds"]["efficacy"]["teacher_forced"]["rate"] == 0
    assert figures["drift"]["per_cent"] == 0 and figures["drift"]["kl_per_token"] == 0
    assert figures["fluency"]["before"] == figures["fluency"]["after"]


def test_edits_by_an_editor_alone_act_and_are_gone_after_a_rollback(pipeline: Any) -> None:
    """The factors reach the engine; the next edit is made on a model without them."""
    editor = RandomEditor()
    method = EditorMethod("random", editor, pipeline)
    asker = AnswerCollector(method.generate_many, SamplingParams(max_tokens=4), {})
    edit_id = str(method.edit(REQUEST).id)
    said = asker.ask([EvaluationPrompt(ASKED, (edit_id,)), EvaluationPrompt(ASKED, ())])
    assert said[EvaluationPrompt(ASKED, (edit_id,))].used == (edit_id,)
    assert said[EvaluationPrompt(ASKED, (edit_id,))].text != said[EvaluationPrompt(ASKED, ())].text
    method.rollback(edit_id)
    assert method.in_force("", "active") == ()
    method.edit(REQUEST)
    assert editor.under == [0, 0]


@pytest.mark.parametrize("joint", [False, True])
def test_edits_left_in_force_are_sequential_or_one_joint_change(pipeline: Any, joint: bool) -> None:
    """Sequential edits are each made on top of those before; an editor that can joins them all in one."""
    editor = RandomEditor()
    method: EditingMethod = (JointMethod if joint else EditorMethod)("random", editor, pipeline)
    plan = EvaluationPlan(cumulative=True, long_answers=0, max_tokens=4, passages=(PASSAGE,))
    found = list(Evaluation(method, plan, UneditedAnswers(), probe(pipeline, method)).run(tiny.examples()[:3]))
    assert (editor.under, editor.joined) == (([], [3]) if joint else ([0, 1, 2], []))
    assert len(found) == 3 and summary(found)["ways"]["random"]["drift"]["passages"] == 1
    assert method.in_force("", "active") == ()


def test_cumulative_edits_are_joined_by_those_that_can_and_sequential_otherwise(pipeline: Any) -> None:
    """``errata evaluate --cumulative --baselines mend``: MEND makes a change for each, MALMEN one for all."""
    network = MendEditor.for_model(pipeline.base.model, tiny.DOWN, rank=4)
    pipeline.editor = SimpleNamespace(method=PolishedMend(network))
    options = EvaluationOptions(Path("facts"), cumulative=True, baselines=("mend", "malmen", "ultraedit"))
    plan = EvaluationPlan(cumulative=True, long_answers=0, max_tokens=4)
    _, *methods = methods_of(options, pipeline, SimpleNamespace(training=lambda _: tiny.examples()))
    assert [(m.name, type(m)) for m in methods] == [
        ("mend", EditorMethod),
        ("malmen", JointMethod),
        ("ultraedit", JointMethod),
    ]
    for method in methods:
        assert len(list(Evaluation(method, plan, UneditedAnswers()).run(tiny.examples()[:3]))) == 3


def test_an_edit_that_cannot_be_made_is_refused(pipeline: Any) -> None:
    """A blank output, say."""
    assert EditorMethod("none", NoEditing(), pipeline).edit(EditRequest("x", " ")).id is None


@pytest.mark.parametrize("name", [name for name in BASELINES if name not in ("mend", "malmen")])
def test_baselines_make_edits_for_a_model_without_a_trained_editor(pipeline: Any, name: str) -> None:
    """Each by its name; answers come back under its edit."""
    method = EditorMethod(name, build_baseline(name, pipeline, tiny.examples), pipeline)
    made = method.edit(REQUEST)
    assert made.id and made.compute_ms is not None
    assert (made.id in method.in_force("", "active")) == (name != "none")
