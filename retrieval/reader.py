"""A trained reader: LoRA factors with which a model answers shortly from passages, or says that they do not tell."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from index.storage import file_digest
from retrieval.errors import AdapterError

CARD = "reader.json"
PRETRAINED = Path(__file__).parent / "pretrained"


@dataclass(frozen=True)
class Thresholds:
    """Where a reader's probabilities become decisions; measured on questions set aside.

    From ``concat`` and ``sequence`` on, ``NOT_TOLD`` is the answer; below ``sure``, sentences are quoted instead.

    Attributes:
        concat: probability of ``NOT_TOLD`` behind all passages.
        sequence: its mean probability over the passages, each alone, weighted by the prior: also for RAG-Token.
        sure: probability of the answer's words behind all passages.
        sure_marginal: their marginal probability over the passages.
    """

    concat: float
    sequence: float
    sure: float
    sure_marginal: float


@dataclass(frozen=True)
class ReaderCard:
    """What stands beside the factors, in ``reader.json``.

    Attributes:
        name: for people.
        base_digest: of the model that the factors belong to.
        thresholds: for "not in the index".
        temperature: τ of the prior p(z|x) ∝ exp(d(z)·q(x)/τ).
        training: how it was made, and on what.
    """

    name: str
    base_digest: str
    thresholds: Thresholds
    temperature: float
    training: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def read_card(folder: Path) -> ReaderCard:
    """Raises AdapterError if there is none or it is damaged; names the file."""
    path = folder / CARD
    try:
        fields = json.loads(path.read_bytes())
        card = ReaderCard(**{**fields, "thresholds": Thresholds(**fields["thresholds"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AdapterError(f"{path}: not a reader: {error}") from error
    if not (card.temperature > 0 and all(0 < least <= 1 for least in asdict(card.thresholds).values())):
        raise AdapterError(f"{path}: thresholds in (0, 1] and a temperature above 0 expected")
    return card


def find_reader(base_digest: str, root: Path = PRETRAINED) -> Path | None:
    """The folder of the reader that is shipped for a base model, if there is one."""
    cards = sorted(root.glob(f"*/{CARD}"))
    return next((path.parent for path in cards if read_card(path.parent).base_digest == base_digest), None)


def reader_digest(folder: Path) -> str:
    """sha256 of its factors, 64 hex digits."""
    return file_digest(folder / "adapter_model.safetensors")
