"""The engine with the real model: text that streams, ends where it should, and can be repeated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from editing.edit import Edit, EditRequest, LowRankDelta
from editing.model.prompts import PromptEncoder
from service.engines.compute_thread import ComputeThread
from service.engines.detokenizer import Detokenizer
from service.engines.local import LocalEngine
from service.engines.model_loader import load_base_model
from service.engines.protocol import Generation, Prompt, SamplingParams
from service.engines.sampling import sample
from tests.real import shared_home

QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    home = shared_home()
    compute = ComputeThread()
    base = load_base_model("smollm2-135m-instruct", home, "bfloat16", lambda _: None)
    yield LocalEngine(base.model, base.tokenizer, compute)
    compute.close()


@pytest.fixture(scope="module")
def prompt(engine: LocalEngine) -> Prompt:
    return PromptEncoder(engine.tokenizer).prompt(QUESTION, raw=False)


def run(engine: LocalEngine, prompt: Prompt, params: SamplingParams) -> tuple[Generation, list[str]]:
    """A generation and the pieces that it was streamed in."""
    pieces: list[str] = []
    (made,) = engine.generate([prompt], [[]], params, lambda _, piece: pieces.append(piece))
    return made, pieces


def test_pieces_make_up_the_text_and_the_text_stops_by_itself(engine: LocalEngine, prompt: Prompt) -> None:
    """What is streamed, put together, is the answer; an answer that ended by itself says ``stop``."""
    made, pieces = run(engine, prompt, SamplingParams(max_tokens=64))
    assert "".join(pieces) == made.text and "Paris" in made.text
    assert len(pieces) > 3
    assert made.finish_reason == "stop"
    assert "<|im_end|>" not in made.text


def test_an_answer_cut_off_says_length(engine: LocalEngine, prompt: Prompt) -> None:
    """``max_tokens`` is kept to, and named as the reason."""
    made, _ = run(engine, prompt, SamplingParams(max_tokens=3))
    assert (made.finish_reason, made.completion_tokens, made.prompt_tokens) == ("length", 3, len(prompt))


def test_a_stop_string_across_tokens_ends_the_text_before_it(engine: LocalEngine, prompt: Prompt) -> None:
    """A stop string that begins in one token and ends in another is never shown, not even its beginning."""
    whole, _ = run(engine, prompt, SamplingParams(max_tokens=32))
    at = whole.text.index(" of ")
    stop = whole.text[at - 3 : at + 6]  # from within one word into another
    made, pieces = run(engine, prompt, SamplingParams(max_tokens=32, stop=("never said", stop)))
    assert made.text == whole.text[: at - 3] == "".join(pieces)
    assert made.finish_reason == "stop"


def test_a_seed_makes_a_drawn_answer_repeatable(engine: LocalEngine, prompt: Prompt) -> None:
    """The same seed gives the same text; other seeds give others."""
    texts = [run(engine, prompt, SamplingParams(12, 1.5, 0.95, seed))[0].text for seed in (1, 1, 2, 3)]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


def test_rows_do_not_see_each_other(engine: LocalEngine, prompt: Prompt) -> None:
    """Two prompts in one call, one of them edited, get what each gets alone."""
    layer = engine.model.get_submodule("model.layers.29.mlp.down_proj")
    change = LowRankDelta(torch.randn(2, layer.in_features), torch.randn(layer.out_features, 2))
    edit = Edit("ed_test", EditRequest("a", "b"), {"model.layers.29.mlp.down_proj": change})
    params = SamplingParams(max_tokens=4)
    together = engine.generate([prompt, prompt], [[edit], []], params)
    assert together == [engine.generate([prompt], [[edit]], params)[0], engine.generate([prompt], [[]], params)[0]]
    assert together[0] != together[1]


@pytest.mark.parametrize("text", ["Zürich — 東京 🗼👩‍👩‍👧 é", "naïve café 🇵🇪", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 … Ω"])
def test_characters_of_several_bytes_are_never_split(engine: LocalEngine, text: str) -> None:
    """Pieces hold whole characters only, whatever tokens they come in."""
    stream = Detokenizer(engine.tokenizer)
    ids = engine.tokenizer(text, add_special_tokens=False)["input_ids"]
    pieces = [*(stream.push(token) for token in ids), stream.rest()]
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


@pytest.mark.parametrize("stop", ["\n🗼", "x é", "東京🗼"])
def test_a_stop_string_of_several_bytes_does_not_show_its_beginning(engine: LocalEngine, stop: str) -> None:
    """While a character of the stop string is still half there, what stands before it is held back as well."""
    stream = Detokenizer(engine.tokenizer, (stop,))
    pieces = []
    for token in engine.tokenizer(f"Answer{stop} more", add_special_tokens=False)["input_ids"]:
        pieces.append(stream.push(token))
        if stream.stopped:
            break
    assert "".join([*pieces, stream.rest()]) == stream.text == "Answer"


def test_an_answer_cut_within_a_character_leaves_the_half_of_it_out(engine: LocalEngine) -> None:
    """When ``max_tokens`` ends the answer in the middle of a character, no replacement sign is shown."""
    stream = Detokenizer(engine.tokenizer)
    ids = engine.tokenizer("up 🗼", add_special_tokens=False)["input_ids"]
    pieces = [*(stream.push(token) for token in ids[:-1]), stream.rest()]
    assert "".join(pieces).strip() == "up" == stream.text.strip()


def test_temperature_0_is_the_likeliest_token_and_a_small_nucleus_leaves_only_it() -> None:
    """Greedy decoding needs no seed; ``top_p`` near 0 draws nothing but the likeliest; a flat choice draws all."""
    logits = torch.tensor([0.0, 3.0, 1.0, 2.9])
    assert sample(logits, SamplingParams(temperature=0), None) == 1
    assert {sample(logits, SamplingParams(temperature=1, top_p=1e-9), None) for _ in range(20)} == {1}
    assert {sample(logits, SamplingParams(temperature=1, top_p=0.6), None) for _ in range(60)} == {1, 3}
    assert {sample(logits, SamplingParams(temperature=100), None) for _ in range(200)} == {0, 1, 2, 3}
    assert sample(logits, SamplingParams(temperature=1e-300), None) == 1
