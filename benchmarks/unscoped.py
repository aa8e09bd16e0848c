"""What is left of corrections when nothing decides where each of them acts: other editors, and ours without scope.

``python -m benchmarks.unscoped --data DATA --write unscoped.json`` takes the first corrections of the main benchmark
(``benchmarks.corrections``), puts 1, 10, 100, … of them in force for every prompt, asks by free generation, and prints
a table. What each editor's change of many corrections is, ``benchmarks.sums`` says. An interrupted run goes on from its
file.

With 1 in force, each of the first twenty is so in turn; with 10, there are two blocks of ten; with more, one block. One
is served in factors, a sum as a dense matrix for each layer, added up in float32. An editor that keeps less than one in
twenty of its corrections is not taken further. Efficacy and chat: exactly the wanted answer, as verification has it;
the others: the same text as from the unedited model.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.corrections import draw_corrections
from benchmarks.document import head, row
from benchmarks.prompt_outcomes import KEPT, LONGEST, WANTED, prompts
from benchmarks.sums import EDITORS, Editor, Job, Sum
from editing.data.facts import Example
from editing.edit import Deltas, Edit, EditRequest
from editing.language.views import View
from editing.model.sequences import edit_sequences
from editing.model.side_path import edited
from editing.verify import match
from service.engines.protocol import SamplingParams
from service.evaluation.scratch_service import scratch_service
from service.pipeline import Pipeline
from service.settings import Settings

SEED = 77  # of the corrections, as in the main benchmark
ALONE = 20
COLLAPSED = 0.05
KINDS = {"edit": "efficacy", "chat": "chat", **{kind: kind for kind in KEPT}}  # and their names in the results
LONGER = {"fine-tuning": 100}  # largest n of an editor that takes too long for more

Result = dict[str, Any]


class Comparison:
    """Puts corrections in force for every prompt, and asks about some of them.

    Args:
        asked: of how many corrections at most, for each n.
    """

    def __init__(self, served: Pipeline, data: Path, examples: Sequence[Example], asked: int) -> None:
        self.served, self.data, self.examples, self.asked = served, data, examples, asked
        self._editors: dict[str, Editor] = {}
        self._unedited: dict[View, str] = {}

    def measure(self, name: str, n: int) -> Result:
        """Shares of prompts that gave the wanted answer, or kept theirs, and the counts behind them."""
        began = time.perf_counter()
        hits: dict[str, list[bool]] = {kind: [] for kind in KINDS}
        editor, asked = self._editor(name), 0
        for which, deltas, total in self._in_force(editor, n):
            asked += len(which)
            for kind, good in self._judged(which, deltas, total):
                hits[kind].append(good)
        shares = {KINDS[kind]: round(sum(good) / max(len(good), 1), 4) for kind, good in hits.items()}
        counts = {KINDS[kind]: [sum(good), len(good)] for kind, good in hits.items()}
        took = round(time.perf_counter() - began)
        collapsed = shares["efficacy"] < COLLAPSED
        return {"method": name, "n": n, "asked": asked, **shares, "counts": counts, "collapsed": collapsed, "s": took}

    def _in_force(self, editor: Editor, n: int) -> Iterator[tuple[Sequence[int], Mapping[int, Deltas], Sum]]:
        """For each block: the corrections to ask about, the change of each prompt's own, and what acts on all."""
        run, few = self.served.compute.run, min(ALONE, len(self.examples))
        if n == 1:
            yield range(few), {i: run(editor.alone, self._job(i)) for i in range(few)}, Sum()
            return
        blocks = [range(at, at + n) for at in range(0, max(few, n), n)]
        for block in blocks:
            total = run(editor.together, self.served.base.model, [self._job(i) for i in block])
            yield spread(block, self.asked // len(blocks)), {}, total

    def _judged(self, which: Sequence[int], deltas: Mapping[int, Deltas], total: Sum) -> Iterator[tuple[str, bool]]:
        rows = [(i, kind, view) for i in which for kind, view in prompts(self.examples[i]) if kind in KINDS]
        missing = list(dict.fromkeys(v for _, kind, v in rows if kind in KEPT and v not in self._unedited))
        self._unedited |= zip(missing, self._said(missing, [{}] * len(missing)), strict=True)
        with edited(self.served.base.model, total.paths(self.served.base.model.dtype)):
            said = self._said([view for *_, view in rows], [deltas.get(i, {}) for i, *_ in rows])
        for (i, kind, view), text in zip(rows, said, strict=True):
            held = match(text, self.examples[i].target) == "exact"
            yield kind, held if kind in WANTED else text == self._unedited[view]

    def _said(self, views: Sequence[View], deltas: Sequence[Deltas]) -> list[str]:
        encoder = self.served.prompts.encoder
        edits = [[Edit("", EditRequest("", ""), own)] if own else [] for own in deltas]
        ids = [encoder.prompt(view.text, view.raw) for view in views]
        return [made.text for made in self.served.engine.generate(ids, edits, SamplingParams(max_tokens=LONGEST))]

    def _job(self, i: int) -> Job:
        example, prompts = self.examples[i], self.served.prompts
        request = EditRequest(example.edit.text, example.target, raw=example.edit.raw)
        return edit_sequences(prompts.encoder, request, prompts.context)

    def _editor(self, name: str) -> Editor:
        if name not in self._editors:
            self._editors[name] = EDITORS[name](self.served, self.data)
        return self._editors[name]


def spread(items: Sequence[int], n: int) -> Sequence[int]:
    """At most ``n`` of them, evenly chosen."""
    n = min(n, len(items))
    return [items[k * len(items) // n] for k in range(n)]


def wanted(name: str, n: int, found: Sequence[Result]) -> bool:
    """Whether this is still to be measured."""
    own = [one for one in found if one["method"] == name]
    done = any(one["n"] == n for one in own)
    return not done and n <= LONGER.get(name, n) and not any(one["collapsed"] for one in own if one["n"] < n)


def table(found: Sequence[Result]) -> Iterator[str]:
    """In Markdown; an editor that collapsed was not continued."""
    yield head("method", "edits in force", "asked", *(kind.replace("_", " ") for kind in KINDS.values()))
    for name in EDITORS:
        own = sorted((one for one in found if one["method"] == name), key=lambda one: int(one["n"]))
        for one in own:
            yield row(name, f"{one['n']:,}", one["asked"], *(f"{one[kind]:.2f}" for kind in KINDS.values()))
        if own and own[-1]["collapsed"]:
            yield f"| {name} | more | not continued |" + " |" * len(KINDS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--write", type=Path, required=True, help="JSON file of the results, gone on from if it exists")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--methods", nargs="+", default=list(EDITORS), choices=EDITORS)
    parser.add_argument("--asked", type=int, default=40, help="of how many corrections at most, for each number")
    options = parser.parse_args()
    found: list[Result] = json.loads(options.write.read_text()) if options.write.exists() else []
    examples = draw_corrections(options.data, 10_000, SEED).examples
    with scratch_service(Settings(threads=1)) as served:
        comparison = Comparison(served, options.data, examples, options.asked)
        for n in options.sizes:
            for name in options.methods:
                if wanted(name, n, found):
                    found.append(comparison.measure(name, n))
                    options.write.write_text(json.dumps(found, indent=1) + "\n")
                    print(json.dumps(found[-1]), flush=True)
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
