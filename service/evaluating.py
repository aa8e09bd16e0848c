"""Runs an evaluation on a service of its own, in this process, on an empty home beside the real one's model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from service.app import build_pipeline
from service.evaluation import KEPT, WANTED, Evaluation, Outcome, table
from service.pipeline import Pipeline
from service.settings import Settings
from service.training import DataSet


def evaluate_command(
    data: Path,
    *,
    edits: int,
    cumulative: bool,
    json_file: Path | None = None,
    image: Path | None = None,
    seed: int = 11,
) -> None:
    """Judge edits of unseen subjects and of unseen relations; print a table, write JSON and a plot."""
    from rich.progress import track

    dataset = DataSet(data)
    sets = {
        "unseen subjects": dataset.judging(("test",), edits, held_out=False, seed=seed),
        "unseen relations": dataset.judging(("train", "dev", "test"), edits, held_out=True, seed=seed),
    }
    outcomes: list[tuple[str, Outcome]] = []
    for name, examples in sets.items():
        with scratch_service() as served:
            steps = iter(track(range(len(examples)), description=name, transient=True))
            next(steps, None)
            outcome = Evaluation(served).run(examples, cumulative=cumulative, on_edit=lambda _, s=steps: next(s, None))  # type: ignore[misc]
        outcomes.append((name, outcome))
    print(table(outcomes))
    document = {
        "cumulative": cumulative,
        "seed": seed,
        "sets": {name: outcome.document() for name, outcome in outcomes},
    }
    print(json.dumps(document))
    if json_file:
        json_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if image:
        draw(outcomes, image)


@contextmanager
def scratch_service(settings: Settings | None = None) -> Iterator[Pipeline]:
    """A service on an empty home that is gone afterwards; the converted model is taken from the real one."""
    chosen = settings or Settings()
    with tempfile.TemporaryDirectory(prefix="errata-") as scratch, ExitStack() as stack:
        for part in ("models", "indexes"):
            (chosen.directory / part).mkdir(parents=True, exist_ok=True)
            Path(scratch, part).symlink_to(chosen.directory / part)
        yield build_pipeline(chosen.model_copy(update={"home": Path(scratch)}), stack, lambda _: None)


def draw(outcomes: list[tuple[str, Outcome]], image: Path) -> None:
    """Bars for each kind of prompt, with scope and by the editor alone."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    kinds = (*WANTED, *KEPT)
    figure, axes = pyplot.subplots(1, len(outcomes), figsize=(6 * len(outcomes), 3.6), sharey=True, squeeze=False)
    for axis, (name, outcome) in zip(axes[0], outcomes, strict=True):
        for shift, (way, tally) in enumerate((("with scope", outcome.scoped), ("editor alone", outcome.alone))):
            rates = tally.rates()
            axis.bar(
                [n + 0.4 * shift for n in range(len(kinds))], [rates.get(k, 0) for k in kinds], width=0.38, label=way
            )
        axis.set_xticks([n + 0.2 for n in range(len(kinds))], kinds, rotation=20)
        axis.set(title=f"{name}, n = {outcome.edits}", ylim=(0, 1.02))
    axes[0][0].legend(loc="lower left")
    figure.tight_layout()
    figure.savefig(image, dpi=120)
    pyplot.close(figure)
