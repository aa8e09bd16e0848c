"""Which models have a cache that branches: found out by trying, as architectures differ in too many ways to ask."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from retrieval.rag.cached_model import NODES, CachedModel
from retrieval.rag.decode import in_steps
from retrieval.rag.language_model import PROMPT, LanguageModel, Leaves, Steps
from retrieval.rag.recomputed import RecomputingModel, context_of

if TYPE_CHECKING:
    from torch import Tensor

_PROMPTS = ((1, 2, 3), (3, 2, 1, 0, 2))  # that are tried
_LEAVES = (Leaves((1, 2, 3), (PROMPT, PROMPT, 0)), Leaves((2,), (PROMPT,)))
_CLOSE = 0.05  # in standard deviations of log-probs; rounding stays far below, a wrong past far above

logger = logging.getLogger(__name__)


def next_tokens(model: Any, nodes: int = NODES) -> LanguageModel:
    """A causal LM of transformers as decoding needs it: with a cache where that gives what the model gives without."""
    if reason := why_not(model):
        logger.warning("RAG decoding computes every continuation anew, for %s", reason)
        return RecomputingModel(model)
    return CachedModel(model, nodes)


def why_not(model: Any) -> str | None:
    """Why this model's cache cannot branch; None if it can."""
    if (window := sliding_window(model)) is not None:
        return f"its attention reaches back {window} tokens only"
    try:
        cached, plain = (_outcome(way) for way in (CachedModel(model), RecomputingModel(model)))
    except Exception as error:  # a model may fail in its own ways, and is read without a cache then
        return f"tried on a few tokens, its cache fails: {type(error).__name__}: {error}"
    off = float((cached - plain).abs().max())
    return None if off <= _CLOSE * float(plain.std()) else f"tried on a few tokens, its cache is off by {off:.2g}"


def sliding_window(model: Any) -> int | None:
    """How far attention of some layer reaches back, where that is less than the context."""
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if window is None or (kinds is not None and not any("sliding" in kind or "chunked" in kind for kind in kinds)):
        return None
    context = context_of(model)
    return int(window) if context is None or window < context else None


def _outcome(model: LanguageModel) -> Tensor:
    """Log-probs (7, vocab) of what is tried."""
    from torch import cat

    def steps() -> Steps[Tensor]:
        trees = yield from model.read(_PROMPTS, room=3)
        grown = yield from trees.grow(_LEAVES)
        again = yield from trees.grow((Leaves((3,), (2,)), Leaves()))
        return cat([trees.first, *(one.log_probs for one in (*grown, *again))])

    return in_steps(steps())
