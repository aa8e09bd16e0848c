"""The served model, as it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from service.engines.model_loader import ModelUnavailable, load_base_model, native_dtype
from tests.retrieval.tiny_training import llama, tokenizer


def test_a_few_logits_are_those_of_all_and_cost_one_product(tmp_path: Path) -> None:
    """What reaches the output embeddings is one matrix, also of several texts, and gradients flow through it."""
    llama().save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    model = load_base_model(str(tmp_path), tmp_path, "float32").model
    seen: list[torch.Tensor] = []
    model.get_output_embeddings().register_forward_hook(lambda _, args, __: seen.append(args[0]))
    embedded = model.get_input_embeddings()(torch.tensor([[1, 2, 3, 1], [3, 2, 1, 2]])).requires_grad_()
    asked: dict[str, Any] = {"inputs_embeds": embedded, "use_cache": False}
    few, every = model(**asked, logits_to_keep=2).logits, model(**asked).logits
    assert torch.allclose(few, every[:, -2:], atol=1e-6)
    b, n, d = seen[0].shape
    assert (b, n) == (2, 2) and seen[0].stride() == (n * d, d, 1)
    few.sum().backward()
    assert embedded.grad is not None and float(embedded.grad.abs().sum()) > 0


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    """With what the library says."""
    with pytest.raises(ModelUnavailable, match=str(tmp_path)):
        load_base_model(str(tmp_path), tmp_path, "float32")


@pytest.mark.parametrize(
    ("instructions", "capability", "dtype"),
    [
        (True, "AVX512", "bfloat16"),
        (True, "AVX2", "float32"),
        (False, "AVX512", "float32"),
        (False, "NO AVX", "float32"),
    ],
)
def test_bfloat16_is_chosen_where_it_is_fast(
    monkeypatch: pytest.MonkeyPatch, instructions: bool, capability: str, dtype: str
) -> None:
    """Where the processor has instructions for it, and PyTorch was not told to leave them alone."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: instructions)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert native_dtype("auto") == dtype
    assert native_dtype("bfloat16") == "bfloat16", "what was chosen is what is taken"
