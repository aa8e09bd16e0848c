"""Small indexes for the tests of searching."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from index.corpora.corpus import Corpus
from index.passages.passage import Article, split_articles
from index.versions.manifest import Manifest
from index.versions.passage_index import PassageIndex
from index.versions.registry import IndexVersions
from retrieval.encoders.encoder import TextEncoder
from retrieval.indexing.builder import embed_and_build
from retrieval.indexing.corpus_cache import CachedCorpus

TEXTS = {
    "Canberra": "Canberra is the capital city of Australia.",
    "Oxygen": "Oxygen is a chemical element with symbol O and atomic number 8.",
    "Johann Wolfgang von Goethe": "Goethe was a German poet who wrote the tragedy Faust.",
    "São Paulo": "São Paulo is the most populous city of Brazil.",
    "北京": "北京是中华人民共和国的首都。",
    "Emoji": "😀 🎉 …",
}


def articles(texts: dict[str, str] | None = None) -> list[Article]:
    chosen = TEXTS if texts is None else texts
    return [Article(title, text, f"source {number % 2}") for number, (title, text) in enumerate(chosen.items())]


def build_corpus_index(root: Path, corpus: Corpus, given: Iterable[Article], encoder: TextEncoder) -> Manifest:
    """A version of these articles under ``root``."""
    return embed_and_build(root, CachedCorpus(corpus, split_articles(given)), encoder).manifest


def index_of(
    root: Path, encoder: TextEncoder, given: Iterable[Article] | None = None, name: str = "tiny"
) -> PassageIndex:
    """A version under ``root``, built and opened."""
    chosen = articles() if given is None else given
    version = build_corpus_index(root, Corpus(name, "made up", "CC0"), chosen, encoder).version
    return IndexVersions(root).open(version, encoder.identity)
