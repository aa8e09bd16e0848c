"""log p(y|x) of given answers, differentiable: what retriever and generator are trained on (Lewis et al. 2020, 2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrieval.rag.hypothesis import Tokens
from retrieval.rag.language_model import check_prompts, context_of, log_probs

if TYPE_CHECKING:
    from torch import Tensor

Prompts = Sequence[Sequence[Tokens]]  # b × k, as token ids
Targets = Sequence[Tokens]  # b, each with its end token


def log_prior(scores: Tensor, temperature: float = 1.0) -> Tensor:
    """log p_η(z|x) over the last dimension: softmax of inner product / τ.

    Raises:
        ValueError: τ is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature must be positive, not {temperature}")
    return (scores / temperature).log_softmax(-1)


def marginal_log_likelihood_sequence(
    model: Any, prompts: Prompts, targets: Targets, log_prior: Tensor, rows: int | None = None
) -> Tensor:
    """RAG-Sequence: log Σ_z p_η(z|x) Π_i p_θ(y_i | x, z, y_<i), (b,).

    Args:
        model: a causal LM of transformers.
        prompts: k for each of b questions, as token ids.
        targets: b answers as token ids, each with its end token.
        log_prior: (b, k), log p_η(z|x), see :func:`log_prior`. A passage with -inf is left out.
        rows: sequences in one forward pass at most; all by default.

    Raises:
        ValueError: the sizes do not agree, or a prompt or target is empty or too long; it names which.
    """
    return target_log_probs(model, prompts, targets, rows).sequence(log_prior)


def marginal_log_likelihood_token(
    model: Any, prompts: Prompts, targets: Targets, log_prior: Tensor, rows: int | None = None
) -> Tensor:
    """RAG-Token: log Π_i Σ_z p_η(z|x) p_θ(y_i | x, z, y_<i), (b,). As :func:`marginal_log_likelihood_sequence`."""
    return target_log_probs(model, prompts, targets, rows).token(log_prior)


@dataclass(frozen=True, eq=False)
class TargetLogProbs:
    """What each passage makes of the targets.

    Attributes:
        values: log p_θ(y_i | x, z, y_<i), (b, k, tokens); 0 behind a target's end.
        present: where a target has a token, (b, tokens).
    """

    values: Tensor
    present: Tensor

    def sequence(self, log_prior: Tensor) -> Tensor:
        """log Σ_z p(z|x) Π_i p(y_i|x, z, y_<i), (b,), for a log-prior (b, k)."""
        return (self._checked(log_prior) + self.values.sum(-1)).logsumexp(-1)

    def token(self, log_prior: Tensor) -> Tensor:
        """log Π_i Σ_z p(z|x) p(y_i|x, z, y_<i), (b,), for a log-prior (b, k)."""
        mixed = (self._checked(log_prior)[..., None] + self.values).logsumexp(-2)  # (b, tokens)
        return mixed.masked_fill(~self.present, 0.0).sum(-1)

    def _checked(self, log_prior: Tensor) -> Tensor:
        if log_prior.shape != self.values.shape[:2]:
            sizes = (tuple(log_prior.shape), tuple(self.values.shape[:2]))
            raise ValueError(f"log_prior has the shape {sizes[0]}, prompts {sizes[1]}")
        return log_prior.to(self.values)


def target_log_probs(model: Any, prompts: Prompts, targets: Targets, rows: int | None = None) -> TargetLogProbs:
    """Each target behind each of its prompts; see :func:`marginal_log_likelihood_sequence`. Gradients flow."""
    from torch import cat, stack, tensor

    k = _check(model, prompts, targets, rows)
    pairs = [(p, target) for own, target in zip(prompts, targets, strict=True) for p in own]
    order = sorted(range(len(pairs)), key=lambda n: len(pairs[n][0]))
    size = rows or len(pairs)
    most = max(map(len, targets))
    found = cat([_forward(model, [pairs[n] for n in order[at : at + size]], most) for at in range(0, len(pairs), size)])
    places = tensor(order, device=found.device).argsort()
    present = stack([tensor([n < len(target) for n in range(most)]) for target in targets])
    return TargetLogProbs(found[places].unflatten(0, (-1, k)), present.to(found.device))


def _forward(model: Any, pairs: Sequence[tuple[Tokens, Tokens]], most: int) -> Tensor:
    """log p of the targets' tokens, (n, most), 0 behind their ends. Rows are [padding, prompt, target, padding]."""
    import torch

    longest = max(len(prompt) for prompt, _ in pairs)
    left = [longest - len(prompt) for prompt, _ in pairs]
    right = [most - len(target) for _, target in pairs]
    padded = [
        (*(0,) * pad, *prompt, *target, *(0,) * rest)
        for (prompt, target), pad, rest in zip(pairs, left, right, strict=True)
    ]
    columns = torch.arange(longest + most - 1)
    seen = (columns >= torch.tensor(left)[:, None]) & (columns < len(columns) - torch.tensor(right)[:, None])
    places = (columns - torch.tensor(left)[:, None]).clamp(min=0)
    device, ids = model.device, torch.tensor(padded)
    logits = model(
        input_ids=ids[:, :-1].to(device),
        attention_mask=seen.long().to(device),
        position_ids=places.to(device),
        use_cache=False,
        logits_to_keep=most,
    ).logits
    of_targets = log_probs(logits).gather(-1, ids[:, longest:, None].to(device))[..., 0]
    behind = torch.arange(most) >= most - torch.tensor(right)[:, None]
    return of_targets.masked_fill(behind.to(device), 0.0)


def _check(model: Any, prompts: Prompts, targets: Targets, rows: int | None) -> int:
    """k, if all is as it should be."""
    if rows is not None and rows < 1:
        raise ValueError(f"rows must be at least 1, not {rows}")
    if not targets or len(prompts) != len(targets):
        raise ValueError(f"there are prompts of {len(prompts)} questions and {len(targets)} targets")
    for n, (own, target) in enumerate(zip(prompts, targets, strict=True)):
        if not target:
            raise ValueError(f"target {n} is empty; an empty answer is its end token")
        if len(own) != len(prompts[0]):
            raise ValueError(f"question {n} has {len(own)} prompts, question 0 has {len(prompts[0])}")
        try:
            check_prompts(own, len(target) - 1, context_of(model))
        except ValueError as error:
            raise ValueError(f"question {n}: {error}") from error
    return len(prompts[0])
