"""An editor on disk: what is saved is what is loaded, and what does not fit is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from editing.edit import EditRequest
from editing.editors.checkpoint import load_editor, model_digest, save_editor
from editing.editors.mend import MendEditor, PolishedMend
from editing.editors.protocol import edit_one
from editing.errors import EditorMismatch
from editing.model.sequences import edit_sequences
from tests.editing import tiny

BASE = "ab" * 32


def network(model: Any) -> MendEditor:
    torch.manual_seed(0)
    editor = MendEditor.for_model(model, tiny.DOWN, rank=4, lr=0.05)
    for name, parameter in editor.named_parameters():
        if name != "log_lr":
            parameter.data = torch.randn_like(parameter).mul(0.1).bfloat16().float()  # as a checkpoint keeps it
    for _ in range(3):
        for name in editor.names:
            i, o = editor.shapes[name]
            editor.transform(name).update(torch.randn(5, i), torch.randn(5, o))
    return editor


@pytest.fixture
def saved(llama: Any, tmp_path: Path) -> Path:
    directory = tmp_path / "editor"
    config = {"name": "tiny-mend", "base_model": BASE, "results": {"efficacy": 1.0}}
    save_editor(directory, network(llama), config)
    return directory


def opened(directory: Path, model: Any) -> MendEditor:
    method = load_editor(directory, model, BASE).method
    assert isinstance(method, PolishedMend)
    return method.network


def test_what_is_saved_is_what_is_loaded(llama: Any, saved: Path) -> None:
    """Every tensor, the normaliser's count among them, comes back with the same bits."""
    before, after = network(llama).state_dict(), opened(saved, llama).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_loaded_editor_makes_the_same_edits(llama: Any, saved: Path) -> None:
    """Factors by the loaded editor are bit for bit those of the saved one."""
    sequences = edit_sequences(tiny.encoder(), EditRequest("What is the capital of Dorne?", "Alba"), 256)
    one = edit_one(network(llama), llama, sequences)
    two = edit_one(opened(saved, llama), llama, sequences)
    assert all(torch.equal(one[n].A, two[n].A) and torch.equal(one[n].B, two[n].B) for n in one)


def test_config_travels_inside(llama: Any, saved: Path) -> None:
    """Name, results and layers are those of the checkpoint, and the network is frozen."""
    editor = load_editor(saved, llama, BASE)
    assert editor.name == "tiny-mend" and editor.config["results"] == {"efficacy": 1.0}
    assert editor.layers == tiny.DOWN
    assert not any(p.requires_grad for p in opened(saved, llama).parameters())


def test_digest_names_the_content(llama: Any, saved: Path) -> None:
    """The same files have the same digest; files that say something else have another."""
    one = load_editor(saved, llama, BASE).digest
    assert one == load_editor(saved, llama, BASE).digest
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | {"name": "another"}))
    assert load_editor(saved, llama, BASE).digest != one


def test_another_base_model_is_refused(llama: Any, saved: Path) -> None:
    """The error names both digests and what to do."""
    with pytest.raises(EditorMismatch, match=r"abababababab….*cdcdcdcdcdcd….*errata train"):
        load_editor(saved, llama, "cd" * 32)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_file_is_refused(llama: Any, saved: Path, name: str) -> None:
    """The error names the file that is not there."""
    (saved / name).unlink()
    with pytest.raises(EditorMismatch, match=f"no readable editor checkpoint.*{name}|No such file"):
        load_editor(saved, llama, BASE)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("keep", [0, 7, 200])
def test_truncated_file_is_refused(llama: Any, saved: Path, name: str, keep: int) -> None:
    """Half a file is a damaged checkpoint, wherever it ends."""
    (saved / name).write_bytes((saved / name).read_bytes()[:keep])
    with pytest.raises(EditorMismatch, match="no readable editor checkpoint"):
        load_editor(saved, llama, BASE)


def _shapes(config: dict[str, Any]) -> None:
    config["shapes"][tiny.DOWN[0]] = [32, 49]


def _unknown(config: dict[str, Any]) -> None:
    config["shapes"]["model.layers.9.mlp.up_proj"] = [32, 48]


def _no_linear(config: dict[str, Any]) -> None:
    config["shapes"]["model.norm"] = [32, 32]


def _rank(config: dict[str, Any]) -> None:
    config["rank"] = 5


def _no_rank(config: dict[str, Any]) -> None:
    del config["rank"]


def _no_name(config: dict[str, Any]) -> None:
    del config["name"]


def _odd_shapes(config: dict[str, Any]) -> None:
    config["shapes"] = {"model.norm": "wide"}


@pytest.mark.parametrize("change", [_shapes, _unknown, _no_linear, _rank, _no_rank, _no_name, _odd_shapes])
def test_config_that_does_not_fit_is_refused(llama: Any, saved: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Layers the model lacks, layers that are not linear, another rank, missing fields: all are one kind of error."""
    config = json.loads((saved / "config.json").read_text())
    change(config)
    (saved / "config.json").write_text(json.dumps(config))
    with pytest.raises(EditorMismatch, match=str(saved)):
        load_editor(saved, llama, BASE)


@pytest.mark.parametrize("text", ["[]", "null", '"editor"', "{"])
def test_config_of_another_kind_is_refused(llama: Any, saved: Path, text: str) -> None:
    """A config that is no JSON object is a damaged checkpoint."""
    (saved / "config.json").write_text(text)
    with pytest.raises(EditorMismatch):
        load_editor(saved, llama, BASE)


def test_missing_tensor_is_refused(llama: Any, saved: Path) -> None:
    """Weights that lack a tensor do not fit their config."""
    tensors = load_file(saved / "model.safetensors")
    del tensors["log_lr"]
    save_file(tensors, saved / "model.safetensors")
    with pytest.raises(EditorMismatch, match="log_lr"):
        load_editor(saved, llama, BASE)


def test_model_digest_depends_on_every_bit(tmp_path: Path) -> None:
    """One changed value is another model; metadata is not."""
    save_file({"a": torch.zeros(3), "b": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "model.safetensors")
    one = model_digest(tmp_path)
    tensors = {"b": torch.ones(2, dtype=torch.bfloat16), "a": torch.zeros(3)}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert model_digest(tmp_path) == one
    tensors["a"][1] = 1e-30
    save_file(tensors, tmp_path / "model.safetensors")
    assert model_digest(tmp_path) != one


def test_model_digest_does_not_depend_on_the_shards(tmp_path: Path) -> None:
    """The same tensors in one file or in several are the same model."""
    tensors = {name: torch.randn(3) for name in "abc"}
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    save_file(tensors, tmp_path / "one" / "model.safetensors")
    save_file({"c": tensors["c"], "a": tensors["a"]}, tmp_path / "two" / "model-1.safetensors")
    save_file({"b": tensors["b"]}, tmp_path / "two" / "model-2.safetensors")
    assert model_digest(tmp_path / "one") == model_digest(tmp_path / "two")


def test_directory_without_weights_has_no_digest(tmp_path: Path) -> None:
    """There is nothing to name."""
    with pytest.raises(FileNotFoundError, match="safetensors"):
        model_digest(tmp_path)
