"""Any causal language model, without a cache: each continuation is computed anew, alone and unpadded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from retrieval.rag.hypothesis import Tokens
from retrieval.rag.language_model import Steps, check_prompts, context_of, log_probs

if TYPE_CHECKING:
    from torch import Tensor


class RecomputingModel:
    """Slow and plain: for models whose caches cannot be used.

    Args:
        model: a causal LM of transformers.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def read(self, prompts: Sequence[Tokens], room: int) -> Steps[RecomputedTexts]:
        """See ``LanguageModel.read``."""
        check_prompts(prompts, room, context_of(self.model))
        return (yield from self.texts(prompts))

    def texts(self, texts: Sequence[Tokens]) -> Steps[RecomputedTexts]:
        """These texts, with what follows each."""
        from torch import stack

        found = []
        for text in texts:
            found.append(last_log_probs(self.model, text, 1)[0])
            yield ()
        return RecomputedTexts(self, texts, stack(found))


class RecomputedTexts:
    """Continuations as plain sequences of tokens."""

    def __init__(self, model: RecomputingModel, texts: Sequence[Tokens], log_probs: Tensor) -> None:
        self.model, self.texts, self.log_probs = model, texts, log_probs

    def extend(self, rows: Sequence[int], tokens: Sequence[int]) -> Steps[RecomputedTexts]:
        """See ``Continuations.extend``."""
        pairs = zip(rows, tokens, strict=True)
        return (yield from self.model.texts([(*self.texts[row], token) for row, token in pairs]))

    def rest_of(self, rows: Sequence[int], answers: Sequence[Tokens]) -> Steps[list[Tensor]]:
        """See ``Continuations.rest_of``."""
        found = []
        for row, answer in zip(rows, answers, strict=True):
            later = len(answer) - 1
            if not later:
                found.append(self.log_probs.new_empty(0))
                continue
            after = last_log_probs(self.model.model, (*self.texts[row], *answer[:-1]), later)
            found.append(after[range(later), list(answer[1:])])
            yield ()
        return found


def last_log_probs(model: Any, tokens: Tokens, count: int) -> Tensor:
    """log p of the token after each of the last ``count`` tokens, (count, vocab)."""
    import torch

    with torch.no_grad():
        ids = torch.tensor([tokens], device=model.device)
        return log_probs(model(input_ids=ids, use_cache=False, logits_to_keep=count).logits[0, -count:])
