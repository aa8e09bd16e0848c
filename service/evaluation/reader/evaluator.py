"""Evaluation of a reader as it is served: on questions set aside, with its thresholds open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from retrieval.evaluation.calibration import EvaluatedAnswer, best_temperature, best_thresholds
from retrieval.reader.card import ReaderCard, Thresholds
from retrieval.reader.excerpts import rank_sentences
from retrieval.search.retriever import Retriever
from retrieval.training.known_questions import AnnotatedQuestionSet
from retrieval.training.training_set import AnnotatedQuestion
from service.answers.passage_reader import QUOTED, PassageReader
from service.answers.reader import best_product
from service.engines.protocol import SamplingParams
from service.types.answers import AskQuery, Mode

SHOWN = 5  # passages, as an answer gets them when nothing else is asked for
UNANSWERABLE = 120  # questions that no passage answers, at most
_AT_ONCE = 8  # questions
_OPEN = Thresholds(not_told=2.0, sure=1e-300)  # answers whatever the probabilities


def questions_of(questions: AnnotatedQuestionSet, unanswerable: int = UNANSWERABLE) -> list[AnnotatedQuestion]:
    """The answerable ones, and some of the others."""
    return [*questions.answerable, *questions.unanswerable[:unanswerable]]


def collect_answers(
    passages: PassageReader,
    retriever: Retriever,
    questions: Sequence[AnnotatedQuestion],
    mode: Mode,
    on_answer: Callable[[], None] = lambda: None,
) -> list[EvaluatedAnswer]:
    """Ask a trained reader, with its thresholds open; some questions at once, which are decoded together.

    Args:
        passages: with the reader.
        on_answer: called after every answer.
    """
    assert passages.reader is not None
    card = replace(passages.reader.card, together=_OPEN, alone=_OPEN)
    reading = passages.with_reader(replace(passages.reader, card=card))

    def one(question: AnnotatedQuestion) -> EvaluatedAnswer:
        found = _answer(reading, retriever, question, mode)
        on_answer()
        return found

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(one, questions))


def _answer(reading: PassageReader, retriever: Retriever, question: AnnotatedQuestion, mode: Mode) -> EvaluatedAnswer:
    hits = reading.compute.run(retriever.search, question.text, SHOWN)
    read = reading.read(retriever, AskQuery(question.text, SamplingParams(), SHOWN, mode), hits, [], None)
    quoted = reading.compute.run(rank_sentences, question.text, hits, retriever.encoder).quote(QUOTED)
    return EvaluatedAnswer(
        question.text,
        question.answers,
        bool(question.evidence),
        read.text,
        read.log_probability,
        read.no_answer_probability,
        best_product(hits),
        quoted.text if quoted else "",
    )


def calibrated(card: ReaderCard, together: Sequence[EvaluatedAnswer], alone: Sequence[EvaluatedAnswer]) -> ReaderCard:
    """The card with the thresholds that fit what was found."""
    return replace(card, together=best_thresholds(together), alone=best_thresholds(alone))


def temperature(retriever: Retriever, answerable: Sequence[AnnotatedQuestion]) -> float:
    """τ of the prior, from questions of which it is known which passages hold the answer."""
    index, encoder = retriever.index, retriever.encoder
    shown = [(one, one.hits[:SHOWN]) for one in answerable if set(one.evidence) & set(one.hits[:SHOWN])]
    products = [(index.vectors_of(rows) @ encoder.encode_query(one.text)).tolist() for one, rows in shown]
    return best_temperature(products, [[row in one.evidence for row in rows] for one, rows in shown])
