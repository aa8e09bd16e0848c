"""Whether edits stay in force beside passages: questions are corrected to plausible wrong answers and asked again."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from editing.edit import EditRequest
from editing.errors import InvalidEdit
from retrieval.evaluation.metrics import contained, exact_match
from retrieval.evaluation.nq_open import Question
from service.errors import ChecksFailed, InvalidPrompt
from service.evaluation.rag.answers import AnswerCollection, RagAnswer
from service.evaluation.statistics import Proportion
from service.types import EditOptions

_ACTOR = "evaluation"
_ASKS = re.compile(r"\b(who|whose|whom|when|where|how many|how much|which|what)\b")
_YEAR = re.compile(r"\b\d{4}\b")


@dataclass(frozen=True)
class CounterfactualCorrection:
    """A question, the wrong answer that it is to be given, and the id of the edit, None where it was refused."""

    question: Question
    wanted: str
    edit_id: str | None = None


def wrong_answers(questions: Sequence[Question], of: Sequence[Question], seed: int) -> list[CounterfactualCorrection]:
    """For each of ``questions`` another question's answer of the same kind; without such a one it is left out.

    Args:
        questions: to be corrected.
        of: questions whose answers are drawn from.
        seed: which.
    """
    rng, kinds = random.Random(seed), dict[tuple[str, str], list[str]]()
    for question in of:
        kinds.setdefault(_kind(question), []).append(question.answers[0])
    found = []
    for question in questions:
        plausible = [answer for answer in kinds.get(_kind(question), ()) if _differs(answer, question.answers)]
        if plausible:
            found.append(CounterfactualCorrection(question, rng.choice(plausible)))
    return found


def _kind(question: Question) -> tuple[str, str]:
    """The question word, and the shape of the answer."""
    word, answer = _ASKS.search(question.text.casefold()), question.answers[0]
    shape = "year" if _YEAR.search(answer) else "number" if re.search(r"\d", answer) else "words"
    return word[1] if word else "", shape


def _differs(answer: str, answers: Iterable[str]) -> bool:
    """Neither holds the other."""
    return not any(contained(answer, [one]) or contained(one, [answer]) for one in answers)


def correct(
    asking: AnswerCollection, corrections: Sequence[CounterfactualCorrection], on_edit: Callable[[], None]
) -> list[CounterfactualCorrection]:
    """Make the edits; one that does not verify is refused, as a user would see it."""
    made = []
    for one in corrections:
        try:
            edit_id = asking.usecases.edit(EditRequest(one.question.text, one.wanted), EditOptions(_ACTOR)).id
        except (ChecksFailed, InvalidEdit, InvalidPrompt):
            edit_id = None
        made.append(CounterfactualCorrection(one.question, one.wanted, edit_id))
        on_edit()
    return made


def edits_figures(
    asking: AnswerCollection,
    corrections: Sequence[CounterfactualCorrection],
    before: Mapping[str, Sequence[RagAnswer]],
    on_step: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Make the corrections, ask everything again in every mode, and take them back.

    Args:
        before: by mode, what the service said to all questions without the edits, the corrected ones among them.
        on_step: called after each edit and each answer.
    """
    usecases, start = asking.usecases, asking.usecases.model().revision
    try:
        made = correct(asking, corrections, on_step)
        standing = [one for one in made if one.edit_id]
        modes = {mode: _mode(asking, mode, standing, corrections, said, on_step) for mode, said in before.items()}
    finally:
        if usecases.model().revision != start:
            usecases.restore(start, _ACTOR, None, None)
    return {
        "wanted": len(corrections),
        "made": len(standing),
        "corrections": [{"question": one.question.text, "answer": one.wanted, "id": one.edit_id} for one in made],
        "modes": modes,
    }


def _mode(
    asking: AnswerCollection,
    mode: str,
    standing: Sequence[CounterfactualCorrection],
    corrections: Sequence[CounterfactualCorrection],
    before: Sequence[RagAnswer],
    on_step: Callable[[], None],
) -> dict[str, Any]:
    under = _named(standing)
    edited = asking.ask(mode, [Question(one.question.text, (one.wanted,)) for one in standing], on_step, under)
    corrected = {one.question.text for one in corrections}
    others = [said for said in before if said.question not in corrected and said.refused is None]
    after = asking.ask(mode, [Question(said.question, ()) for said in others], on_step, under)
    follows = [exact_match(said.answer, [one.wanted]) for said, one in zip(edited, standing, strict=True)]
    used = [bool(said.edits_used) for said in edited]
    kept = [new.answer == old.answer for new, old in zip(after, others, strict=True)]
    changed = [
        {"question": old.question, "before": old.answer, "after": new.answer, "edited": bool(new.edits_used)}
        for new, old, same in zip(after, others, kept, strict=True)
        if not same
    ]
    overruling = [said.overruled for said in edited]
    return {
        "edited": _share(follows),
        "in_force": _share(used),
        "overruling": _share(overruling),
        "kept": _share(kept),
        "changed": changed,
    }


def _share(values: Sequence[bool]) -> dict[str, Any] | None:
    return Proportion.of(values).document() if values else None


def _named(standing: Sequence[CounterfactualCorrection]) -> str:
    """Names the edits in force by what they say, for the notes."""
    pairs = [(one.question.text, one.wanted) for one in standing]
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()
