"""What decoding concurrent answers together brings: tokens a second, and the wait for the first, beside taking turns.

``python -m benchmarks.batching`` asks n different questions at once, every second one of them with a MEND edit of its
own in force, and prints a table; before it, a line on how many answers came out differently in company than alone.
Both ways serve the same requests in the same run, in alternating order, since a machine's speed drifts. Tokens for a
second of processor time hardly depend on what else the machine is doing; tokens a second and the wait for the first
token (median of the requests, and the last one's) do.
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from benchmarks.capitals import capitals
from benchmarks.document import head, row
from editing.edit import Edit, EditRequest
from service.engines.local import LocalEngine
from service.engines.protocol import Generation, Prompt, SamplingParams
from service.evaluation.scratch_service import scratch_service
from service.pipeline import Pipeline
from service.settings import Settings
from service.types.edits import EditOptions
from service.types.generation import GenerateQuery

QUESTIONS = ("What is the capital of {}?", "Tell me about {} in two sentences.", "Which languages are spoken in {}?")

HEAD = (
    "at once",
    "tokens/s, taking turns",
    "together",
    "gain",
    "tokens/CPU-s, taking turns",
    "together",
    "gain",
    "first token (median, last), taking turns",
    "together",
)


@dataclass(frozen=True)
class Request:
    """A question, ready for the engine."""

    prompt: Prompt
    edits: tuple[Edit, ...]


@dataclass
class Figures:
    """Of one number of requests under one way, a value for each round; seconds."""

    tokens_per_s: list[float] = field(default_factory=list)
    tokens_per_cpu_s: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    last_first: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at-once", type=int, nargs="*", default=[1, 2, 4, 8, 16], help="numbers of requests")
    parser.add_argument("--tokens", type=int, default=32, help="of each answer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--passage", type=int, default=0, help="words put before each question, to lengthen prompts")
    parser.add_argument("--width", type=int, default=Settings().batch, help="answers decoded together at most")
    chosen = parser.parse_args()
    params = SamplingParams(max_tokens=chosen.tokens)
    with scratch_service() as served:
        asked = requests(served, max(chosen.at_once), chosen.passage)
        ways = {name: engine(served, width) for name, width in (("turns", 1), ("together", chosen.width))}
        print(setting(served, asked, chosen.tokens, chosen.rounds), flush=True)
        print(compared(ways, asked, params), flush=True)
        print(head(*HEAD), flush=True)
        for n in chosen.at_once:
            print(figures_row(n, measure(ways, asked[:n], params, chosen.rounds)), flush=True)


def requests(served: Pipeline, n: int, words: int) -> list[Request]:
    """Different questions; every second one has an edit of its own country in force."""
    places = capitals()
    made = []
    for at in range(n):
        name, other = places[at][0], places[(at + 7) % len(places)][1]
        edits: tuple[Edit, ...] = ()
        if at % 2:
            result = served.edit(EditRequest(QUESTIONS[0].format(name), other), EditOptions("benchmark", force=True))
            assert result.id is not None
            edits = (served.registry.edit(result.id),)
        text = f"{'word ' * words}{QUESTIONS[at % len(QUESTIONS)].format(name)}"
        prompt = served.prompts.of_query(GenerateQuery(SamplingParams(), text))
        made.append(Request(prompt.ids, edits))
    return made


def engine(served: Pipeline, width: int) -> LocalEngine:
    made = LocalEngine(served.base.model, served.base.tokenizer, served.compute, width)
    if width > 1:
        assert made.compute.run(lambda: made.scheduler.why_apart) is None, made.scheduler.why_apart
    return made


def compared(ways: dict[str, LocalEngine], asked: Sequence[Request], params: SamplingParams) -> str:
    """How many answers in company are not those alone."""
    alone = [answer(ways["turns"], one, params) for one in asked]
    together = at_once([lambda one=one: answer(ways["together"], one, params) for one in asked])  # type: ignore[misc]
    other = sum(one != two for one, two in zip(alone, together, strict=True))
    return f"{other} of {len(asked)} answers, asked all at once, differ from those asked alone.\n"


def answer(engine: LocalEngine, asked: Request, params: SamplingParams) -> Generation:
    return engine.generate([asked.prompt], [asked.edits], params)[0]


def at_once(calls: Sequence[Callable[[], Generation]]) -> list[Generation]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(lambda call: call(), calls))


def measure(
    ways: dict[str, LocalEngine], asked: Sequence[Request], params: SamplingParams, rounds: int
) -> dict[str, Figures]:
    """Every way in every round, after a round that warms up; answers run to their full length."""
    for engine in ways.values():
        engine.end_tokens = set()
    found = {name: Figures() for name in ways}
    for turn in range(rounds + 1):
        for name in list(ways)[:: 1 if turn % 2 else -1]:
            figures = found[name] if turn else Figures()
            one_round(ways[name], asked, params, figures)
    return found


def one_round(engine: LocalEngine, asked: Sequence[Request], params: SamplingParams, figures: Figures) -> None:
    gate = threading.Barrier(len(asked) + 1)
    firsts: list[float] = []

    def ask(one: Request) -> int:
        seen: list[float] = []
        gate.wait()
        began = time.perf_counter()
        (made,) = engine.generate(
            [one.prompt], [one.edits], params, lambda _row, _text: seen.append(time.perf_counter())
        )
        firsts.append((seen or [time.perf_counter()])[0] - began)
        return made.completion_tokens

    with ThreadPoolExecutor(len(asked)) as pool:
        futures = [pool.submit(ask, one) for one in asked]
        gate.wait()
        began, busy = time.perf_counter(), time.process_time()
        tokens = sum(future.result() for future in futures)
        seconds, busy = time.perf_counter() - began, time.process_time() - busy
    figures.tokens_per_s.append(tokens / seconds)
    figures.tokens_per_cpu_s.append(tokens / busy)
    figures.first.append(statistics.median(firsts))
    figures.last_first.append(max(firsts))


def figures_row(n: int, found: dict[str, Figures]) -> str:
    """Of the table; each value is the median of the rounds."""
    cells = [str(n)]
    for name in ("tokens_per_s", "tokens_per_cpu_s"):
        turns, together = (statistics.median(getattr(found[way], name)) for way in ("turns", "together"))
        cells += [f"{turns:.1f}", f"{together:.1f}", f"{together / turns:.2f} ×"]
    for figures in found.values():
        cells.append(f"{statistics.median(figures.first):.2f} s, {statistics.median(figures.last_first):.2f} s")
    return row(*cells)


def setting(served: Pipeline, asked: Sequence[Request], tokens: int, rounds: int) -> str:
    lengths = [len(one.prompt) for one in asked]
    dtype = str(served.base.model.dtype).removeprefix("torch.")
    return (
        f"{served.base.name} in {dtype}, {Settings().compute_threads} threads, load {os.getloadavg()[0]:.1f} before; "
        f"prompts of {min(lengths)} to {max(lengths)} tokens, {tokens} tokens an answer, median of {rounds} rounds."
    )


if __name__ == "__main__":
    main()
