"""A causal language model with the cache of transformers: prompts are read once, continuations go on in batches."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from retrieval.rag.hypothesis import Tokens
from retrieval.rag.language_model import LanguageModel, Steps, check_prompts, context_of, log_probs
from retrieval.rag.recomputed import RecomputingModel

if TYPE_CHECKING:
    from torch import Tensor

PIECE = 512  # prompt tokens in one forward pass at most
SHARED = 16  # from so many tokens on, what all prompts begin with is worth a forward pass of its own
PADDED = 1.25  # prompts go together while padding makes them no longer than this, all in all
SCORED = 128  # tokens of given answers in one forward pass, about
_CLOSE = 0.05  # in standard deviations of log-probs; rounding stays far below, a wrong past far above
_TRIED: tuple[Tokens, ...] = ((1, 2, 3), (3, 2, 1, 0, 2))  # prompts

logger = logging.getLogger(__name__)


def language_model(model: Any) -> LanguageModel:
    """A causal LM of transformers for decoding: with a cache where that gives what the model gives without.

    This is found out by trying, as architectures differ in too many ways to ask.
    """
    if reason := why_not(model):
        logger.warning("RAG decoding computes every continuation anew, for %s", reason)
        return RecomputingModel(model)
    return CachedModel(model)


def why_not(model: Any) -> str | None:
    """Why this model's cache cannot be used; None if it can."""
    try:
        cached, plain = (_tried(way) for way in (CachedModel(model), RecomputingModel(model)))
    except Exception as error:  # a model may fail in its own ways, and is read without a cache then
        return f"tried on a few tokens, its cache fails: {type(error).__name__}: {error}"
    off = float((cached - plain).abs().max())
    return None if off <= _CLOSE * float(plain.std()) else f"tried on a few tokens, its cache is off by {off:.2g}"


def _tried(model: LanguageModel) -> Tensor:
    """Log-probs of some continuations."""
    from torch import cat

    def steps() -> Steps[Tensor]:
        prompts = yield from model.read(_TRIED, room=3)
        once = yield from prompts.extend((0, 1, 0), (1, 2, 2))
        twice = yield from once.extend((2, 0), (3, 1))
        rest = yield from prompts.rest_of((1, 0), ((1, 2, 3), (2, 1)))
        return cat([*(texts.log_probs.flatten() for texts in (prompts, once, twice)), *rest])

    running = steps()
    try:
        while True:
            next(running)
    except StopIteration as ended:
        result: Tensor = ended.value
        return result


class CachedModel:
    """Reads prompts one by one (on a CPU several at once are no faster), continues them together.

    Args:
        model: a causal LM of transformers; :func:`language_model` finds out whether its cache can be used.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def read(self, prompts: Sequence[Tokens], room: int) -> Steps[CachedTexts]:
        """See ``LanguageModel.read``."""
        from torch import long, ones, stack
        from transformers import DynamicCache

        check_prompts(prompts, room, context_of(self.model))
        shared = shared_start(prompts)
        start, _ = yield from self._read(prompts[0][:shared], DynamicCache())
        batches, found = [], []
        for n, prompt in enumerate(prompts):
            cache, following = yield from self._read(prompt[shared:], deepcopy(start))
            batches.append(CachedBatch(self.model, (n,), cache, ones(1, len(prompt), dtype=long)))
            found.append(following)
        together = [joined([batches[n] for n in rows]) for rows in alike([len(prompt) for prompt in prompts])]
        return CachedTexts(together, stack(found))

    def _read(self, tokens: Tokens, cache: Any) -> Steps[tuple[Any, Tensor]]:
        """Append a text to a cache, in pieces; also the log-probs (vocab,) of the next token."""
        import torch

        found = torch.empty(0)
        for at in range(0, len(tokens), PIECE):
            ids = torch.tensor([tokens[at : at + PIECE]], device=self.model.device)
            with torch.no_grad():
                out = self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            found = log_probs(out.logits[0, -1])
            yield ()
        return cache, found


@dataclass(frozen=True, eq=False)
class CachedBatch:
    """Texts of like length in one cache, padded on the left.

    Attributes:
        rows: their numbers among all texts.
        cache: of transformers, (len(rows), heads, s, dim) a layer.
        attended: (len(rows), s), 1 for a token, 0 for padding.
    """

    model: Any
    rows: tuple[int, ...]
    cache: Any
    attended: Tensor

    def select(self, places: Sequence[int], rows: Sequence[int]) -> CachedBatch:
        """Copies of the texts at these places, under these numbers."""
        from torch import tensor
        from transformers import DynamicCache

        at, cache = tensor(places), DynamicCache()
        for number, layer in enumerate(self.cache.layers):
            of_layer = at.to(layer.keys.device)
            cache.update(layer.keys[of_layer], layer.values[of_layer], number)
        return CachedBatch(self.model, tuple(rows), cache, self.attended[at])

    def append(self, tokens: Sequence[Tokens]) -> tuple[CachedBatch, Tensor]:
        """Append tokens to each text, whose cache is used up; also log-probs (rows, t, vocab) after each of them."""
        import torch

        longest, device = max(map(len, tokens)), self.model.device
        ids = torch.tensor([[*own, *[0] * (longest - len(own))] for own in tokens])
        new = torch.tensor([[1] * len(own) + [0] * (longest - len(own)) for own in tokens])
        attended = torch.cat([self.attended, new], 1)
        places = (attended.cumsum(1) - 1)[:, -longest:]
        with torch.no_grad():
            out = self.model(
                input_ids=ids.to(device),
                attention_mask=attended.to(device),
                position_ids=places.to(device),
                past_key_values=self.cache,
                use_cache=True,
            )
        return CachedBatch(self.model, self.rows, self.cache, attended), log_probs(out.logits)


class CachedTexts:
    """Continuations in the batches of their prompts."""

    def __init__(self, batches: Sequence[CachedBatch], log_probs: Tensor) -> None:
        self.batches, self.log_probs = batches, log_probs

    def extend(self, rows: Sequence[int], tokens: Sequence[int]) -> Steps[CachedTexts]:
        """See ``Continuations.extend``."""
        found = self.log_probs.new_empty(len(rows), self.log_probs.shape[1])
        batches = []
        for batch, places, numbers in self._by_batch(rows):
            grown, following = batch.select(places, numbers).append([(tokens[n],) for n in numbers])
            batches.append(grown)
            found[list(numbers)] = following[:, -1]
            yield ()
        return CachedTexts(batches, found)

    def rest_of(self, rows: Sequence[int], answers: Sequence[Tokens]) -> Steps[list[Tensor]]:
        """See ``Continuations.rest_of``."""
        found = [self.log_probs.new_empty(0) for _ in answers]
        longer = [n for n, answer in enumerate(answers) if len(answer) > 1]
        at_once = max(1, SCORED // max((len(answers[n]) - 1 for n in longer), default=1))
        for start in range(0, len(longer), at_once):
            chosen = longer[start : start + at_once]
            for batch, places, numbers in self._by_batch([rows[n] for n in chosen]):
                own = [answers[chosen[n]] for n in numbers]
                _, following = batch.select(places, numbers).append([answer[:-1] for answer in own])
                for n, answer, row in zip(numbers, own, following, strict=True):
                    found[chosen[n]] = row[range(len(answer) - 1), list(answer[1:])]
                yield ()
        return found

    def _by_batch(self, rows: Sequence[int]) -> Iterator[tuple[CachedBatch, list[int], list[int]]]:
        """Each batch that holds some of these texts, their places in it, and which of ``rows`` they are."""
        for batch in self.batches:
            places = {row: place for place, row in enumerate(batch.rows)}
            numbers = [n for n, row in enumerate(rows) if row in places]
            if numbers:
                yield batch, [places[rows[n]] for n in numbers], numbers


def joined(batches: Sequence[CachedBatch]) -> CachedBatch:
    """Several batches as one, padded to the longest."""
    from torch import cat
    from torch.nn.functional import pad
    from transformers import DynamicCache

    lacking = [max(one.attended.shape[1] for one in batches) - batch.attended.shape[1] for batch in batches]
    cache = DynamicCache()
    for number, layers in enumerate(zip(*(batch.cache.layers for batch in batches), strict=True)):
        keys = cat([pad(layer.keys, (0, 0, n, 0)) for layer, n in zip(layers, lacking, strict=True)])
        values = cat([pad(layer.values, (0, 0, n, 0)) for layer, n in zip(layers, lacking, strict=True)])
        cache.update(keys, values, number)
    attended = cat([pad(batch.attended, (n, 0)) for batch, n in zip(batches, lacking, strict=True)])
    return CachedBatch(batches[0].model, tuple(row for batch in batches for row in batch.rows), cache, attended)


def alike(lengths: Sequence[int]) -> list[list[int]]:
    """Which texts go together, the longest first: padded, they take no more than PADDED times their own tokens."""
    groups: list[list[int]] = []
    for n in sorted(range(len(lengths)), key=lambda n: -lengths[n]):
        group = [*groups[-1], n] if groups else [n]
        if groups and len(group) * lengths[group[0]] <= PADDED * sum(lengths[m] for m in group):
            groups[-1] = group
        else:
            groups.append([n])
    return groups


def shared_start(prompts: Sequence[Tokens]) -> int:
    """How many tokens to compute once for all prompts. Each keeps one of its own, after which the answer begins."""
    if len(prompts) == 1:
        return 0
    same = sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, zip(*prompts, strict=False)))
    same = min(same, min(map(len, prompts)) - 1)
    return same if same >= SHARED else 0
