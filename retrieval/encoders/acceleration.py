"""Where passages are embedded, and how exactly: the fastest that keeps the vectors."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from retrieval.encoders.token_batches import unit_vectors
from retrieval.errors import EncoderError

AUTO = "auto"
COSINE = 0.999  # that a vector of half precision must have with the full one
_SAMPLE = (
    "Canberra",
    "7",
    "What is the capital of Australia?",
    "Oxygen. Oxygen is a chemical element with the symbol O and atomic number 8.",
    "Ein Haus mit Umlauten: äöü; 東京 は 日本 の 首都 です。",
    "Faust. Faust is a tragic play in two parts by Johann Wolfgang von Goethe. Nearly all of Part One and the majority "
    "of Part Two are written in rhymed verse. Although rarely staged in its entirety, it is the play with the largest "
    "audience numbers on German-language stages, and is considered by many to be Goethe's magnum opus.",
    "one two three four five six seven eight nine ten " * 12,
)


def choose_device(choice: str = AUTO) -> str:
    """The name of a PyTorch device; ``auto`` is the first GPU if there is one, else the CPU.

    Raises:
        EncoderError: there is no such device here.
    """
    import torch

    if choice == AUTO:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=choice)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EncoderError(f"the device {choice!r} cannot be used ({why}); choose auto, cpu or cuda") from error
    return choice


def accelerated(model: Any, device: str) -> Any:
    """A copy of a model on ``device``, in half precision where the device multiplies it natively and vectors agree.

    Args:
        model: of sentence-transformers, in float32.
        device: from :func:`choose_device`.
    """
    import torch

    exact = copy.deepcopy(model).to(device)
    if device == "cpu" and not getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)():
        return exact
    half = copy.deepcopy(model).to(device, torch.bfloat16 if device == "cpu" else torch.float16)
    try:
        one, other = (unit_vectors(each, each.preprocess(list(_SAMPLE))) for each in (exact, half))
    except (RuntimeError, TypeError):  # a module that does not compute so
        return exact
    return half if np.all(np.sum(one * other, axis=1) >= COSINE) else exact
