"""The regularised solution in factors, against dense algebra."""

from __future__ import annotations

import pytest
import torch

from editing.editors.least_squares import least_squares, ridge_of, usable
from editing.model.gradients import Gradients


@pytest.mark.parametrize("n", [1, 4, 7, 20], ids=["one", "few", "square", "many"])
@pytest.mark.parametrize("ridge", [1e-3, 1.0])
def test_least_squares_is_the_dense_solution(n: int, ridge: float) -> None:
    """Both dense forms of the regularised solution, exactly, with rank min(n, in) and orthonormal rows in A."""
    torch.manual_seed(n)
    K, V = torch.randn(n, 7).double(), torch.randn(n, 5).double()
    delta = least_squares(K.float(), V.float(), ridge)
    primal = torch.linalg.solve(K.T @ K + ridge * torch.eye(7), K.T @ V).T
    dual = V.T @ torch.linalg.inv(K @ K.T + ridge * torch.eye(n)) @ K
    torch.testing.assert_close(delta.dense(), primal.float(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(delta.dense(), dual.float(), atol=1e-5, rtol=1e-4)
    assert delta.rank == min(n, 7)
    torch.testing.assert_close(delta.A @ delta.A.T, torch.eye(delta.rank), atol=1e-5, rtol=0)


def test_equal_keys_are_averaged_and_stay_accurate_in_bfloat16() -> None:
    """A key that stands there twice gets the mean of its values, also after rounding; no digits are lost on it."""
    K = torch.randn(1, 7, generator=torch.Generator().manual_seed(0)).repeat(2, 1)
    V = torch.tensor([[1.0, 0.0, 3.0], [0.0, 2.0, 1.0]])
    delta = least_squares(K, V, 1e-9).to(torch.bfloat16)
    torch.testing.assert_close(K[0] @ delta.dense().float().T, torch.tensor([0.5, 1.0, 2.0]), atol=0.02, rtol=0.02)


@pytest.mark.parametrize("ridge", [0.0, -1.0, float("nan")])
def test_ridge_must_be_positive(ridge: float) -> None:
    """Without it, equal keys would have no single solution."""
    with pytest.raises(ValueError, match="must be positive"):
        least_squares(torch.ones(1, 2), torch.ones(1, 2), ridge)


def test_no_rows_give_an_edit_of_rank_zero() -> None:
    """Nothing to learn from is no change, of the right shape."""
    delta = least_squares(torch.zeros(0, 7), torch.zeros(0, 5), 1.0)
    assert delta.rank == 0 and delta.dense().shape == (5, 7)


def test_ridge_by_name() -> None:
    """λ is one number, or one for each layer."""
    assert ridge_of(2.0, "a") == 2.0 and ridge_of({"a": 3.0}, "a") == 3.0


def test_rows_without_meaning_are_left_out() -> None:
    """Padding, rows without gradient, and rows with NaN or infinity in key or gradient."""
    nan, inf = torch.nan, torch.inf
    rows = Gradients(
        torch.tensor([[[1.0], [2.0], [3.0], [nan], [5.0]]]),
        torch.tensor([[[1.0], [0.0], [inf], [1.0], [2.0]]]),
        torch.tensor([[1.0, 1.0, 1.0, 1.0, 0.0]]),
    )
    assert usable(rows).keys.tolist() == [[[1.0]]]
