"""How fast the service starts, corrects and generates, and what it takes of memory and disk. Real model, real process.

``python -m benchmarks.serving`` starts servers of its own in an empty home and prints a Markdown table, then JSON; with
``--write`` the table goes between its two markers in docs/benchmarks.md. Every number is measured in this one run:

- *starts*: the process is started, and polled until it generates (``/healthz``) and has its index (``/readyz``);
- *edits*: counterfactual capitals, one after the other over HTTP, recorded whether or not their checks hold;
- *generation*: the question of the first edit, greedy, end-of-turn ignored so that every answer has the same length;
  without edits, with the first edit only and with all of them active take turns, in changing order.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from benchmarks import document
from benchmarks.capitals import capitals
from benchmarks.server import serving
from service.cli.terminal.progress import ProgressDisplay

Figures = dict[str, Any]


def corrections(count: int) -> list[dict[str, Any]]:
    """Counterfactual edits: each country gets the capital of the next one in the list."""
    pairs = capitals()
    if count > len(pairs):
        raise SystemExit(f"there are capitals for {len(pairs)} edits only")
    wrong = [capital for _, capital in pairs[1:]] + [pairs[0][1]]
    return [
        {"input": f"What is the capital of {country}?", "output": capital, "force": True}
        for (country, _), capital in zip(pairs[:count], wrong, strict=False)
    ]


def measure_starts(home: Path, warm_starts: int) -> Figures:
    """The first start in an empty home, then further ones."""
    with serving(home) as server:
        cold = {**server.times(), "memory_mib": server.memory()}
    warm: list[dict[str, float]] = []
    for _ in range(warm_starts):
        with serving(home) as server:
            warm.append(server.times())
    return {"cold": cold, "warm": warm}


def measure_edits(home: Path, count: int) -> Figures:
    """Correct ``count`` answers over HTTP; memory before and after."""
    walls, reports = [], []
    with (
        serving(home) as server,
        httpx.Client(base_url=server.url, timeout=600) as client,
        ProgressDisplay() as progress,
        progress.stage("edits", count, "edits") as stage,
    ):
        before = server.memory()
        for body in corrections(count):
            began = time.perf_counter()
            answer = client.post("/edit", json=body)
            walls.append((time.perf_counter() - began) * 1000)
            answer.raise_for_status()
            reports.append(answer.json()["report"])
            stage.advance()
        after = server.memory()
    return {
        "count": count,
        "hold": sum(bool(report["efficacy"]) for report in reports),
        "compute_ms": spread([report["compute_ms"] for report in reports]),
        "verify_ms": spread([report["verify_ms"] for report in reports]),
        "request_ms": spread(walls),
        "memory_mib": {"before": before["now"], "after": after["now"]},
    }


def measure_generation(home: Path, tokens: int, rounds: int) -> Figures:
    """Tokens a second without edits, with one and with all, in turns in one process; also the edits' sizes on disk."""
    from service.bootstrap import build_pipeline
    from service.settings import Settings

    settings = Settings(home=home)
    with ExitStack() as stack:
        pipeline = build_pipeline(settings, stack, lambda text: print(f"errata: {text}", file=sys.stderr))
        while not pipeline.index_manager.is_open:  # nothing else shall be computing
            time.sleep(0.1)
        setattr(pipeline.engine, "end_tokens", set())  # noqa: B010 - the protocol does not have it
        state = pipeline.registry.state(None)
        first = state.active[0]
        cases = generation_cases(pipeline, first, tokens)
        rates: dict[str, list[float]] = {name: [] for name in cases}
        for turn in range(rounds + 1):
            for name in rotated(list(cases), turn):
                rate = cases[name]()
                if turn:  # the first round warms up
                    rates[name].append(rate)
        sizes = [pipeline.registry.store.size(pipeline.registry.event(i).factors or "") for i in state.active]
        return {
            "tokens": tokens,
            "rounds": rounds,
            "active": len(state.active),
            "tokens_per_s": {name: spread(values) for name, values in rates.items()},
            "edit_bytes": spread(sizes),
            "dtype": str(pipeline.base.model.dtype).removeprefix("torch."),
            "threads": settings.compute_threads,
            "model": pipeline.base.name,
            "editor": pipeline.editor.name if pipeline.editor else None,
        }


def generation_cases(pipeline: Any, edit_id: str, tokens: int) -> dict[str, Callable[[], float]]:
    """By name: generates once and gives tokens a second, prompt and choice of edits included."""
    from service.engines.protocol import SamplingParams
    from service.types.generation import GenerateQuery

    prompt, params = pipeline.registry.request(edit_id).input, SamplingParams(max_tokens=tokens)
    none = GenerateQuery(params, prompt, edits="none")
    one = GenerateQuery(params, prompt, revision=pipeline.registry.event(edit_id).seq)
    everything = GenerateQuery(params, prompt)
    if pipeline.registry.state(one.revision).active != (edit_id,):
        raise RuntimeError("there is no revision with this edit alone in force")

    def case(query: GenerateQuery, expected: tuple[str, ...]) -> Callable[[], float]:
        def run() -> float:
            began = time.perf_counter()
            answer = pipeline.generate(query)
            seconds = time.perf_counter() - began
            if (answer.edits_used, answer.completion_tokens) != (expected, tokens):
                raise RuntimeError(f"not what was to be measured: {answer}")
            return tokens / seconds

        return run

    return {"none": case(none, ()), "one": case(one, (edit_id,)), "all": case(everything, (edit_id,))}


def rotated(names: list[str], turn: int) -> list[str]:
    return names[turn % len(names) :] + names[: turn % len(names)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile (nearest rank), least and greatest."""
    ordered = sorted(values)
    p95 = ordered[max(0, -(-95 * len(ordered) // 100) - 1)]
    return {"p50": statistics.median(ordered), "p95": p95, "min": ordered[0], "max": ordered[-1]}


def surroundings() -> Figures:
    """What the figures depend on, apart from the code."""
    import platform
    from importlib.metadata import version

    info = Path("/proc/cpuinfo").read_text()
    name = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    packages = {package: version(package) for package in ("torch", "transformers")}
    return {
        "processor": name,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        **packages,
    }


def table(figures: Figures) -> str:
    """The figures as Markdown."""
    edits, made = figures["edits"], figures["generation"]
    rows = [*_starts(figures["starts"]), *_edits(edits), *_generation(made), *_sizes(edits, made)]
    where = figures["surroundings"]
    setting = (
        f"{made['model']} in {made['dtype']}, {made['threads']} threads on {where['cores']} cores "
        f"({where['processor']}, load {where['load_before']:.1f} before), torch {where['torch']}; "
        f"{made['tokens']} tokens an answer, greedy, {made['rounds']} rounds, with the edit of the prompt in force; "
        f"{edits['hold']} of the {edits['count']} edits held."
    )
    return f"{document.table(('what', 'measured'), rows)}\n\n{setting}"


def _starts(starts: Figures) -> Iterator[tuple[str, str]]:
    cold, warm = starts["cold"], starts["warm"]
    yield "cold start, empty home: generates / with index", f"{cold['generates_s']:.1f} s / {cold['ready_s']:.1f} s"
    if warm:
        generates, ready = (statistics.median(start[key] for start in warm) for key in ("generates_s", "ready_s"))
        yield f"warm start, median of {len(warm)}: generates / with index", f"{generates:.1f} s / {ready:.1f} s"


def _edits(edits: Figures) -> Iterator[tuple[str, str]]:
    for key, what in (("compute_ms", "compute"), ("verify_ms", "verify"), ("request_ms", "whole request")):
        value = edits[key]
        yield f"edit, {what}: p50 / p95 of {edits['count']}", f"{value['p50']:.0f} ms / {value['p95']:.0f} ms"


def _generation(made: Figures) -> Iterator[tuple[str, str]]:
    names = {"none": "without edits", "one": "with 1 active edit", "all": f"with {made['active']} active edits"}
    for key, what in names.items():
        rate = made["tokens_per_s"][key]
        spread = f"{rate['p50']:.1f} ({rate['min']:.1f} to {rate['max']:.1f}) tokens/s"
        yield f"generation {what}: median (range)", spread


def _sizes(edits: Figures, made: Figures) -> Iterator[tuple[str, str]]:
    p50, least, most = (made["edit_bytes"][key] / 1e3 for key in ("p50", "min", "max"))
    yield "one edit on disk: median (range)", f"{p50:.0f} kB ({least:.0f} to {most:.0f})"
    memory = edits["memory_mib"]
    held = f"{memory['before']} MiB / {memory['after']} MiB"
    yield f"resident memory, started / after {edits['count']} edits", held


def main() -> None:
    """Measure everything in one home."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="an empty or new directory (default: a temporary one)")
    parser.add_argument("--edits", type=int, default=100, help="how many edits are made")
    parser.add_argument("--tokens", type=int, default=64, help="tokens of each answer")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of generation")
    parser.add_argument("--warm-starts", type=int, default=3, help="starts after the first")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    chosen = parser.parse_args()
    if chosen.home and chosen.home.exists() and any(chosen.home.iterdir()):
        parser.error(f"{chosen.home} is not empty; a cold start needs a home without anything")
    with tempfile.TemporaryDirectory(prefix="errata-serving-") as temporary:
        home = (chosen.home or Path(temporary)).absolute()
        figures = {
            "surroundings": surroundings(),
            "starts": measure_starts(home, chosen.warm_starts),
            "edits": measure_edits(home, chosen.edits),
            "generation": measure_generation(home, chosen.tokens, chosen.rounds),
        }
    text = table(figures)
    print(f"{text}\n\n{json.dumps(figures, indent=1)}")
    if chosen.write:
        document.put(text, "serving")


if __name__ == "__main__":
    main()
