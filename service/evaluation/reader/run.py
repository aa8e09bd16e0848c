"""``errata examine-reader``: how a reader does on questions set aside, and where its thresholds belong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from editing.data.facts import numbered_records
from editing.errors import DataError
from errata.journal import replace_journal
from index.atomic_files import replace_file
from index.errors import CorpusError
from retrieval.errors import AdapterError
from retrieval.evaluation.calibration import EvaluatedAnswer, reading_figures
from retrieval.evaluation.nq_open import Question, read_question_set
from retrieval.reader.card import CARD, ReaderCard
from retrieval.search.retriever import Retriever
from retrieval.training.known_questions import AnnotatedQuestionSet, Part, part_of
from retrieval.training.training_set import AnnotatedQuestion
from service.answers.passage_reader import PassageReader
from service.evaluation.active_index import open_retriever
from service.evaluation.reader.evaluator import UNANSWERABLE, calibrated, collect_answers, questions_of, temperature
from service.evaluation.report_table import ReportTable
from service.evaluation.scratch_service import scratch_service
from service.pipeline import Pipeline
from service.progress import ProgressReporter
from service.settings import Settings
from service.types.answers import Mode

PARTS: tuple[Part, ...] = ("train", "tune", "test")
MODES: tuple[Mode, ...] = ("concat", "sequence")
AnswersByPart = Mapping[tuple[Part, Mode], Sequence[EvaluatedAnswer]]


@dataclass(frozen=True)
class ReaderEvaluationOptions:
    """What the command was asked for.

    Attributes:
        parts: of the questions; thresholds are measured on "tune", and "test" is left alone otherwise.
        sentences, sentences_each: instead of the card's.
        unanswerable: questions that no passage answers, at most, of each part.
        calibrate: measure temperature and thresholds for the card.
        answers: of an earlier evaluation of the same reader, instead of asking again.
    """

    parts: tuple[Part, ...] = ("tune", "test")
    sentences: int | None = None
    sentences_each: int | None = None
    unanswerable: int = UNANSWERABLE
    calibrate: bool = False
    answers: Path | None = None


@dataclass(frozen=True)
class ReaderEvaluation:
    """What was found: the card, with new thresholds where they were to be measured, and all answers.

    Attributes:
        folder: of the reader.
    """

    folder: Path
    card: ReaderCard
    answers: AnswersByPart

    def write_answers(self, path: Path) -> None:
        """As JSON lines. Raises OSError."""
        replace_journal(
            path, ({"part": p, "mode": m, **asdict(one)} for (p, m), own in self.answers.items() for one in own)
        )

    def write_card(self) -> None:
        """The reader has these thresholds from now on. Raises IndexStorageError."""
        replace_file(self.folder / CARD, self.card.to_json().encode())

    def table(self) -> ReportTable:
        """How the reader does under the card's thresholds."""
        columns = ("part", "mode", "told", "exact", "contained", "answered", "untold", "false")
        card = self.card
        title = f"{card.name}: {card.sentences} sentences together, {card.sentences_each} of each alone"
        return ReportTable(title, columns, [self._row(part, mode) for part, mode in self.answers])

    def thresholds(self) -> str:
        """In words."""
        card = self.card
        return f"thresholds: together {asdict(card.together)}, alone {asdict(card.alone)}, τ {card.temperature}"

    def _row(self, part: Part, mode: Mode) -> tuple[str, ...]:
        figures = reading_figures(self.answers[part, mode], self.card.together if mode == "concat" else self.card.alone)
        shares = [f"{share:.2f}" for share in (figures.exact_match, figures.contained, figures.answered)]
        return part, mode, str(figures.answerable), *shares, str(figures.unanswerable), f"{figures.false_answers:.2f}"


def evaluate_reader(
    files: Sequence[Path], options: ReaderEvaluationOptions, settings: Settings, progress: ProgressReporter
) -> ReaderEvaluation:
    """Ask a reader; nothing is written.

    Args:
        files: questions in the form of NQ-open.

    Raises:
        AdapterError: there is no reader for the model, or it is damaged.
        CorpusError: a file of questions or of answers is broken.
        IndexNotReady: there is no index.
    """
    questions = read_question_set(files).questions
    with scratch_service(settings) as served:
        reader = served.answerer.reader
        if reader is None:
            raise AdapterError(f"there is no reader for {served.base.name}; train one with 'errata train-reader'")
        return ReaderEvaluation(reader.folder, *_evaluate(served, questions, options, progress))


def _evaluate(
    served: Pipeline, questions: Sequence[Question], options: ReaderEvaluationOptions, progress: ProgressReporter
) -> tuple[ReaderCard, AnswersByPart]:
    retriever = open_retriever(served.index_manager)
    sentences = {"sentences": options.sentences, "sentences_each": options.sentences_each}
    passages = _with(served.answerer.passages, **{name: value for name, value in sentences.items() if value})
    calibrating: tuple[Part, ...] = ("train", "tune") if options.calibrate else ()
    sets = {
        part: AnnotatedQuestionSet(
            [one for one in questions if part_of(one.text) == part], retriever.index, retriever.encoder
        )
        for part in dict.fromkeys((*options.parts, *calibrating))
    }
    if options.calibrate:
        answerable = [one for part in calibrating for one in sets[part].answerable]
        passages = _with(passages, temperature=temperature(retriever, answerable))
    found = _earlier_answers(options) or {
        (part, mode): _answers(
            passages, retriever, questions_of(sets[part], options.unanswerable), (part, mode), progress
        )
        for part in options.parts
        for mode in MODES
    }
    card = _card(passages)
    if options.calibrate and ("tune", "concat") in found:
        card = calibrated(card, found["tune", "concat"], found["tune", "sequence"])
    return card, found


def _earlier_answers(options: ReaderEvaluationOptions) -> AnswersByPart:
    """Answers of an earlier evaluation, if any are given. Raises CorpusError where the file holds none."""
    found = dict[tuple[Part, Mode], list[EvaluatedAnswer]]()
    try:
        for part, mode, answer in _read_answers(options.answers) if options.answers else ():
            found.setdefault((part, mode), []).append(answer)
    except (DataError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(options.answers or "", f"no answers of an evaluation: {error!r}") from error
    return {named: own for named, own in found.items() if named[0] in options.parts}


def _read_answers(path: Path) -> Iterator[tuple[Part, Mode, EvaluatedAnswer]]:
    """What ``ReaderEvaluation.write_answers`` wrote. Raises DataError, KeyError, TypeError or AttributeError."""
    for _, record in numbered_records(path):
        part, mode = record.pop("part"), record.pop("mode")
        yield part, mode, EvaluatedAnswer(**{**record, "answers": tuple(record["answers"])})


def _with(passages: PassageReader, **fields: Any) -> PassageReader:
    """The same with other fields in its card."""
    assert passages.reader is not None
    return passages.with_reader(replace(passages.reader, card=replace(passages.reader.card, **fields)))


def _card(passages: PassageReader) -> ReaderCard:
    assert passages.reader is not None
    return passages.reader.card


def _answers(
    passages: PassageReader,
    retriever: Retriever,
    questions: Sequence[AnnotatedQuestion],
    named: tuple[Part, Mode],
    progress: ProgressReporter,
) -> list[EvaluatedAnswer]:
    with progress.stage(" ".join(named), len(questions), "questions") as stage:
        return collect_answers(passages, retriever, questions, named[1], stage.advance)
