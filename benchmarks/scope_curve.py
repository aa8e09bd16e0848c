"""Precision and recall of the scope decision with 1, 10, … edits in force, from the log of ``benchmarks.ten_thousand``.

``python -m benchmarks.scope_curve --data DATA --home DIR`` asks the scope index alone, no language model: for each
prompt about one of the first corrections, which edit would act, and by how many log-odds. With ``--write`` the table
and the plot go into the editor's model card. A prompt that asks what a correction answers (its rephrasings and
statements) counts as found where that very edit is the best; every other edit that acts counts against precision, as
does any edit that acts on a prompt that must be left alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from benchmarks import document
from benchmarks.correction_log import EditsAtRevision, revisions_by_size
from benchmarks.corrections import draw_corrections
from benchmarks.prompt_outcomes import KEPT, prompts
from editing.data.facts import Example
from editing.editors.checkpoint import PRETRAINED
from editing.ledger.ledger import Ledger
from editing.scope.head import ScopeHead
from editing.store import EditStore
from retrieval.encoders.encoder import Encoder
from service.bootstrap import open_scope
from service.edits.registry import EditRegistry
from service.engines.compute_thread import ComputeThread

DIRECTORY = PRETRAINED / "smollm2-135m-instruct"
BELOW = 8.0  # log-odds under the threshold down to which edits are looked at
AT = (-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 6.0)  # where the table is cut; 0 is the threshold in use


class Decision(NamedTuple):
    """For one prompt: whether its edit should act, whether the best edit is that one, and its log-odds."""

    wanted: bool
    right: bool
    score: float


def decisions(
    registry: EditRegistry, several: Sequence[EditsAtRevision], examples: Sequence[Example], most: int
) -> list[Decision]:
    """Of all prompts about the corrections that are in force there, at most ``most`` of them."""
    found = []
    for at in several:
        state = registry.state(at.revision)
        for n in [n for n in at.ids if n < most]:
            for kind, view in prompts(examples[n]):
                if kind == "edit":
                    continue
                best = next(iter(registry.scope.rank(view.text, state.in_force)), None)
                right = best is not None and best.edit_id == at.ids[n]
                found.append(Decision(kind not in KEPT, right, best.score - BELOW if best else -BELOW))
    return found


def precision_recall(found: Sequence[Decision], threshold: float) -> tuple[float, float]:
    """(precision, recall) where edits act above ``threshold``."""
    fired = [one for one in found if one.score > threshold]
    hits = sum(one.wanted and one.right for one in fired)
    return hits / max(1, len(fired)), hits / max(1, sum(one.wanted for one in found))


def table(found: Mapping[int, Sequence[Decision]]) -> Iterator[str]:
    """Precision / recall by threshold."""
    yield document.head("edits in force", "prompts", *(f"at {cut:+g}" for cut in AT))
    for size, of in found.items():
        pairs = (precision_recall(of, cut) for cut in AT)
        yield document.row(f"{size:,}", len(of), *(f"{p:.3f} / {r:.3f}" for p, r in pairs))


def plot(found: Mapping[int, Sequence[Decision]], image: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 4.2), layout="constrained")
    axis = figure.subplots()
    for size, of in found.items():
        cuts = sorted({min(max(one.score, -BELOW), 30.0) - 1e-6 for one in of})
        points = [precision_recall(of, cut) for cut in cuts]
        (line,) = axis.plot([r for _, r in points], [p for p, _ in points], label=f"{size:,} in force")
        now = precision_recall(of, 0.0)
        axis.plot(now[1], now[0], "o", color=line.get_color())
    axis.set(xlabel="recall", ylabel="precision", title="scope decision (dots: threshold in use)", xlim=(0.5, 1.005))
    axis.set_ylim(0.5, 1.005)
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(image, dpi=110)


def measured(options: argparse.Namespace) -> dict[int, list[Decision]]:
    examples = draw_corrections(options.data, options.edits, options.seed).examples
    ledger_file = f"sqlite:///{options.home / 'ledger.db'}"
    with closing(Ledger(ledger_file)) as ledger, closing(ComputeThread()) as compute:
        found = revisions_by_size(vars(event) for event in ledger.events())
        scope = open_scope(options.home, None, Encoder.load(), print)
        scope.head = ScopeHead.load(DIRECTORY / "scope.safetensors")
        scope.head.threshold -= BELOW
        registry = EditRegistry(ledger, EditStore(options.home / "edits"), scope, compute, print)
        return {size: decisions(registry, several, examples, options.asked) for size, several in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Precision and recall of the scope decision.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True, help="of benchmarks.ten_thousand")
    parser.add_argument("--edits", type=int, default=10_000)
    parser.add_argument("--asked", type=int, default=200)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--write", action="store_true", help="put table and plot into the model card")
    options = parser.parse_args()
    found = measured(options)
    text = "\n".join(table(found))
    print(text)
    if options.write:
        document.put(text, "scope curve", DIRECTORY / "MODEL_CARD.md")
        plot(found, DIRECTORY / "scope_curve.png")


if __name__ == "__main__":
    main()
