"""The structure of an index as FAISS alone offers it, in memory; and what each of the two holds of memory."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from index.passages.passage_file import PASSAGE_FILES
from index.vectors.search_types import HNSW, IVFPQ
from index.vectors.vector_index import HALF_VECTORS_FILE, VECTORS_FILE, Vectors
from index.versions.manifest import Manifest
from index.versions.registry import IndexVersions

K = 10
Search = Callable[[Vectors], tuple[Vectors, NDArray[np.int64]]]
_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ ")
library: Any = faiss  # its own stubs know less than it does


def raw_search(directory: Path, manifest: Manifest) -> Search:
    """Search as by hand: the file read into memory, the parameters of the manifest; candidates are refined by FAISS."""
    index = library.read_index(str(directory / VECTORS_FILE))
    (segment,) = manifest.segments
    parameters = None
    if segment.type == HNSW:
        parameters = library.SearchParametersHNSW(efSearch=segment.parameters["ef_search"])
    if segment.type == IVFPQ:
        base, halves = index, library.read_index(str(directory / HALF_VECTORS_FILE))
        index = library.IndexRefine(base, halves)
        lists = library.SearchParametersIVF(nprobe=segment.parameters["probes"])
        behind = library.SearchParametersPreTransform(index_params=lists)
        factor = (segment.parameters["candidates"] + 0.5) / K
        parameters = library.IndexRefineSearchParameters(k_factor=factor, base_index_params=behind)
        parameters.held = (base, halves, lists, behind)
    return lambda queries: index.search(queries, K, params=parameters)


def memory_of(side: str, directory: Path, queries: Path) -> dict[str, int]:
    """Bytes that a side (``errata`` or ``raw``) holds after opening and searching, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.raw_faiss", side, str(directory), str(queries)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    measured: dict[str, int] = json.loads(printed)
    return measured


def resident() -> dict[str, int]:
    """Memory in bytes: ``own`` (anonymous); of mapped files, which the system may take back at any time, ``structure``
    (vectors and what finds them) and ``beside`` (texts, ids; some of it only because its page's neighbours were read).
    """
    sizes, kind = dict.fromkeys(("own", "structure", "beside"), 0), ""
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if _MAPPING.match(line):
            name = Path(line.split(maxsplit=5)[-1]).name
            kind = (
                "structure" if name in (VECTORS_FILE, HALF_VECTORS_FILE) else "beside" if name in PASSAGE_FILES else ""
            )
        name, _, value = line.partition(":")
        if name == "Anonymous":
            sizes["own"] += int(value.split()[0]) << 10
        elif name == "Rss" and kind:
            sizes[kind] += int(value.split()[0]) << 10
    return sizes


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
        results: list[object] = [index.search(query[None], K) for query in queries]
    else:
        search = raw_search(arguments.directory, manifest)
        results = [search(query[None]) for query in queries]
    after = resident()
    print(json.dumps({name: after[name] - before[name] for name in after if results}))


if __name__ == "__main__":
    main()
