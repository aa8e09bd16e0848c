from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from index.corpora.corpus import locate_summaries, read_summaries
from index.passages.passage import Passage, split_articles
from retrieval.encoders.encoder import Encoder
from retrieval.evaluation.nq_open import Question
from retrieval.indexing.prebuild import build_prebuilt
from retrieval.indexing.prebuilt import PREBUILT, load_prebuilt, quantise, restore
from tests.retrieval.conftest import WordEncoder, passages_of

VECTORS, CARD = "summaries-en.safetensors", "summaries-en.json"


@pytest.fixture
def shipped(words: WordEncoder, tmp_path: Path) -> Path:
    """A directory of vectors of 40 small passages."""
    build_prebuilt(passages_of(40), words, tmp_path / "shards", directory=tmp_path / "prebuilt")
    return tmp_path / "prebuilt"


@pytest.fixture(scope="module")
def summaries() -> Sequence[Passage]:
    return split_articles(read_summaries(locate_summaries())).passages


def test_int8_keeps_directions() -> None:
    """A restored vector has length 1 and a cosine above 0.999 with what it was."""
    vectors = np.random.default_rng(0).normal(size=(100, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    restored = restore(quantise(vectors))
    assert quantise(vectors).dtype == np.int8 and np.abs(np.linalg.norm(restored, axis=1) - 1).max() < 1e-6
    assert np.sum(restored * vectors, axis=1).min() > 0.999


def test_what_was_built_is_loaded(words: WordEncoder, shipped: Path) -> None:
    """The same passages and encoder get the vectors, after a sample of 16 was embedded again."""
    words.encoded = 0
    vectors = load_prebuilt(passages_of(40), words, shipped)
    assert vectors is not None and vectors.shape == (40, 16) and words.encoded == 16


def test_other_passages_or_encoders_get_nothing(words: WordEncoder, shipped: Path) -> None:
    """One passage less, another encoder, or vectors that do not agree with the encoder: fall back to embedding."""
    assert load_prebuilt(passages_of(39), words, shipped) is None
    assert load_prebuilt(passages_of(40), WordEncoder(digest="dd" * 32), shipped) is None

    class Liar(WordEncoder):
        """Says that it is the same encoder, and is not."""

        def encode(self, texts, batch_size=32, progress=None):  # type: ignore[no-untyped-def]
            return -super().encode(texts)

    assert load_prebuilt(passages_of(40), Liar(), shipped) is None


@pytest.mark.parametrize("name", [VECTORS, CARD])
@pytest.mark.parametrize("data", [None, b"", b"[]", b"{}", b"\xff" * 1000])
def test_damaged_files_get_nothing(words: WordEncoder, shipped: Path, name: str, data: bytes | None) -> None:
    """Missing or broken files are no error: embedding takes over."""
    if data is None:
        (shipped / name).unlink()
    else:
        (shipped / name).write_bytes(data)
    assert load_prebuilt(passages_of(40), words, shipped) is None


def test_agreement_is_measured_on_questions(words: WordEncoder, tmp_path: Path) -> None:
    """The card says how far int8 agrees with the full vectors, and how often an answer was found."""
    questions = [Question(f"Title {n}", (f"number {n}",)) for n in range(10)]
    card = build_prebuilt(passages_of(40), words, tmp_path / "s", questions=questions, directory=tmp_path)
    assert card.agreement is not None and card.agreement.questions == 10
    assert card.agreement.top5 > 0.8 and card.agreement.answered == 1
    assert json.loads((tmp_path / CARD).read_text())["agreement"]["top5"] == card.agreement.top5


def test_the_shipped_vectors_are_those_of_the_installed_wheels(
    encoder: Encoder, summaries: tuple[Passage, ...]
) -> None:
    """The committed files belong to the installed encoder and summaries, all 12,324 passages, in less than 5 MB."""
    vectors = load_prebuilt(summaries, encoder)
    assert vectors is not None and vectors.shape == (12_324, 384)
    assert sum((PREBUILT / name).stat().st_size for name in (VECTORS, CARD)) < 5_000_000
    agreement = json.loads((PREBUILT / CARD).read_text())["agreement"]
    assert agreement["questions"] == 1800 and agreement["top5"] >= 0.99


def test_one_changed_byte_in_the_shipped_vectors_is_noticed(
    encoder: Encoder, summaries: tuple[Passage, ...], tmp_path: Path
) -> None:
    """Also far from the passages that are sampled."""
    copy = shutil.copytree(PREBUILT, tmp_path / "prebuilt")
    data = bytearray((copy / VECTORS).read_bytes())
    data[-1000] ^= 1
    (copy / VECTORS).write_bytes(data)
    assert load_prebuilt(summaries, encoder, copy) is None
