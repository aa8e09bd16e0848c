"""Training and calibration of the scope head on pairs of wordings, with hard negatives."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from editing.data.facts import Example
from editing.language.views import views_of
from editing.scope.head import Member, ScopeHead, Texts, TextVectors, match_features

Vectorise = Callable[[Sequence[str]], list[TextVectors]]
OnEpoch = Callable[[int, float], None]
BATCH = 256
COSTS = {
    "chat": 1.0,
    "statement": 0.5,
    "same_subject": 0.7,
    "same_relation": 2.0,
    "unrelated": 4.0,
}  # of an error, by kind


@dataclass(frozen=True)
class Pair:
    """An edit's wording and a prompt; ``kind`` says how the prompt was drawn, ``same`` whether it asks the same."""

    edit: str
    prompt: str
    same: bool
    kind: str


def own_pairs(examples: Sequence[Example], seed: int = 0) -> list[Pair]:
    """Each prompt of an example against one of the edit's own wordings, as the service will compare them."""
    rng = random.Random(seed)
    pairs = []
    for example in examples:
        wordings = [view.text for view in views_of(example.edit.text, example.edit.raw)]
        for kind in ("chat", "statements", "same_subject", "same_relation", "unrelated"):
            for view in getattr(example, kind):
                same = kind in ("chat", "statements")
                pairs.append(Pair(rng.choice(wordings), _typed(view.text, rng), same, kind))
    return pairs


def wide_pairs(examples: Sequence[Example], seed: int = 0) -> list[Pair]:
    """Any two wordings of a question, and what must not fire against several of them."""
    rng = random.Random(seed)
    pairs = []
    for example in examples:
        own = [view.text for view in views_of(example.edit.text, example.edit.raw)]
        same = [*own, *(view.text for view in (*example.chat, *example.statements))]
        ordered = [(a, b) for a in same for b in same if a != b]
        pairs += [Pair(a, _typed(b, rng), True, "same") for a, b in rng.sample(ordered, min(6, len(ordered)))]
        for kind, against in (("same_subject", 2), ("same_relation", 2), ("unrelated", 1)):
            for view in getattr(example, kind):
                for wording in rng.sample(same, min(against, len(same))):
                    a, b = (wording, view.text) if rng.random() < 0.7 else (view.text, wording)
                    pairs.append(Pair(a, _typed(b, rng), False, kind))
    return pairs


def _typed(text: str, rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.1:
        return text.lower()
    return text.rstrip("?.") if draw < 0.18 else text


def vectors_of(texts: Sequence[str], vectorise: Vectorise, batch: int = 128) -> dict[str, TextVectors]:
    """Vectors of many texts, in batches of similar length; tokens are kept in half precision."""
    ordered = sorted(set(texts), key=len)
    groups = [ordered[at : at + batch] for at in range(0, len(ordered), batch)]
    made = ((text, v) for group in groups for text, v in zip(group, vectorise(group), strict=True))
    return {text: TextVectors(v.sentence, v.tokens.astype(np.float16)) for text, v in made}


def train_scope(
    own: Sequence[Pair],
    wide: Sequence[Pair],
    vectors: dict[str, TextVectors],
    *,
    epochs: int = 5,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
) -> ScopeHead:
    """A head of two members: one sharp on an edit's own wordings, one with more dropout on many close questions."""
    sharp = train_member(own, vectors, HeadTrainingConfig(epochs, 0.3, 2e-3), seed, on_epoch)
    general = train_member(wide, vectors, HeadTrainingConfig(max(1, epochs - 1), 0.45, 1.4e-3), seed, on_epoch)
    return ScopeHead([sharp, general]).eval()


@dataclass(frozen=True)
class HeadTrainingConfig:
    """How a member is trained: ``rate`` is the highest step size of the one cycle."""

    epochs: int
    dropout: float
    rate: float


def train_member(
    pairs: Sequence[Pair],
    vectors: dict[str, TextVectors],
    recipe: HeadTrainingConfig,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
) -> Member:
    """Logistic regression of ``same``: AdamW with weight decay and dropout, one cycle of the step size."""
    torch.manual_seed(seed)
    member = Member(len(next(iter(vectors.values())).sentence), dropout=recipe.dropout).train()
    optimiser = torch.optim.AdamW(member.parameters(), recipe.rate / 2, weight_decay=0.05)
    steps = recipe.epochs * -(-len(pairs) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=max(2, steps))
    for epoch in range(recipe.epochs):
        losses = []
        for rows in torch.randperm(len(pairs)).split(BATCH):
            loss = _loss(member, [pairs[row] for row in rows.tolist()], vectors)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        if on_epoch:
            on_epoch(epoch + 1, sum(losses) / len(losses))
    return member.eval()


def _loss(member: Member, pairs: Sequence[Pair], vectors: dict[str, TextVectors]) -> Tensor:
    same = torch.tensor([float(pair.same) for pair in pairs])
    return F.binary_cross_entropy_with_logits(_logits(member, pairs, vectors), same)


def _logits(head: Member, pairs: Sequence[Pair], vectors: dict[str, TextVectors]) -> Tensor:
    prompts, edits = [vectors[p.prompt] for p in pairs], [vectors[p.edit] for p in pairs]
    match = np.stack([match_features(a, b) for a, b in zip(prompts, edits, strict=True)])
    logits: Tensor = head(Texts.of(prompts), Texts.of(edits), torch.from_numpy(match))
    return logits


@dataclass(frozen=True)
class CalibrationProbe:
    """A prompt against a whole edit (all its wordings), as the service decides it."""

    kind: str
    same: bool
    score: float


def probes_of(head: ScopeHead, examples: Sequence[Example], vectors: dict[str, TextVectors]) -> list[CalibrationProbe]:
    probes = []
    for example in examples:
        own = [vectors[view.text] for view in views_of(example.edit.text, example.edit.raw)]
        for kind in ("chat", "statements", "same_subject", "same_relation", "unrelated"):
            for view in getattr(example, kind):
                score = float(head.score(vectors[view.text], own).max())
                probes.append(
                    CalibrationProbe(
                        "statement" if kind == "statements" else kind, kind in ("chat", "statements"), score
                    )
                )
    return probes


def calibrate(probes: Sequence[CalibrationProbe]) -> float:
    """The threshold with the least cost of errors, each kind's error rate weighed by ``COSTS``."""
    candidates = np.linspace(-4, 4, 161)
    return float(min(candidates, key=lambda t: sum(COSTS[k] * e for k, e in error_rates(probes, float(t)).items())))


def error_rates(probes: Sequence[CalibrationProbe], threshold: float) -> dict[str, float]:
    """Share of wrong decisions by kind: missed for wordings of the same question, fired for the others."""
    kinds = dict.fromkeys(p.kind for p in probes)
    return {k: float(np.mean([(p.score > threshold) != p.same for p in probes if p.kind == k])) for k in kinds}


def texts_of(examples: Sequence[Example]) -> list[str]:
    """Every text that pairs and probes of these examples speak of."""
    views = [v for e in examples for v in (*e.chat, *e.statements, *e.same_subject, *e.same_relation, *e.unrelated)]
    wordings = [v.text for e in examples for v in views_of(e.edit.text, e.edit.raw)]
    plain = [v.text for v in views]
    return [*wordings, *plain, *(t.lower() for t in plain), *(t.rstrip("?.") for t in plain)]
