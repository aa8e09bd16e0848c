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
from service.types.edits import EditOptions

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
    collection: AnswerCollection, corrections: Sequence[CounterfactualCorrection], on_edit: Callable[[], None]
) -> list[CounterfactualCorrection]:
    """Make the edits; one that does not verify is refused, as a user would see it."""
    made = []
    for one in corrections:
        try:
            edit_id = collection.service.edit(EditRequest(one.question.text, one.wanted), EditOptions(_ACTOR)).id
        except (ChecksFailed, InvalidEdit, InvalidPrompt):
            edit_id = None
        made.append(CounterfactualCorrection(one.question, one.wanted, edit_id))
        on_edit()
    return made


def edits_figures(
    collection: AnswerCollection,
    corrections: Sequence[CounterfactualCorrection],
    before: Mapping[str, Sequence[RagAnswer]],
    on_step: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Make the corrections, ask everything again in every mode, and take them back.

    Args:
        before: by mode, the service's answers to all questions without the edits, the corrected ones among them.
        on_step: called after each edit and each answer.
    """
    service, start = collection.service, collection.service.model().revision
    try:
        made = correct(collection, corrections, on_step)
        asking = _AskingAgain(collection, [one for one in made if one.edit_id], corrections, on_step)
        modes = {mode: asking.figures(mode, answers) for mode, answers in before.items()}
    finally:
        if service.model().revision != start:
            service.restore(start, _ACTOR, None, None)
    return {
        "wanted": len(corrections),
        "made": len(asking.in_force),
        "corrections": [{"question": one.question.text, "answer": one.wanted, "id": one.edit_id} for one in made],
        "modes": modes,
    }


@dataclass(frozen=True)
class _AskingAgain:
    """The questions of an evaluation, asked with corrections in force.

    Attributes:
        in_force: the corrections that were made, of all ``corrections``.
    """

    collection: AnswerCollection
    in_force: Sequence[CounterfactualCorrection]
    corrections: Sequence[CounterfactualCorrection]
    on_step: Callable[[], None]

    def figures(self, mode: str, before: Sequence[RagAnswer]) -> dict[str, Any]:
        """How many corrected questions follow their edit, and how many others have the answer of ``before``."""
        edited = self._ask(mode, [Question(one.question.text, (one.wanted,)) for one in self.in_force])
        corrected = {one.question.text for one in self.corrections}
        others = [old for old in before if old.question not in corrected and old.refused is None]
        after = self._ask(mode, [Question(old.question, ()) for old in others])
        pairs = list(zip(others, after, strict=True))
        follows = (exact_match(new.answer, [one.wanted]) for new, one in zip(edited, self.in_force, strict=True))
        return {
            "edited": _share(follows),
            "in_force": _share(bool(new.edits_used) for new in edited),
            "overruling": _share(new.overruled for new in edited),
            "kept": _share(new.answer == old.answer for old, new in pairs),
            "changed": [
                {"question": old.question, "before": old.answer, "after": new.answer, "edited": bool(new.edits_used)}
                for old, new in pairs
                if new.answer != old.answer
            ],
        }

    def _ask(self, mode: str, questions: Sequence[Question]) -> list[RagAnswer]:
        return self.collection.ask(mode, questions, self.on_step, _named(self.in_force))


def _share(values: Iterable[bool]) -> dict[str, Any] | None:
    share = Proportion.of(values)
    return share.document() if share.trials else None


def _named(in_force: Sequence[CounterfactualCorrection]) -> str:
    """Names the edits in force by their questions and answers, for the journal."""
    pairs = [(one.question.text, one.wanted) for one in in_force]
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()
