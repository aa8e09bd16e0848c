"""The card of a trained reader: LoRA factors with which a model answers shortly from passages, or gives no answer."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from errata.files import file_digest
from errata.lora import WEIGHTS
from retrieval.errors import AdapterError

CARD = "reader.json"
NEAR = 0.5  # an inner product that speaks neither for nor against an answer
PRETRAINED = Path(__file__).parents[1] / "pretrained"


@dataclass(frozen=True)
class Thresholds:
    """Where a reader's probabilities become decisions; measured on questions set aside.

    Attributes:
        not_told: probability of ``NO_ANSWER`` from which on it is the answer, where the best passage has the inner
            product NEAR with the question.
        sure: probability of the answer's words below which sentences are quoted instead.
        nearness: how much nearer passages speak against ``NO_ANSWER``, in log-odds for an inner product of 1.
    """

    not_told: float
    sure: float
    nearness: float = 0.0

    def least(self, product: float | None) -> float:
        """The probability from which on ``NO_ANSWER`` is the answer, for the best passage's inner product."""
        if product is None or not 0 < self.not_told < 1:
            return self.not_told
        return _shifted(self.not_told, self.nearness * (product - NEAR))


@dataclass(frozen=True)
class ReaderCard:
    """What stands beside the factors, in ``reader.json``.

    Attributes:
        name: for people.
        base_digest: of the model that the factors belong to.
        together: thresholds where it reads the sentences nearest to the question in one prompt.
        alone: thresholds where it reads every passage alone, and probabilities are marginal over the passages.
        temperature: τ of the prior p(z|x) ∝ exp(d(z)·q(x)/τ).
        sentences: how many it reads together.
        sentences_each: how many it reads of each passage alone.
        training: how it was made, and on what.
    """

    name: str
    base_digest: str
    together: Thresholds
    alone: Thresholds
    temperature: float
    sentences: int = 5
    sentences_each: int = 3
    training: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def _shifted(probability: float, log_odds: float) -> float:
    return 1 / (1 + (1 / probability - 1) * math.exp(-log_odds))


def read_card(folder: Path) -> ReaderCard:
    """Raises AdapterError if there is none or it is damaged; names the file."""
    path = folder / CARD
    try:
        fields = json.loads(path.read_bytes())
        thresholds = {name: Thresholds(**fields[name]) for name in ("together", "alone")}
        card = ReaderCard(**{**fields, **thresholds})
        limits = [limit for own in (card.together, card.alone) for limit in (own.not_told, own.sure)]
        sound = min(limits) > 0 and max(limits) <= 1 and min(card.together.nearness, card.alone.nearness) >= 0
        sound = sound and card.temperature > 0 and min(card.sentences, card.sentences_each) >= 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AdapterError(f"{path}: not a reader: {error}") from error
    if not sound:
        raise AdapterError(f"{path}: thresholds in (0, 1], a temperature above 0, and at least one sentence expected")
    return card


def find_reader(base_digest: str, root: Path = PRETRAINED) -> Path | None:
    """The folder of the reader that is shipped for a base model, if there is one."""
    cards = sorted(root.glob(f"*/{CARD}"))
    return next((path.parent for path in cards if read_card(path.parent).base_digest == base_digest), None)


def reader_digest(folder: Path) -> str:
    """sha256 of its factors, 64 hex digits."""
    return file_digest(folder / WEIGHTS)
