"""What stored edits cost a service: its start, memory, disk, the scope decision, and tokens per second."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from benchmarks.server import serving

Figures = dict[str, Any]
PARTS = ("edits", "scope", "ledger.db")  # of a home, that grow with edits


def measure_costs(home: Path, revision: int) -> Figures:
    """Of a home with edits beside an empty one with the same model.

    Args:
        revision: at which all edits are in force.
    """
    with tempfile.TemporaryDirectory(prefix="errata-") as scratch:
        for part in ("models", "indexes"):
            Path(scratch, part).symlink_to((home / part).resolve())
        starts: dict[str, list[float]] = {"none": [], "all": []}
        memory: dict[str, int] = {}
        for _ in range(2):  # in turns, since the machine is not always equally fast
            for name, where in (("none", Path(scratch)), ("all", home)):
                with serving(where) as server, httpx.Client(base_url=server.url, timeout=600) as client:
                    starts[name].append(server.generates_s)
                    memory[name] = server.memory()["now"]
                    if name == "all":
                        count = client.get("/model").json()["active_edits"]
                        rates = _speed(client, revision)
    disk = {name: sum(file.stat().st_size for file in _files(home / name)) for name in PARTS}
    return {"edits": count, "start_s": starts, "memory_mib": memory, "disk": disk, "tokens_per_s": rates}


def costs_table(cost: Figures) -> Iterator[str]:
    """In Markdown."""
    edits, starts, memory, rates = cost["edits"], cost["start_s"], cost["memory_mib"], cost["tokens_per_s"]
    yield f"| with {edits:,} edits | |"
    yield "|---|---|"
    yield f"| start until it generates | {min(starts['all']):.1f} s ({min(starts['none']):.1f} s with none) |"
    extra = (memory["all"] - memory["none"]) * 1024 / edits
    held = f"{memory['all']:,} MiB ({memory['none']:,} MiB with none)"
    yield f"| memory after the start | {held}: {extra:.1f} kB an edit |"
    each = {name: size / edits / 1000 for name, size in cost["disk"].items()}
    yield "| disk for an edit | " + ", ".join(f"{name} {size:.1f} kB" for name, size in each.items()) + " |"
    unedited, stored = rates["unedited"], rates["all stored"]
    yield (
        f"| tokens/s in answers of 32, no edit in scope | {stored:.2f}, of the unedited model {unedited:.2f}: "
        f"{rates['ratio']:.3f} × |"
    )


def _speed(client: httpx.Client, revision: int, rounds: int = 10, tokens: int = 32) -> Figures:
    """The same prompt without edits and with all of them stored, in turns; it goes through the whole scope decision.

    The ratio is the median of the rounds' ratios.
    """
    rates: dict[str, list[float]] = {"unedited": [], "all stored": []}
    for turn in range(rounds + 1):
        for name, how in (("unedited", {"edits": "none"}), ("all stored", {"revision": revision})):
            body = {"prompt": f"Tell me story number {turn} about a lighthouse.", "max_tokens": tokens, **how}
            began = time.perf_counter()
            answer = client.post("/generate", json=body).raise_for_status().json()
            if turn:  # the first one warms up
                rates[name].append(answer["usage"]["completion_tokens"] / (time.perf_counter() - began))
    ratios = [one / other for one, other in zip(rates["all stored"], rates["unedited"], strict=True)]
    return {name: statistics.median(of) for name, of in rates.items()} | {"ratio": statistics.median(ratios)}


def _files(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path] if path.exists() else []
