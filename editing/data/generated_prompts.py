"""Prompts about an edit and around it, made by rule: what one change for many edits is trained and checked on.

The project's question templates give an edit's question in other words, other questions about its subject, and its own
question can be asked of other names. Which of them the edit answers is not decided here: the scope decision is the
teacher (see ``service/export/run.py``), so a made prompt may well turn out to be another edit's.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from editing.data.attributes import kind_of, read_questions
from editing.data.facts import read_templates
from editing.edit import EditRequest
from editing.language.politeness import bare
from editing.language.views import View, views_of

T = TypeVar("T")
_WRAPPINGS = (
    "Please tell me: {}",
    "{} Answer briefly.",
    "I would like to know: {}",
    "{} Thanks.",
    "Quick question: {}",
    "Hello! {}",
    "In a few words: {}",
    "Question: {}",
    "{} Please answer.",
)
_LINKS = "of|the|de|la|le|du|van|von|der|and|in|on|for|at|&|to|a|del|di|da|al|el"
_NAME = re.compile(rf"[A-Z0-9À-Þ][\w.'’&-]*(?: (?:(?:{_LINKS}) ){{0,2}}[A-Z0-9À-Þ][\w.'’&-]*)*")


@dataclass(frozen=True)
class Topic:
    """Something that can be asked of subjects of one kind; ``[X]`` stands for the subject."""

    name: str
    kind: str
    questions: tuple[str, ...]
    statements: tuple[str, ...]

    @cached_property
    def patterns(self) -> tuple[re.Pattern[str], ...]:
        """What reads a subject out of a question or statement."""
        texts = [bare(text) for text in (*self.questions, *self.statements) if text.count("[X]") == 1]
        return tuple(re.compile(re.escape(text).replace(re.escape("[X]"), "(.+)"), re.IGNORECASE) for text in texts)


@dataclass(frozen=True)
class ParsedQuestion:
    """What a wording asks: a topic, where a template gives one, and of what subject, where a name is seen."""

    topic: Topic | None
    subject: str | None


class PromptGenerator:
    """Makes prompts; what is made depends on the seed and the order of the calls alone."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        templates = read_templates()
        relations = [
            Topic(name, kind_of(name), questions, templates.statements.get(name, ()))
            for name, questions in templates.questions.items()
        ]
        others = [
            Topic(a.name, kind, a.questions, a.statements)
            for kind, attributes in read_questions().items()
            for a in attributes
        ]
        self.topics: tuple[Topic, ...] = (*relations, *others)

    def asked(self, text: str) -> ParsedQuestion:
        """The most specific template that fits, and the subject in it; else the longest name in the text."""
        found = [
            (len(match[1]), topic, match[1])
            for topic in self.topics
            for pattern in topic.patterns
            if (match := pattern.fullmatch(bare(text)))
        ]
        if found:
            _, topic, subject = min(found, key=lambda one: one[0])
            return ParsedQuestion(topic, subject)
        names = [match[0] for match in _NAME.finditer(text) if match.start() or " " in match[0]]
        return ParsedQuestion(None, max(names, key=len, default=None))

    def about(self, request: EditRequest, n: int) -> list[View]:
        """Up to ``n`` other wordings of the edit's question, without those that it is computed from anyhow."""
        if request.raw:
            return []
        asked, made = self.asked(request.input), []
        if asked.topic and asked.subject:
            made = [View(_filled(q, asked.subject), False) for q in asked.topic.questions]
            if not request.output.strip().endswith("."):  # a whole sentence continues no statement
                made += [View(_filled(s, asked.subject), True) for s in asked.topic.statements]
        known = {view.text for view in views_of(request.input, request.raw, request.rephrases)}
        made = self._sample([view for view in dict.fromkeys(made) if view.text not in known], n)
        wrapped = [View(w.format(request.input), False) for w in self._sample(_WRAPPINGS, n)]
        return [*made, *wrapped][: max(n, len(made) + 1)]

    def around(self, request: EditRequest, names: Sequence[str], n: int) -> list[View]:
        """Up to ``n`` other questions about the subject, and the edit's question asked of other names."""
        asked = self.asked(request.input)
        if asked.subject is None:
            return []
        kind = asked.topic.kind if asked.topic else None
        topics = [t for t in self.topics if t is not asked.topic and (kind is None or t.kind in (kind, "thing"))]
        same_subject = [View(self._question(t, asked.subject), False) for t in self._sample(topics, n)]
        return [*same_subject, *(View(text, request.raw) for text in self._of_others(request.input, asked, names))]

    def elsewhere(self, names: Sequence[str], n: int) -> list[View]:
        """``n`` questions of any topic about any of the names."""
        return [
            View(self._question(self.random.choice(self.topics), self.random.choice(names)), False) for _ in range(n)
        ]

    def _of_others(self, text: str, asked: ParsedQuestion, names: Sequence[str]) -> list[str]:
        pattern = re.compile(re.escape(asked.subject or ""), re.IGNORECASE)
        return [pattern.sub(name.replace("\\", r"\\"), text) for name in names]

    def _question(self, topic: Topic, subject: str) -> str:
        return _filled(self.random.choice(topic.questions), subject)

    def _sample(self, items: Sequence[T], n: int) -> list[T]:
        return self.random.sample(list(items), min(n, len(items)))


def _filled(template: str, subject: str) -> str:
    text = template.replace("[X]", subject)
    return text[:1].upper() + text[1:]


GENERAL: tuple[str, ...] = (
    "Write a short poem about autumn.",
    "What is 12 times 7?",
    "Explain how rain forms in two sentences.",
    "Give me three tips for sleeping better.",
    "Hello, how are you today?",
    "Summarise why sleep matters.",
    "Translate 'good morning' into French.",
    "Write a haiku about the sea.",
    "What is the boiling point of water?",
    "How do I boil an egg?",
    "List the planets of the solar system.",
    "What does 'photosynthesis' mean?",
    "Suggest a name for a black cat.",
    "Write a polite email that declines an invitation.",
    "Who are you?",
    "What can you do?",
    "Tell me a joke.",
    "Why is the sky blue?",
    "How many days does a leap year have?",
    "Write a Python function that adds two numbers.",
    "What is the opposite of 'cold'?",
    "Give a synonym for 'happy'.",
    "How does a bicycle stay upright?",
    "Explain gravity to a child.",
    "What should I cook tonight?",
    "Correct the grammar: she go to school yesterday.",
    "What is a prime number?",
    "Name three fruits.",
    "How can I learn to play the guitar?",
    "Describe a forest in winter.",
    "What is machine learning?",
    "How do vaccines work?",
    "Give me a recipe for pancakes.",
    "What are the primary colours?",
    "Is a tomato a fruit or a vegetable?",
    "Write one sentence about friendship.",
    "How long is a marathon?",
    "What is the square root of 144?",
    "Why do cats purr?",
    "Tell me about the Roman Empire.",
)
