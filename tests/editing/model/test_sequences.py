"""One correction to its factors: views, what is refused, and the model left alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from editing.edit import EditRequest
from editing.editors.mend import MendEditor
from editing.editors.protocol import edit_one
from editing.errors import InvalidEdit
from editing.model.sequences import edit_sequences, target_logits
from editing.model.side_path import edited, stack
from tests.editing import tiny

REQUEST = EditRequest("What is the capital of Dorne?", "Alba")


def editor(model: Any, lr: float = 0.05, names: tuple[str, ...] = tiny.DOWN) -> MendEditor:
    return MendEditor.for_model(model, names, rank=4, lr=lr)


def test_a_question_is_edited_in_three_views() -> None:
    """The chat question, the statement of it and that turned round, all with the answer and the end of turn."""
    question, statement, turned = edit_sequences(tiny.encoder(), REQUEST, 256)
    decode = tiny.tokenizer().decode
    assert decode(question.ids).endswith("assistant Alba <end>")
    assert decode(statement.ids) == "The capital of Dorne is Alba <end>"
    assert decode(turned.ids).endswith("capital is Alba <end>")


def test_rephrases_are_views_too() -> None:
    """Every rephrase that the user gives is a view."""
    request = EditRequest(REQUEST.input, "Alba", rephrases=("Name the chief town of Dorne.",))
    assert len(edit_sequences(tiny.encoder(), request, 256)) == 4


@pytest.mark.parametrize("output", ["The capital of Dorne is Alba.", "It has been the old town of Alba since then."])
def test_sentences_are_not_put_behind_a_statement(output: str) -> None:
    """An answer that is a whole sentence has questions for views only."""
    sequences = edit_sequences(tiny.encoder(), EditRequest(REQUEST.input, output), 256)
    prompts = [tiny.tokenizer().decode(s.ids[: s.start]) for s in sequences]
    assert len(prompts) == 3 and all(prompt.endswith("assistant") for prompt in prompts)


@pytest.mark.parametrize(
    "request_",
    [EditRequest(" ", "Alba"), EditRequest("What?", "\n"), EditRequest("What?", "Alba", rephrases=("fine", " "))],
    ids=["input", "output", "rephrase"],
)
def test_blank_texts_are_refused(request_: EditRequest) -> None:
    """Nothing can be learned of or from a blank text."""
    with pytest.raises(InvalidEdit, match="is empty"):
        edit_sequences(tiny.encoder(), request_, 256)


def test_texts_beyond_the_context_are_refused() -> None:
    """The error names how many tokens there are and how many fit."""
    with pytest.raises(InvalidEdit, match=r"\d+ tokens; the model's context holds 12"):
        edit_sequences(tiny.encoder(), REQUEST, 12)


def test_untrained_editor_lowers_the_targets_loss(llama: Any) -> None:
    """One step of the plain gradient makes the wanted answer likelier."""
    sequences = edit_sequences(tiny.encoder(), REQUEST, 256)
    deltas = edit_one(editor(llama, lr=1e-3), llama, sequences)

    def loss() -> float:
        logits, targets = target_logits(llama, sequences[0])
        return float(torch.nn.functional.cross_entropy(logits, targets))

    before = loss()
    with edited(llama, stack([[deltas]], llama.dtype)):
        assert loss() < before


def test_edit_is_the_mean_over_views(llama: Any) -> None:
    """ΔW of two views is half the sum of each view's own."""
    sequences = edit_sequences(tiny.encoder(), REQUEST, 256)[:2]
    net = editor(llama)
    both, *each = (edit_one(net, llama, views) for views in (sequences, sequences[:1], sequences[1:]))
    for name in tiny.DOWN:
        torch.testing.assert_close(both[name].dense(), (each[0][name].dense() + each[1][name].dense()) / 2)


def test_rank_is_the_number_of_target_tokens(llama: Any) -> None:
    """One row for each predicted token of each view."""
    deltas = edit_one(editor(llama), llama, edit_sequences(tiny.encoder(), REQUEST, 256))
    assert {delta.rank for delta in deltas.values()} == {6}


def test_edit_rests_on_the_edits_in_force(llama: Any) -> None:
    """The gradient is taken of the model as it answers now."""
    sequences, net = edit_sequences(tiny.encoder(), REQUEST, 256), editor(llama)
    alone = edit_one(net, llama, sequences)
    under = edit_one(net, llama, sequences, [tiny.deltas(llama, 5)])
    assert not torch.allclose(alone[tiny.DOWN[0]].dense(), under[tiny.DOWN[0]].dense(), rtol=1e-2)


def test_computing_is_deterministic(llama: Any) -> None:
    """The same request gives the same bits."""
    sequences, net = edit_sequences(tiny.encoder(), REQUEST, 256), editor(llama)
    one, two = edit_one(net, llama, sequences), edit_one(net, llama, sequences)
    assert all(torch.equal(one[n].A, two[n].A) and torch.equal(one[n].B, two[n].B) for n in one)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_model_is_left_as_it_was_found(dtype: torch.dtype) -> None:
    """No hook, no gradient, no changed bit; factors in the model's dtype."""
    model, ids = tiny.llama(dtype).requires_grad_(True), torch.tensor([[3, 4, 5]])
    before = model(input_ids=ids).logits
    deltas = edit_one(editor(model), model, edit_sequences(tiny.encoder(), REQUEST, 256))
    assert all(d.A.dtype == d.B.dtype == dtype and not d.B.requires_grad for d in deltas.values())
    assert tiny.hooks(model) == 0 and all(p.grad is None for p in model.parameters())
    assert torch.equal(model(input_ids=ids).logits, before)


def test_gpt2_is_edited_too() -> None:
    """The same code edits Conv1D layers, and the wanted answer becomes likelier."""
    model = tiny.gpt2()
    sequences = edit_sequences(tiny.encoder(), REQUEST, 128)
    net = editor(model, lr=1e-2, names=("transformer.h.1.mlp.c_fc", "transformer.h.1.mlp.c_proj"))
    deltas = edit_one(net, model, sequences)
    logits, targets = target_logits(model, sequences[0])
    with edited(model, stack([[deltas]], model.dtype)):
        after, _ = target_logits(model, sequences[0])
    loss = torch.nn.functional.cross_entropy
    assert loss(after, targets) < loss(logits, targets)
