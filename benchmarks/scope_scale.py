"""What ten thousand edits cost: the scope decision, the state as of a revision, the start, and bytes per edit.

``python -m benchmarks.scope_scale [--edits 10000] [--home DIR]`` writes a ledger of made-up facts into a scratch home,
or uses the one that it wrote there before, and prints tables. No language model is loaded: what is timed is ours alone.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from editing.edit import EditRequest, LowRankDelta
from editing.ledger.events import Draft
from editing.ledger.history import History
from editing.ledger.ledger import Ledger
from editing.ledger.state import fold
from editing.scope.index import ScopeIndex
from editing.scope.model import ScopeModel, load_scope_model
from editing.scope.vector_cache import VectorCache
from editing.scope.vectors import WordingVectors
from editing.store import EditStore
from retrieval.encoders.encoder import Encoder, locate_encoder
from service.edits.registry import EditRegistry
from service.edits.stored_request import stored_request
from service.engines.compute_thread import ComputeThread

PRETRAINED = Path(__file__).parents[1] / "editing" / "pretrained" / "smollm2-135m-instruct"
SYLLABLES = (
    "ba",
    "dor",
    "el",
    "fen",
    "gra",
    "hul",
    "is",
    "kor",
    "lan",
    "mir",
    "nov",
    "os",
    "pel",
    "quar",
    "ros",
    "tan",
)
ASKED = (
    ("What is the capital of {}?", "Tell me the capital city of {}."),
    ("Who founded {}?", "By whom was {} founded?"),
    ("What currency is used in {}?", "Which money do people pay with in {}?"),
    ("When was {} founded?", "In which year was {} established?"),
    ("Who is the president of {}?", "Name the president of {}."),
    ("What is the largest river in {}?", "Which river of {} is the biggest?"),
    ("What language is spoken in {}?", "Which language do the people of {} speak?"),
    ("What is the highest mountain of {}?", "Name {}'s tallest mountain."),
)
SIZES = (1, 100, 1_000, 10_000)
ELSEWHERE = ("How do I bake bread?", "Write a short poem about rain.", "What is 12 times 12?", "Why is the sky blue?")


class Clock:
    """Sums the processor time of the calls of a function; with one thread it does not depend on who else computes."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call, self.seconds = call, 0.0

    def __call__(self, *args: Any, **named: Any) -> Any:
        began = time.thread_time()
        try:
            return self.call(*args, **named)
        finally:
            self.seconds += time.thread_time() - began


def facts(count: int) -> list[tuple[EditRequest, str]]:
    """Requests, and for each a prompt that asks the same in other words."""
    names = ["".join(parts).capitalize() for parts in product(SYLLABLES, repeat=3)]
    random.Random(0).shuffle(names)
    pairs = [(ask.format(name), other.format(name)) for name in names for ask, other in ASKED]
    return [(EditRequest(ask, f"Answer {n}"), other) for n, (ask, other) in enumerate(pairs[:count])]


def write(home: Path, scope: ScopeIndex, count: int) -> None:
    """A ledger of so many edits, three of ten of them rolled back in the end, and their vectors."""
    deltas = {"layer": LowRankDelta(torch.ones(1, 4), torch.ones(4, 1))}
    report = {"before": "A. " * 20, "after": "B", "efficacy": True, "compute_ms": 1.5, "verify_ms": 1.5} | {
        name: {"total": 2, "cases": [{"prompt": "p " * 20, "answer": "a " * 20, "match": "exact"}] * 2}
        for name in ("generalization", "locality")
    }
    factors = EditStore(home / "edits").save(deltas, "benchmark")
    with Ledger(f"sqlite:///{home / 'ledger.db'}") as ledger:
        for n, (request, _) in enumerate(facts(count)):
            asked = stored_request(request)
            ledger.append(Draft("apply", f"ed_{n:032x}", request=asked, report=report, factors=factors), n)
        gone = random.Random(1).sample(range(count), count * 3 // 10)
        for n, ordinal in enumerate(gone, count):
            ledger.append(Draft("rollback", f"ed_{ordinal:032x}"), n)
    scope.add_all([(f"{n}", request) for n, (request, _) in enumerate(facts(count))])


def scope_of(home: Path, encoder: Encoder, model: ScopeModel) -> ScopeIndex:
    file = VectorCache(home / "scope", encoder.digest, encoder.dimension)
    return ScopeIndex(model, encoder.encode, encoder.dimension, WordingVectors(encoder.encode, file))


def decisions(home: Path, encoder: Encoder, model: ScopeModel, count: int) -> Iterator[str]:
    """A line for each number of edits, with all in force and with three of ten rolled back."""
    made = facts(count)
    yield "processor time\nedits    in force   all ms   encoder ms   read ms   all else ms   found %"
    for size in (size for size in SIZES if size <= count):
        scope = scope_of(home, encoder, model)
        scope.add_all([(f"{n}", request) for n, (request, _) in enumerate(made[:size])])
        chosen = random.Random(2).sample(range(size), min(size, 96))
        prompts = [*((n, made[n][1]) for n in chosen), *((-1, text) for text in ELSEWHERE)]
        some = np.ones(size, bool)
        some[random.Random(1).sample(range(size), size * 3 // 10)] = False
        for mask in (np.ones(size, bool), some) if size > 1 else (np.ones(size, bool),):
            yield _decided(scope, mask, prompts)


def _decided(scope: ScopeIndex, mask: Any, prompts: Sequence[tuple[int, str]]) -> str:
    scope.best(prompts[0][1], mask)  # warm
    encode, read, whole = Clock(scope.vectorise), Clock(scope.model.logits), Clock(scope.best)
    scope.vectorise = encode
    object.__setattr__(scope.model, "logits", read)
    found = [(n, whole(text, mask)) for n, text in prompts]
    scope.vectorise = encode.call
    object.__setattr__(scope.model, "logits", read.call)
    right = [(match is not None and match.edit_id == f"{n}") == (n >= 0 and bool(mask[n])) for n, match in found]
    each = 1000 / len(prompts)
    rest = whole.seconds - encode.seconds - read.seconds
    return (
        f"{len(mask):6,}   {int(mask.sum()):8,}   {whole.seconds * each:6.2f}   {encode.seconds * each:10.2f}   "
        f"{read.seconds * each:7.2f}   {rest * each:11.2f}   {100 * sum(right) / len(right):7.1f}"
    )


def one_wording(encoder: Encoder, model: ScopeModel, count: int) -> str:
    """Every edit of the same question: a prompt near it among all of them."""
    scope = ScopeIndex(model, encoder.encode, encoder.dimension)
    scope.add_all([(f"{n}", EditRequest("What is the capital of Dorne?", "x")) for n in range(count)])
    same, other = Clock(scope.best), Clock(scope.best)
    for _ in range(10):
        same("What is the capital of Dorne?", np.ones(count, bool))
        other("Name the capital city of Dorne.", np.ones(count, bool))
    times = f"the same wording {same.seconds * 100:.2f} ms, another one {other.seconds * 100:.2f} ms"
    return f"{count:,} edits of one question: {times}"


def states(home: Path) -> Iterator[str]:
    with Ledger(f"sqlite:///{home / 'ledger.db'}") as ledger:
        events = ledger.events()
    clock = Clock(History)
    history = clock(events)
    yield f"history of {history.revision:,} events: {clock.seconds * 1000:.0f} ms"
    at = random.Random(3).sample(range(history.revision), 200)
    quick, plain = Clock(lambda n: history.state(n).in_force), Clock(lambda n: fold(events[:n]).in_force)
    for n in at:
        quick(n)
    for n in at[:5]:
        plain(n)
    yield f"a state as of a revision: {quick.seconds * 5:.3f} ms (by the plain fold: {plain.seconds * 200:.1f} ms)"


def start(home: Path) -> dict[str, float]:
    """Seconds of processor time of each part of a start on a home, and the memory that it takes."""
    torch.set_num_threads(1)
    encoder, model = Encoder.load(), load_scope_model(locate_encoder())
    encoder.encode(["warm"])
    before, took = resident(), dict[str, float]()
    began, busy = time.perf_counter(), time.process_time()
    scope = scope_of(home, encoder, model)
    took["vector file opened"] = time.process_time() - busy
    enter = scope.add_all = Clock(scope.add_all)  # type: ignore[method-assign]
    with Ledger(f"sqlite:///{home / 'ledger.db'}") as ledger, closing(ComputeThread(1)) as compute:
        read = ledger.events = Clock(ledger.events)  # type: ignore[method-assign]
        registry = EditRegistry(ledger, EditStore(home / "edits"), scope, compute)
        took |= {"all": time.process_time() - busy, "all, by the wall clock": time.perf_counter() - began}
        took |= {"ledger read": read.seconds, "wordings indexed": enter.seconds}
        took["edits in force"] = int(registry.refresh().in_force.sum())
    return took | {"resident MB": (resident() - before) / 1e6}


def resident() -> float:
    """Bytes of this process in memory (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096.0


def started(home: Path) -> dict[str, float]:
    """``start`` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scope_scale", "--start", str(home)]
    answer: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return answer


def main(home: Path, count: int) -> None:
    torch.set_num_threads(1)
    encoder, model = Encoder.load(), load_scope_model(locate_encoder())
    if not (home / "ledger.db").exists():
        began = time.perf_counter()
        home.mkdir(parents=True, exist_ok=True)
        write(home, scope_of(home, encoder, model), count)
        print(f"{count:,} edits written and embedded in {time.perf_counter() - began:.0f} s", flush=True)
    for line in (*decisions(home, encoder, model, count), one_wording(encoder, model, count), *states(home)):
        print(line, flush=True)
    with tempfile.TemporaryDirectory() as empty:
        none = started(Path(empty))
    full = started(home)
    for name in full:
        print(f"start, {name}: {full[name]:.2f} (without edits {none[name]:.2f})")
    vectors, ledger = sum(p.stat().st_size for p in (home / "scope").iterdir()), (home / "ledger.db").stat().st_size
    print(f"bytes per edit on disk: vectors {vectors / count:,.0f}, ledger {ledger / count:,.0f}")
    print(f"bytes per edit resident: {(full['resident MB'] - none['resident MB']) * 1e6 / count:,.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=10_000)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.start:
        print(json.dumps(start(chosen.start)))
    elif chosen.home:
        main(chosen.home, chosen.edits)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch), chosen.edits)
