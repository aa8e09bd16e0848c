"""LoRA (Hu et al. 2022): ``W x + B A x`` on linear layers whose weights W stay as they are."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from errata.lora import CONFIG, WEIGHTS, decode_factors, encode_adapter
from index.atomic_files import whole_folder
from retrieval.errors import AdapterError

_LAYER = re.compile(r"(.*?\.)(\d+)\.")


class Lora(nn.Module):
    """Factors A (r, in) and B (out, r) for each of some linear layers, in float32. B begins as 0, so ΔW does too.

    Args:
        shapes: (in, out) by the layer's name.
        rank: r.
        seed: of A.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, int]], rank: int, seed: int = 0) -> None:
        super().__init__()
        self.names, self.rank = tuple(shapes), rank
        random = torch.Generator().manual_seed(seed)
        sizes = shapes.values()
        self.A = nn.ParameterList([torch.randn(rank, d, generator=random) / d**0.5 for d, _ in sizes])
        self.B = nn.ParameterList([torch.zeros(d, rank) for _, d in sizes])

    @classmethod
    def of_top_layers(cls, model: nn.Module, layers: int, rank: int, seed: int = 0) -> Self:
        """Factors for all linear layers of the uppermost ``layers`` blocks. Raises AdapterError if there are none."""
        blocks: dict[str, dict[int, dict[str, tuple[int, int]]]] = defaultdict(lambda: defaultdict(dict))
        for name, module in model.named_modules():
            found, shape = _LAYER.match(name + "."), _shape(module)
            if found and shape:
                blocks[found[1]][int(found[2])][name] = shape
        if not blocks:
            raise AdapterError(f"{type(model).__name__} has no numbered blocks with linear layers")
        stack = max(blocks.values(), key=len)
        shapes = {name: shape for block in sorted(stack)[-layers:] for name, shape in stack[block].items()}
        return cls(shapes, rank, seed).to(next(model.parameters()).device)

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        """Within this block the layers of ``model`` carry the factors; after it the model is as it was found.

        Raises:
            AdapterError: the model has no such layer.
        """
        modules = dict(model.named_modules())
        if missing := [name for name in self.names if name not in modules]:
            raise AdapterError(f"the adapter changes {missing[0]}, which {type(model).__name__} does not have")
        pairs = zip(self.names, self.A, self.B, strict=True)
        handles = [modules[name].register_forward_hook(_side_path(A, B)) for name, A, B in pairs]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def save(self, folder: Path, base_model: str = "") -> None:
        """Write the adapter. Raises IndexStorageError if the disk does not take it."""
        factors = dict(zip(self.names, zip(self.A, self.B, strict=True), strict=True))
        with whole_folder(folder) as target:
            for name, data in encode_adapter(factors, base_model).items():
                (target / name).write_bytes(data)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open an adapter with factors of one rank and without biases; its scale is multiplied into B.

        Raises:
            AdapterError: there is none, it is damaged, or of another kind; names the file.
        """
        try:
            config = json.loads((folder / CONFIG).read_bytes())
            rank, scale = int(config["r"]), _scale(config)
            factors = decode_factors((folder / WEIGHTS).read_bytes())
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AdapterError(f"{folder}: not a LoRA adapter: {error}") from error
        own = config.get("use_dora") or config.get("alpha_pattern") or config.get("rank_pattern")
        if not factors or own or any(len(A) != rank for A, _ in factors.values()):
            raise AdapterError(f"{folder / CONFIG}: only plain LoRA of one rank on linear layers can be trained on")
        lora = cls({name: (A.shape[1], len(B)) for name, (A, B) in factors.items()}, rank)
        with torch.no_grad():
            for at, (A, B) in enumerate(factors.values()):
                lora.A[at].copy_(A.float())
                lora.B[at].copy_(B.float() * scale)
        return lora


def _scale(config: Mapping[str, Any]) -> float:
    """What B A x is multiplied by: alpha / r, with rslora alpha / √r."""
    alpha, rank = float(config["lora_alpha"]), int(config["r"])
    return alpha / rank**0.5 if config.get("use_rslora") else alpha / rank


def _side_path(A: Tensor, B: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    """y (…, out) with x (…, in) Aᵀ Bᵀ added, in the layer's precision, as it is served."""

    def hook(_: nn.Module, args: tuple[Tensor, ...], y: Tensor) -> Tensor:
        x = args[0]
        return y + (x @ A.to(x.dtype).T) @ B.to(x.dtype).T

    return hook


def _shape(module: nn.Module) -> tuple[int, int] | None:
    """(in, out) of a linear layer: ``nn.Linear`` stores (out, in), GPT-2's ``Conv1D`` (in, out)."""
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if type(module).__name__ == "Conv1D":
        weight = module.weight
        assert isinstance(weight, Tensor)
        return weight.shape[0], weight.shape[1]
    return None
