"""RAG-Sequence and RAG-Token in the service: answers, weights, and when the passages do not tell."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch

from editing.edit import Edit, EditRequest, LowRankDelta
from index.passages.passage import Hit, Passage
from retrieval.reader.card import ReaderCard, Thresholds
from retrieval.reader.prompt import NO_ANSWER
from service.answers.rag_decoder import RagDecoder
from service.answers.reader import Reader
from service.engines.compute_thread import ComputeThread
from service.engines.protocol import SamplingParams
from service.types.answers import AskQuery, Mode
from tests.editing import tiny

PROMPTS = [tiny.encoder().prompt(f"What is the capital of {subject}?", raw=False) for subject in tiny.SUBJECTS[:3]]
HITS = [Hit(Passage(f"p{n}", "T", "t", "s", 0, 1), 0.5, n, product) for n, product in enumerate((0.6, 0.5, 0.3), 1)]


@pytest.fixture
def compute() -> Iterator[ComputeThread]:
    thread = ComputeThread()
    yield thread
    thread.close()


def reader(least: float, no_answer: int = 5) -> Reader:
    card = ReaderCard("tiny", "d" * 64, Thresholds(least, 0.1), Thresholds(least, 0.1), 0.1)
    return Reader(card, "e" * 64, {}, no_answer)


def rag_decoder(compute: ComputeThread, by: Reader | None = None) -> RagDecoder:
    model = tiny.llama().eval()
    with torch.no_grad():
        model.lm_head.weight[:2] = 0.0  # special tokens, which leave no text, are never the likeliest
    return RagDecoder(model, tiny.tokenizer(), frozenset(), compute, by)


def query(mode: Mode, stop: tuple[str, ...] = ()) -> AskQuery:
    return AskQuery("x", SamplingParams(max_tokens=4, stop=stop), 3, mode)


@pytest.mark.parametrize("mode", ["sequence", "token"])
def test_weights_are_probabilities_and_priors_follow_inner_products(compute: ComputeThread, mode: Mode) -> None:
    """p(z|x) is the softmax of the inner products over τ; what is streamed is the answer."""
    pieces: list[str] = []
    made, marginal = rag_decoder(compute).decode(query(mode), PROMPTS, HITS, [], pieces.append)
    assert sum(marginal.weights) == pytest.approx(1, abs=1e-5)
    expected = torch.softmax(torch.tensor([0.6, 0.5, 0.3]) / 0.05, 0)
    assert marginal.priors == pytest.approx(expected.tolist(), abs=1e-5)
    assert "".join(pieces) == made.text
    assert made.log_probability < 0 and 1 <= made.completion_tokens <= 4
    assert made.prompt_tokens == sum(map(len, PROMPTS))


@pytest.mark.parametrize("mode", ["sequence", "token"])
def test_where_the_passages_do_not_tell_the_reader_says_so(compute: ComputeThread, mode: Mode) -> None:
    """From the threshold on the answer is "not in the index", below it never begins so."""
    pieces: list[str] = []
    made, marginal = rag_decoder(compute, reader(least=1e-9)).decode(query(mode), PROMPTS, HITS, [], pieces.append)
    assert "".join(pieces) == made.text == NO_ANSWER and marginal.weights == marginal.priors
    assert made.completion_tokens == len(tiny.tokenizer()(NO_ANSWER)["input_ids"]) + 1  # and the end token
    told, _ = rag_decoder(compute).decode(query(mode), PROMPTS, HITS, [], None)
    no_answer = tiny.tokenizer()(told.text)["input_ids"][0]
    other, _ = rag_decoder(compute, reader(1.0, no_answer)).decode(query(mode), PROMPTS, HITS, [], None)
    assert tiny.tokenizer()(other.text)["input_ids"][:1] != [no_answer]


def test_side_paths_act_on_every_passage_and_are_gone_afterwards(compute: ComputeThread) -> None:
    """An edit beside the passages changes the answer's probability; the model is left as it was found."""

    rag = rag_decoder(compute)
    layer = dict(rag.model.named_modules())[tiny.DOWN[1]]
    delta = LowRankDelta(torch.ones(1, layer.in_features), torch.ones(layer.out_features, 1))
    change = Edit("ed_1", EditRequest("x", "y"), {tiny.DOWN[1]: delta})
    before, _ = rag.decode(query("token"), PROMPTS, HITS, [], None)
    changed, _ = rag.decode(query("token"), PROMPTS, HITS, [change], None)
    after, _ = rag.decode(query("token"), PROMPTS, HITS, [], None)
    assert not math.isclose(changed.log_probability, before.log_probability, abs_tol=1e-4)
    assert (after.text, after.log_probability) == (before.text, before.log_probability)


def test_a_stop_string_ends_a_marginal_answer(compute: ComputeThread) -> None:
    """It is not part of the answer, which says ``stop``."""
    whole, _ = rag_decoder(compute).decode(query("sequence"), PROMPTS, HITS, [], None)
    stop = whole.text.split()[0]
    made, _ = rag_decoder(compute).decode(query("sequence", (stop,)), PROMPTS, HITS, [], None)
    assert stop not in made.text and made.finish_reason == "stop"
