"""``errata examine-reader``: how a reader does on questions set aside, and where its thresholds belong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from index.atomic_files import replace_file
from index.errors import CorpusError
from retrieval.errors import AdapterError
from retrieval.evaluation.nq_open import Question, read_question_set
from retrieval.reader.calibration import EvaluatedAnswer, reading_figures
from retrieval.reader.card import CARD, ReaderCard
from retrieval.reader.known_questions import AnnotatedQuestionSet, Part, part_of
from retrieval.search.retriever import Retriever
from service.answers.passage_reader import PassageReader
from service.cli.terminal.stages import Stages
from service.evaluation.editing.run import scratch_service
from service.evaluation.rag.run import opened
from service.evaluation.reader.evaluator import UNTOLD, examine, measured, questions_of, temperature
from service.pipeline import Pipeline
from service.settings import Settings
from service.types import Mode

PARTS: tuple[Part, ...] = ("train", "tune", "test")
MODES: tuple[Mode, ...] = ("concat", "sequence")
Found = Mapping[tuple[Part, Mode], Sequence[EvaluatedAnswer]]


@dataclass(frozen=True)
class ReaderEvaluationOptions:
    """What the command was asked for.

    Attributes:
        parts: of the questions; thresholds are measured on "tune", and "test" is left alone otherwise.
        sentences, sentences_each: instead of the card's.
        untold: questions that no passage answers, at most, of each part.
        write: whether thresholds and sentences go into the card.
        answers: of an earlier examination of the same reader, instead of asking again.
    """

    parts: tuple[Part, ...] = ("tune", "test")
    sentences: int | None = None
    sentences_each: int | None = None
    untold: int = UNTOLD
    write: bool = False
    answers: Path | None = None


def examine_reader_command(
    files: Sequence[Path], choices: ReaderEvaluationOptions, settings: Settings, out: Path | None = None
) -> None:
    """Ask a reader, print how it does under its thresholds, and write these into its card if that was asked for.

    Args:
        files: questions in the form of NQ-open.
        out: for all answers, as JSON lines.

    Raises:
        AdapterError: there is no reader for the model, or it is damaged.
        CorpusError: a file of questions is broken.
        IndexNotReady: there is no index.
        OSError: the card or ``out`` cannot be written.
    """
    questions = read_question_set(files).questions
    with scratch_service(settings) as served, Stages() as stages:
        reader = served.answerer.reader
        if reader is None:
            raise AdapterError(f"there is no reader for {served.base.name}; train one with 'errata train-reader'")
        card, found = report(served, questions, choices, stages)
    if out:
        lines = (json.dumps({"part": p, "mode": m, **asdict(one)}) for (p, m), own in found.items() for one in own)
        out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if choices.write:
        replace_file(reader.folder / CARD, card.to_json().encode())
    _show(card, found)


def report(
    served: Pipeline, questions: Sequence[Question], choices: ReaderEvaluationOptions, stages: Stages
) -> tuple[ReaderCard, dict[tuple[Part, Mode], list[EvaluatedAnswer]]]:
    """The card, measured anew if it is to be written, and all answers by part of the questions and mode."""
    retriever = opened(served.library)
    passages = _reading(served.answerer.passages, choices)
    assert passages.reader is not None
    asked = {
        part: AnnotatedQuestionSet(
            [one for one in questions if part_of(one.text) == part], retriever.index, retriever.encoder
        )
        for part in dict.fromkeys((*choices.parts, *(("train", "tune") if choices.write else ())))
    }
    if choices.write:
        told = [*asked["train"].told, *asked["tune"].told]
        passages = _with(passages, temperature=temperature(retriever, told))
    found = _kept(choices) or {
        (part, mode): _answers(passages, retriever, (asked[part], choices.untold), (part, mode), stages)
        for part in choices.parts
        for mode in MODES
    }
    card = passages.reader.card if passages.reader else None
    assert card is not None
    if choices.write and ("tune", "concat") in found:
        card = measured(card, found["tune", "concat"], found["tune", "sequence"])
    return card, found


def _kept(choices: ReaderEvaluationOptions) -> dict[tuple[Part, Mode], list[EvaluatedAnswer]]:
    """Answers of an earlier examination, if any are given. Raises CorpusError where the file holds none."""
    found = dict[tuple[Part, Mode], list[EvaluatedAnswer]]()
    try:
        for line in choices.answers.read_text(encoding="utf-8").splitlines() if choices.answers else ():
            one = json.loads(line)
            part, mode = one.pop("part"), one.pop("mode")
            found.setdefault((part, mode), []).append(EvaluatedAnswer(**{**one, "answers": tuple(one["answers"])}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(choices.answers or "", f"no answers of an examination: {error!r}") from error
    return {named: own for named, own in found.items() if named[0] in choices.parts}


def _reading(passages: PassageReader, choices: ReaderEvaluationOptions) -> PassageReader:
    given = {"sentences": choices.sentences, "sentences_each": choices.sentences_each}
    return _with(passages, **{name: value for name, value in given.items() if value})


def _with(passages: PassageReader, **fields: Any) -> PassageReader:
    """The same with other fields in its card."""
    assert passages.reader is not None
    return passages.under(replace(passages.reader, card=replace(passages.reader.card, **fields)))


def _answers(
    passages: PassageReader,
    retriever: Retriever,
    asked: tuple[AnnotatedQuestionSet, int],
    named: tuple[Part, Mode],
    stages: Stages,
) -> list[EvaluatedAnswer]:
    questions = questions_of(*asked)
    with stages.stage(" ".join(named), len(questions)) as advance:
        return examine(passages, retriever, questions, named[1], lambda: advance(1))


def _show(card: ReaderCard, found: Found) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{card.name}: {card.sentences} sentences together, {card.sentences_each} of each alone")
    for column in ("part", "mode", "told", "exact", "contained", "answered", "untold", "false"):
        table.add_column(column)
    for (part, mode), own in found.items():
        thresholds = card.together if mode == "concat" else card.alone
        f = reading_figures(own, thresholds)
        shares = [f"{share:.2f}" for share in (f.exact_match, f.contained, f.answered)]
        table.add_row(part, mode, str(f.told), *shares, str(f.untold), f"{f.false_answers:.2f}")
    Console().print(table)
    print(f"thresholds: together {asdict(card.together)}, alone {asdict(card.alone)}, τ {card.temperature}")
