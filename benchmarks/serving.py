"""How fast the service starts, corrects and generates, and what it takes of memory and disk. Real model, real process.

``python -m benchmarks.serving`` starts servers of its own in an empty home and prints a Markdown table, then JSON; with
``--write`` the table goes between its two markers in README.md. Every number is measured in this one run:

- *starts*: the process is started, and polled until it generates (``/healthz``) and has its index (``/readyz``);
- *edits*: counterfactual capitals, one after the other over HTTP, recorded whether or not their checks hold;
- *generation*: the question of the first edit, greedy, end-of-turn ignored so that every answer has the same length;
  without edits, with the first edit only and with all of them active take turns, in changing order.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- serving: begin -->", "<!-- serving: end -->"
CAPITALS = Path(__file__).with_name("capitals.txt")
START_LIMIT = 600.0  # seconds
Figures = dict[str, Any]


@dataclass
class Server:
    """A server process, and how long it took to start."""

    process: subprocess.Popen[bytes]
    url: str
    generates_s: float = 0.0
    ready_s: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    def wait(self) -> None:
        """Until it has started; the two times are kept."""
        self.generates_s = self._until("/healthz")
        self.ready_s = self._until("/readyz")

    def memory(self) -> dict[str, int]:
        """Resident memory now and at its highest, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        lines = dict(line.split(":", 1) for line in status.splitlines())
        return {name: int(lines[key].split()[0]) // 1024 for name, key in (("now", "VmRSS"), ("highest", "VmHWM"))}

    def cpu_s(self) -> float:
        """Processor time so far, user and system: unlike the clock, it hardly depends on what else is running."""
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def times(self) -> dict[str, float]:
        return {"generates_s": self.generates_s, "ready_s": self.ready_s, "cpu_s": self.cpu_s()}

    def _until(self, path: str) -> float:
        import httpx

        while (seconds := time.perf_counter() - self.began) < START_LIMIT:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server has ended with {self.process.returncode}")
            try:
                if httpx.get(self.url + path, timeout=5).status_code == 200:
                    return time.perf_counter() - self.began
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise TimeoutError(f"{path} does not answer after {seconds:.0f} s")


@contextmanager
def serving(home: Path) -> Iterator[Server]:
    """A started server; stopped at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    plain = {k: v for k, v in os.environ.items() if k not in {"HOST", "PORT"}}
    command = [str(Path(sys.executable).with_name("errata")), "serve", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**plain, "ERRATA_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(command, env=environment, stdout=sys.stderr)
    try:
        server = Server(process, f"http://127.0.0.1:{port}")
        server.wait()
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def corrections(count: int) -> list[dict[str, Any]]:
    """Counterfactual edits: each country gets the capital of the next one in the list."""
    pairs = [line.split(": ") for line in CAPITALS.read_text(encoding="utf-8").splitlines()]
    if count > len(pairs):
        raise SystemExit(f"{CAPITALS.name} is enough for {len(pairs)} edits")
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
    import httpx

    walls, reports = [], []
    with serving(home) as server, httpx.Client(base_url=server.url, timeout=600) as client:
        before = server.memory()
        for number, body in enumerate(corrections(count), 1):
            began = time.perf_counter()
            answer = client.post("/edit", json=body)
            walls.append((time.perf_counter() - began) * 1000)
            answer.raise_for_status()
            reports.append(answer.json()["report"])
            print(f"edit {number} of {count}", end="\r", file=sys.stderr)
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
    from service.app import build_pipeline
    from service.settings import Settings

    settings = Settings(home=home)
    with ExitStack() as stack:
        pipeline = build_pipeline(settings, stack, lambda text: print(f"errata: {text}", file=sys.stderr))
        while not pipeline.library.is_open:  # nothing else shall be computing
            time.sleep(0.1)
        setattr(pipeline.engine, "end_tokens", set())  # noqa: B010 - the protocol does not have it
        state = pipeline.book.state(None)
        first = state.active[0]
        cases = generation_cases(pipeline, first, tokens)
        rates: dict[str, list[float]] = {name: [] for name in cases}
        for turn in range(rounds + 1):
            for name in rotated(list(cases), turn):
                rate = cases[name]()
                if turn:  # the first round warms up
                    rates[name].append(rate)
        sizes = [pipeline.book.store.size(pipeline.book.event(i).factors or "") for i in state.active]
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
    from service.types import GenerateQuery

    prompt, params = pipeline.book.request(edit_id).input, SamplingParams(max_tokens=tokens)
    none = GenerateQuery(params, prompt, edits="none")
    one = GenerateQuery(params, prompt, revision=pipeline.book.event(edit_id).seq)
    everything = GenerateQuery(params, prompt)
    if pipeline.book.state(one.revision).active != (edit_id,):
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
    where, starts, edits, made = (figures[key] for key in ("surroundings", "starts", "edits", "generation"))
    rows: list[tuple[str, str]] = [
        (
            "cold start, empty home: generates / with index",
            f"{starts['cold']['generates_s']:.1f} s / {starts['cold']['ready_s']:.1f} s",
        )
    ]
    if starts["warm"]:
        middle = {key: statistics.median(start[key] for start in starts["warm"]) for key in starts["warm"][0]}
        rows.append(
            (
                f"warm start, median of {len(starts['warm'])}: generates / with index",
                f"{middle['generates_s']:.1f} s / {middle['ready_s']:.1f} s",
            )
        )
    for key, what in (("compute_ms", "compute"), ("verify_ms", "verify"), ("request_ms", "whole request")):
        value = edits[key]
        rows.append((f"edit, {what}: p50 / p95 of {edits['count']}", f"{value['p50']:.0f} ms / {value['p95']:.0f} ms"))
    names = {"none": "without edits", "one": "with 1 active edit", "all": f"with {made['active']} active edits"}
    for key, what in names.items():
        rate = made["tokens_per_s"][key]
        rows.append(
            (
                f"generation {what}: median (range)",
                f"{rate['p50']:.1f} ({rate['min']:.1f} to {rate['max']:.1f}) tokens/s",
            )
        )
    size, memory = made["edit_bytes"], edits["memory_mib"]
    rows += [
        (
            "one edit on disk: median (range)",
            f"{size['p50'] / 1e3:.0f} kB ({size['min'] / 1e3:.0f} to {size['max'] / 1e3:.0f})",
        ),
        (f"resident memory, started / after {edits['count']} edits", f"{memory['before']} MiB / {memory['after']} MiB"),
    ]
    setting = (
        f"{made['model']} in {made['dtype']}, {made['threads']} threads on {where['cores']} cores "
        f"({where['processor']}, load {where['load_before']:.1f} before), torch {where['torch']}; "
        f"{made['tokens']} tokens an answer, greedy, {made['rounds']} rounds, with the edit of the prompt in force; "
        f"{edits['hold']} of the {edits['count']} edits held."
    )
    return "\n".join(["| what | measured |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows), "", setting])


def main() -> None:
    """Measure everything in one home."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="an empty or new directory (default: a temporary one)")
    parser.add_argument("--edits", type=int, default=100, help="how many edits are made")
    parser.add_argument("--tokens", type=int, default=64, help="tokens of each answer")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of generation")
    parser.add_argument("--warm-starts", type=int, default=3, help="starts after the first")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
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
        readme = README.read_text(encoding="utf-8")
        README.write_text(f"{readme.split(BEGIN)[0]}{BEGIN}\n{text}\n{END}{readme.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
