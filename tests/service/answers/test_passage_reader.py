"""What a trained reader's words become: the answer, quoted sentences, or no answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from index.passages.passage import Hit, Passage
from retrieval.reader.card import ReaderCard, Thresholds
from retrieval.reader.prompt import NO_ANSWER
from retrieval.search.retriever import Retriever
from service.answers.passage_reader import PassageAnswer, PassageReader
from service.answers.reader import Reader
from service.engines.compute_thread import ComputeThread
from service.engines.protocol import Engine, FinishReason, Generation, SamplingParams
from service.prompt import PromptBuilder
from service.types.answers import AskQuery
from tests.editing import tiny
from tests.retrieval.conftest import WordEncoder

QUESTION = "Where does a book list its terms?"
SENTENCE = "A book lists its terms at the end."
HIT = Hit(Passage("p1", "Book", SENTENCE, "s", 0, 9), 0.6, 1, 0.6)
Read = Callable[..., PassageAnswer]


def tokens_of(text: str) -> int:
    """Of an answer, with the end token."""
    return len(tiny.encoder().target(text, spaced=False))


@pytest.fixture
def read() -> Iterator[Read]:
    """Reads one passage with a reader whose model says ``text``."""
    compute, prompts = ComputeThread(), PromptBuilder(tiny.encoder(), context=512)

    def reading(
        text: str, finish_reason: FinishReason = "stop", log_probability: float = -0.1, no_answer: float = 0.0
    ) -> PassageAnswer:
        said = Generation(text, finish_reason, 40, 3, log_probability, no_answer)
        engine = cast(Engine, SimpleNamespace(generate=lambda *_: [said]))
        card = ReaderCard("tiny", "d" * 64, Thresholds(0.5, 0.5), Thresholds(0.5, 0.5), 0.1)
        reader = Reader(card, "e" * 64, {}, 5)
        decoder: Any = SimpleNamespace()
        retriever = cast(Retriever, SimpleNamespace(encoder=WordEncoder()))
        query = AskQuery(QUESTION, SamplingParams(max_tokens=64), 1, "concat")
        return PassageReader(engine, prompts, compute, decoder, reader).read(retriever, query, [HIT], [], None)

    yield reading
    compute.close()


@pytest.mark.parametrize("text", ["In the index", "Its terms stand in the index.", "It is not in the index", "Not"])
def test_an_answer_that_ends_like_the_refusal_is_an_answer(read: Read, text: str) -> None:
    assert read(text).text == text and read(text).answered


@pytest.mark.parametrize("text", ["Not in the index.", "not in the index", " Not in the Index"])
def test_the_refusal_in_the_models_words_is_one(read: Read, text: str) -> None:
    assert read(text).text == NO_ANSWER and not read(text).answered


@pytest.mark.parametrize("text", ["Not", "not in", "Not in the"])
def test_a_refusal_that_was_cut_is_one(read: Read, text: str) -> None:
    """``max_tokens`` may end it early; other words that were cut are an answer."""
    assert read(text, "length").text == NO_ANSWER
    assert read("No", "length").text == "No" and read("", "length").text == ""


@pytest.mark.parametrize("refused", [{"text": "Nowhere", "no_answer": 0.9}, {"text": "not in the index"}])
def test_tokens_of_a_refusal_are_its_own(read: Read, refused: dict[str, Any]) -> None:
    answer = read(**refused)
    assert (answer.text, answer.completion_tokens) == (NO_ANSWER, tokens_of(NO_ANSWER))
    assert answer.completion_tokens != 3


def test_tokens_of_a_quote_are_its_own(read: Read) -> None:
    """The reader's own words, of which it is not sure, took three."""
    answer = read("Berg", log_probability=-9.0)
    assert (answer.text, answer.completion_tokens) == (SENTENCE, tokens_of(SENTENCE))
    assert answer.quoted and answer.completion_tokens != 3
    assert read("Berg").completion_tokens == 3
