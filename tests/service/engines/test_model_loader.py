"""The served model, as it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from service.engines.model_loader import ModelUnavailable, load_base_model
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
