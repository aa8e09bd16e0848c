"""The gradient transform of MEND (Mitchell et al. 2022, section 3 and equation 4).

One network serves all layers of one shape: it takes a key and an output gradient, row by row, and gives both back
transformed. ``mode`` is the index of the layer among those that share the network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-7


class RunningNormaliser(nn.Module):
    """Mean and standard deviation per dimension, gathered over all rows ever seen (Welford, in batches).

    Everything, the count included, is in the state dict: a checkpoint goes on where it stopped.
    """

    mean: Tensor
    sum_squares: Tensor
    count: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("sum_squares", torch.zeros(dim))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, rows: Tensor) -> None:
        """Take in rows (n, dim)."""
        if rows.shape[0] == 0:
            return
        rows = rows.to(self.mean.dtype)
        batch_mean = rows.mean(0)
        delta = batch_mean - self.mean
        total = self.count + rows.shape[0]
        self.sum_squares += (rows - batch_mean).square().sum(0)
        self.sum_squares += delta.square() * (self.count * rows.shape[0] / total).to(delta.dtype)
        self.mean += delta * (rows.shape[0] / total).to(delta.dtype)
        self.count.copy_(total)

    @property
    def std(self) -> Tensor:
        """sqrt(S / (n − 1)), (dim,); ones while fewer than two rows were seen."""
        if self.count < 2:
            return torch.ones_like(self.mean)
        return (self.sum_squares / (self.count - 1).to(self.mean.dtype)).sqrt()

    def forward(self, rows: Tensor) -> Tensor:
        return (rows - self.mean) / (self.std + EPS)


class LowRankLayer(nn.Module):
    """``x + relu(((x vᵀ) uᵀ + bias) · scale[mode] + shift[mode])``; the identity at the start (u = 0)."""

    def __init__(self, dim: int, rank: int, modes: int) -> None:
        super().__init__()
        self.u = nn.Parameter(torch.zeros(dim, rank))
        self.v = nn.Parameter(torch.randn(rank, dim) / dim**0.5)
        self.bias = nn.Parameter(torch.zeros(dim))
        self.scale = nn.Parameter(torch.ones(modes, dim))
        self.shift = nn.Parameter(torch.zeros(modes, dim))

    def forward(self, x: Tensor, mode: int) -> Tensor:
        pre = F.linear(F.linear(x, self.v), self.u, self.bias)
        # clamp, not relu: it passes the gradient at exactly 0, where every unit stands before training
        return x + (pre * self.scale[mode] + self.shift[mode]).clamp(min=0)


class GradientTransform(nn.Module):
    """(keys, values_grad) → (keys, values_grad), both transformed.

    Args:
        in_features: width of a key.
        out_features: width of an output gradient.
        modes: how many layers share this network.
        rank: inner width of each low-rank layer.
        layers: low-rank layers, hidden ones and the last.
        normalise: divide by running statistics first; without it and before training the transform is the identity.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        modes: int = 1,
        *,
        rank: int = 256,
        layers: int = 2,
        normalise: bool = True,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.keys_norm = RunningNormaliser(in_features) if normalise else None
        self.values_norm = RunningNormaliser(out_features) if normalise else None
        self.layers = nn.ModuleList(LowRankLayer(in_features + out_features, rank, modes) for _ in range(layers))

    @torch.no_grad()
    def update(self, keys: Tensor, values_grad: Tensor) -> None:
        """Let the normaliser take in rows (n, in) and (n, out).

        Rows without gradient are left out, as in the paper's code, and rows that are not finite: one of those would
        spoil the statistics for good.
        """
        if self.keys_norm is None or self.values_norm is None:
            return
        live = live_rows(values_grad) & keys.isfinite().all(-1) & values_grad.isfinite().all(-1)
        self.keys_norm.update(keys[live])
        self.values_norm.update(values_grad[live])

    def forward(self, keys: Tensor, values_grad: Tensor, mode: int = 0) -> tuple[Tensor, Tensor]:
        """Transform rows (n, in), (n, out); rows whose gradient is all zero are dropped, so m ≤ n rows come out."""
        live = live_rows(values_grad)
        return self.transform(keys[live], values_grad[live], mode)

    def transform(self, keys: Tensor, values_grad: Tensor, mode: int = 0) -> tuple[Tensor, Tensor]:
        """The same for any leading shape and without dropping: the caller masks rows that mean nothing."""
        if self.keys_norm is not None and self.values_norm is not None:
            keys, values_grad = self.keys_norm(keys), self.values_norm(values_grad)
        x = torch.cat([keys, values_grad], dim=-1)
        for layer in self.layers:
            x = layer(x, mode)
        return x[..., : self.in_features], x[..., self.in_features :]


def live_rows(values_grad: Tensor) -> Tensor:
    """(n,) bool: the rows that have any gradient."""
    return (values_grad != 0).any(-1)
