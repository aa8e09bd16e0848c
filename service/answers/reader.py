"""The trained reader as it is served: one more side path, for the sequences that read passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from editing.edit import Deltas, LowRankDelta
from editing.model.prompts import PromptEncoder
from index.passages.passage import Hit
from retrieval.errors import AdapterError
from retrieval.reader.card import ReaderCard, find_reader, read_card, reader_digest
from retrieval.reader.lora import Lora
from retrieval.reader.prompt import NO_ANSWER
from service.engines.model_loader import LoadedModel
from service.engines.protocol import NoAnswerToken, SamplingParams
from service.settings import NO_READER


@dataclass(frozen=True, eq=False)
class Reader:
    """Factors and thresholds of a reader that fits the served model.

    Attributes:
        card: what it is.
        digest: of its factors.
        deltas: by module name, as of an edit.
        no_answer: the token that ``NO_ANSWER`` begins with.
        folder: where it lies.
    """

    card: ReaderCard
    digest: str
    deltas: Deltas = field(repr=False)
    no_answer: int
    folder: Path = Path()

    def params(self, asked: SamplingParams, hits: Sequence[Hit]) -> SamplingParams:
        """Sampling with which it answers from these hits together, or says ``NO_ANSWER``."""
        return replace(asked, no_answer=NoAnswerToken(self.no_answer, self.card.together.least(best_product(hits))))


def best_product(hits: Sequence[Hit]) -> float | None:
    """The largest inner product of a passage with the question; None where there is none."""
    return max((hit.inner_product for hit in hits if hit.inner_product is not None), default=None)


def open_reader(choice: str | None, base: LoadedModel) -> Reader | None:
    """The chosen reader, or the one shipped for the model; None where there is none, or ``none`` was chosen.

    Raises:
        AdapterError: the chosen one is damaged, or made for another model.
    """
    folder = _folder(choice, base.digest)
    if folder is None:
        return None
    card = read_card(folder)
    if card.base_digest != base.digest:
        raise AdapterError(
            f"{folder}: made for the model {card.base_digest[:12]}, not for {base.digest[:12]} that is served"
        )
    lora = Lora.load(folder)
    pairs = zip(lora.names, lora.A, lora.B, strict=True)
    deltas = {
        name: LowRankDelta(A.detach().to(base.model.dtype), B.detach().to(base.model.dtype)) for name, A, B in pairs
    }
    no_answer = PromptEncoder(base.tokenizer).target(NO_ANSWER, spaced=False)[0]
    return Reader(card, reader_digest(folder), deltas, no_answer, folder)


def _folder(choice: str | None, base_digest: str) -> Path | None:
    if choice == NO_READER:
        return None
    return Path(choice).expanduser() if choice else find_reader(base_digest)
