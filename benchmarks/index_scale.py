"""Errata's index beside raw FAISS of the same structure: recall, search time, memory and disk, at any size.

    python -m benchmarks.index_scale --passages 1_000_000 --home ~/.errata --work /tmp/scale

Vectors are synthetic (``benchmarks.synthetic_vectors``), around those of the home's active index, and so are passages:
its texts under numbered titles. Questions are synthetic too (the same spread, another seed) and, with ``--questions``,
real ones, embedded. The truth is the exact product with all vectors. Both sides search one query at a time, in turns in
one process, so that other work on the machine meets both alike; memory is read in a process of its own for each.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import numpy as np
from numpy.typing import NDArray

from benchmarks.raw_faiss import K, memory_of, raw_search
from benchmarks.synthetic_vectors import BLOCK, SyntheticVectors, Vectors, random_centres
from index.corpora.corpus import Corpus
from index.passages.passage import Passage, Split, passage_id
from index.passages.passage_file import PASSAGES_FILE, PassageFile
from index.passages.writer import write_passage_file
from index.vectors.exact_search import best_rows
from index.vectors.search_types import AUTO, TYPES, index_type, parameters_for
from index.vectors.vector_index import HALF_VECTORS_FILE, VECTORS_FILE, EncoderIdentity
from index.versions.build import build_index
from index.versions.manifest import Manifest, Recipe
from index.versions.passage_index import PassageIndex
from index.versions.registry import IndexVersions

WIKIPEDIA = 21_015_324  # passages of DPR's Wikipedia (Karpukhin et al. 2020)
LINE = "a passage of a corpus that is not there, as long as passages are on average, word after word after word " * 6
SIDES = ("errata, rows", "errata, with passages", "raw FAISS, rows")


@dataclass(frozen=True, eq=False)
class Source:
    """What the synthetic vectors and passages are drawn from."""

    centres: Vectors
    passages: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, home: Path | None) -> Source:
        if home is None:
            return cls(random_centres(384), (("Title", LINE),))
        versions = IndexVersions(home / "indexes")
        manifest = versions.manifest(str(versions.active()))
        index = versions.open(manifest.version, manifest.recipe.encoder)
        passages = tuple((one.title, one.text) for one in index.passages)
        return cls(index.vectors_of(np.arange(len(index.passages))), passages)

    def made_up(self, count: int) -> Iterator[Passage]:
        for number, (title, text) in enumerate(islice(cycle(self.passages), count)):
            name = f"{title} {number}"
            yield Passage(passage_id("synthetic", name, 0), name, text, "synthetic", 0, len(text))


def build(work: Path, source: Source, count: int, kind: str) -> tuple[Manifest, dict[str, float]]:
    """Write passages and build, unless ``work`` holds that already; seconds of each, by the clock and of processors."""
    versions, measured = IndexVersions(work / "indexes"), work / "built.json"
    if measured.is_file():
        fields = json.loads(measured.read_bytes())
        if fields["asked"] == [count, kind]:
            return versions.manifest(fields["version"]), fields["seconds"]
    encoder = EncoderIdentity("synthetic", "00" * 32, source.centres.shape[1])
    recipe = Recipe(Corpus("synthetic", "made up", "none"), encoder, "{text}", "float16", type=kind)
    watches = [(time.perf_counter(), time.process_time())]
    duplicates = write_passage_file(source.made_up(count), work / "cut")
    watches.append((time.perf_counter(), time.process_time()))
    split = Split(PassageFile.open(work / "cut"), count, 0, duplicates)
    manifest = build_index(work / "indexes", recipe, split, SyntheticVectors(source.centres, len(split.passages)))
    watches.append((time.perf_counter(), time.process_time()))
    seconds = {
        name: watches[step + 1][clock] - watches[step][clock]
        for clock, names in enumerate((("passages", "build"), ("passages, processor", "build, processor")))
        for step, name in enumerate(names)
    }
    measured.write_text(json.dumps({"asked": [count, kind], "version": manifest.version, "seconds": seconds}))
    return manifest, seconds


def truth(source: Source, count: int, queries: Vectors) -> NDArray[np.int64]:
    """The exact K best rows of each query."""
    blocks = enumerate(SyntheticVectors(source.centres, count))
    numbered = ((np.arange(len(block)) + number * BLOCK, block) for number, block in blocks)
    return best_rows(queries, K, numbered)[1]


def embedded(home: Path, questions: Path, count: int) -> Vectors:
    """Real questions: the first of JSON lines with ``question``."""
    from retrieval.encoders.encoder import Encoder
    from service.settings import Settings

    lines = questions.read_text(encoding="utf-8").splitlines()[:count]
    return Encoder.load(Settings(home=home).encoder).encode([str(json.loads(line)["question"]) for line in lines])


def recall(found: NDArray[np.int64], best: NDArray[np.int64]) -> float:
    pairs = zip(found.tolist(), best.tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in pairs]))


def compare(
    index: PassageIndex, directory: Path, queries: dict[str, Vectors], best: dict[str, NDArray[np.int64]]
) -> Vectors:
    """Print recall; milliseconds (sides, queries) of the first kind of queries, one at a time, in turns.

    In each turn every side has another query: none finds in the caches what one before it has looked at.
    """
    search = raw_search(directory, index.manifest)
    ways = (lambda query: index.nearest(query, K), lambda query: index.search(query, K), search)
    for kind, asked in queries.items():
        ours, raw = index.nearest(asked, K)[1], search(asked)[1]
        shares = recall(ours, best[kind]), recall(raw, best[kind])
        print(f"recall@{K} of {len(asked)} {kind}: Errata {shares[0]:.4f}, raw FAISS {shares[1]:.4f}")
    asked = next(iter(queries.values()))
    took = np.zeros((len(ways), len(asked)), np.float32)
    for number in range(len(asked)):
        for way in np.roll(np.arange(len(ways)), number).tolist():
            query = (number + way * len(asked) // len(ways)) % len(asked)
            start = time.perf_counter()
            ways[way](asked[query][None])
            took[way, query] = (time.perf_counter() - start) * 1000
    return took


def otherwise(index: PassageIndex, asked: Vectors, best: NDArray[np.int64]) -> None:
    """Print recall and time of other ways to search the same structure, around those that the rule takes."""
    (segment,) = index.segments
    usual = dict(segment.vectors.parameters)
    changes = [(name, 2.0**power) for name in ("ef_search", "probes", "candidates") for power in (-1, 0, 1, 2)]
    print(f"\n| searched with | recall@{K} | p50 ms |\n|---|---:|---:|")
    for name, factor in changes:
        if name in usual:
            parameters = {**usual, name: int(usual[name] * factor)}
            vectors = replace(segment.vectors, parameters=parameters)
            found, took = [], []
            for query in asked:
                start = time.perf_counter()
                found.append(vectors.search(query[None], K)[1][0])
                took.append((time.perf_counter() - start) * 1000)
            share = recall(np.stack(found), best)
            print(f"| {name} {parameters[name]} | {share:.4f} | {np.median(took):.2f} |", flush=True)


def report(manifest: Manifest, took: Vectors, memory: dict[str, dict[str, int]]) -> None:
    """Print the table of time and bytes."""
    n, text = manifest.passages, manifest.sizes[PASSAGES_FILE]
    structure = sum(size for name, size in manifest.sizes.items() if name in {VECTORS_FILE, HALF_VECTORS_FILE})
    print("\n| | p50 ms | p95 ms | own memory, B a passage | mapped structure | mapped beside | disk without text |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for side, times in zip(SIDES, took, strict=True):
        p50, p95 = np.percentile(times, (50, 95))
        held, disk = (memory["raw"], structure) if side == SIDES[-1] else (memory["errata"], manifest.size - text)
        bytes_each = " | ".join(f"{size / n:.0f}" for size in (*held.values(), disk))
        print(f"| {side} | {p50:.2f} | {p95:.2f} | {bytes_each} |")
    p50s = np.median(took, axis=1)
    print(f"\np50 against raw FAISS: rows {p50s[0] / p50s[2] - 1:+.1%}, with passages {p50s[1] / p50s[2] - 1:+.1%}")
    both = [memory[side]["own"] + memory[side]["structure"] for side in ("errata", "raw")]
    print(f"memory, own and structure: {both[0] / both[1] - 1:+.1%}; ", end="")
    print(f"disk without text: {(manifest.size - text) / structure - 1:+.1%}; text: {text / n:.0f} bytes a passage")


def wikipedia(manifest: Manifest, seconds: dict[str, float], memory: dict[str, int], throughput: float | None) -> None:
    """Print what the 21 million passages of DPR's Wikipedia would need, by these figures."""
    (segment,) = manifest.segments
    times, rule = WIKIPEDIA / manifest.passages, index_type(WIKIPEDIA)
    parameters = parameters_for(segment.type, WIKIPEDIA, manifest.dimension)
    print(f"\nAll {WIKIPEDIA:,} passages of DPR's Wikipedia as {segment.type} {parameters}, from this run", end="")
    print(":" if segment.type == rule else f" (the rule takes {rule} for so many):")
    disk, walked = (size * times / 1e9 for size in (manifest.size, manifest.sizes[VECTORS_FILE] + memory["own"]))
    halves = manifest.sizes.get(HALF_VECTORS_FILE, 0) * times / 1e9
    print(
        f"- memory {walked:.1f} GB that searches walk through"
        + f"; {halves:.1f} GB of vectors read singly" * bool(halves)
    )
    shards = WIKIPEDIA * manifest.dimension * 2 / 1e9
    print(f"- disk {disk:.1f} GB with the text, and {shards:.1f} GB of shards, which stay until the version is removed")
    growth = {"ivfpq": times**1.5, "hnsw": times * np.log(WIKIPEDIA) / np.log(manifest.passages)}
    hours = (seconds["passages, processor"] * times, seconds["build, processor"] * growth.get(segment.type, times))
    print(f"- on one core: cutting {hours[0] / 3600:.1f} h, index {hours[1] / 3600:.1f} h", end="")
    print(
        f"; embedding {WIKIPEDIA / throughput / 3600:.0f} h at {throughput:g} passages a second" if throughput else ""
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--type", choices=(AUTO, *TYPES), default=AUTO)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument(
        "--questions", type=Path, help="JSON lines with a question each, embedded with the home's encoder"
    )
    parser.add_argument(
        "--home", type=Path, help="whose active index the vectors are drawn around; none: random centres"
    )
    parser.add_argument("--work", type=Path, help="directory for the index, kept; none: a scratch one")
    parser.add_argument(
        "--throughput", type=float, help="passages embedded a second (benchmarks.embedding), to project"
    )
    arguments = parser.parse_args()
    work = arguments.work or Path(tempfile.mkdtemp(prefix="index-scale-"))
    source = Source.of(arguments.home)
    manifest, seconds = build(work, source, arguments.passages, arguments.type)
    directory = work / "indexes" / manifest.version
    print(f"{manifest.passages:,} passages, d = {manifest.dimension}, {manifest.segments[0]}")
    shown = ", ".join(f"{what} {time:.0f} s" for what, time in seconds.items())
    print(f"{shown}; peak memory {getrusage(RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB", flush=True)
    queries = {"synthetic questions": next(iter(SyntheticVectors(source.centres, arguments.queries, seed=2)))}
    if arguments.questions:
        queries["real questions"] = embedded(arguments.home, arguments.questions, arguments.queries)
    best = {kind: truth(source, manifest.passages, asked) for kind, asked in queries.items()}
    np.save(work / "queries.npy", queries["synthetic questions"])
    memory = {side: memory_of(side, directory, work / "queries.npy") for side in ("errata", "raw")}
    index = IndexVersions(work / "indexes").open(manifest.version, manifest.recipe.encoder)
    report(manifest, compare(index, directory, queries, best), memory)
    otherwise(index, queries["synthetic questions"], best["synthetic questions"])
    wikipedia(manifest, seconds, memory["errata"], arguments.throughput)
    if arguments.work is None:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
