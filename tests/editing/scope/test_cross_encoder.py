"""The scope model: what it reads of a pair, what its checkpoint holds, and what it says of pairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel

from editing.errors import EditorMismatch
from editing.scope.cross_encoder import (
    CONTEXT,
    OUTPUT,
    PROMPT,
    WORDINGS,
    Kind,
    PairTokenizer,
    ScopeCrossEncoder,
    ScopePair,
    collate,
)
from editing.scope.model import ScopeModel, embeddings_digest, in_scope, load_scope_model

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "|", *(f"w{n}" for n in range(200)))


def inner() -> Tokenizer:
    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


def bert(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return BertModel(BertConfig(vocab_size=len(WORDS), **sizes), add_pooling_layer=False)


def read(pair: ScopePair) -> tuple[list[str], int]:
    ((ids, own),) = PairTokenizer(inner())([pair])
    return [WORDS[n] for n in ids], own


def long(first: int, count: int) -> str:
    return " ".join(f"w{n}" for n in range(first, first + count))


def test_a_pair_is_read_as_prompt_context_wordings_and_output() -> None:
    """What is the prompt's side ends before the wordings; parts that are not there leave no trace."""
    words, own = read(ScopePair("w1 w2", ("w3", "w4 w5"), "w6", "w7"))
    assert " ".join(words) == "[CLS] w1 w2 [SEP] w7 [SEP] w3 | w4 w5 [SEP] w6 [SEP]" and own == 6
    assert " ".join(read(ScopePair("w1", ("w3",)))[0]) == "[CLS] w1 [SEP] w3 [SEP] [SEP]"


def test_long_parts_keep_both_ends_and_leave_room_for_the_others() -> None:
    """Of the context the end; every pair fits the encoder's 512 positions."""
    words, _ = read(ScopePair(long(0, 180), (long(0, 150), long(20, 150)), long(0, 100), long(0, 120)))
    parts = " ".join(words).split(" [SEP]")
    assert len(words) <= PROMPT + CONTEXT + WORDINGS + OUTPUT + 6 < 512
    assert parts[0].startswith("[CLS] w0 ") and parts[0].endswith(" w179") and parts[1].endswith("w119")
    assert parts[2].strip().startswith("w0 ") and "|" in parts[2]


def test_the_checkpoint_holds_what_was_trained_and_not_the_embeddings(tmp_path: Path) -> None:
    """Loaded into a model on the same embeddings it says the same, but for half precision."""
    network = ScopeCrossEncoder(bert()).eval()
    frozen = [n for n, p in network.named_parameters() if not p.requires_grad]
    assert frozen and all("word_embeddings" in n or "position_embeddings" in n for n in frozen)
    network.save(tmp_path / "model.safetensors", {"a": "b"})
    other = ScopeCrossEncoder(bert(1)).eval()
    other.encoder.embeddings.word_embeddings = network.encoder.embeddings.word_embeddings
    other.encoder.embeddings.position_embeddings = network.encoder.embeddings.position_embeddings
    assert other.load(tmp_path / "model.safetensors") == {"a": "b"}
    batch = collate(PairTokenizer(inner())([ScopePair("w1 w2", ("w3",), "w4"), ScopePair("w5", ("w6 w7 w8",))]))
    torch.testing.assert_close(other(*batch), network(*batch), atol=2e-2, rtol=2e-2)
    (tmp_path / "model.safetensors").write_bytes(b"{}")
    with pytest.raises(SafetensorError):
        other.load(tmp_path / "model.safetensors")


def test_a_pair_is_judged_the_same_alone_and_in_company() -> None:
    """Padding and order change nothing but the last digits."""
    model = ScopeModel(ScopeCrossEncoder(bert()).eval(), PairTokenizer(inner()), (0.0,) * len(Kind))
    pairs = [ScopePair(long(n, 1 + n), (long(2 * n, 3),), f"w{n}") for n in range(40)]
    together = model.logits(pairs)
    for n in (0, 17, 39):
        np.testing.assert_allclose(model.logits([pairs[n]])[0], together[n], atol=1e-4)
    assert model.logits([]).shape == (0, len(Kind))


def test_log_odds_are_those_of_all_kinds_that_concern_the_edit() -> None:
    """As with the softmax written out."""
    logits = np.array([[1.0, 2.0, -1.0, 0.5, 0.0, -2.0], [9.0, 0, 0, 0, 0, 0]], np.float32)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(in_scope(logits), np.log((1 - p[:, 0]) / p[:, 0]), rtol=1e-5)


def test_a_model_of_another_encoder_or_none_at_all_is_refused(tmp_path: Path) -> None:
    """The error says which it was trained on."""
    encoder, directory = tmp_path / "encoder", tmp_path / "scope"
    bert().save_pretrained(encoder)
    inner().save(str(encoder / "tokenizer.json"))
    directory.mkdir()
    with pytest.raises(EditorMismatch, match="no readable scope model"):
        load_scope_model(encoder, directory)
    network = ScopeCrossEncoder(bert())
    network.save(directory / "model.safetensors", {})
    config = {"thresholds": {kind.name.lower(): 0.5 for kind in Kind}, "encoder": embeddings_digest(network)}
    (directory / "config.json").write_text(json.dumps(config))
    assert load_scope_model(encoder, directory, margin=1.0).thresholds[Kind.ASKS] == 1.5
    (directory / "config.json").write_text(json.dumps(config | {"encoder": "e" * 64}))
    with pytest.raises(EditorMismatch, match="eeeeeeeeeeee…"):
        load_scope_model(encoder, directory)


def test_the_shipped_model_is_small_and_tells_the_opposite_from_the_same() -> None:
    """It is the one that the service uses; these prompts were written for this test."""
    from editing.scope.model import PRETRAINED
    from retrieval.encoders.encoder import locate_encoder

    assert (PRETRAINED / "model.safetensors").stat().st_size <= 25e6
    model = load_scope_model(locate_encoder())
    asked = ("What's the code for the bike shed?", "4417")
    pairs = [ScopePair(text, asked[:1], asked[1]) for text in ("bike shed code", "When is the bike shed painted?")]
    same, other = in_scope(model.logits(pairs))
    assert same > model.thresholds[Kind.ASKS] > other
