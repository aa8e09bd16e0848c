"""The figures of an evaluation, counted from its verdicts, as a document and as tables."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from service.evaluation.editing.verdicts import KINDS, WANTED, EditVerdicts, Fluency, PassageDrift, Verdict
from service.evaluation.statistics import Proportion, quantile

TARGETS = {
    "efficacy": 0.99,
    "chat": 0.96,
    "statement": 0.88,
    "same_subject": 0.90,
    "same_relation": 0.95,
    "unrelated": 0.99,
}
DRIFT_TARGET = 0.1  # per cent of perplexity
_WORST = 5  # relations in the console

Document = Mapping[str, Any]


def summary(edits: Sequence[EditVerdicts]) -> dict[str, Any]:
    """What a set of examples gave: how its edits were made, and shares, drift and fluency of each selection."""
    editors = dict.fromkeys(one.editor for one in edits)
    ways = dict.fromkeys(verdict.way for one in edits for verdict in one.verdicts)
    return {
        "edits": sum(one.editor == next(iter(editors), None) for one in edits),
        "made": {editor: _made([one for one in edits if one.editor == editor]) for editor in editors},
        "ways": {way: _way(edits, way) for way in ways},
    }


def _made(edits: Sequence[EditVerdicts]) -> dict[str, Any]:
    times = [one.compute_ms for one in edits if one.compute_ms is not None]
    return {
        "edits": len(edits),
        "refused": sum(one.refused for one in edits),
        "refined": sum(one.refinements > 0 for one in edits),
        "compute_ms": {"p50": quantile(times, 0.5), "p95": quantile(times, 0.95)} if times else None,
    }


def _way(edits: Sequence[EditVerdicts], way: str) -> dict[str, Any]:
    pairs = [(one, verdict) for one in edits for verdict in one.verdicts if verdict.way == way]
    readings = [reading for one in edits for reading in one.readings if reading.way == way]
    return {
        "kinds": _kinds([verdict for _, verdict in pairs]),
        "relations": _by(pairs, lambda one: one.relation),
        "forms": _by(pairs, lambda one: one.form),
        "drift": drift(readings) if readings else None,
        "fluency": _fluency([fluency for one in edits for fluency in one.fluency if fluency.way == way]),
    }


def _fluency(texts: Sequence[Fluency]) -> dict[str, Any] | None:
    """Mean n-gram entropy without and with the edits."""
    if not texts:
        return None
    before, after = (sum(of) / len(texts) for of in zip(*((one.before, one.after) for one in texts), strict=True))
    return {"before": round(before, 3), "after": round(after, 3), "texts": len(texts)}


def _by(pairs: Iterable[tuple[EditVerdicts, Verdict]], group: Callable[[EditVerdicts], str]) -> dict[str, Any]:
    groups: dict[str, list[Verdict]] = defaultdict(list)
    for one, verdict in pairs:
        groups[group(one)].append(verdict)
    return {name: _kinds(groups[name]) for name in sorted(groups)}


def _kinds(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in KINDS:
        own = [verdict for verdict in verdicts if verdict.kind == kind]
        forced = [verdict.forced for verdict in own if verdict.forced is not None]
        if own:
            found[kind] = Proportion.of(verdict.hit for verdict in own).document()
        if forced:
            found[kind]["teacher_forced"] = Proportion.of(forced).document()
    return found


def drift(readings: Sequence[PassageDrift]) -> dict[str, Any]:
    """Perplexity over all tokens read, without and with edits, the change in per cent, and KL for each token."""
    tokens = sum(reading.tokens for reading in readings)
    before, after = (math.exp(sum(of) / tokens) for of in zip(*((r.before, r.after) for r in readings), strict=True))
    return {
        "perplexity": {"before": round(before, 4), "after": round(after, 4)},
        "per_cent": round((after / before - 1) * 100, 4),
        "kl_per_token": round(sum(reading.kl for reading in readings) / tokens, 6),
        "passages": len(readings),
        "tokens": tokens,
    }


def tables(sets: Mapping[str, Document]) -> str:
    """Markdown: shares of free generation, then what stands beside them, then how the edits were made."""
    return "\n".join([*_shares(sets), "", *_beside(sets), "", *_notes(sets)])


def _shares(sets: Mapping[str, Document]) -> Iterator[str]:
    yield from _head(("edits of", "way", *KINDS))
    for name, found in sets.items():
        for way, figures in found["ways"].items():
            yield _row(_named(name, found), way, *(_share(figures["kinds"].get(kind)) for kind in KINDS))
    yield _row("", "target", *(f"≥ {TARGETS[kind]:.2f}" for kind in KINDS))


def _beside(sets: Mapping[str, Document]) -> Iterator[str]:
    forced = (f"teacher-forced {kind}" for kind in WANTED)
    yield from _head(("edits of", "way", *forced, "perplexity", "KL per token", "n-gram entropy"))
    for name, found in sets.items():
        for way, figures in found["ways"].items():
            shares = (_share(figures["kinds"].get(kind, {}).get("teacher_forced")) for kind in WANTED)
            drifted, fluency = figures["drift"], figures["fluency"]
            change = f"{drifted['per_cent']:+.2f} %" if drifted else "–"
            divergence = f"{drifted['kl_per_token']:.4f}" if drifted else "–"
            entropy = f"{fluency['before']:.2f} → {fluency['after']:.2f}" if fluency else "–"
            yield _row(_named(name, found), way, *shares, change, divergence, entropy)
    yield _row("", "target", *("" for _ in WANTED), f"< {DRIFT_TARGET} %", "", "")


def _notes(sets: Mapping[str, Document]) -> Iterator[str]:
    for name, found in sets.items():
        for editor, made in found["made"].items():
            times = made["compute_ms"]
            took = f"; compute p50 {times['p50']:.0f} ms, p95 {times['p95']:.0f} ms" if times else ""
            yield f"{name}, {editor}: {made['edits']} edits, {made['refused']} refused, {made['refined']} refined{took}"
        way, figures = next(iter(found["ways"].items()), ("", {"relations": {}}))
        worst = sorted(wanted_shares(figures["relations"]).items(), key=lambda pair: (pair[1].rate, pair[0]))
        listed = [f"{relation} {share.rate:.2f} ({share.hits} of {share.trials})" for relation, share in worst]
        yield f"{name}, {way}, relations that hold worst: {', '.join(listed[:_WORST]) or 'none'}"


def wanted_shares(groups: Mapping[str, Document], kinds: Sequence[str] = WANTED) -> dict[str, Proportion]:
    """Of each group (relations, say) the share over all of these kinds together, where there are any."""
    summed = {
        name: Proportion(*(sum(of[kind][part] for kind in kinds if kind in of) for part in ("hits", "trials")))
        for name, of in groups.items()
    }
    return {name: share for name, share in summed.items() if share.trials}


def _share(figures: Document | None) -> str:
    return f"{figures['rate']:.2f} ({figures['low']:.2f}–{figures['high']:.2f})" if figures else "–"


def _named(name: str, found: Document) -> str:
    return f"{name} (n = {found['edits']})"


def _head(cells: Sequence[str]) -> tuple[str, str]:
    return _row(*cells), "|---" * len(cells) + "|"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
