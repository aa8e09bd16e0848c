"""Texts as the model sees them: template, target, end of turn."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from editing.model.prompts import PromptEncoder
from tests.editing import tiny


def characters() -> PromptEncoder:
    """One token a character, so that spaces show; no template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({c: i for i, c in enumerate([*alphabet, "<end>"])}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PromptEncoder(PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>"))


def target(encoder: PromptEncoder, text: str, raw: bool, answer: str) -> str:
    sequence = encoder.sequence(text, raw, answer)
    return str(encoder.tokenizer.decode(sequence.ids[sequence.start :]))


def test_chat_prompts_go_through_the_template() -> None:
    """System turn, the user's text, and the beginning of the model's turn."""
    ids = tiny.encoder().prompt("What is the capital of Dorne?", raw=False)
    said = tiny.tokenizer().decode(ids)
    assert said == "system be brief user What is the capital of Dorne ? <end> assistant"


def test_raw_prompts_stand_as_they_are() -> None:
    """No template around a raw text."""
    ids = tiny.encoder().prompt("The capital of Dorne is", raw=True)
    assert tiny.tokenizer().decode(ids) == "The capital of Dorne is"


def test_conversations_keep_their_turns() -> None:
    """Every message stands in the prompt, in its order and role."""
    ids = tiny.encoder().messages([("user", "Dorne"), ("assistant", "Alba"), ("user", "Hyrule")])
    said = tiny.tokenizer().decode(ids)
    assert said == "system be brief user Dorne <end> assistant Alba <end> user Hyrule <end> assistant"


def test_targets_end_the_turn() -> None:
    """The last token of a target is the end of turn, and ``start`` is where the target begins."""
    encoder = tiny.encoder()
    sequence = encoder.sequence("Dorne", False, "Alba")
    assert sequence.ids[-1] == encoder.end_of_turn
    assert sequence.ids[: sequence.start] == encoder.prompt("Dorne", raw=False)
    assert tiny.tokenizer().decode(sequence.ids[sequence.start : -1]) == "Alba"


@pytest.mark.parametrize(
    ("text", "raw", "expected"),
    [("It is", True, " Bern<end>"), ("It is ", True, "Bern<end>"), ("Is it?", False, " Bern<end>")],
    ids=["raw", "raw with space", "no template"],
)
def test_continued_texts_get_exactly_one_space(text: str, raw: bool, expected: str) -> None:
    """Where the answer goes on in the same line a space parts it from the text, and never two."""
    assert target(characters(), text, raw, "  Bern ") == expected


def test_without_template_a_conversation_is_its_lines() -> None:
    """A tokenizer without chat template continues raw texts only."""
    encoder = characters()
    ids = encoder.messages([("system", "a"), ("user", "b")])
    assert encoder.tokenizer.decode(ids) == "a\nb"


def test_unicode_survives() -> None:
    """What goes in as a target comes out of its tokens."""
    assert target(characters(), "x", True, "Zürich 東京 🗼") == " Zürich 東京 🗼<end>"
