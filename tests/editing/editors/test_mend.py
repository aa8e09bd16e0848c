"""From gradients to factors: sign, step size and orientation against autograd, shares of rows, padding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from editing.editors.hypernet import GradientTransform
from editing.editors.mend import MendEditor
from editing.model.gradients import Gradients
from editing.model.side_path import linear_shape
from editing.model.trace import trace

LR = 0.05


class Wrapped(nn.Module):
    """One linear layer with something nonlinear behind it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.layer(x)).square().sum()


def gradients(keys: int = 5, values: int = 3, rows: int = 4, batch: int = 1) -> Gradients:
    torch.manual_seed(1)
    return Gradients(torch.randn(batch, rows, keys), torch.randn(batch, rows, values), torch.ones(batch, rows))


def trained(shapes: dict[str, tuple[int, int]], normalise: bool = True) -> MendEditor:
    """An editor whose network is not the identity."""
    torch.manual_seed(2)
    editor = MendEditor(shapes, rank=3, lr=LR, normalise=normalise)
    for parameter in editor.transforms.parameters():
        nn.init.normal_(parameter, std=0.3)
    return editor


@pytest.mark.parametrize("layer", [nn.Linear(7, 4), Conv1D(4, 7)], ids=["Linear", "Conv1D"])
def test_identity_network_is_gradient_descent(layer: Any) -> None:
    """B A = −lr · ∂loss/∂W for a layer 7 → 4 wide, in W's (out, in) orientation, whichever way the layer stores it."""
    model = Wrapped(layer)
    x = torch.randn(1, 6, 7)
    with trace(model, ["layer"]) as record:
        loss = model(x)
        grad = record.values_grad(loss)["layer"]
    (weight_grad,) = torch.autograd.grad(model(x), layer.weight)
    expected = -LR * (weight_grad if isinstance(layer, nn.Linear) else weight_grad.T)
    editor = MendEditor({"layer": linear_shape(layer)}, lr=LR, normalise=False)
    delta = editor.every({"layer": Gradients(record.keys["layer"], grad, torch.ones(1, 6))}, torch.float32)[0]["layer"]
    assert delta.dense().shape == (4, 7)
    torch.testing.assert_close(delta.dense(), expected, atol=1e-6, rtol=1e-5)


def test_a_small_step_lowers_the_loss() -> None:
    """The sign is descent: adding ΔW makes the loss smaller."""
    torch.manual_seed(0)
    layer = nn.Linear(7, 4)
    model = Wrapped(layer)
    x = torch.randn(1, 6, 7)
    with trace(model, ["layer"]) as record:
        before = model(x)
        grad = record.values_grad(before)["layer"]
    editor = MendEditor({"layer": (7, 4)}, lr=1e-3, normalise=False)
    delta = editor.every({"layer": Gradients(record.keys["layer"], grad, torch.ones(1, 6))}, torch.float32)[0]["layer"]
    with torch.no_grad():
        layer.weight += delta.dense()
    assert model(x) < before


def test_layers_of_one_shape_share_a_network() -> None:
    """Two layers of one shape have one transform and two modes; a third shape has its own."""
    editor = MendEditor({"a": (5, 3), "b": (3, 5), "c": (5, 3)})
    assert editor.transform("a") is editor.transform("c")
    assert editor.transform("a") is not editor.transform("b")
    assert editor.modes == {"a": 0, "b": 0, "c": 1}


def test_names_keep_the_order_of_the_model() -> None:
    """``names`` is the order in which the layers were given."""
    assert MendEditor({"z": (2, 2), "a": (3, 2), "m": (2, 2)}).names == ("z", "a", "m")


def test_step_size_is_learned_per_layer() -> None:
    """Doubling one layer's step size doubles its edit and leaves the other's."""
    editor = trained({"a": (5, 3), "b": (5, 3)})
    rows = {"a": gradients(), "b": gradients()}
    before = editor.every(rows, torch.float32)[0]
    with torch.no_grad():
        editor.log_lr[0] += torch.tensor(2.0).log()
    after = editor.every(rows, torch.float32)[0]
    torch.testing.assert_close(after["a"].dense(), 2 * before["a"].dense())
    assert torch.equal(after["b"].dense(), before["b"].dense())


def test_rows_without_gradient_contribute_nothing() -> None:
    """A zero row is absent from the factors, although the network alone would make something of it."""
    editor = trained({"a": (5, 3)})
    rows = gradients()
    editor.update_normaliser({"a": rows})
    rows.values_grad[0, 2] = 0
    kept = [0, 1, 3]
    without = Gradients(rows.keys[:, kept], rows.values_grad[:, kept], rows.weight[:, kept])
    delta = editor.every({"a": rows}, torch.float32)[0]["a"]
    assert delta.rank == 3
    torch.testing.assert_close(delta.dense(), editor.every({"a": without}, torch.float32)[0]["a"].dense())


def test_all_rows_without_gradient_make_an_empty_edit() -> None:
    """Nothing to learn gives rank 0 and ΔW = 0, not an error."""
    rows = gradients()
    (delta,) = trained({"a": (5, 3)}).every(
        {"a": Gradients(rows.keys, torch.zeros_like(rows.values_grad), rows.weight)}, torch.float32
    )
    assert delta["a"].rank == 0
    assert torch.equal(delta["a"].dense(), torch.zeros(3, 5))


def test_padding_rows_contribute_nothing() -> None:
    """Rows of weight 0 neither move the normaliser nor the edit, whatever stands in them."""
    plain, padded = trained({"a": (5, 3)}), trained({"a": (5, 3)})
    rows = gradients()
    junk = Gradients(
        torch.cat([rows.keys, torch.full((1, 2, 5), 1e4)], 1),
        torch.cat([rows.values_grad, torch.full((1, 2, 3), 1e4)], 1),
        torch.cat([rows.weight, torch.zeros(1, 2)], 1),
    )
    plain.update_normaliser({"a": rows})
    padded.update_normaliser({"a": junk})
    torch.testing.assert_close(
        padded.factors({"a": junk})["a"].B @ padded.factors({"a": junk})["a"].A,
        plain.factors({"a": rows})["a"].B @ plain.factors({"a": rows})["a"].A,
    )


def test_a_rows_weight_is_its_share() -> None:
    """Half the weight on every row is half the edit."""
    editor, rows = trained({"a": (5, 3)}), gradients()
    half = Gradients(rows.keys, rows.values_grad, rows.weight / 2)
    torch.testing.assert_close(
        2 * editor.every({"a": half}, torch.float32)[0]["a"].dense(),
        editor.every({"a": rows}, torch.float32)[0]["a"].dense(),
    )


def test_a_batch_of_edits_is_each_edit_alone() -> None:
    """Factors of edit i do not depend on what else is in the batch."""
    editor, rows = trained({"a": (5, 3)}), gradients(batch=3)
    together = editor.factors({"a": rows})["a"]
    for i in range(3):
        alone = Gradients(rows.keys[i : i + 1], rows.values_grad[i : i + 1], rows.weight[i : i + 1])
        torch.testing.assert_close(
            together.B[i] @ together.A[i],
            editor.every({"a": alone}, torch.float32)[0]["a"].dense(),
            atol=1e-6,
            rtol=1e-5,
        )


def test_one_token_gives_a_finite_edit() -> None:
    """An edit of one row right after the first row was seen has no NaN."""
    editor, rows = trained({"a": (5, 3)}), gradients(rows=1)
    editor.update_normaliser({"a": rows})
    assert editor.every({"a": rows}, torch.float32)[0]["a"].dense().isfinite().all()


def test_factors_reach_every_parameter() -> None:
    """A loss on the factors has a gradient at each of the network's parameters and at the step sizes."""
    editor = trained({"a": (5, 3), "b": (4, 4)})
    factors = editor.factors({"a": gradients(), "b": gradients(4, 4)})
    sum((f.B @ f.A).square().sum() for f in factors.values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in editor.parameters())


def test_a_fresh_network_can_learn() -> None:
    """At its start, where the network is the identity, the loss already has a gradient at every layer's ``u``."""
    editor = MendEditor({"a": (5, 3)}, rank=2)
    factors = editor.factors({"a": gradients()})["a"]
    (factors.B @ factors.A).square().sum().backward()
    for name, parameter in editor.named_parameters():
        if name.rsplit(".", 1)[-1] in {"u", "bias", "shift"}:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_deltas_have_the_models_dtype() -> None:
    """An edit for a bfloat16 model is stored as bfloat16."""
    delta = trained({"a": (5, 3)}).every({"a": gradients()}, torch.bfloat16)[0]["a"]
    assert delta.A.dtype == delta.B.dtype == torch.bfloat16


def test_state_dict_round_trip_gives_the_same_edit() -> None:
    """A loaded editor, its normaliser included, makes the same factors bit for bit."""
    editor, rows = trained({"a": (5, 3)}), gradients()
    editor.update_normaliser({"a": rows})
    loaded = MendEditor({"a": (5, 3)}, rank=3)
    loaded.load_state_dict(editor.state_dict())
    assert torch.equal(
        editor.every({"a": rows}, torch.float32)[0]["a"].dense(),
        loaded.every({"a": rows}, torch.float32)[0]["a"].dense(),
    )
    transform = loaded.transform("a")
    assert isinstance(transform, GradientTransform) and transform.keys_norm is not None
    assert transform.keys_norm.count == 4
