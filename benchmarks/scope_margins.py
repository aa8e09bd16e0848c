"""What the scope model says of corrections kept back, at several margins: which share of each form is in scope.

``python -m benchmarks.scope_margins [--data FILE …]`` reads every prompt of the kept-back corrections beside the input
of its own correction, alone; without ``--data`` those that come with Errata. No language model is loaded.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from editing.data.corrections import OWN, read_corrections
from editing.scope.model import load_scope_model
from editing.training.train_scope import ScopeScores
from retrieval.encoders.encoder import locate_encoder

MARGINS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", default=[OWN])
    parser.add_argument("--language", default="", help="corrections of this language only")
    parser.add_argument("--model", type=Path, default=None, help="a scope model's directory")
    chosen = parser.parse_args()
    kept = [c for c in read_corrections(chosen.data) if c.kept_back and c.language.startswith(chosen.language)]
    model = load_scope_model(locate_encoder(), *([chosen.model] if chosen.model else []))
    scores = ScopeScores.of(model, kept)
    rates = {margin: scores.rates([one + margin for one in model.thresholds]) for margin in MARGINS}
    print(f"{len(kept)} corrections\n\n| in scope | " + " | ".join(f"{margin:+.1f}" for margin in MARGINS) + " |")
    print("|---" * (1 + len(MARGINS)) + "|")
    for form in rates[0.0]:
        print(f"| {form} | " + " | ".join(f"{found[form]:.3f}" for found in rates.values()) + " |")


if __name__ == "__main__":
    main()
