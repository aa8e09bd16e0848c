"""The verdicts on each edit, which all figures of an evaluation are counted from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from editing.data.facts import Example
from editing.language.views import View, answers_in_a_sentence

WANTED = ("efficacy", "chat", "statement")
KEPT = ("same_subject", "same_relation", "unrelated")
KINDS = (*WANTED, *KEPT)


@dataclass(frozen=True)
class Verdict:
    """The answer to one prompt, judged.

    Attributes:
        way: which edits acted, by the name of an ``EditSelection``, e.g. "with scope".
        hit: free generation gave the wanted answer; where the answer was to be kept, the same text as before.
        wanted: the target, or the answer before the edit.
        forced: whether every token of the target is the likeliest one given those before it.
    """

    way: str
    kind: str
    hit: bool
    prompt: str
    answer: str
    wanted: str
    forced: bool | None = None


@dataclass(frozen=True)
class PassageDrift:
    """A passage read without and with edits in force, summed over its predicted tokens.

    Attributes:
        before: −log p of the text without them; ``after``: with them.
        kl: KL(unedited ‖ edited).
    """

    way: str
    tokens: int
    before: float
    after: float
    kl: float


@dataclass(frozen=True)
class Fluency:
    """N-gram entropy of a long answer about the subject, without and with edits in force."""

    way: str
    before: float
    after: float


@dataclass(frozen=True)
class EditVerdicts:
    """One edit by one editor. A refused edit has misses for all that was wanted, and nothing else."""

    editor: str
    relation: str
    form: str
    refused: bool
    refinements: int
    compute_ms: float | None
    verdicts: tuple[Verdict, ...] = ()
    readings: tuple[PassageDrift, ...] = ()
    fluency: tuple[Fluency, ...] = ()

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> EditVerdicts:
        """The inverse of ``document``. Raises KeyError or TypeError on anything else."""
        parts: dict[str, Any] = {
            "verdicts": tuple(Verdict(**one) for one in document["verdicts"]),
            "readings": tuple(PassageDrift(**one) for one in document["readings"]),
            "fluency": tuple(Fluency(**one) for one in document["fluency"]),
        }
        return cls(**{**document, **parts})


def prompts_of(example: Example) -> list[tuple[str, View]]:
    """Everything that an example asks, with its kind."""
    kinds = {"efficacy": (example.edit,), "chat": example.chat, "statement": example.statements}
    kept = {kind: getattr(example, kind) for kind in KEPT}
    return [(kind, view) for kind, views in {**kinds, **kept}.items() for view in views]


def form_of(example: Example) -> str:
    """The form that the edit is given in."""
    if example.edit.raw:
        return "statement"
    whole = answers_in_a_sentence(example.edit.text, example.target)
    return "question, whole sentence" if whole else "question"
