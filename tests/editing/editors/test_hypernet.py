"""The gradient transform: the authors' numbers, the running normaliser, rows that teach nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from editing.editors.hypernet import GradientTransform, LowRankLayer, RunningNormaliser, live_rows

REFERENCE = Path(__file__).parents[4] / "shared" / "reference" / "mend_gradient_transform.safetensors"
assert_exact = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def reference() -> dict[str, Tensor]:
    if not REFERENCE.exists():
        pytest.skip(f"the authors' numbers are not here: {REFERENCE}")
    return load_file(REFERENCE)


@pytest.fixture
def authors(reference: dict[str, Tensor]) -> GradientTransform:
    """The authors' network: their weights, and the normaliser after their warm rows."""
    transform = GradientTransform(24, 40, modes=3, rank=16)
    for number, layer in enumerate(transform.layers):
        names = ("u", "v", "bias", "scale", "shift")
        layer.load_state_dict({name: reference[f"layer{number}.{name}"] for name in names})
    transform.update(reference["warm.keys"], reference["warm.values_grad"])
    return transform


@pytest.mark.parametrize("side", ["keys", "values_grad"])
def test_normaliser_agrees_with_the_authors(
    authors: GradientTransform, reference: dict[str, Tensor], side: str
) -> None:
    """After the warm rows mean and standard deviation are the authors', the row without gradient left out."""
    norm = authors.keys_norm if side == "keys" else authors.values_norm
    assert norm is not None
    assert_exact(norm.mean, reference[f"norm.{side}_mean"])
    assert_exact(norm.std, reference[f"norm.{side}_std"])
    assert norm.count == 49


def test_outputs_agree_with_the_authors(authors: GradientTransform, reference: dict[str, Tensor]) -> None:
    """Transformed rows and their pseudo-gradient are the authors' to 1e-5; the row without gradient is dropped."""
    keys, values = authors(reference["keys"], reference["values_grad"], int(reference["mode"]))
    assert len(keys) == 6
    assert_exact(keys, reference["out.keys"])
    assert_exact(values, reference["out.values_grad"])
    assert_exact(values.T @ keys, reference["pseudo_gradient"])


def test_outputs_depend_on_the_mode(authors: GradientTransform, reference: dict[str, Tensor]) -> None:
    """Another layer index gives other rows: scale and shift belong to one layer each."""
    keys, _ = authors(reference["keys"], reference["values_grad"], int(reference["mode"]) - 1)
    assert not torch.allclose(keys, reference["out.keys"], atol=1e-3)


def test_layer_follows_its_formula_by_hand() -> None:
    """x + relu(((x vᵀ) uᵀ + bias) · scale[mode] + shift[mode]), on numbers that can be followed on paper."""
    layer = LowRankLayer(dim=2, rank=1, modes=2)
    weights = {"u": [[1.0], [-1.0]], "v": [[2.0, 1.0]], "bias": [0.5, 0.0]}
    weights |= {"scale": [[9.0, 9.0], [2.0, 1.0]], "shift": [[9.0, 9.0], [0.0, 4.0]]}
    layer.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    x = torch.tensor([[1.0, 1.0], [-1.0, 0.0]])
    # x vᵀ = 3, −2; uᵀ and bias: (3.5, −3), (−1.5, 2); scale and shift: (7, 1), (−3, 6); relu and x
    torch.testing.assert_close(layer(x, mode=1), torch.tensor([[8.0, 2.0], [-1.0, 6.0]]))


def test_relu_stands_after_every_layer_and_before_the_residual() -> None:
    """Each layer can only add to what comes in, whatever its weights are."""
    torch.manual_seed(0)
    transform = GradientTransform(3, 4, rank=2, normalise=False)
    for parameter in transform.parameters():
        torch.nn.init.normal_(parameter)
    keys, values = torch.randn(5, 3), torch.randn(5, 4)
    out_keys, out_values = transform(keys, values)
    assert (out_keys >= keys).all() and (out_values >= values).all()
    assert not torch.equal(out_keys, keys)


def test_is_the_identity_before_training() -> None:
    """Without a normaliser, rows come out bit for bit as they went in."""
    keys, values = torch.randn(5, 3), torch.randn(5, 4)
    out = GradientTransform(3, 4, normalise=False)(keys, values)
    assert torch.equal(out[0], keys) and torch.equal(out[1], values)


def test_rows_without_gradient_are_dropped() -> None:
    """An all-zero row of gradient takes its key away with it."""
    keys, values = torch.randn(4, 3), torch.randn(4, 2)
    values[1] = 0
    out_keys, out_values = GradientTransform(3, 2, normalise=False)(keys, values)
    assert torch.equal(out_keys, keys[[0, 2, 3]]) and torch.equal(out_values, values[[0, 2, 3]])


def test_row_with_one_entry_lives() -> None:
    """A single entry other than zero, negative ones too, keeps a row."""
    assert live_rows(torch.tensor([[0.0, 0.0], [0.0, -1e-30], [-0.0, 0.0]])).tolist() == [False, True, False]


def test_batches_add_up_to_the_whole() -> None:
    """Uneven batches, empty and single ones among them, give the statistics of all rows at once."""
    rows = torch.randn(57, 6) * 3 + 100
    norm = RunningNormaliser(6)
    for part in rows.split([1, 0, 20, 3, 33]):
        norm.update(part)
    torch.testing.assert_close(norm.mean, rows.mean(0))
    torch.testing.assert_close(norm.std, rows.std(0), rtol=1e-4, atol=1e-5)
    assert norm.count == 57


def test_one_row_gives_no_nan() -> None:
    """A normaliser that saw a single token divides by one, not by zero rows."""
    transform = GradientTransform(3, 2, rank=2)
    transform.update(torch.randn(1, 3), torch.randn(1, 2))
    keys, values = transform(torch.randn(1, 3), torch.randn(1, 2))
    assert keys.isfinite().all() and values.isfinite().all()


def test_unused_normaliser_is_harmless() -> None:
    """Before any row was seen, rows pass as they are."""
    keys = torch.randn(2, 3)
    out, _ = GradientTransform(3, 2)(keys, torch.ones(2, 2))
    torch.testing.assert_close(out, keys)


def test_state_dict_keeps_the_count() -> None:
    """A normaliser that was saved and loaded goes on exactly as the one that was not."""
    rows = torch.randn(3, 10, 4)
    whole, first, second = (GradientTransform(4, 4, rank=2) for _ in range(3))
    for transform in (whole, first):
        transform.update(rows[0], rows[1])
    second.load_state_dict(first.state_dict())
    for transform in (whole, second):
        transform.update(rows[2], rows[0])
    assert whole.keys_norm is not None and second.keys_norm is not None
    assert second.keys_norm.count == 20
    assert torch.equal(whole.keys_norm.mean, second.keys_norm.mean)
    assert torch.equal(whole.keys_norm.std, second.keys_norm.std)


def test_broken_rows_do_not_spoil_the_statistics() -> None:
    """A row with NaN or infinity on either side is not taken in."""
    keys, values = torch.randn(6, 3), torch.randn(6, 2)
    keys[0, 1], values[2, 0] = float("nan"), float("inf")
    transform, clean = GradientTransform(3, 2), GradientTransform(3, 2)
    transform.update(keys, values)
    clean.update(keys[[1, 3, 4, 5]], values[[1, 3, 4, 5]])
    assert transform.keys_norm is not None and clean.keys_norm is not None
    assert torch.equal(transform.keys_norm.mean, clean.keys_norm.mean)
