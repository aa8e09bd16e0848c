"""A tiny corpus with synthetic vectors, and indexes built of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.corpora.corpus import Corpus
from index.passages.passage import Article, Split, split_articles
from index.vectors.vector_index import EncoderIdentity
from index.versions.build import build_index
from index.versions.manifest import Manifest, Recipe

DIMENSION = 8
ENCODER = EncoderIdentity("tiny", "ab" * 32, DIMENSION)
RECIPE = Recipe(Corpus("tiny", "made up", "CC0"), ENCODER, "{title}. {text}", "float16")


def unit_vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    """(count, DIMENSION), normalised."""
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def split_of(count: int, word: str = "word") -> Split:
    """``count`` articles of one passage each."""
    return split_articles(Article(f"Title {n}", f"{word} {n}", "made up") for n in range(count))


def build(root: Path, count: int = 20, word: str = "word") -> Manifest:
    return build_index(root, replace(RECIPE), split_of(count, word), [unit_vectors(count)])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "indexes"
