"""Any causal language model, without a cache: each continuation is computed anew, alone and unpadded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from retrieval.rag.hypothesis import Tokens
from retrieval.rag.language_model import PROMPT, Grown, Leaves, Steps, check_prompts

if TYPE_CHECKING:
    from torch import Tensor


class RecomputingModel:
    """Slow and plain: for models whose caches cannot be branched, and what faster ways are compared with.

    Args:
        model: a causal LM of transformers.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def read(self, prompts: Sequence[Tokens], room: int) -> Steps[RecomputedTrees]:
        """See ``NextTokens.read``."""
        from torch import stack

        check_prompts(prompts, room, context_of(self.model))
        found = []
        for prompt in prompts:
            found.append(log_probs_after(self.model, prompt))
            yield ()
        return RecomputedTrees(self.model, prompts, stack(found))


class RecomputedTrees:
    """Prompts and what was hung below them, as plain sequences of tokens."""

    def __init__(self, model: Any, prompts: Sequence[Tokens], first: Tensor) -> None:
        self.model, self.prompts, self.first = model, prompts, first
        self._paths: list[list[Tokens]] = [[] for _ in prompts]

    def grow(self, leaves: Sequence[Leaves]) -> Steps[list[Grown]]:
        """See ``Trees.grow``."""
        from torch import cat

        grown = []
        for prompt, paths, new in zip(self.prompts, self._paths, leaves, strict=True):
            before, found = len(paths), [self.first[:0]]
            for token, parent in zip(new.tokens, new.parents, strict=True):
                paths.append((*(paths[parent] if parent != PROMPT else ()), token))
                found.append(log_probs_after(self.model, (*prompt, *paths[-1]))[None])
                yield ()
            grown.append(Grown(tuple(range(before, len(paths))), cat(found)))
        return grown


def log_probs_after(model: Any, tokens: Tokens) -> Tensor:
    """log p of the next token, (vocab,)."""
    import torch

    with torch.no_grad():
        ids = torch.tensor([tokens], device=model.device)
        return log_probs(model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[0, -1])


def log_probs(logits: Tensor) -> Tensor:
    """Over the last dimension, in float32 at least."""
    import torch

    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)


def context_of(model: Any) -> int | None:
    """Longest sequence of a model, if it has one."""
    longest: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return longest
