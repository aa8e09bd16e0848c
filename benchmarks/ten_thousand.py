"""Ten thousand live edits: do they hold, do they leave each other alone, and what do they cost?

``python -m benchmarks.ten_thousand --data DATA --home DIR`` makes the corrections in a service of its own (hours; it
goes on where it was interrupted), asks about the first of them, which training has not seen, with 1, 10, 100, … edits
in force, and prints tables; with ``--write`` they go between two markers in docs/benchmarks.md and the plot beside it.
Everything is asked over HTTP, greedily, of the served model as anybody is served. ``--unscoped FILE`` adds what
``benchmarks.unscoped`` measured on the same corrections.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks import document
from benchmarks.correction_log import EditsAtRevision, make_all, revisions_by_size, service_events
from benchmarks.corrections import draw_corrections
from benchmarks.costs import costs_table, measure_costs
from benchmarks.document import head, row
from benchmarks.prompt_outcomes import KEPT, WANTED, OutcomeCollector, PromptOutcome
from benchmarks.server import serving
from service.cli.terminal.progress import ProgressDisplay
from service.evaluation.statistics import Proportion
from service.progress import ProgressReporter

PLOT = document.BENCHMARKS.with_name("ten_thousand.png")
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
    collector: OutcomeCollector,
    options: argparse.Namespace,
    found: Mapping[int, list[EditsAtRevision]],
    progress: ProgressReporter,
) -> list[PromptOutcome]:
    """Everything that is asked, answered."""
    for size, several in found.items():
        which = [[n for n in at.ids if n < options.asked] for at in several]
        with progress.stage(f"{size} in force", sum(map(len, which)), "corrections") as stage:
            for at, some in zip(several, which, strict=True):
                collector.ask(at, some)
                stage.advance(len(some))
    return [one for one in collector.done if one.in_force in found and one.which < options.asked]


def shares(outcomes: Sequence[PromptOutcome]) -> dict[int, dict[str, Proportion]]:
    """By edits in force and kind."""
    sizes = sorted({one.in_force for one in outcomes})
    return {
        size: {kind: _share([a for a in outcomes if (a.in_force, a.kind) == (size, kind)]) for kind in KINDS}
        for size in sizes
    }


def _share(outcomes: Sequence[PromptOutcome]) -> Proportion:
    return Proportion(sum(one.good for one in outcomes), len(outcomes))


def table(outcomes: Sequence[PromptOutcome]) -> Iterator[str]:
    """All together, then those of subjects and of relations that training has not seen."""
    yield head("edits in force", "corrections asked", *(NAMES[kind] for kind in KINDS))
    for group in (None, *GROUPS):
        chosen = [one for one in outcomes if group in (None, one.group)]
        if group:
            yield f"| *{GROUPS[group]}* |" + " |" * (len(KINDS) + 1)
        for size, of in shares(chosen).items():
            count = len({one.which for one in chosen if one.in_force == size})
            yield row(f"{size:,}", count, *(f"{of[kind].rate:.3f}" for kind in KINDS))


def decisions(outcomes: Sequence[PromptOutcome]) -> Iterator[str]:
    """What the scope decided, whatever the model said."""
    yield head("edits in force", *(f"{NAMES[kind]}: own / other" for kind in KINDS))
    for size in sorted({one.in_force for one in outcomes}):
        cells = []
        for kind in KINDS:
            of = [one for one in outcomes if (one.in_force, one.kind) == (size, kind)]
            own, other = (sum(getattr(one, name) for one in of) / max(1, len(of)) for name in ("own", "other"))
            cells.append(f"{own:.3f} / {other:.3f}")
        yield row(f"{size:,}", *cells)


def plot(outcomes: Sequence[PromptOutcome], unscoped: Sequence[Figures], image: Path) -> None:
    """Shares by number of edits: the service's on the left, beside it what acts without scope."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.2), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    found = shares(outcomes)
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


def report(outcomes: Sequence[PromptOutcome], cost: Figures | None, unscoped: Sequence[Figures]) -> str:
    """The tables in Markdown."""
    parts = ["\n".join(table(outcomes)), "What the scope decided (share of prompts):", "\n".join(decisions(outcomes))]
    if cost:
        parts.append("\n".join(costs_table(cost)))
    if unscoped:
        parts += ["Without scope, all changes at once, on the same corrections:", "\n".join(_unscoped(unscoped))]
    return "\n\n".join(parts)


def _unscoped(figures: Sequence[Figures]) -> Iterator[str]:
    kinds = ("efficacy", "chat", *KEPT)
    yield head("method", "edits in force", *(NAMES.get(kind, kind) for kind in kinds))
    for one in figures:
        yield row(one["method"], f"{one['n']:,}", *(f"{one[kind]:.2f}" for kind in kinds))


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
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md and draw the plot")
    options = parser.parse_args()
    examples = draw_corrections(options.data, options.edits, options.seed).examples
    with (
        serving(options.home) as server,
        httpx.Client(base_url=server.url, timeout=3600) as client,
        ProgressDisplay() as progress,
    ):
        if not options.read:
            make_all(client, examples, progress)
        found = revisions_by_size(service_events(client))
        collector = OutcomeCollector(client, examples, options.home / "asked.jsonl", options.ways)
        outcomes = ask_all(collector, options, found, progress)
    cost = measure_costs(options.home, max(s.revision for of in found.values() for s in of)) if options.costs else None
    unscoped = json.loads(options.unscoped.read_text()) if options.unscoped else []
    text = report(outcomes, cost, unscoped)
    print(f"\n{text}")
    if options.write:
        document.put(text, "ten thousand")
        plot(outcomes, unscoped, PLOT)


if __name__ == "__main__":
    main()
