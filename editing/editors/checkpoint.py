"""A trained editor on disk: ``config.json`` (what it is and for which model) beside ``model.safetensors`` (D6)."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from editing.editors.mend import MendEditor, Polish, PolishedMend
from editing.editors.protocol import Editor
from editing.errors import EditorMismatch
from editing.model.side_path import linear_shape

PRETRAINED = Path(__file__).parents[1] / "pretrained"


@dataclass(frozen=True)
class EditorCheckpoint:
    """What a service edits with: a checkpoint opened for use, or an editor that needs none.

    Attributes:
        method: makes the edits.
        layers: names of the layers that it edits.
    """

    name: str
    digest: str
    method: Editor
    layers: tuple[str, ...]
    config: dict[str, Any] = field(repr=False)


def save_editor(directory: Path, network: MendEditor, config: dict[str, Any]) -> None:
    """Write a checkpoint; weights in bfloat16, the normaliser in float32 with its count.

    Args:
        config: must hold ``name`` and ``base_model`` (the digest of ``model_digest``); training settings and results
            travel along.
    """
    directory.mkdir(parents=True, exist_ok=True)
    norms = ("norm.", "log_lr")
    tensors = {
        name: (value if any(part in name for part in norms) else value.to(torch.bfloat16)).contiguous()
        for name, value in network.state_dict().items()
    }
    save_file(tensors, directory / "model.safetensors")
    rank = next(iter(network.transforms.values())).layers[0].u.shape[1]  # type: ignore[union-attr,index]
    full = {**config, "rank": rank, "shapes": {name: list(shape) for name, shape in network.shapes.items()}}
    (directory / "config.json").write_text(json.dumps(full, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_editor(directory: Path, model: nn.Module, base_model: str) -> EditorCheckpoint:
    """Open a checkpoint for a model, on the model's device.

    Raises:
        EditorMismatch: it was trained for another model, or does not fit its layers, or is damaged.
    """
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        tensors = load_file(directory / "model.safetensors")
        shapes = {name: (int(i), int(o)) for name, (i, o) in config["shapes"].items()}
        trained_for, name_of_editor, rank = str(config["base_model"]), str(config["name"]), int(config["rank"])
        polish = Polish(**config.get("polish", {}))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, SafetensorError) as error:
        raise EditorMismatch(f"{directory} is no readable editor checkpoint: {error}") from error
    if trained_for != base_model:
        raise EditorMismatch(
            f"the editor in {directory} was trained for a model with digest {trained_for[:12]}…, the served model has "
            f"{base_model[:12]}…; name a matching editor or train one with 'errata train'"
        )
    _require_layers(directory, model, shapes)
    network = MendEditor(shapes, rank=rank)
    try:
        network.load_state_dict({name: value.to(_dtype(name)) for name, value in tensors.items()})
    except RuntimeError as error:
        raise EditorMismatch(f"{directory}/model.safetensors does not fit its config.json: {error}") from error
    network = network.to(next(model.parameters()).device).eval().requires_grad_(False)
    method = PolishedMend(network, polish)
    return EditorCheckpoint(name_of_editor, _digest(directory), method, network.names, config)


def find_pretrained(base_model: str) -> Path | None:
    """The editor that ships for a model with this digest."""
    for path in sorted(PRETRAINED.glob("*/config.json")):
        if json.loads(path.read_text(encoding="utf-8")).get("base_model") == base_model:
            return path.parent
    return None


def model_digest(directory: Path) -> str:
    """sha256 over names, dtypes, shapes and bytes of all tensors of a model directory, in the order of their names.

    Raises:
        FileNotFoundError: no safetensors file there.
    """
    files = sorted(directory.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{directory} holds no *.safetensors")
    digest = hashlib.sha256()
    with ExitStack() as stack:
        shards = [stack.enter_context(safe_open(path, "pt")) for path in files]
        for name, shard in sorted((name, at) for at, file in enumerate(shards) for name in file.keys()):  # noqa: SIM118
            tensor = shards[shard].get_tensor(name).contiguous()
            digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
            digest.update(memoryview(tensor.flatten().view(torch.uint8).numpy()))
    return digest.hexdigest()


def _require_layers(directory: Path, model: nn.Module, shapes: dict[str, tuple[int, int]]) -> None:
    """Raises EditorMismatch: the model lacks a layer that the editor changes, or it is of another shape."""
    modules = dict(model.named_modules())
    for name, shape in shapes.items():
        if name not in modules or _shape(modules[name]) != shape:
            raise EditorMismatch(f"the editor in {directory} edits {name} {shape}, which the model does not have")


def _digest(directory: Path) -> str:
    names = ("config.json", "model.safetensors")
    return hashlib.sha256(b"".join((directory / name).read_bytes() for name in names)).hexdigest()


def _shape(module: nn.Module) -> tuple[int, int] | None:
    try:
        return linear_shape(module)
    except TypeError:
        return None


def _dtype(name: str) -> torch.dtype:
    return torch.float64 if name.endswith("count") else torch.float32
