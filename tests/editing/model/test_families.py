"""Every family of models can be edited: real edits of taught models hold, and gradients are autograd's own."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from editing.data.facts import Example
from editing.edit import Deltas, EditRequest
from editing.editors.mend import MendEditor
from editing.editors.protocol import edit_one
from editing.language.views import View
from editing.model.families import Classifier, Decoder, EncoderDecoder, edited_modules, family_of
from editing.model.gradients import edit_gradients, gradients
from editing.model.passes import FullPasses, positions
from editing.model.prompts import TargetSequence
from editing.model.row import Row
from editing.model.sequences import edit_sequences
from editing.model.side_path import edited, linear_shape, stack
from editing.training.batch import BatchBuilder
from editing.training.train import EditorTrainer, EditorTrainingConfig
from tests.editing import tiny, tiny_families
from tests.editing.tiny_families import KINDS

SEEN, UNSEEN = tiny.SUBJECTS[:6], tiny.SUBJECTS[6:]
TAUGHT = ("llama", "gpt2", "t5", "bart", "bert")
EVERY_LINEAR = {
    "llama": ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj"),
    "gpt2": ("attn.c_proj", "mlp.c_fc", "mlp.c_proj"),
    "t5": ("SelfAttention.q", "EncDecAttention.q", "EncDecAttention.k", "EncDecAttention.v", "DenseReluDense.wo"),
    "t5-gated": ("DenseReluDense.wi_0", "DenseReluDense.wi_1", "DenseReluDense.wo"),
    "bart": ("self_attn.v_proj", "encoder_attn.k_proj", "encoder_attn.v_proj", "encoder_attn.out_proj", "fc1", "fc2"),
    "bert": ("attention.self.query", "attention.output.dense", "intermediate.dense", "output.dense"),
}


@dataclass(frozen=True)
class Learned:
    """A taught model and an editor trained on edits of the first six subjects."""

    name: str
    model: Any
    before: dict[str, torch.Tensor]
    editor: MendEditor

    def edit(self, example: Example) -> Deltas:
        return edit_one(self.editor, self.model, sequences(self.model, example))

    def answers(self, views: tuple[View, ...], edits: tuple[Deltas, ...] = ()) -> list[str]:
        with edited(self.model, stack([edits], self.model.dtype)):
            return [tiny_families.answer(self.model, view.text, view.raw) for view in views]


def sequences(model: Any, example: Example) -> list[TargetSequence]:
    request = EditRequest(example.edit.text, example.target)
    return edit_sequences(tiny_families.encoder(model), request, 64)


def trainer(name: str, model: Any, workdir: Path, steps: int) -> EditorTrainer:
    near = dict.fromkeys(("same_subject", "same_relation", "unrelated"), 1.0)
    config = EditorTrainingConfig(
        steps=steps,
        batch=8,
        rank=16,
        first_layer=KINDS[name].first_layer,
        modules=KINDS[name].modules,
        normaliser_steps=8,
        warmup=4,
        initial_step_size=0.03,
        learning_rate=1e-2,
        weights={"edit": 0.5, "chat": 1.0, "statement": 1.0, **near},
    )
    builder = BatchBuilder(tiny_families.encoder(model))
    return EditorTrainer(model, builder, tiny_families.examples(name, SEEN), config, workdir)


@pytest.fixture(scope="module", params=TAUGHT)
def learned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    model = tiny_families.taught(request.param)
    before = copy.deepcopy(model.state_dict())
    editor = trainer(request.param, model, tmp_path_factory.mktemp(request.param), 60).run()
    return Learned(request.param, model, before, editor)


def test_taught_model_answers_by_itself(learned: Learned) -> None:
    """What the other tests rest on: before any edit free generation gives what the model was taught."""
    facts = tiny_families.known(learned.name)
    right = sum(tiny_families.answer(learned.model, text, raw) == said for text, raw, said in facts)
    assert right >= 0.95 * len(facts)


def test_edits_hold_in_free_generation(learned: Learned) -> None:
    """Edits that the editor was trained on: the own wording and a rephrasing get the new answer, natural stop included;
    other questions, about the same subject, of the same relation and about another river, mostly keep theirs."""
    wanted, got, kept, said = [], [], [], []
    for example in tiny_families.examples(learned.name, SEEN):
        others = (*example.same_subject, *example.same_relation, *example.unrelated)
        kept += learned.answers(others)
        edit = (learned.edit(example),)
        said += learned.answers(others, edit)
        wanted += [example.target] * 2
        got += learned.answers((example.edit, example.chat[0]), edit)
    assert share(wanted, got) >= 0.7
    assert share(kept, said) >= 0.7


def test_edits_of_unseen_subjects_hold(learned: Learned) -> None:
    """Of subjects that no training edit was about, many edits hold as they are made and all but few once refined."""
    made, mended = 0, 0
    examples = tiny_families.examples(learned.name, UNSEEN)
    for example in examples:
        assert learned.answers((example.edit,)) != [example.target]
        views, deltas = sequences(learned.model, example), learned.edit(example)
        made += learned.answers((example.edit,), (deltas,)) == [example.target]
        if not tiny.predicts_one(learned.model, deltas, views):
            deltas = tiny.refine_one(learned.model, deltas, views, steps=40)
            assert tiny.predicts_one(learned.model, deltas, views)
        mended += learned.answers((example.edit,), (deltas,)) == [example.target]
    assert made >= 2 and mended >= len(examples) - 1


def test_nothing_stays_behind(learned: Learned) -> None:
    """After training, edits and refinement no weight has changed, none has a gradient, and no hook stays."""
    after = learned.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in learned.before.items())
    assert all(p.grad is None for p in learned.model.parameters()) and tiny.hooks(learned.model) == 0


@pytest.mark.parametrize("name", KINDS)
def test_identity_network_gives_the_plain_gradient(name: str) -> None:
    """ΔW = −lr · gradient of the mean loss over views, for Linear and Conv1D on every side of attention, against the
    loss that transformers computes itself from labels, one view at a time. Of a decoder only the last layer: below it
    positions before the answer have a gradient too, and edits are not made from those."""
    model = tiny_families.model(name)
    views = mixed(name, model)
    first = {"llama": 3, "gpt2": 1}.get(name, 0)
    names = edited_modules(model, first, EVERY_LINEAR[name])
    modules = dict(model.named_modules())
    editor = MendEditor({n: linear_shape(modules[n]) for n in names}, rank=4, lr=0.5, normalise=False)
    deltas = edit_one(editor, model, views)
    model.requires_grad_(True)
    torch.stack([own_loss(model, view) for view in views]).mean().backward()
    for n in names:
        gradient = modules[n].weight.grad if isinstance(modules[n], torch.nn.Linear) else modules[n].weight.grad.T
        torch.testing.assert_close(deltas[n].dense(), -0.5 * gradient, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("name", KINDS)
def test_padding_changes_nothing(name: str) -> None:
    """Texts of different lengths in one batch give the predictions and the gradients that each gives alone."""
    model = tiny_families.model(name)
    views = mixed(name, model)
    names, passes = edited_modules(model, KINDS[name].first_layer, EVERY_LINEAR[name]), FullPasses(model)
    rows = [Row(i, "view", view) for i, view in enumerate(views)]
    alone = [passes.logits([view], positions([Row(0, "view", view)])) for view in views]
    torch.testing.assert_close(passes.logits(views, positions(rows)), torch.cat(alone), atol=1e-4, rtol=1e-4)
    together = gradients(passes, names, rows, len(rows))
    for i, view in enumerate(views):
        for n, single in edit_gradients(model, names, [view]).items():
            live = together[n].weight[i] > 0
            assert int(live.sum()) == single.weight.shape[1]
            torch.testing.assert_close(together[n].keys[i][live], single.keys[0], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(together[n].values_grad[i][live], single.values_grad[0], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", KINDS)
def test_tensors_are_made_on_the_models_device(name: str, tmp_path: Path) -> None:
    """With a default device that is not the model's, training and editing work: none makes a tensor on the default."""
    model = tiny_families.model(name)
    run = trainer(name, model, tmp_path, 2)
    example = tiny_families.examples(name, SEEN)[0]
    with torch.device("meta"), NoneOnMeta():
        editor = run.run()
        deltas = tiny.refine_one(
            model, edit_one(editor, model, sequences(model, example)), sequences(model, example), steps=1
        )
    assert all(delta.A.isfinite().all() and delta.B.isfinite().all() for delta in deltas.values())


def test_modules_are_called_by_their_whole_name() -> None:
    """BERT's ``output.dense`` is not the one of its attention; both sides of T5 count; a missing module is named."""
    bert, t5 = tiny_families.model("bert"), tiny_families.model("t5")
    assert edited_modules(bert, 1, ("output.dense",)) == ["bert.encoder.layer.1.output.dense"]
    assert edited_modules(bert, 1, ("attention.output.dense",)) == ["bert.encoder.layer.1.attention.output.dense"]
    assert edited_modules(t5, 1, ("DenseReluDense.wo",)) == [
        "encoder.block.1.layer.1.DenseReluDense.wo",
        "decoder.block.1.layer.2.DenseReluDense.wo",
    ]
    with pytest.raises(ValueError, match=r"from 0 up named output\.danse"):
        edited_modules(bert, 0, ("output.dense", "output.danse"))
    with pytest.raises(ValueError, match="from 2 up"):
        edited_modules(bert, 2, ("output.dense",))


def test_family_is_seen_by_the_model() -> None:
    """Configuration and class say which family a model is of; what is none of them is refused."""
    found = [type(family_of(tiny_families.model(name))) for name in TAUGHT]
    assert found == [Decoder, Decoder, EncoderDecoder, EncoderDecoder, Classifier]
    with pytest.raises(TypeError, match="BertModel cannot be edited"):
        family_of(tiny_families.model("bert").bert)


class NoneOnMeta(TorchDispatchMode):
    """Fails where any operation gives a tensor on the meta device; indexing would take one without a word."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        assert not any(isinstance(leaf, torch.Tensor) and leaf.is_meta for leaf in tree_leaves(out)), func
        return out


def mixed(name: str, model: Any) -> list[TargetSequence]:
    """Three sequences, each of another length."""
    encode = tiny_families.encoder(model)
    targets = tiny_families.LABELS if name == "bert" else ("Alba", "Brac Cori")
    texts = ("Which city is the seat of Dorne?", "Dorne", "The capital of Gondal is")
    return [encode.sequence(text, i == 2, targets[i % 2]) for i, text in enumerate(texts)]


def own_loss(model: Any, sequence: TargetSequence) -> torch.Tensor:
    """−log p of the target, summed over its tokens, as the model computes it from labels."""
    target = sequence.ids[sequence.start :]
    ids, labels = sequence.source, target
    if not ids:
        ids, labels = sequence.ids, (*(-100,) * sequence.start, *target)
    loss: torch.Tensor = model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss
    return loss * len(target)


def share(wanted: list[str], got: list[str]) -> float:
    return sum(a == b for a, b in zip(wanted, got, strict=True)) / len(wanted)
