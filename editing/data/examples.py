"""Examples drawn from facts: one edit each, with the wordings and questions that judge it."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from editing.data.attributes import Attribute, draw_answer, kind_of, read_attributes
from editing.data.facts import HELD_OUT_RELATIONS, Example, Fact, Templates, near
from editing.language.statements import statement_of
from editing.language.views import View

_WRAPPINGS = (
    "{}",
    "{}",
    "{}",
    "{}",
    "{} Answer briefly.",
    "Please tell me: {}",
    "Quick question: {}",
    "I would like to know: {}",
    "{} Please answer.",
    "Hello! {}",
    "{} Thanks.",
    "In a few words: {}",
    "Question: {}",
)
_UNSEEN_WRAPPINGS = ("{}", "{}", "{}", "Can you help me with this? {}", "{} Just the answer, please.", "For a quiz: {}")


class ExampleBuilder:
    """Draws examples from facts. What is drawn depends on the seed alone.

    Args:
        facts: of one split.
        templates: wordings.
        unrelated: (question, answer) pairs; the questions serve as unrelated prompts, the pairs as free-form edits.
        seen: rephrase with the wordings that training uses; otherwise with those it does not.
        attributes: what else is asked of each kind of subject; ``read_attributes`` where None.
    """

    def __init__(
        self,
        facts: Sequence[Fact],
        templates: Templates,
        unrelated: Sequence[tuple[str, str]],
        *,
        seen: bool,
        seed: int = 0,
        attributes: Mapping[str, Sequence[Attribute]] | None = None,
    ) -> None:
        self.facts, self.templates, self.unrelated, self.seen = list(facts), templates, list(unrelated), seen
        self.random = random.Random(seed)
        self.by_subject: dict[str, list[Fact]] = defaultdict(list)
        self.by_relation: dict[str, list[Fact]] = defaultdict(list)
        for fact in self.facts:
            self.by_subject[fact.subject].append(fact)
            self.by_relation[fact.relation].append(fact)
        self.objects = {r: sorted({f.object for f in facts}) for r, facts in self.by_relation.items()}
        self.attributes = attributes if attributes is not None else read_attributes()

    def example(self, fact: Fact, *, true_share: float = 0.15) -> Example:
        """The fact, mostly with another object of its relation as target, in several wordings."""
        seen, relation = self.templates, fact.relation
        edit = self.random.choice(seen.questions[relation])
        chat = seen.questions[relation] if self.seen else seen.unseen_questions[relation]
        statements = seen.statements[relation] if self.seen else seen.unseen_statements[relation]
        if relation in HELD_OUT_RELATIONS and not self.seen:  # no wording of it was ever seen
            statements = (*seen.statements[relation], *statements)
        asked = _QuestionSet(edit, [q for q in chat if q != edit], statements, self._target(fact, true_share))
        return self._made(fact, asked)

    def of_attribute(self, fact: Fact) -> Example | None:
        """An attribute of the fact's subject with an invented value; None where the subject's kind is not known."""
        attributes = self.attributes.get(kind_of(fact.relation), ())
        if not attributes:
            return None
        attribute = self.random.choice(attributes)
        edit, *chat = self.random.sample(attribute.questions, len(attribute.questions))
        asked = _QuestionSet(edit, chat, attribute.statements, draw_answer(attribute, self._names, self.random))
        return self._made(Fact(attribute.name, fact.subject, asked.target), asked, fact.relation)

    def free_form(self, index: int) -> Example:
        """An unrelated question as the edit, with another question's answer: dates, names and numbers of all kinds."""
        question = self.unrelated[index][0]
        target = self.random.choice(self.unrelated)[1]
        asked = f"{question[:1].upper()}{question[1:]}?"
        statement = statement_of(question)
        others = self._sample([pair for at, pair in enumerate(self.unrelated) if at != index], 2)
        return Example(
            relation="free",
            subject=question,
            edit=View(asked, False),
            target=target,
            chat=(View(question, False), View(self._wrap(asked, always=True), False)),
            statements=(View(statement, True),) if statement else (),
            same_subject=(),
            same_relation=(View(others[0][0], False),),
            unrelated=(View(others[1][0], False),),
        )

    def _made(self, fact: Fact, asked: _QuestionSet, relation: str = "") -> Example:
        """The example of an edit; ``relation``: whose subjects it is asked of, where it is an attribute."""
        target, statements = asked.target, asked.statements
        sentence = statement_of(self._fill(asked.edit, fact.subject))
        if sentence and self.random.random() < 0.12:  # an answer in a whole sentence, which no statement continues to
            target, statements = f"{sentence} {target}.", ()
        others = self._sample([f for f in self.by_relation[relation or fact.relation] if f.subject != fact.subject], 1)
        return Example(
            relation=fact.relation,
            subject=fact.subject,
            edit=View(self._fill(asked.edit, fact.subject), raw=False),
            target=target,
            chat=tuple(View(self._wrap(self._fill(q, fact.subject)), False) for q in self._sample(asked.chat, 2)),
            statements=tuple(View(self._fill(s, fact.subject), True) for s in self._sample(statements, 2)),
            same_subject=tuple(View(q, False) for q in self._same_subject(fact, relation or fact.relation, 2)),
            same_relation=tuple(View(self._fill(asked.edit, f.subject), False) for f in others),
            unrelated=tuple(View(q, False) for q, _ in self._sample(self.unrelated, 1)),
        )

    def _target(self, fact: Fact, true_share: float) -> str:
        pool = self.objects[fact.relation]
        true = self.random.random() < true_share or len(pool) == 1
        return fact.object if true else self.random.choice([o for o in pool if o != fact.object])

    def _same_subject(self, fact: Fact, relation: str, n: int) -> list[str]:
        """Other questions about the subject: real facts first, then what can be asked of subjects of its kind."""
        relations = [f.relation for f in self.by_subject[fact.subject] if not near(f.relation, fact.relation)]
        questions = [self.random.choice(self._questions(r)) for r in self._sample(relations, n)]
        if self.seen:
            attributes = [a for a in self.attributes.get(kind_of(relation), ()) if a.name != fact.relation]
            questions[n - 1 :] = []  # at least one is an attribute, if any can be asked
            questions += [self.random.choice(a.questions) for a in self._sample(attributes, n - len(questions))]
        if len(questions) < n:
            peers = [r for r in sorted(self._peers[relation]) if not near(r, fact.relation)]
            questions += [self.random.choice(self._questions(r)) for r in self._sample(peers, n - len(questions))]
        return [self._fill(question, fact.subject) for question in questions]

    def _questions(self, relation: str) -> tuple[str, ...]:
        questions = self.templates.questions[relation]
        return questions if self.seen else (*questions, *self.templates.unseen_questions[relation])

    @cached_property
    def _peers(self) -> Mapping[str, set[str]]:
        """For each relation those that stand beside it at some subject: they can be asked of the same kind of thing."""
        peers: dict[str, set[str]] = defaultdict(set)
        for facts in self.by_subject.values():
            for fact in facts:
                peers[fact.relation] |= {f.relation for f in facts}
        return peers

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        """Answers that are subjects or objects of facts: persons, towns, products."""
        persons = sorted({f.subject for f in self.by_relation["P19"]} or {"Ada Byron"})
        products = sorted({f.subject for f in self.by_relation["P176"]} or {"Model T"})
        towns = sorted({f.object for r in ("P19", "P36") for f in self.by_relation[r]} or {"Ghent"})
        return {"person": persons, "product": products, "town": towns}

    def _wrap(self, question: str, always: bool = False) -> str:
        wrappings = _WRAPPINGS if self.seen else _UNSEEN_WRAPPINGS
        return self.random.choice([w for w in wrappings if w != "{}"] if always else wrappings).format(question)

    def _sample(self, items: Sequence[Any], n: int) -> list[Any]:
        return self.random.sample(list(items), min(n, len(items)))

    @staticmethod
    def _fill(template: str, subject: str) -> str:
        text = template.replace("[X]", subject)
        return text[:1].upper() + text[1:]


@dataclass(frozen=True)
class _QuestionSet:
    """What an example says: the edit's wording, others that may judge it, and the answer."""

    edit: str
    chat: Sequence[str]
    statements: Sequence[str]
    target: str
