"""Index hot-swapping (Lewis et al. 2020, section 4.4) over HTTP, on a service that this starts and that keeps running.

    python -m benchmarks.hot_swap --facts FACTS.jsonl --home ~/.errata --json hot_swap.json

Two corpora of the same titles tell other facts. The first is active when the service starts; it is asked every
question, ``POST /indexes/{version}/activate`` swaps the second in, and it is asked again. An answer is matched where it
is that of the corpus behind the active index, mismatched where it is the other's. Without ``--facts`` the facts are
made up: heads of states that do not exist. The model is taken from ``--home``; nothing is written there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks.hot_swap_corpora import (
    CORPORA,
    QUESTIONS,
    Disagreement,
    SwapQuestion,
    accuracy,
    disagree,
    made_up_facts,
)
from benchmarks.server import serving
from editing.data.facts import read_facts
from index.passages.passage import split_articles
from index.versions.registry import IndexVersions
from retrieval.encoders.encoder import Encoder
from retrieval.indexing.builder import embed_and_build
from retrieval.indexing.corpus_cache import CachedCorpus
from service.engines.model_loader import ModelUnavailable
from service.evaluation.statistics import Proportion
from service.settings import Settings

_TOGETHER = 8  # requests under way at once
Answers = list[str]
CLOSED_BOOK = "closed-book"


def main() -> None:
    """Build both, ask, swap, ask again."""
    chosen = _arguments()
    facts = read_facts(chosen.facts) if chosen.facts else made_up_facts(chosen.questions, chosen.seed)
    apart = disagree(facts, chosen.questions, chosen.seed)
    with tempfile.TemporaryDirectory(prefix="errata-hot-swap-") as scratch:
        home = _scratch(Path(scratch), chosen.home)
        versions = _built(home / "indexes", apart)
        with serving(home) as server, httpx.Client(base_url=server.url, timeout=600) as client:
            said, swap_ms = _measured(client, versions, apart.questions, chosen.modes.split(","), chosen.k)
            model = client.get("/model").raise_for_status().json()
    figures = {
        "facts": str(chosen.facts or "made up"),
        "questions": len(apart.questions),
        "seed": chosen.seed,
        "k": chosen.k,
        "model": model,
        "indexes": versions,
        "swap_ms": swap_ms,
        "modes": {mode: _figures(apart.questions, answers) for mode, answers in said.items()},
    }
    print(table(figures))
    if chosen.json:
        answers = [
            {
                "question": question.text,
                "answers": question.answers,
                "said": {m: [a[n] for a in s] for m, s in said.items()},
            }
            for n, question in enumerate(apart.questions)
        ]
        chosen.json.write_text(json.dumps({**figures, "answers": answers}, indent=1, ensure_ascii=False) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facts", type=Path, help="JSON lines of relation, subject, object (default: made up)")
    parser.add_argument("--home", type=Path, default=Settings().directory, help="where the converted model is")
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="how many facts, as many as the paper's heads")
    parser.add_argument("--modes", default="concat", help="of /ask, separated by commas")
    parser.add_argument("--seed", type=int, default=2026, help="which facts are drawn")
    parser.add_argument("-k", type=int, default=5, help="passages for each answer")
    parser.add_argument("--json", type=Path, help="write the figures and every answer here")
    return parser.parse_args()


def _scratch(home: Path, real: Path) -> Path:
    """An empty home with the models of the real one."""
    models = real.expanduser().absolute() / "models"
    if not models.is_dir():
        raise ModelUnavailable(f"{models}: there is no model; start 'errata serve' once with that home")
    (home / "models").symlink_to(models)
    return home


def _built(root: Path, apart: Disagreement) -> list[str]:
    """The names of both versions; the first is the active one."""
    encoder = Encoder.load()
    names = [
        embed_and_build(root, CachedCorpus(corpus, split_articles(articles)), encoder).manifest.version
        for corpus, articles in zip(CORPORA, apart.corpora, strict=True)
    ]
    IndexVersions(root).activate(names[0])
    return names


def _measured(
    client: httpx.Client, versions: Sequence[str], questions: Sequence[SwapQuestion], modes: Sequence[str], k: int
) -> tuple[dict[str, list[Answers]], float]:
    """Answers by mode, with the first index and with the second; closed-book there is one list. And the swap in ms."""
    said: dict[str, list[Answers]] = {mode: [] for mode in modes}
    for number, version in enumerate(versions):
        if number:
            began = time.perf_counter()
            client.post(f"/indexes/{version}/activate").raise_for_status()
            swap_ms = (time.perf_counter() - began) * 1000
        for mode in modes:
            said[mode].append(_asked(questions, partial(_answer, client, version, mode, k)))
            print(f"{version}, {mode}: {len(questions)} questions asked", flush=True)
    closed = {CLOSED_BOOK: [_asked(questions, partial(_closed, client))]}
    return {**said, **closed}, round(swap_ms, 1)


def _asked(questions: Sequence[SwapQuestion], ask: Callable[[str], str]) -> Answers:
    with ThreadPoolExecutor(_TOGETHER) as pool:
        return list(pool.map(ask, [question.text for question in questions]))


def _answer(client: httpx.Client, version: str, mode: str, k: int, question: str) -> str:
    body = {"question": question, "mode": mode, "k": k, "max_tokens": 32}
    answer = client.post("/ask", json=body).raise_for_status().json()
    if answer["index"] != version:
        raise RuntimeError(f"{version} is active, and {answer['index']} answered")
    return str(answer["answer"])


def _closed(client: httpx.Client, question: str) -> str:
    answer = client.post("/generate", json={"prompt": question, "max_tokens": 32}).raise_for_status().json()
    return str(answer["text"])


def _figures(questions: Sequence[SwapQuestion], answers: Sequence[Answers]) -> list[list[dict[str, int]]]:
    """A row for each index that was asked, a column for each corpus whose answers count as right."""
    return [[asdict(accuracy(questions, said, of)) for of in (0, 1)] for said in answers]


def table(figures: dict[str, Any]) -> str:
    """Markdown, two by two for each mode."""
    lines = ["| mode | index that answered | right by the first corpus | right by the second |", "|---|---|---|---|"]
    for mode, rows in figures["modes"].items():
        names = ("first", "second") if len(rows) > 1 else ("none",)
        lines += [
            f"| {mode} | {name} | {_cell(row[0])} | {_cell(row[1])} |" for name, row in zip(names, rows, strict=True)
        ]
    about = (
        f"{figures['questions']} questions ({figures['facts']}), {figures['k']} passages each, "
        f"{figures['model']['base_model']}; each cell: the answer stands in the text (95 % interval), exact match; "
        f"swapped in {figures['swap_ms']} ms."
    )
    return "\n".join([*lines, "", about])


def _cell(of: dict[str, int]) -> str:
    held, exact = Proportion(of["contained"], of["questions"]), Proportion(of["exact"], of["questions"])
    low, high = held.interval
    return f"{held.rate:.2f} ({low:.2f}–{high:.2f}), EM {exact.rate:.2f}"


if __name__ == "__main__":
    main()
