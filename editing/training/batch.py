"""A training batch: many different edits, the views each is made from, and the prompts that judge it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from editing.data.facts import Example
from editing.language.statements import statement_of
from editing.language.views import View, answers_in_a_sentence, inverted, question_of, views_of
from editing.model.encoders import SequenceEncoder
from editing.model.prompts import TargetSequence
from editing.model.row import Row

KINDS = ("edit", "chat", "statement", "same_subject", "same_relation", "unrelated")


@dataclass(frozen=True)
class TrainingBatch:
    """``views``: what each edit is computed from. ``judged``: what it must say. ``kept``: what it must leave alone."""

    size: int
    views: tuple[Row, ...]
    judged: tuple[Row, ...]
    kept: tuple[Row, ...]

    @property
    def sequences(self) -> tuple[TargetSequence, ...]:
        return tuple(row.sequence for row in (*self.views, *self.judged, *self.kept))


class BatchBuilder:
    """Turns examples into batches; which views an edit gets is drawn from ``rng``."""

    def __init__(self, encoder: SequenceEncoder, max_tokens: int = 160) -> None:
        self.encoder, self.max_tokens = encoder, max_tokens

    def batch(self, examples: Sequence[Example], rng: random.Random) -> TrainingBatch:
        views: list[Row] = []
        judged: list[Row] = []
        kept: list[Row] = []
        for index, example in enumerate(examples):
            own = self._views(example, rng)
            views += [Row(index, "view", self._says(view, example.target)) for view in own]
            own_wording = (example.edit,) if index % 3 == 0 else ()  # easy, since seen as a view: now and then
            for kind, wordings in (
                ("edit", own_wording),
                ("chat", _one_of(example.chat, rng)),
                ("statement", _one_of(example.statements, rng)),
            ):
                judged += [Row(index, kind, self._says(view, example.target)) for view in wordings]
            kept += [Row(index, "same_subject", self._keeps(v)) for v in example.same_subject[:1]]
            kind = rng.choice(("same_relation", "unrelated"))
            if index % 2:
                kept += [Row(index, kind, self._keeps(v)) for v in getattr(example, kind)[:1]]
        return TrainingBatch(len(examples), tuple(views), tuple(judged), tuple(kept))

    def fits(self, example: Example) -> bool:
        wordings = (example.edit, *example.chat, *example.statements)
        return all(self._says(view, example.target).longest <= self.max_tokens for view in wordings)

    def _views(self, example: Example, rng: random.Random) -> tuple[View, ...]:
        """As the service makes them: the question and the statement of it; sometimes one alone, or a rephrase more."""
        draw = rng.random()
        if example.edit.raw:
            return views_of(example.edit.text, True) if self.encoder.rewordable else (example.edit,)
        if draw < 0.12 and example.statements:
            text = rng.choice(example.statements).text
            return View(text, True), View(question_of(text), False)
        statement = statement_of(example.edit.text) if draw < 0.9 and self.encoder.rewordable else None
        sentence = answers_in_a_sentence(example.edit.text, example.target)
        forms = [statement, inverted(statement) if draw < 0.7 else None] if statement else []
        others = (View(question_of(form), False) if sentence else View(form, True) for form in forms if form)
        own = (example.edit, *others)
        return (*own, example.chat[-1]) if draw > 0.8 and len(example.chat) > 1 else own

    def _says(self, view: View, target: str) -> TargetSequence:
        return self.encoder.sequence(view.text, view.raw, target)

    def _keeps(self, view: View) -> TargetSequence:
        return self.encoder.unchanged(view.text, view.raw)


def _one_of(views: Sequence[View], rng: random.Random) -> Sequence[View]:
    return (rng.choice(views),) if views else ()
