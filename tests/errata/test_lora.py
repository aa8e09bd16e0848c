"""Adapters on disk: what is written comes back, in PEFT's layout. That PEFT loads them is tested with the store."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load, save

from errata.lora import CONFIG, WEIGHTS, decode_factors, encode_adapter

FACTORS = {
    "model.layers.0.mlp": (torch.arange(6.0).reshape(2, 3), torch.arange(8.0).reshape(4, 2)),
    "model.layers.1.mlp": (torch.ones(1, 3, dtype=torch.bfloat16), torch.ones(4, 1, dtype=torch.bfloat16).T.clone().T),
}


def test_factors_come_back_as_they_were() -> None:
    """Bit for bit and of the same dtype, whatever their layout in memory."""
    found = decode_factors(encode_adapter(FACTORS)[WEIGHTS])
    assert found.keys() == FACTORS.keys()
    for name, pair in FACTORS.items():
        for factor, again in zip(pair, found[name], strict=True):
            assert factor.dtype == again.dtype and torch.equal(factor, again)


def test_the_same_factors_give_the_same_bytes() -> None:
    """In whatever order they are given, so that a digest names the content."""
    turned = dict(reversed(FACTORS.items()))
    assert encode_adapter(turned, "base") == encode_adapter(FACTORS, "base")


def test_the_config_gives_each_module_the_scale_one() -> None:
    """lora_alpha = r, for the largest rank and for the others."""
    config = json.loads(encode_adapter(FACTORS, "base")[CONFIG])
    assert (config["r"], config["lora_alpha"]) == (2, 2)
    assert config["rank_pattern"] == config["alpha_pattern"] == {"model.layers.1.mlp": 1}
    assert config["target_modules"] == sorted(FACTORS) and config["base_model_name_or_path"] == "base"


def test_what_is_no_adapter_is_refused() -> None:
    """No factors, other bytes, half a pair, or weights that a plain adapter does not have."""
    weights = encode_adapter(FACTORS)[WEIGHTS]
    tensors = load(weights)
    name = "base_model.model.model.layers.0.mlp.lora_B.weight"
    with pytest.raises(ValueError, match="at least one module"):
        encode_adapter({})
    for data in (b"", weights[:-1], save({key: t for key, t in tensors.items() if key != name})):
        with pytest.raises(ValueError, match="not a LoRA adapter"):
            decode_factors(data)
    with pytest.raises(ValueError, match="it also holds lm_head"):
        decode_factors(save({**tensors, "lm_head": torch.ones(1)}))
