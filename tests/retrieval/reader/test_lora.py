"""LoRA factors of a generator: what they change, and that PEFT reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from errata.lora import CONFIG, WEIGHTS
from retrieval.errors import AdapterError
from retrieval.reader.lora import Lora
from tests.editing import tiny
from tests.retrieval.tiny_training import llama

pytestmark = [  # of peft and transformers, about each other
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning"),
]
IDS = torch.tensor([[5, 6, 7, 8]])


def filled(model: Any, layers: int = 2) -> Lora:
    """Factors that do something."""
    lora = Lora.of_top_layers(model, layers, rank=3)
    torch.manual_seed(0)
    for B in lora.B:
        torch.nn.init.normal_(B, std=0.1)
    return lora


@torch.no_grad()
def logits(model: Any, ids: torch.Tensor = IDS) -> torch.Tensor:
    found: torch.Tensor = model(input_ids=ids, use_cache=False).logits
    return found


def test_new_factors_change_nothing_and_trained_ones_only_within_the_block() -> None:
    """B begins as 0; after ``with`` the model is what it was, to the bit, and carries no hook."""
    model = llama()
    before = logits(model)
    with Lora.of_top_layers(model, 2, rank=3).on(model):
        assert torch.equal(logits(model), before)
    with pytest.raises(RuntimeError, match="inside"), filled(model).on(model):
        assert not torch.allclose(logits(model), before)
        raise RuntimeError("inside")
    assert torch.equal(logits(model), before)
    assert tiny.hooks(model) == 0


def test_all_linear_layers_of_the_uppermost_blocks_are_changed() -> None:
    """Of two of three blocks; neither embeddings nor the output layer."""
    lora = Lora.of_top_layers(llama(), 2, rank=3)
    assert {name.split(".")[2] for name in lora.names} == {"1", "2"}
    assert len(lora.names) == 14
    assert all(name.startswith("model.layers.") for name in lora.names)
    assert len(Lora.of_top_layers(tiny.gpt2(), 1, rank=3).names) == 4


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_peft_says_the_same(tmp_path: Path, family: str) -> None:
    """The saved adapter, loaded by PEFT into a fresh model, gives the same logits; for Conv1D too."""
    model, fresh = (llama(), llama()) if family == "llama" else (tiny.gpt2(), tiny.gpt2())
    lora = filled(model)
    lora.save(tmp_path / "adapter", "base")
    with lora.on(model):
        ours = logits(model)
    theirs = logits(PeftModel.from_pretrained(fresh, tmp_path / "adapter").eval())
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    """Bit by bit; saving again replaces the old content."""
    model = llama()
    lora = filled(model)
    Lora.of_top_layers(model, 1, rank=2).save(tmp_path / "adapter")
    lora.save(tmp_path / "adapter")
    again = Lora.load(tmp_path / "adapter")
    with lora.on(model):
        wanted = logits(model)
    with again.on(model):
        assert torch.equal(logits(model), wanted)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["adapter", CONFIG, WEIGHTS]


def test_an_adapters_own_scale_is_kept(tmp_path: Path) -> None:
    """lora_alpha = 2 r doubles what it does, in ours as in PEFT."""
    model = llama()
    filled(model).save(tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps(config | {"lora_alpha": 6}))
    with Lora.load(tmp_path).on(model):
        ours = logits(model)
    assert torch.allclose(ours, logits(PeftModel.from_pretrained(llama(), tmp_path).eval()), atol=1e-5)


def test_what_is_no_plain_adapter_is_refused(tmp_path: Path) -> None:
    """No folder, damaged weights, DoRA, another model, a model without blocks: each is named."""
    model = llama()
    with pytest.raises(AdapterError, match="absent: not a LoRA adapter"):
        Lora.load(tmp_path / "absent")
    filled(model).save(tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps(config | {"use_dora": True}))
    with pytest.raises(AdapterError, match="only plain LoRA"):
        Lora.load(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"x")
    with pytest.raises(AdapterError, match="not a LoRA adapter"):
        Lora.load(tmp_path)
    with pytest.raises(AdapterError, match=r"model\.layers\.1"), filled(model).on(tiny.gpt2()):
        pass
    with pytest.raises(AdapterError, match="no numbered blocks"):
        Lora.of_top_layers(torch.nn.Linear(2, 2), 1, 1)
