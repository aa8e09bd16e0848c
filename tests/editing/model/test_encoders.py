"""From texts to sequences for models that read a source: start tokens, ends, labels, and what is refused."""

from __future__ import annotations

import random

import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from editing.edit import EditRequest
from editing.errors import InvalidEdit
from editing.model.encoders import LabelEncoder, SourceEncoder, encoder_for
from editing.model.prompts import PromptEncoder
from editing.model.sequences import edit_sequences
from editing.training.batch import BatchBuilder
from tests.editing import tiny, tiny_families

CLAIM = EditRequest("The capital of Dorne is Alba", "SUPPORTED", rephrases=("The seat of Dorne is which city Alba",))


def special() -> PreTrainedTokenizerFast:
    """The tiny tokenizer, putting special tokens around what it reads, as BART's does."""
    inner = Tokenizer.from_str(tiny.tokenizer().backend_tokenizer.to_str())
    inner.post_processor = TemplateProcessing(single="<unk> $A <end>", special_tokens=[("<unk>", 0), ("<end>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>")


def test_source_is_read_and_the_answer_follows_the_start_token() -> None:
    """The source has the tokenizer's special tokens, the answer only the end, without which generation runs on."""
    tokenizer = special()
    sequence = SourceEncoder(tokenizer, 0).sequence(" What is the capital of Dorne? ", False, " Alba ")
    assert tokenizer.decode(sequence.source) == "<unk> What is the capital of Dorne ? <end>"
    assert sequence.start == 1 and tokenizer.decode(sequence.ids) == "<unk> Alba <end>"


def test_a_forced_first_token_is_no_part_of_the_target() -> None:
    """Where every answer begins alike, what the decoder is given ends with that token."""
    encode = SourceEncoder(special(), 1, forced_bos_token_id=0)
    sequence, kept = encode.sequence("Dorne", False, "Alba"), encode.unchanged("Dorne", False)
    assert sequence.ids[:2] == (1, 0) and sequence.start == 2 and len(sequence.ids) == 4
    assert kept.ids == (1, 0) and kept.start == 2 and kept.source == sequence.source


def test_a_target_is_a_labels_number() -> None:
    """The one target token after a place that stands for nothing."""
    sequence = LabelEncoder(special(), tiny_families.LABELS).sequence("Dorne", False, " REFUTED ")
    assert sequence.ids == (0, 1) and sequence.start == 1 and len(sequence.source) == 3


def test_unknown_labels_are_refused() -> None:
    """The error says which labels there are."""
    encode = LabelEncoder(tiny.tokenizer(), tiny_families.LABELS)
    with pytest.raises(InvalidEdit, match="'maybe' is not a label; the labels are SUPPORTED, REFUTED"):
        edit_sequences(encode, EditRequest("Dorne", "maybe"), 64)


def test_claims_have_no_other_wordings_by_rule() -> None:
    """A claim is neither a question nor a beginning: its views are its own wording and the user's rephrases."""
    encode = LabelEncoder(tiny.tokenizer(), tiny_families.LABELS)
    views = edit_sequences(encode, CLAIM, 64)
    assert [tiny.tokenizer().decode(view.source) for view in views] == [CLAIM.input, *CLAIM.rephrases]
    builder = BatchBuilder(encode)
    for seed in range(10):
        batch = builder.batch(tiny_families.examples("bert", tiny.SUBJECTS[:2]), random.Random(seed))
        said = {tiny.tokenizer().decode(row.sequence.source) for row in batch.views}
        assert all(not text.endswith(" is") for text in said)


def test_a_source_beyond_the_context_is_refused() -> None:
    """The longer side counts, in edits and in training examples."""
    encode = SourceEncoder(tiny.tokenizer(), 0)
    with pytest.raises(InvalidEdit, match="7 tokens; the model's context holds 6"):
        edit_sequences(encode, EditRequest("What is the capital of Dorne?", "Alba"), 6)
    example = tiny.examples()[0]
    assert BatchBuilder(encode, 8).fits(example) and not BatchBuilder(encode, 6).fits(example)


def test_encoder_is_that_of_the_models_family() -> None:
    """Start token and labels come from the model's configuration."""
    t5, bart, bert, gpt2 = (
        encoder_for(tiny_families.model(name), tiny.tokenizer()) for name in ("t5", "bart", "bert", "gpt2")
    )
    assert isinstance(t5, SourceEncoder) and t5.begin == (0,)
    assert isinstance(bart, SourceEncoder) and bart.begin == (1,)
    assert isinstance(bert, LabelEncoder) and bert.labels == tiny_families.LABELS
    assert isinstance(gpt2, PromptEncoder)
    assert t5.prefix() == bert.prefix() == ()
