"""A small set to train a retriever on: questions in the passages' own words, each answered by an article's title.

    python -m benchmarks.title_questions --home ~/.errata --questions 1200 > titles.jsonl
    errata train-rag titles.jsonl --objective contrastive --out retriever
    errata train-rag titles.jsonl --objective marginal --out both

The rules of ``retrieval/training/question_generation.py`` make them from the active index, so they need no other data;
lines as NQ-open has them. They are easier than what people ask, but it is known which passage answers them.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from index.versions.registry import IndexVersions
from retrieval.encoders.encoder import Encoder
from retrieval.training.known_questions import bare, made_from_passages


def main() -> None:
    parser = argparse.ArgumentParser(description="Questions in the passages' own words, answered by titles.")
    parser.add_argument("--home", type=Path, default=Path("~/.errata"), help="ERRATA_HOME of the index")
    parser.add_argument("--questions", type=int, default=1200, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="which")
    given = parser.parse_args()
    versions = IndexVersions(given.home.expanduser() / "indexes")
    passages = versions.open(versions.active() or "", Encoder.load().identity).passages
    found = {text: answer for text, answer, row in made_from_passages(passages) if answer == bare(passages[row].title)}
    chosen = random.Random(given.seed).sample(sorted(found.items()), min(given.questions, len(found)))
    for text, answer in chosen:
        print(json.dumps({"question": text, "answer": [answer]}, ensure_ascii=False))


if __name__ == "__main__":
    main()
