"""Ten thousand live edits: do they hold, do they leave each other alone, and what do they cost?

``python -m benchmarks.ten_thousand --data DATA --home DIR`` makes the corrections in a service of its own (hours; it
goes on where it was interrupted), asks about the first of them, which training has not seen, with 1, 10, 100, … edits
in force, and prints tables; with ``--write`` they go between two markers in README.md and the plot beside the model
card. Everything is asked over HTTP, greedily, of the served model as anybody is served. ``--unscoped FILE`` adds what
``benchmarks.unscoped`` measured on the same corrections.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks.asking import KEPT, WANTED, Asked, Questions
from benchmarks.corrections import draw_corrections
from benchmarks.costs import costs_table, measure_costs
from benchmarks.many import Stand, log, make_all, stands
from benchmarks.serving import serving
from editing.data.facts import Example
from service.evaluation.statistics import Proportion

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- ten thousand: begin -->", "<!-- ten thousand: end -->"
PLOT = Path(__file__).parent / "ten_thousand.png"
KINDS = (*WANTED, *KEPT)
NAMES = {
    "edit": "efficacy",
    "chat": "chat",
    "statement": "statement",
    "same_subject": "same subject",
    "same_relation": "same relation",
    "unrelated": "unrelated",
}
GROUPS = {"subject": "unseen subjects", "relation": "unseen relations"}
Figures = dict[str, Any]


def ask_all(
    client: httpx.Client, examples: Sequence[Example], options: argparse.Namespace, found: Mapping[int, list[Stand]]
) -> list[Asked]:
    """Everything that is asked, answered."""
    questions = Questions(client, examples, options.home / "asked.jsonl", options.ways)
    for size, several in found.items():
        for stand in several:
            which = [n for n in stand.ids if n < options.asked]
            questions.ask(stand, which, lambda n, of, size=size: _say(f"{size} in force: {n} of {of} prompts"))  # type: ignore[misc]
    return [one for one in questions.done if one.in_force in found and one.which < options.asked]


def shares(asked: Sequence[Asked]) -> dict[int, dict[str, Proportion]]:
    """By edits in force and kind."""
    sizes = sorted({one.in_force for one in asked})
    return {
        size: {kind: _share([a for a in asked if (a.in_force, a.kind) == (size, kind)]) for kind in KINDS}
        for size in sizes
    }


def _share(asked: Sequence[Asked]) -> Proportion:
    return Proportion(sum(one.good for one in asked), len(asked))


def table(asked: Sequence[Asked]) -> Iterator[str]:
    """All together, then those of subjects and of relations that training has not seen."""
    yield "| edits in force | corrections asked | " + " | ".join(NAMES[kind] for kind in KINDS) + " |"
    yield "|---|---|" + "---|" * len(KINDS)
    for group in (None, *GROUPS):
        chosen = [one for one in asked if group in (None, one.group)]
        if group:
            yield f"| *{GROUPS[group]}* |" + " |" * (len(KINDS) + 1)
        for size, of in shares(chosen).items():
            count = len({one.which for one in chosen if one.in_force == size})
            yield f"| {size:,} | {count} | " + " | ".join(f"{of[kind].rate:.3f}" for kind in KINDS) + " |"


def decisions(asked: Sequence[Asked]) -> Iterator[str]:
    """What the scope decided, whatever the model said."""
    yield "| edits in force | " + " | ".join(f"{NAMES[kind]}: own / other" for kind in KINDS) + " |"
    yield "|---|" + "---|" * len(KINDS)
    for size in sorted({one.in_force for one in asked}):
        cells = []
        for kind in KINDS:
            of = [one for one in asked if (one.in_force, one.kind) == (size, kind)]
            own, other = (sum(getattr(one, name) for one in of) / max(1, len(of)) for name in ("own", "other"))
            cells.append(f"{own:.3f} / {other:.3f}")
        yield f"| {size:,} | " + " | ".join(cells) + " |"


def _say(text: str) -> None:
    print(f"\r{time.strftime('%H:%M:%S')} {text}   ", end="", file=sys.stderr, flush=True)


def plot(asked: Sequence[Asked], unscoped: Sequence[Figures], image: Path) -> None:
    """Shares by number of edits: the service's on the left, beside it what acts without scope."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.2), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    found = shares(asked)
    for kind in KINDS:
        rates = {size: of[kind] for size, of in found.items()}
        low, high = zip(*(share.interval for share in rates.values()), strict=True)
        (line,) = axes[0].plot(list(rates), [share.rate for share in rates.values()], marker="o", label=NAMES[kind])
        axes[0].fill_between(list(rates), low, high, alpha=0.12, color=line.get_color())
    for axis, kind, title in ((axes[1], "efficacy", "efficacy"), (axes[2], "same_relation", "same relation kept")):
        own = "edit" if kind == "efficacy" else kind
        axis.plot(list(found), [of[own].rate for of in found.values()], marker="o", color="black", label="Errata")
        for method in dict.fromkeys(one["method"] for one in unscoped):
            points = {one["n"]: one[kind] for one in unscoped if one["method"] == method}
            axis.plot(list(points), list(points.values()), marker=".", linestyle="--", label=method)
        axis.set_title(title)
    axes[0].set(title="Errata, with 95 % intervals", ylabel="share of prompts", ylim=(-0.03, 1.03))
    for axis in axes:
        axis.set(xscale="log", xlabel="edits in force")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.savefig(image, dpi=110)


def report(asked: Sequence[Asked], cost: Figures | None, unscoped: Sequence[Figures]) -> str:
    """The tables in Markdown."""
    parts = ["\n".join(table(asked)), "What the scope decided (share of prompts):", "\n".join(decisions(asked))]
    if cost:
        parts.append("\n".join(costs_table(cost)))
    if unscoped:
        parts += ["Without scope, all changes at once, on the same corrections:", "\n".join(_unscoped(unscoped))]
    return "\n\n".join(parts)


def _unscoped(figures: Sequence[Figures]) -> Iterator[str]:
    kinds = ("efficacy", "chat", *KEPT)
    yield "| method | edits in force | " + " | ".join(NAMES.get(kind, kind) for kind in kinds) + " |"
    yield "|---|---|" + "---|" * len(kinds)
    for one in figures:
        yield f"| {one['method']} | {one['n']:,} | " + " | ".join(f"{one[kind]:.2f}" for kind in kinds) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Ten thousand live edits, asked about over HTTP.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True, help="lasts; the model is taken from there if it is there")
    parser.add_argument("--edits", type=int, default=10_000)
    parser.add_argument("--asked", type=int, default=200, help="of how many corrections prompts are asked")
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--ways", type=int, default=8, help="requests under way together")
    parser.add_argument("--unscoped", type=Path, help="JSON of benchmarks.unscoped")
    parser.add_argument("--costs", action="store_true", help="measure start, memory, disk and speed as well")
    parser.add_argument("--read", action="store_true", help="make nothing; ask about what the log has")
    parser.add_argument("--write", action="store_true", help="put the tables into README.md and draw the plot")
    options = parser.parse_args()
    examples = draw_corrections(options.data, options.edits, options.seed).examples
    with serving(options.home) as server, httpx.Client(base_url=server.url, timeout=3600) as client:
        if not options.read:
            make_all(client, examples, _say)
        found = stands(log(client))
        asked = ask_all(client, examples, options, found)
    cost = measure_costs(options.home, max(s.revision for of in found.values() for s in of)) if options.costs else None
    unscoped = json.loads(options.unscoped.read_text()) if options.unscoped else []
    text = report(asked, cost, unscoped)
    print(f"\n{text}")
    if options.write:
        before, rest = README.read_text(encoding="utf-8").split(BEGIN)
        README.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")
        plot(asked, unscoped, PLOT)


if __name__ == "__main__":
    main()
