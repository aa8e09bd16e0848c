"""The scope decision on ParaRel facts that no training saw, among up to 10,000 edits; no language model is loaded.

``python -m benchmarks.scope_facts --data DATA`` makes edits of 100 judged facts (unseen subjects and unseen relations)
and of as many others as are asked for, and decides for every prompt of the judged ones. For *chat* and *statement*: the
share that finds its own edit; for the others: the share that finds none. With an edit in force the output is said as it
stands, so these are the shares that an answer over HTTP has as well.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from editing.data.datasets import FactDirectory
from editing.data.facts import Example
from editing.edit import EditRequest
from editing.scope.cross_encoder import Kind
from editing.scope.index import ScopeIndex
from editing.scope.model import load_scope_model
from retrieval.encoders.encoder import Encoder, locate_encoder

KINDS = ("chat", "statements", "same_subject", "same_relation", "unrelated")
WANTED = ("chat", "statements")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--asked", type=int, default=100, help="facts that are judged")
    parser.add_argument("--edits", type=int, nargs="+", default=[100, 1_000, 10_000], help="edits in force")
    parser.add_argument("--model", type=Path, default=None, help="a scope model's directory")
    chosen = parser.parse_args()
    facts, encoder = FactDirectory(chosen.data), Encoder.load(None)
    sets = facts.evaluation(chosen.asked // 2, seed=1)
    judged = [example for examples in sets.values() for example in examples]
    others = edits_beside(facts, judged, max(chosen.edits))
    model = load_scope_model(locate_encoder(), *([chosen.model] if chosen.model else []))
    scope = ScopeIndex(model, encoder.encode, encoder.dimension)
    named = [(f"judged {n}", EditRequest(e.edit.text, e.target)) for n, e in enumerate(judged)]
    scope.add_all(named + [(f"other {n}", request) for n, request in enumerate(others)])
    print("| edits in force | " + " | ".join(KINDS) + " |\n|---" + "|---" * len(KINDS) + "|")
    for count in chosen.edits:
        mask = np.arange(len(named) + len(others)) < count
        print(
            f"| {count:,} | " + " | ".join(f"{share(scope, judged, kind, mask):.3f}" for kind in KINDS) + " |",
            flush=True,
        )


def edits_beside(facts: FactDirectory, judged: Sequence[Example], count: int) -> list[EditRequest]:
    """One correction of each of so many other subjects; none whose question a judged example asks or leaves alone."""
    asked = {view.text for e in judged for kind in KINDS for view in getattr(e, kind)} | {e.edit.text for e in judged}
    every = facts.scope().trained
    random.Random(0).shuffle(every)
    found = {e.edit.text: EditRequest(e.edit.text, e.target) for e in every if e.edit.text not in asked}
    return list(found.values())[: max(0, count - len(judged))]


def share(scope: ScopeIndex, judged: Sequence[Example], kind: str, mask: np.ndarray) -> float:
    right = []
    for n, example in enumerate(judged):
        for view in getattr(example, kind):
            found = scope.best(view.text, mask)
            own = found is not None and found.edit_id == f"judged {n}" and found.kind is Kind.ASKS
            right.append(own if kind in WANTED else found is None)
    return float(np.mean(right))


if __name__ == "__main__":
    main()
