"""Public editing data sets, and JSON lines of one's own, as examples.

What a file holds is seen from its records, not from its name:

- zsRE as MEND publishes it (Mitchell et al. 2022): the lines of ``structured_zeroshot-*.jsonl``, and the list of
  ``zsre_mend_{train,eval}.json`` (Meng et al. 2022).
- CounterFact (Meng et al. 2022): prompts that are continued as they stand. Its neighbourhood prompts ask the same of
  other subjects; attribute and generation prompts judge nothing that an example knows, and are not read.
- One's own: ``input`` and ``output``, and as far as there are any ``rephrases``, ``locality``, ``subject``, ``raw``.

A file that cannot be read is an error. A record that cannot be used is counted, with the reason.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from editing.data.facts import Example, is_text, near, numbered_records, read_text, split_of
from editing.data.records import Record, Unusable, checked
from editing.errors import DataError
from editing.language.views import View

_NQ = "nq question:"  # what MEND puts before the questions that must keep their answers
_NO_SUBJECT = "subject not in the prompt"


@dataclass(frozen=True)
class ExampleRecords:
    """What a file holds. ``skipped`` says how many records could not be used, by reason."""

    examples: tuple[Example, ...]
    skipped: Mapping[str, int]


def read_examples(path: Path) -> ExampleRecords:
    """The examples of a file in any of the formats above.

    Raises:
        DataError: the file is missing, empty, neither a JSON list nor JSON lines, or its records are of no known
            shape (names file and line or record); or no record can be used (says why, with counts).
    """
    records = _records(path)
    make = _format_of(records)
    examples: list[Example] = []
    skipped: Counter[str] = Counter()
    for _, record in records:
        try:
            examples.append(make(record))
        except Unusable as reason:
            skipped[str(reason)] += 1
    if not examples:
        raise DataError(f"{path}: none of the {len(records)} records can be used ({counted(skipped)})")
    return ExampleRecords(tuple(examples), dict(skipped))


def counted(reasons: Mapping[str, int]) -> str:
    """``alt: empty 12, loc: missing 3``, the most frequent first."""
    return ", ".join(f"{reason} {n}" for reason, n in Counter(reasons).most_common())


def in_splits(examples: Iterable[Example], splits: Collection[str]) -> list[Example]:
    """Those whose subject stands on one of these sides, see ``split_of``."""
    return [example for example in examples if split_of(example.subject) in splits]


def with_neighbours(examples: Sequence[Example], seed: int = 0) -> list[Example]:
    """Where nothing unrelated is asked, another example's edit is: of another subject, relation and answer."""
    rng = random.Random(seed)
    return [e if e.unrelated else replace(e, unrelated=_neighbour(e, examples, rng)) for e in examples]


def _neighbour(example: Example, examples: Sequence[Example], rng: random.Random) -> tuple[View, ...]:
    for _ in range(20):
        other = rng.choice(examples)
        alike = bool(example.relation) and near(example.relation, other.relation)
        alike = alike or other.target.casefold() == example.target.casefold()
        if not alike and not _mentions(other.edit.text, example.subject):
            return (other.edit,)
    return ()


def _records(path: Path) -> list[tuple[str, Record]]:
    """Every record with its place in the file."""
    text = read_text(path)
    if text.lstrip()[:1] != "[":
        records = [(f"{path}:{number}", Record(content)) for number, content in numbered_records(path)]
    else:
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{error.lineno}: not JSON: {error}") from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
            raise DataError(f"{path}: not JSON: {error}") from error
        records = [(f"{path}: record {number}", Record(content)) for number, content in enumerate(document, 1)]
    if not records:
        raise DataError(f"{path}: no records in it")
    return records


def _format_of(records: Sequence[tuple[str, Record]]) -> Callable[[Record], Example]:
    """The reader that knows the shape of most records."""
    known_by = ([make for names, make in _FORMATS if record.has(*names)] for _, record in records)
    votes = Counter(makes[0] for makes in known_by if makes)  # the first wins where two know a record
    if votes:
        return votes.most_common(1)[0][0]
    place, first = records[0]
    names = ", ".join(sorted(first.content)[:12]) if isinstance(first.content, dict) else ""
    found = f"an object of: {names[:300]}" if names else "no object with fields"
    known = "; ".join(" and ".join(names) for names, _ in _FORMATS)
    raise DataError(f"{place}: unknown shape, {found}. Known are records with {known}")


def _counterfact(record: Record) -> Example:
    subject, prompt = record.text("requested_rewrite.subject"), record.text("requested_rewrite.prompt")
    if prompt.count("{}") != 1:
        raise Unusable(_NO_SUBJECT)
    wording = checked(prompt.replace("{}", subject), "requested_rewrite.prompt", asks=True)
    relation = record.content["requested_rewrite"].get("relation_id")
    return _example(
        (relation if isinstance(relation, str) else "", subject),
        View(wording, raw=True),
        record.text("requested_rewrite.target_new.str"),
        record.wordings("paraphrase_prompts"),
        same_relation=record.wordings("neighborhood_prompts"),
    )


def _zsre(record: Record) -> Example:
    """``alt`` is what the edit shall make the model say, ``pred`` what it said, ``answers`` what is true."""
    subject, question = record.text("subject"), record.wording("src")
    if not _mentions(question, subject):
        raise Unusable(_NO_SUBJECT)
    kept = checked(record.wording("loc").removeprefix(_NQ), "loc", asks=True)
    target, rephrase = record.text("alt"), record.wording("rephrase")
    return _example(("", subject), View(question, raw=False), target, (rephrase,), unrelated=(kept,))


def _structured_zsre(record: Record) -> Example:
    """The first of ``alternatives`` is the target. The subject, which splits go by, is the title of the source."""
    question, targets = record.wording("input"), record.items("alternatives")
    if not targets:
        raise Unusable("alternatives: empty")
    target = checked(targets[0], "alternatives")
    about = ("", _title(record) or question)
    return _example(about, View(question, raw=False), target, record.wordings("filtered_rephrases"))


def _title(record: Record) -> str | None:
    """Of the article that the true answer is taken from, if the record says it."""
    try:
        title = record.content["output"][0]["provenance"][0]["title"]
    except (KeyError, IndexError, TypeError):
        return None
    return title if isinstance(title, str) and is_text(title) else None


def _plain(record: Record) -> Example:
    wording, raw = record.wording("input"), record.value("raw") if record.gives("raw") else False
    if not isinstance(raw, bool):
        raise Unusable("raw: wrong type")
    subject = record.text("subject") if record.gives("subject") else wording
    kept = record.wordings("locality") if record.gives("locality") else ()
    same = tuple(text for text in kept if _mentions(text, subject))
    return _example(
        ("", subject),
        View(wording, raw),
        record.text("output"),
        record.wordings("rephrases") if record.gives("rephrases") else (),
        same_subject=same,
        unrelated=tuple(text for text in kept if text not in same),
    )


def _example(
    about: tuple[str, str], edit: View, target: str, rephrases: Sequence[str], **kept: Sequence[str]
) -> Example:
    """``about``: relation, if it is known, and subject. ``kept``: prompts that must keep their answers, by kind."""
    asked = {text.casefold() for text in (edit.text, *rephrases)}
    if any(text.casefold() in asked for texts in kept.values() for text in texts):
        raise Unusable("the edit's own wording must keep its answer")
    others = _views((text for text in rephrases if text != edit.text), edit.raw)
    return Example(
        *about,
        edit,
        target,
        chat=() if edit.raw else others,
        statements=others if edit.raw else (),
        same_subject=_views(kept.get("same_subject", ()), edit.raw),
        same_relation=_views(kept.get("same_relation", ()), edit.raw),
        unrelated=_views(kept.get("unrelated", ()), edit.raw),
    )


def _views(texts: Iterable[str], raw: bool) -> tuple[View, ...]:
    return tuple(View(text, raw) for text in dict.fromkeys(texts))


def _mentions(text: str, subject: str) -> bool:
    """Whether the subject's name stands in the text, as whole words, in whatever case."""
    text, subject = (" ".join(words.casefold().split()) for words in (text, subject))
    return any(not _in_word(before[-1:]) and not _in_word(after[:1]) for before, after in pairwise(text.split(subject)))


def _in_word(sign: str) -> bool:
    return sign.isascii() and sign.isalnum()  # not every script puts spaces around words


_FORMATS: tuple[tuple[tuple[str, ...], Callable[[Record], Example]], ...] = (
    (("requested_rewrite",), _counterfact),
    (("src", "alt"), _zsre),
    (("input", "alternatives"), _structured_zsre),
    (("input", "output"), _plain),
)
