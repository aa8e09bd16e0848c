"""The real encoder, loaded once, and one that costs nothing."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.passages.passage import Article, Passage, split_articles
from index.vectors.vector_index import EncoderIdentity
from retrieval.encoders.encoder import Encoder, Progress, Vectors

NQ = Path(__file__).parents[2].parent / "shared" / "data" / "nq_open_efficientqa_dev.jsonl"


class WordEncoder:
    """A text's vector is the normalised sum of one random vector for each of its words."""

    def __init__(self, dimension: int = 16, digest: str = "ee" * 32) -> None:
        self.identity = EncoderIdentity("words", digest, dimension)
        self.encoded = 0

    def encode(self, texts: Sequence[str], batch_size: int = 32, progress: Progress | None = None) -> Vectors:
        self.encoded += len(texts)
        vectors = np.array([self._sum(text) for text in texts], dtype=np.float32).reshape(-1, self.identity.dimension)
        if progress is not None:
            progress(len(texts), len(texts))
        normalised: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return normalised

    def encode_query(self, query: str) -> Vectors:
        vector: Vectors = self.encode([query])[0]
        return vector

    def encode_queries(self, queries: Sequence[str]) -> Vectors:
        return self.encode(queries)

    def _sum(self, text: str) -> Any:
        seeds = (int.from_bytes(hashlib.sha256(word.strip(".?").encode()).digest()[:8]) for word in text.split())
        return sum(np.random.default_rng(seed).normal(size=self.identity.dimension) for seed in seeds)


def passages_of(count: int) -> Sequence[Passage]:
    return split_articles(Article(f"Title {n}", f"text of number {n}", "made up") for n in range(count)).passages


@pytest.fixture
def words() -> WordEncoder:
    return WordEncoder()


@pytest.fixture(scope="session")
def network_calls() -> list[str]:
    """Hosts that were looked up while the real encoder was loaded and used."""
    return []


@pytest.fixture(scope="session")
def encoder(network_calls: list[str]) -> Encoder:
    """The encoder of the installed wheel."""

    def look_up(host: str, *_: object, **__: object) -> list[Any]:
        network_calls.append(host)
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        encoder = Encoder.load()
        encoder.encode(["warm"])
    return encoder
