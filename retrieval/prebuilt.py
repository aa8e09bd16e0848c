"""Shipped vectors of the Wikipedia summaries: int8, verified before use, rebuilt by ``python -m retrieval.prebuilt``.

A vector is scaled until its largest component is 127, and rounded. It had length 1, so normalising brings it back and
no scale needs to be kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

import index
from index.corpora import SUMMARIES, locate_summaries, read_summaries
from index.passages import Passage, split_articles
from index.storage import replace_file
from retrieval.agreement import Agreement, measure_agreement
from retrieval.embed import TEMPLATE, embed_passages, render, texts_digest
from retrieval.encoder import Encoder, Progress, TextEncoder, Vectors
from retrieval.nq_open import Question, read_question_set

PREBUILT = Path(index.__file__).parent / "prebuilt"
PRECISION = "int8"
_SAMPLE = 16  # passages that are embedded again before the vectors are trusted
_COSINE = 0.99


@dataclass(frozen=True)
class PrebuiltCard:
    """What stands beside the vectors, in ``<corpus>.json``.

    Attributes:
        passages: how many vectors.
        texts: sha256 of the embedded texts, in order.
        vectors: sha256 of the file of vectors.
        encoder: name of the encoder that made them.
        encoder_digest: its sha256.
        template: what of a passage was embedded.
        scheme: how a vector is kept.
        agreement: of searches with these and with the full vectors; None if it was not measured.
    """

    passages: int
    texts: str
    vectors: str
    encoder: str
    encoder_digest: str
    template: str
    scheme: str
    agreement: Agreement | None


def quantise(vectors: Vectors) -> NDArray[np.int8]:
    """(n, d) unit vectors to int8, each scaled to a largest component of 127."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    quantised: NDArray[np.int8] = np.rint(vectors * (127 / largest)).astype(np.int8)
    return quantised


def restore(quantised: NDArray[np.int8]) -> Vectors:
    """(n, d) int8 to unit vectors."""
    vectors: Vectors = quantised.astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def build_prebuilt(
    passages: Sequence[Passage],
    encoder: TextEncoder,
    shard_dir: Path,
    *,
    questions: Sequence[Question] = (),
    progress: Progress | None = None,
    directory: Path = PREBUILT,
) -> PrebuiltCard:
    """Embed the summaries' passages, write their int8 vectors and the card, and measure what int8 costs.

    Raises:
        EmbeddingError, IndexStorageError: the disk does not take them.
    """
    full = np.concatenate(list(embed_passages(passages, encoder, shard_dir, progress)))
    quantised = quantise(full)
    data = save({"vectors": quantised})
    agreement = None
    if questions:
        queries = encoder.encode([question.text for question in questions])
        agreement = measure_agreement(full, restore(quantised), queries, questions, passages)
    card = PrebuiltCard(
        passages=len(passages),
        texts=texts_digest([render(passage) for passage in passages]),
        vectors=hashlib.sha256(data).hexdigest(),
        encoder=encoder.identity.name,
        encoder_digest=encoder.identity.digest,
        template=TEMPLATE,
        scheme="int8, largest component scaled to 127; normalise to restore",
        agreement=agreement,
    )
    replace_file(directory / f"{SUMMARIES.name}.safetensors", data)
    replace_file(directory / f"{SUMMARIES.name}.json", json.dumps(asdict(card), indent=2).encode() + b"\n")
    return card


def load_prebuilt(passages: Sequence[Passage], encoder: TextEncoder, directory: Path = PREBUILT) -> Vectors | None:
    """The shipped vectors (n, d), normalised, if they are those of these passages and this encoder; otherwise None.

    Texts, encoder and file are compared by digest, and 16 passages are embedded again: each must have a cosine of at
    least 0.99 with its shipped vector.
    """
    try:
        card = json.loads((directory / f"{SUMMARIES.name}.json").read_bytes())
        data = (directory / f"{SUMMARIES.name}.safetensors").read_bytes()
        if not _belongs(card, data, passages, encoder):
            return None
        vectors = restore(load(data)["vectors"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None
    if vectors.shape != (len(passages), encoder.identity.dimension):
        return None
    rows = np.unique(np.linspace(0, len(passages) - 1, _SAMPLE).astype(int))
    again = encoder.encode([render(passages[row]) for row in rows])
    return vectors if np.all(np.sum(again * vectors[rows], axis=1) >= _COSINE) else None


def _belongs(card: dict[str, object], data: bytes, passages: Sequence[Passage], encoder: TextEncoder) -> bool:
    return (
        card["encoder_digest"] == encoder.identity.digest
        and card["template"] == TEMPLATE
        and card["texts"] == texts_digest([render(passage) for passage in passages])
        and card["vectors"] == hashlib.sha256(data).hexdigest()
    )


def main() -> None:
    """Rebuild the shipped vectors from the installed wheels; goes on where it was interrupted."""
    from rich.progress import Progress as Bar

    given = _arguments()
    questions = read_question_set([given.questions]).questions if given.questions else ()
    passages = split_articles(read_summaries(locate_summaries())).passages
    encoder = Encoder.load(threads=given.threads)
    with Bar() as bar:
        task = bar.add_task("embedding", total=len(passages))

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        card = build_prebuilt(passages, encoder, given.shards, questions=questions, progress=progress)
    print(json.dumps(asdict(card), indent=2))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m retrieval.prebuilt", description=main.__doc__)
    parser.add_argument("--questions", type=Path, help='measure int8 on JSON lines {"question", "answer": […]}')
    parser.add_argument("--shards", type=Path, default=Path("build/prebuilt-shards"), help="keeps unfinished work")
    parser.add_argument("--threads", type=int, help="of PyTorch")
    return parser.parse_args()


if __name__ == "__main__":
    main()
