"""What an editor is trained and judged on: a directory of facts, or a file of examples."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from editing.data.attributes import Attribute, read_attributes, read_questions
from editing.data.examples import ExampleBuilder
from editing.data.facts import (
    HELD_OUT_RELATIONS,
    Example,
    is_text,
    numbered_records,
    read_facts,
    read_templates,
    split_of,
)
from editing.data.readers import ExampleRecords, counted, in_splits, read_examples, with_neighbours
from editing.errors import DataError
from editing.language.views import View

_QUESTIONS = {"train": slice(0, 1500), "dev": slice(1500, 1640), "test": slice(1640, None)}
Attributes = Mapping[str, Sequence[Attribute]]
_ALL = ("train", "dev", "test")
_FEW = 10  # a file with fewer examples of unseen subjects is judged as a whole


@dataclass(frozen=True)
class ScopeExamples:
    """What the scope model is trained on, and by name what it is judged on."""

    trained: list[Example]
    judged: dict[str, list[Example]]


class ExampleSource(Protocol):
    """Where examples come from."""

    @property
    def skipped(self) -> Mapping[str, int]:
        """Records that could not be used, by reason."""

    def training(self, facts: int) -> list[Example]:
        """What the editor is trained on; ``facts`` says how many are drawn."""

    def evaluation(self, edits: int, seed: int) -> dict[str, list[Example]]:
        """Up to ``edits`` examples of each set that an editor is judged on."""


def open_examples(path: Path) -> ExampleSource:
    """A directory is a ``FactDirectory``, everything else is read as a ``ExampleFile``.

    Raises:
        DataError: the file cannot be read, see ``read_examples``. What a directory lacks is found when it is used.
    """
    return FactDirectory(path) if path.is_dir() else ExampleFile(path, read_examples(path))


def skipped_records(examples: ExampleSource) -> str:
    """How many records were left out, by reason, in words; empty if none were."""
    if not examples.skipped:
        return ""
    return f"{sum(examples.skipped.values())} records left out: {counted(examples.skipped)}"


@dataclass(frozen=True)
class FactDirectory:
    """Facts, wordings and questions in one directory: ``pararel_facts.jsonl``, ``pararel_patterns.json``,
    ``nq_open_efficientqa_dev.jsonl``. A wrong line in them is a ``DataError`` that names it."""

    directory: Path

    @property
    def skipped(self) -> Mapping[str, int]:
        return {}

    def builder(
        self, splits: Sequence[str], *, held_out: bool, seed: int, attributes: Attributes | None = None
    ) -> ExampleBuilder:
        """Examples of these splits' subjects; only with ``held_out`` does it know the relations kept from training."""
        path = self.directory / "pararel_facts.jsonl"
        templates = read_templates(self.directory / "pararel_patterns.json")
        every = read_facts(path)
        unknown = sorted({f.relation for f in every} - templates.questions.keys())
        if unknown:
            raise DataError(f"{path}: no questions are known for {', '.join(unknown)[:300]}")
        facts = [f for f in every if split_of(f.subject) in splits]
        if not held_out:
            facts = [f for f in facts if f.relation not in HELD_OUT_RELATIONS]
            if not facts:
                raise DataError(f"{path}: no facts of {' or '.join(splits)} subjects")
        training = "train" in splits and not held_out
        questions = self.questions()[_QUESTIONS["train" if training else "dev" if splits == ("dev",) else "test"]]
        return ExampleBuilder(facts, templates, questions, seen=training, seed=seed, attributes=attributes)

    def questions(self) -> list[tuple[str, str]]:
        """Questions about anything, with the first of their answers."""
        path = self.directory / "nq_open_efficientqa_dev.jsonl"
        pairs = []
        for number, record in numbered_records(path, ("question", "answer")):
            question, answers = record["question"], record["answer"]
            first = answers[0] if isinstance(answers, list) else None
            if not all(isinstance(text, str) and is_text(text) for text in (question, first)):
                raise DataError(f"{path}:{number}: question must be a text, answer a list of texts")
            pairs.append((question, str(first)))
        needed = _QUESTIONS["test"].start + 1
        if len(pairs) < needed:
            raise DataError(f"{path}: {len(pairs)} questions, of at least {needed}")
        return pairs

    def training(self, facts: int) -> list[Example]:
        """``facts`` examples from ParaRel, half as many of invented attributes, and about an eighth free-form ones."""
        builder = self.builder(("train",), held_out=False, seed=1)
        chosen = list(builder.facts)
        random.Random(5).shuffle(chosen)
        invented = (example for fact in chosen[facts:] if (example := builder.of_attribute(fact)))
        stride = max(1, int(len(builder.unrelated) / (facts * 0.12)))
        free = [builder.free_form(i) for i in range(0, len(builder.unrelated), stride)]
        return [*(builder.example(f) for f in chosen[:facts]), *islice(invented, facts // 2), *free]

    def scope(self) -> ScopeExamples:
        """Judged on dev and test subjects, and on held-out relations."""
        judged = {
            "dev": self.judging(("dev",), 400, held_out=False, seed=2),
            "test": self.judging(("test",), 400, held_out=False, seed=3),
            "held-out relations": self.judging(_ALL, 400, held_out=True, seed=4),
        }
        trained = [*self._scope(read_attributes(), 3500), *self._scope(read_questions(), 5000)]
        return ScopeExamples(trained, judged)

    def _scope(self, attributes: Attributes, invented: int) -> list[Example]:
        train = self.builder(("train",), held_out=False, seed=1, attributes=attributes)
        chosen = list(train.facts)
        random.Random(0).shuffle(chosen)
        facts = [train.example(fact) for fact in chosen[:4000]]
        others = (example for fact in chosen[4000:] if (example := train.of_attribute(fact)))
        free = range(0, len(train.unrelated), 2)
        return [*facts, *islice(others, invented), *(train.free_form(i) for i in free)]

    def evaluation(self, edits: int, seed: int) -> dict[str, list[Example]]:
        sets = {
            "unseen subjects": self.judging(("test",), edits, held_out=False, seed=seed),
            "unseen relations": self.judging(_ALL, edits, held_out=True, seed=seed),
        }
        return {name: examples for name, examples in sets.items() if examples}

    def judging(self, splits: Sequence[str], n: int, *, held_out: bool, seed: int) -> list[Example]:
        """``n`` examples whose rephrasings use templates that training does not."""
        builder = self.builder(splits, held_out=held_out, seed=seed)
        chosen = [fact for fact in builder.facts if (fact.relation in HELD_OUT_RELATIONS) == held_out]
        random.Random(seed).shuffle(chosen)
        return [builder.example(fact) for fact in chosen[:n]]


@dataclass(frozen=True)
class ExampleFile:
    """Examples out of one file, divided by subject as facts are, so that no subject is trained on and judged.

    Of each subject one example is drawn, so that no two edits contradict each other.
    """

    path: Path
    reading: ExampleRecords

    @property
    def skipped(self) -> Mapping[str, int]:
        return self.reading.skipped

    def training(self, facts: int) -> list[Example]:
        """At most ``facts`` examples."""
        return self._drawn(("train",), facts, held_out=False, seed=5)

    def evaluation(self, edits: int, seed: int) -> dict[str, list[Example]]:
        """Of subjects and relations that training leaves out; of all, where the file has hardly any such subject."""
        unseen = self._drawn(("test",), edits, held_out=False, seed=seed)
        if len(unseen) < min(edits, _FEW):
            return {"all subjects": self._drawn(_ALL, edits, held_out=None, seed=seed)}
        relations = self._drawn(_ALL, edits, held_out=True, seed=seed)
        return {"unseen subjects": unseen} | ({"unseen relations": relations} if relations else {})

    def _drawn(self, splits: Collection[str], n: int, *, held_out: bool | None, seed: int) -> list[Example]:
        """``held_out``: only relations kept from training, only the others, or (None) both."""
        found = in_splits(self.reading.examples, splits)
        if held_out is not None:
            found = [example for example in found if (example.relation in HELD_OUT_RELATIONS) == held_out]
        rng = random.Random(seed)
        rng.shuffle(found)
        chosen = list({example.subject.casefold(): example for example in found}.values())[:n]
        return [_few(example, rng) for example in with_neighbours(chosen, seed)]


def _few(example: Example, rng: random.Random) -> Example:
    """With at most two wordings of each kind, as examples made from facts have."""

    def two(views: tuple[View, ...]) -> tuple[View, ...]:
        return tuple(rng.sample(views, min(2, len(views))))

    return replace(
        example,
        chat=two(example.chat),
        statements=two(example.statements),
        same_subject=two(example.same_subject),
        same_relation=two(example.same_relation),
        unrelated=two(example.unrelated),
    )
