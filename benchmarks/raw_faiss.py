"""The structure of an index as FAISS alone offers it, in memory; and what each of the two holds of memory."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from index.manifest import Manifest
from index.search_types import HNSW, IVFPQ
from index.vectors import HALVES_FILE, VECTORS_FILE, Vectors
from index.versions import IndexVersions

K = 10
ADDED = 1 << 14
Search = Callable[[Vectors], tuple[Vectors, NDArray[np.int64]]]
library: Any = faiss  # its own stubs know less than it does


def raw_search(directory: Path, manifest: Manifest) -> Search:
    """Search as by hand: the file read into memory, the parameters of the manifest; candidates are refined by FAISS."""
    index = library.read_index(str(directory / VECTORS_FILE))
    (segment,) = manifest.segments
    parameters = None
    if segment.type == HNSW:
        parameters = library.SearchParametersHNSW(efSearch=segment.parameters["ef_search"])
    if segment.type == IVFPQ:
        halves = np.memmap(directory / HALVES_FILE, np.float16, "r", shape=(segment.rows, manifest.dimension))
        base, index = index, library.IndexRefine(index, _in_memory(halves))
        lists = library.SearchParametersIVF(nprobe=segment.parameters["probes"])
        behind = library.SearchParametersPreTransform(index_params=lists)
        factor = segment.parameters["candidates"] / K
        parameters = library.IndexRefineSearchParameters(k_factor=factor, base_index_params=behind)
        parameters.held = (base, lists, behind)
    return lambda queries: index.search(queries, K, params=parameters)


def _in_memory(halves: NDArray[np.float16]) -> Any:
    """A flat index of float16 vectors."""
    half = library.ScalarQuantizer.QT_fp16
    index = library.IndexScalarQuantizer(halves.shape[1], half, library.METRIC_INNER_PRODUCT)
    for first in range(0, len(halves), ADDED):
        index.add(halves[first : first + ADDED].astype(np.float32))
    _kept.append(index)
    return index


_kept: list[Any] = []  # FAISS holds no reference


def memory_of(side: str, directory: Path, queries: Path) -> dict[str, int]:
    """Bytes that a side (``errata`` or ``raw``) holds after opening and searching, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.raw_faiss", side, str(directory), str(queries)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    measured: dict[str, int] = json.loads(printed)
    return measured


def resident() -> dict[str, int]:
    """Own memory (anonymous), and that of mapped files, which the system may take back at any time."""
    lines = (line.split() for line in Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:])
    sizes = {line[0]: int(line[1]) << 10 for line in lines}
    return {"own": sizes["Anonymous:"], "mapped": sizes["Rss:"] - sizes["Anonymous:"]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=("errata", "raw"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("queries", type=Path)
    arguments = parser.parse_args()
    queries = np.load(arguments.queries)
    versions = IndexVersions(arguments.directory.parent)
    manifest = versions.manifest(arguments.directory.name)
    library.IndexFlatIP(4).search(np.ones((1, 4), np.float32), 1)  # what the libraries themselves hold is there now
    queries[:50] @ queries[:50].T
    before = resident()
    if arguments.side == "errata":
        index = versions.open(manifest.version, manifest.recipe.encoder)
        results = [index.search(query[None], K) for query in queries]
    else:
        search = raw_search(arguments.directory, manifest)
        results = [search(query[None]) for query in queries]
    after = resident()
    print(json.dumps({name: after[name] - before[name] for name in after if results}))


if __name__ == "__main__":
    main()
