"""From texts to sequences for each family: what a model reads, and where its answer stands."""

# ruff: noqa: ARG002 - methods keep the protocol's signature, whether or not a family needs all of it

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from editing.errors import InvalidEdit
from editing.model.families import Classifier, EncoderDecoder, family_of
from editing.model.prompts import PromptEncoder, TargetSequence


class SequenceEncoder(Protocol):
    """What batches and edits need to know of a family's input. ``raw`` texts are continued where a family continues."""

    @property
    def rewordable(self) -> bool:
        """Whether texts are questions or beginnings, of which rules make other wordings."""

    def sequence(self, text: str, raw: bool, target: str) -> TargetSequence:
        """A text and the answer that it shall have."""

    def unchanged(self, text: str, raw: bool) -> TargetSequence:
        """A text that must keep its answer; what predicts the answer's first token is compared at least."""

    def prefix(self) -> tuple[int, ...]:
        """Token ids that the sequences of all questions begin with, where they are worth keeping."""


class SourceEncoder:
    """An encoder-decoder reads the text and answers from its start token: T5, BART.

    Args:
        tokenizer: adds its own special tokens to what is read.
        decoder_start_token_id: what the decoder begins with.
        forced_bos_token_id: what its answers always begin with, where the model has such a token (BART's ``<s>``).
    """

    rewordable = True

    def __init__(self, tokenizer: Any, decoder_start_token_id: int, forced_bos_token_id: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.begin = (decoder_start_token_id, *(() if forced_bos_token_id is None else (forced_bos_token_id,)))

    def sequence(self, text: str, raw: bool, target: str) -> TargetSequence:
        ids = self.tokenizer(target.strip(), add_special_tokens=False)["input_ids"]
        answer = (*self.begin, *ids, self.tokenizer.eos_token_id)
        return TargetSequence(answer, len(self.begin), _source(self.tokenizer, text))

    def unchanged(self, text: str, raw: bool) -> TargetSequence:
        return TargetSequence(self.begin, len(self.begin), _source(self.tokenizer, text))

    def prefix(self) -> tuple[int, ...]:
        return ()


class LabelEncoder:
    """A classifier reads the text, a claim say, and gives it a label; a target is a label's name.

    Args:
        tokenizer: adds its own special tokens.
        labels: names in the order of their numbers.
    """

    rewordable = False

    def __init__(self, tokenizer: Any, labels: Sequence[str]) -> None:
        self.tokenizer, self.labels = tokenizer, tuple(labels)

    def sequence(self, text: str, raw: bool, target: str) -> TargetSequence:
        """As promised by ``SequenceEncoder``.

        Raises:
            InvalidEdit: the target is no label; says which there are.
        """
        if target.strip() not in self.labels:
            raise InvalidEdit(f"{target.strip()!r} is not a label; the labels are {', '.join(self.labels)}")
        return TargetSequence((0, self.labels.index(target.strip())), 1, _source(self.tokenizer, text))

    def unchanged(self, text: str, raw: bool) -> TargetSequence:
        return TargetSequence((0,), 1, _source(self.tokenizer, text))

    def prefix(self) -> tuple[int, ...]:
        return ()


def encoder_for(model: Any, tokenizer: Any) -> SequenceEncoder:
    """The encoder of a model's family.

    Raises:
        TypeError: see ``family_of``.
    """
    family = family_of(model)
    if isinstance(family, Classifier):
        return LabelEncoder(tokenizer, [model.config.id2label[i] for i in range(model.config.num_labels)])
    if isinstance(family, EncoderDecoder):
        start = model.generation_config.decoder_start_token_id
        return SourceEncoder(tokenizer, start, model.generation_config.forced_bos_token_id)
    return PromptEncoder(tokenizer)


def _source(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text.strip())["input_ids"])
