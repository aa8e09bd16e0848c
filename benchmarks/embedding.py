"""How fast passages are embedded, beside sentence-transformers' own ``encode`` of the same texts in the same run.

``python -m benchmarks.embedding [--passages 1024] [--rounds 3] [--threads N] [--device auto]`` takes real passages of
the Wikipedia summaries, drawn with a seed, embeds them in turns, and prints passages per second, by the clock and by
processor time (which other work on the machine hardly changes), the ratio, and the hours that 21 million would take.
Ours is the whole way of ``errata index build``: passages to shards on the disk.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from index.corpora.corpus import locate_summaries, read_summaries
from index.passages.passage import Passage, split_articles
from retrieval.encoders.encoder import Encoder, Vectors
from retrieval.encoders.passage_text import render
from retrieval.indexing.embed import embed_passages

WIKIPEDIA = 21_015_324  # passages of Lewis et al. 2020
WARMING = 64


@dataclass
class Contestant:
    """One way to embed, and what was measured of it."""

    name: str
    embed: Callable[[Sequence[Passage]], Vectors]
    wall: list[float] = field(default_factory=list)  # seconds a round
    processor: list[float] = field(default_factory=list)
    vectors: Vectors | None = None

    def run(self, passages: Sequence[Passage]) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        self.vectors = self.embed(passages)
        self.wall.append(time.perf_counter() - wall)
        self.processor.append(time.process_time() - processor)


def contestants(encoder: Encoder, device: str) -> list[Contestant]:
    """sentence-transformers as it comes, ours in float32, and ours as ``errata index build`` chooses."""
    chosen = encoder.for_passages(device)
    model = encoder.trainable("documents", chosen.computes.split(",", maxsplit=1)[0]).model.eval()

    def theirs(passages: Sequence[Passage]) -> Vectors:
        texts = [render(passage) for passage in passages]
        vectors: Vectors = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        return vectors

    def ours(one: Encoder) -> Callable[[Sequence[Passage]], Vectors]:
        def embed(passages: Sequence[Passage]) -> Vectors:
            with tempfile.TemporaryDirectory() as scratch:
                return np.concatenate(list(embed_passages(passages, one, Path(scratch))))

        return embed

    found = [Contestant("sentence-transformers encode, float32", theirs)]
    if chosen.computes.startswith("cpu") and chosen.computes != encoder.computes:
        found.append(Contestant(f"errata, {encoder.computes}", ours(encoder)))
    return [*found, Contestant(f"errata, {chosen.computes} (as index build chooses)", ours(chosen))]


def report(found: Sequence[Contestant], passages: int) -> None:
    """A table; ratios are medians over the rounds, in each of which all embedded the same passages."""
    from rich.console import Console
    from rich.table import Table

    table = Table("", "passages/s", "ratio", "by processor time", "ratio", "least cosine", "21 M take")
    first = found[0]
    for one in found:
        assert one.vectors is not None and first.vectors is not None
        speed, own = (passages / statistics.median(times) for times in (one.wall, one.processor))
        wall, processor = (
            statistics.median(a / b for a, b in zip(theirs, times, strict=True))
            for theirs, times in ((first.wall, one.wall), (first.processor, one.processor))
        )
        cosine = float(np.sum(one.vectors * first.vectors, axis=1).min())
        hours = f"{WIKIPEDIA / speed / 3600:.0f} h"
        table.add_row(one.name, f"{speed:.1f}", f"{wall:.2f}", f"{own:.1f}", f"{processor:.2f}", f"{cosine:.5f}", hours)
    Console(width=140).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embedding", description=__doc__)
    parser.add_argument("--passages", type=int, default=1024, help="in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of PyTorch")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    passages = split_articles(read_summaries(locate_summaries())).passages
    sample = random.Random(2026).sample(list(passages), min(given.passages, len(passages)))
    found = contestants(Encoder.load(threads=given.threads), given.device)
    for one in found:
        one.embed(sample[:WARMING])
    for number in range(given.rounds):
        for one in found[number % len(found) :] + found[: number % len(found)]:  # none is always first
            one.run(sample)
        print(f"round {number + 1}: " + ", ".join(f"{len(sample) / one.wall[-1]:.1f}/s" for one in found), flush=True)
    report(found, len(sample))


if __name__ == "__main__":
    main()
