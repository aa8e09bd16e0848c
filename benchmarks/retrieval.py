"""How often a passage with the answer is found: BM25, dense, hybrid, and re-ranked, on NQ questions.

Asked are the questions whose answer is in the index: some passage, title and text, has it (DPR's ``has_answer``). One
half of them, drawn by a digest of the question, chose the constants of ``retrieval/search/fusion.py`` and
``retrieval/search/bm25.py``; the other half did not.

    python -m benchmarks.retrieval --home ~/.errata --questions nq_open_efficientqa_dev.jsonl [--reranker FOLDER]

Prints, for each kind of search and half, recall@1/5/20/100, MRR within the first 100, and the time of one search in
milliseconds: the median and the 95th percentile, one question at a time, encoding included.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from index.passages.passage import Hit
from index.versions.registry import IndexVersions
from retrieval.encoders.encoder import Encoder
from retrieval.encoders.reranker import Reranker
from retrieval.evaluation.metrics import first_with_answer, have_answers, mrr, readable, recall_at
from retrieval.evaluation.nq_open import Question, read_question_set
from retrieval.search.bm25_store import Bm25Store
from retrieval.search.retriever import How, Retriever

DEPTHS = (1, 5, 20, 100)
HOWS: tuple[How, ...] = ("bm25", "dense", "hybrid")
_TIMED = 200  # questions


def main() -> None:
    given = _arguments()
    encoder = Encoder.load(given.encoder, threads=given.threads)
    root = given.home.expanduser() / "indexes"
    versions = IndexVersions(root)
    index = versions.open(given.index or versions.active() or "", encoder.identity)
    began = time.perf_counter()
    lexical = Bm25Store(given.shelf or root, print).open(index)
    print(f"BM25 opened or made in {time.perf_counter() - began:.2f} s")
    reranker = Reranker.load(given.reranker) if given.reranker else None
    retriever = Retriever(index, encoder, lexical, reranker)
    questions = _answered(read_question_set([given.questions]).questions, retriever)
    print(f"{len(questions)} questions have an answer in the {len(index.passages)} passages of {retriever.version}\n")
    print(f"{'search':<18} {'half':<10}" + "".join(f"{f'@{k}':>8}" for k in DEPTHS) + f"{'MRR':>8}")
    for name, search in _searches(retriever):
        ranks = list(zip(map(_half, questions), _ranks(search, questions), strict=True))
        for half, own in (("chosen on", (0,)), ("held out", (1,)), ("both", (0, 1))):
            some = [rank for of, rank in ranks if of in own]
            shares = [*(recall_at(some, k) for k in DEPTHS), mrr(some)]
            print(f"{name:<18} {half:<10}" + "".join(f"{share:>8.3f}" for share in shares), flush=True)
    print(f"\n{'one search of 5, ms':<29}{'p50':>8}{'p95':>8}")
    for how in HOWS:
        spent = _spent(retriever, how, questions[:_TIMED])
        print(f"{how:<29}{np.percentile(spent, 50):>8.1f}{np.percentile(spent, 95):>8.1f}", flush=True)


def _searches(retriever: Retriever) -> Iterator[tuple[str, Callable[[Sequence[str]], list[list[Hit]]]]]:
    for rerank in (False, True) if retriever.reranker else (False,):
        for how in HOWS:
            name = f"{how} + re-ranker" if rerank else how
            yield name, partial(retriever.search_many, k=max(DEPTHS), how=how, rerank=rerank)


def _answered(questions: Sequence[Question], retriever: Retriever) -> list[Question]:
    found = have_answers([question.answers for question in questions], map(readable, retriever.index.passages))
    return [question for question, there in zip(questions, found, strict=True) if there]


def _half(question: Question) -> int:
    return int(hashlib.sha256(question.text.encode()).hexdigest(), 16) % 2


def _ranks(search: Callable[[Sequence[str]], list[list[Hit]]], questions: Sequence[Question]) -> list[int | None]:
    found = search([question.text for question in questions])
    return [
        first_with_answer(question.answers, (readable(hit.passage) for hit in hits))
        for question, hits in zip(questions, found, strict=True)
    ]


def _spent(retriever: Retriever, how: How, questions: Sequence[Question]) -> list[float]:
    """Milliseconds of each search; the question is written anew, so that the encoder does not remember it."""
    spent = []
    for question in questions:
        began = time.perf_counter()
        retriever.search(f"{question.text} ({how})", 5, how)
        spent.append((time.perf_counter() - began) * 1e3)
    return spent


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.retrieval", description="Recall of each kind of search."
    )
    parser.add_argument("--home", type=Path, default=Path("~/.errata"), help="ERRATA_HOME of the index")
    parser.add_argument("--index", help="a version; by default the active one")
    parser.add_argument("--questions", type=Path, required=True, help='JSON lines {"question", "answer": […]}')
    parser.add_argument("--encoder", help="a sentence-transformers directory")
    parser.add_argument("--reranker", help="a cross-encoder's directory")
    parser.add_argument("--shelf", type=Path, help="where BM25 is kept; by default beside the versions")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    return parser.parse_args()


if __name__ == "__main__":
    main()
