"""LoRA adapters (Hu et al. 2022) on disk as PEFT and vLLM load them, ``lora_alpha = r`` so that their scale is 1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."  # what PEFT puts before a module's name
_A = ".lora_A.weight"

Factors = tuple[Tensor, Tensor]  # A (r, in) and B (out, r); ΔW = B A


def encode_adapter(factors: Mapping[str, Factors], base_model: str = "") -> dict[str, bytes]:
    """The two files of an adapter by name, from factors by the name of their module; dtypes are kept.

    ``fan_in_fan_out`` is about the base weight's layout; for GPT-2's ``Conv1D`` PEFT sets it itself when it loads.

    Raises:
        ValueError: no factors.
    """
    if not factors:
        raise ValueError("an adapter changes at least one module")
    ranks = {name: A.shape[0] for name, (A, _) in factors.items()}
    rank = max(ranks.values())
    others = {name: own for name, own in ranks.items() if own != rank}
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": others,
        "alpha_pattern": others,
        "target_modules": sorted(factors),
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
    }
    tensors = {
        key: factor.detach().cpu().clone().contiguous()
        for name, pair in factors.items()
        for key, factor in zip(_keys(name), pair, strict=True)
    }
    weights = save(tensors, metadata={"format": "pt"})
    return {CONFIG: json.dumps(config, indent=1, sort_keys=True).encode(), WEIGHTS: weights}


def decode_factors(weights: bytes) -> dict[str, Factors]:
    """The factors by module name, on the CPU, as they were saved.

    Raises:
        ValueError: the bytes are no weights of a plain LoRA adapter.
    """
    try:
        tensors = load(weights)
        names = [key[len(_PREFIX) : -len(_A)] for key in tensors if key.endswith(_A)]
        factors = {name: (tensors.pop(a), tensors.pop(b)) for name in names for a, b in [_keys(name)]}
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"not a LoRA adapter: {error}") from error
    if tensors:
        raise ValueError(f"not a plain LoRA adapter: it also holds {min(tensors)}")
    return factors


def _keys(name: str) -> tuple[str, str]:
    """PEFT's names of A (r, in) and B (out, r)."""
    return f"{_PREFIX}{name}{_A}", f"{_PREFIX}{name}.lora_B.weight"
