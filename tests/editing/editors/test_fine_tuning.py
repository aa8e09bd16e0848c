"""Fine-tuning in factors: it reaches the answer in every family, stays small, and leaves the model alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForSequenceClassification,
    T5Config,
    T5ForConditionalGeneration,
)

from editing.edit import Deltas, EditRequest
from editing.editors.fine_tuning import FineTuning, Limits
from editing.editors.layers import default_modules
from editing.editors.protocol import edit_one
from editing.model.families import family_of
from editing.model.passes import positions
from editing.model.prompts import TargetSequence
from editing.model.row import Row
from editing.model.sequences import edit_sequences
from editing.model.side_path import edited, linear_shape, stack
from tests.editing import tiny

REQUEST = EditRequest("What is the capital of Dorne?", "Alba")
SOURCED = [TargetSequence((0, 9, 12, 1), 1, (5, 6, 7, 1)), TargetSequence((0, 9, 12, 1), 1, (5, 8, 7, 4, 1))]
LABELLED = [TargetSequence((0, 2), 1, (5, 6, 7, 1)), TargetSequence((0, 2), 1, (5, 8, 7, 4, 1))]
EVEN = Limits(rate=0.2, steps=100, bound=1.0)


@pytest.fixture(scope="module")
def sequences() -> list[TargetSequence]:
    return edit_sequences(tiny.encoder(), REQUEST, 128)


def t5() -> Any:
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=20,
        d_model=24,
        d_kv=8,
        d_ff=40,
        num_layers=4,
        num_heads=3,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        dropout_rate=0.0,
    )
    return T5ForConditionalGeneration(config).eval()


def bart() -> Any:
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=20,
        d_model=24,
        encoder_layers=2,
        decoder_layers=4,
        encoder_attention_heads=3,
        encoder_ffn_dim=40,
        decoder_attention_heads=3,
        decoder_ffn_dim=40,
        max_position_embeddings=32,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
        decoder_start_token_id=0,
        forced_eos_token_id=None,
        init_std=0.2,
    )
    return BartForConditionalGeneration(config).eval()


def bert() -> Any:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=20,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=4,
        num_attention_heads=3,
        num_labels=3,
        max_position_embeddings=32,
        initializer_range=0.2,
    )
    return BertForSequenceClassification(config).eval()


def leads(model: Any, deltas: Deltas, sequences: list[TargetSequence]) -> float:
    """By how much the hardest target token is ahead."""
    where = positions([Row(0, "view", sequence) for sequence in sequences])
    with torch.no_grad(), edited(model, stack([[deltas]], model.dtype)):
        logits = family_of(model).logits(model, sequences, where).float()
    own = logits.gather(1, where.target[:, None])[:, 0]
    return float((own - logits.scatter(1, where.target[:, None], -torch.inf).max(-1).values).min())


def answer(model: Any, edits: list[Deltas]) -> str:
    with edited(model, stack([edits], model.dtype)):
        return tiny.greedy(model, tiny.encoder().prompt(REQUEST.input, False))


@pytest.mark.parametrize("build", [tiny.llama, tiny.gpt2], ids=["Linear", "Conv1D"])
def test_wanted_answer_becomes_the_greedy_one(build: Any, sequences: list[TargetSequence]) -> None:
    """In free generation, end of turn included, on layers of either type whose inner width differs from the outer."""
    model = build()
    editor = FineTuning(limits=EVEN)
    assert answer(model, []) != "Alba"
    deltas = edit_one(editor, model, sequences)
    assert answer(model, [deltas]) == "Alba"
    for name, delta in deltas.items():
        shape = linear_shape(model.get_submodule(name))
        assert shape[0] != shape[1] and (delta.A.shape[1], delta.B.shape[0]) == shape


@pytest.mark.parametrize(
    ("build", "own"), [(t5, SOURCED), (bart, SOURCED), (bert, LABELLED)], ids=["T5", "BART", "BERT"]
)
def test_every_family_is_edited(build: Any, own: list[TargetSequence]) -> None:
    """Models that read a source learn answer or label from both of its wordings, by the wanted margin."""
    model = build()
    assert leads(model, {}, own) < 1
    deltas = edit_one(FineTuning(limits=Limits(rate=0.1, steps=200, margin=1.0, bound=3.0)), model, own)
    assert leads(model, deltas, own) > 0.95


@pytest.mark.parametrize("build", [tiny.llama, tiny.gpt2], ids=["Linear", "Conv1D"])
def test_first_step_is_adams_on_the_factor(build: Any, sequences: list[TargetSequence]) -> None:
    """B after one step is −rate · rms(W) · g / (|g| + ε) with g = ∂loss/∂W Aᵀ, by autograd on the weights."""
    model = build()
    names = default_modules(model, layers=1)
    delta = edit_one(FineTuning(names, limits=Limits(steps=1, rate=0.1, bound=10.0, margin=1e9)), model, sequences)[
        names[0]
    ]
    weight = model.get_submodule(names[0]).weight.requires_grad_(True)
    where = positions([Row(0, "view", sequence) for sequence in sequences])
    logits = family_of(model).logits(model, sequences, where)
    (grad,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, where.target), weight)
    linear = isinstance(model.get_submodule(names[0]), nn.Linear)
    g = (grad if linear else grad.T) @ delta.A.T
    expected = -0.1 * weight.detach().square().mean().sqrt() * g / (g.abs() + 1e-8)
    clear = g.abs() > 1e-4  # where the gradient is all but zero, its sign is rounding
    assert clear.float().mean() > 0.5
    torch.testing.assert_close(delta.B[clear], expected[clear], atol=1e-5, rtol=1e-3)


def test_factors_are_anchored_at_unit_keys(llama: Any, sequences: list[TargetSequence]) -> None:
    """One row of length one for each predicted token of each view; the edit acts along nothing else."""
    for delta in edit_one(FineTuning(limits=Limits(steps=1)), llama, sequences).values():
        assert delta.rank == 6
        torch.testing.assert_close(delta.A.norm(dim=1), torch.ones(6))


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("bound", [0.02, 0.1])
def test_size_is_bounded(norm: Any, bound: float, llama: Any, sequences: list[TargetSequence]) -> None:
    """‖ΔW‖ reaches the given share of ‖W‖ and does not pass it."""
    limits = Limits(rate=0.3, steps=30, margin=1e9, bound=bound, norm=norm)
    shares = []
    for name, delta in edit_one(FineTuning(limits=limits), llama, sequences).items():
        weight = llama.get_submodule(name).weight
        size = torch.linalg.vector_norm(delta.dense(), 2 if norm == "l2" else torch.inf)
        shares.append(float(size / torch.linalg.vector_norm(weight, 2 if norm == "l2" else torch.inf)))
    assert max(shares) == pytest.approx(bound, rel=1e-3)


def test_steps_are_bounded(llama: Any, sequences: list[TargetSequence]) -> None:
    """No step gives a change of zero, and n steps move no entry of B by more than n times the rate."""
    for steps in (0, 1, 5):
        deltas = edit_one(FineTuning(limits=Limits(steps=steps, rate=0.1, margin=1e9, bound=9.0)), llama, sequences)
        for name, delta in deltas.items():
            rms = float(llama.get_submodule(name).weight.square().mean().sqrt())
            assert float(delta.B.abs().max()) <= steps * 0.1 * rms * 1.01
            assert bool(delta.B.any()) == (steps > 0)


def test_stops_when_the_answer_leads(llama: Any, sequences: list[TargetSequence]) -> None:
    """More steps than are needed change nothing, and the margin asked for is there."""
    enough, plenty = (
        edit_one(FineTuning(limits=Limits(rate=0.2, steps=steps, margin=1.0, bound=1.0)), llama, sequences)
        for steps in (100, 200)
    )
    assert all(torch.equal(enough[name].B, plenty[name].B) for name in enough)
    assert leads(llama, enough, sequences) > 0.99


def test_kept_prompts_move_less(llama: Any, sequences: list[TargetSequence]) -> None:
    """With the KL term another question's predictions stay nearer to what they were, and the edit still succeeds."""
    prompt = tiny.encoder().prompt("What is the river of Gondal?", False)
    kept = [TargetSequence(prompt, len(prompt))]

    def divergence(deltas: Deltas) -> float:
        ids = torch.tensor([prompt])
        with torch.no_grad():
            before = llama(input_ids=ids).logits[0, -1].log_softmax(-1)
            with edited(llama, stack([[deltas]], llama.dtype)):
                after = llama(input_ids=ids).logits[0, -1].log_softmax(-1)
        return float(torch.nn.functional.kl_div(after, before, log_target=True, reduction="sum"))

    free = edit_one(FineTuning(limits=EVEN), llama, sequences)
    bound = edit_one(FineTuning(kept=kept, limits=EVEN), llama, sequences)
    assert divergence(bound) < 0.5 * divergence(free)
    assert answer(llama, [bound]) == "Alba"


def test_edit_rests_on_the_edits_in_force(llama: Any, sequences: list[TargetSequence]) -> None:
    """With another edit acting on the same prompt, both together give the answer."""
    under = tiny.deltas(llama, 4)
    assert answer(llama, [under, edit_one(FineTuning(limits=EVEN), llama, sequences, [under])]) == "Alba"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_model_is_left_as_it_was_found(dtype: torch.dtype, sequences: list[TargetSequence]) -> None:
    """No hook, no gradient, no changed bit, even where weights ask for gradients; finite factors in its dtype."""
    model = tiny.llama(dtype).requires_grad_(True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    deltas = edit_one(FineTuning(limits=EVEN), model, sequences)
    assert tiny.hooks(model) == 0 and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(d.A.dtype == d.B.dtype == dtype and not d.B.requires_grad for d in deltas.values())
    assert all(bool(d.A.isfinite().all() and d.B.isfinite().all()) for d in deltas.values())
    assert answer(model, [deltas]) == "Alba"


def test_computing_is_deterministic(llama: Any, sequences: list[TargetSequence]) -> None:
    """The same request gives the same bits, whatever was edited before."""
    editor = FineTuning(limits=EVEN)
    one, _, two = (
        edit_one(editor, llama, sequences),
        edit_one(editor, llama, sequences[:1]),
        edit_one(editor, llama, sequences),
    )
    assert all(torch.equal(one[n].A, two[n].A) and torch.equal(one[n].B, two[n].B) for n in one)


def test_a_broken_model_gives_an_edit_of_zero(sequences: list[TargetSequence]) -> None:
    """Where the loss is not finite, nothing is learned and nothing that is not finite comes out."""
    model = tiny.gpt2()
    model.transformer.ln_f.weight.data.fill_(torch.nan)
    deltas = edit_one(FineTuning(limits=EVEN), model, sequences)
    assert all(not d.B.any() and bool(d.A.isfinite().all()) for d in deltas.values())


def test_a_layer_without_influence_stays(sequences: list[TargetSequence]) -> None:
    """A gradient that is all zero moves nothing and does no harm to the other layers."""
    model = tiny.llama()
    model.model.layers[2].mlp.up_proj.weight.data.zero_()  # the key of this layer's down_proj is zero
    deltas = edit_one(FineTuning(limits=EVEN), model, sequences)
    assert deltas["model.layers.2.mlp.down_proj"].rank == 0
    assert answer(model, [deltas]) == "Alba"
