"""``errata evaluate``: edits of facts that were not trained on, judged by free generation as it is served.

Each edit is made, its prompts are asked, and it is rolled back again; ``cumulative`` leaves all edits in force and asks
afterwards. The editor alone is judged beside it: the same prompts with the edit acting whatever its scope.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from editing.data import Example
from editing.edit import EditRequest
from editing.verify import match
from editing.views import View
from service.engines import SamplingParams
from service.usecases import EditOptions, GenerateQuery, UseCases

WANTED = ("efficacy", "chat", "statement")
KEPT = ("same_subject", "same_relation", "unrelated")


@dataclass
class Tally:
    """Successes and trials of each kind of prompt."""

    hits: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    trials: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, kind: str, hit: bool) -> None:
        self.hits[kind] += hit
        self.trials[kind] += 1

    def rates(self) -> dict[str, float]:
        return {kind: round(self.hits[kind] / n, 4) for kind, n in self.trials.items()}


@dataclass(frozen=True)
class Outcome:
    """What an evaluation found: shares by kind of prompt, with scope and by the editor alone."""

    edits: int
    scoped: Tally
    alone: Tally
    refinements: list[int]
    compute_ms: list[float]

    def document(self) -> dict[str, Any]:
        ordered = sorted(self.compute_ms)
        return {
            "edits": self.edits,
            "scoped": self.scoped.rates(),
            "editor alone": self.alone.rates(),
            "trials": dict(self.scoped.trials),
            "refined": sum(r > 0 for r in self.refinements),
            "compute_ms": {"p50": ordered[len(ordered) // 2], "p95": ordered[int(len(ordered) * 0.95)]},
        }


class Evaluation:
    """Judges edits through the use-cases.

    Args:
        served: a service on an empty home.
        max_tokens: longest answer asked for.
    """

    def __init__(self, served: UseCases, max_tokens: int = 32) -> None:
        self.served, self.params = served, SamplingParams(max_tokens=max_tokens)

    def run(
        self, examples: Sequence[Example], *, cumulative: bool = False, on_edit: Callable[[int], None] | None = None
    ) -> Outcome:
        """Single edits one after the other, or all of them together."""
        outcome = Outcome(len(examples), Tally(), Tally(), [], [])
        made: list[tuple[Example, str]] = []
        for number, example in enumerate(examples, 1):
            result = self.served.edit(
                EditRequest(example.edit.text, example.target, example.edit.raw), EditOptions("evaluation", force=True)
            )
            outcome.refinements.append(result.report["refinements"])
            outcome.compute_ms.append(result.report["compute_ms"])
            assert result.id is not None
            if cumulative:
                made.append((example, result.id))
            else:
                self._judge(example, result.id, outcome)
                self.served.rollback(result.id, "evaluation", None, None)
            if on_edit:
                on_edit(number)
        for example, edit_id in made:
            self._judge(example, edit_id, outcome)
        return outcome

    def _judge(self, example: Example, edit_id: str, outcome: Outcome) -> None:
        wordings = {"efficacy": (example.edit,), "chat": example.chat, "statement": example.statements}
        for kind, views in wordings.items():
            for view in views:
                outcome.scoped.add(kind, self._says(view, example.target, "active"))
                outcome.alone.add(kind, self._says(view, example.target, (edit_id,)))
        for kind in KEPT:
            for view in getattr(example, kind):
                after, used = self._ask(view, "active")
                before = self._ask(view, "none")[0] if used else after  # without an edit it is the unedited model
                outcome.scoped.add(kind, after == before)
                outcome.alone.add(kind, self._ask(view, (edit_id,))[0] == before)

    def _says(self, view: View, wanted: str, edits: Any) -> bool:
        return match(self._ask(view, edits)[0], wanted) == "exact"

    def _ask(self, view: View, edits: Any) -> tuple[str, tuple[str, ...]]:
        answer = self.served.generate(GenerateQuery(self.params, prompt=view.text, raw=view.raw, edits=edits))
        return answer.text, answer.edits_used


def table(outcomes: Iterable[tuple[str, Outcome]]) -> str:
    """Markdown, one row for each set and way."""
    lines = ["| edits of | way | " + " | ".join((*WANTED, *KEPT)) + " |", "|---" * (2 + len(WANTED) + len(KEPT)) + "|"]
    for name, outcome in outcomes:
        for way, tally in (("with scope", outcome.scoped), ("editor alone", outcome.alone)):
            rates = tally.rates()
            cells = [f"{rates[kind]:.2f}" if kind in rates else "–" for kind in (*WANTED, *KEPT)]
            lines.append(f"| {name} (n = {outcome.edits}) | {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
