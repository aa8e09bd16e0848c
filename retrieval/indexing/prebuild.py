"""Making the shipped vectors of the Wikipedia summaries anew: ``python -m retrieval.indexing.prebuild``."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from index.atomic_files import replace_file
from index.corpora.corpus import SUMMARIES, locate_summaries, read_summaries
from index.passages.passage import Passage, split_articles
from retrieval.encoders.encoder import Encoder, Progress, TextEncoder
from retrieval.encoders.passage_text import TEMPLATE, render
from retrieval.evaluation.agreement import Agreement, measure_agreement
from retrieval.evaluation.nq_open import Question, read_question_set
from retrieval.indexing.embed import embed_passages, texts_digest
from retrieval.indexing.prebuilt import PREBUILT, quantise, restore


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
    parser = argparse.ArgumentParser(prog="python -m retrieval.indexing.prebuild", description=main.__doc__)
    parser.add_argument("--questions", type=Path, help='measure int8 on JSON lines {"question", "answer": […]}')
    parser.add_argument("--shards", type=Path, default=Path("build/prebuilt-shards"), help="keeps unfinished work")
    parser.add_argument("--threads", type=int, help="of PyTorch")
    return parser.parse_args()


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


if __name__ == "__main__":
    main()
