"""``errata evaluate-rag``: retrieval and answers judged on question sets, on a service of its own in this process."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from errata.files import file_digest
from retrieval.errors import LexicalUnavailable, NoReranker
from retrieval.evaluation.nq_open import Question, questions_digest, read_question_set
from retrieval.evaluation.recall import SearchMany, answerable, rank_answers
from retrieval.search.retriever import How, Retriever
from service.engines.protocol import SamplingParams
from service.errors import NotReady
from service.evaluation.active_index import open_retriever
from service.evaluation.rag.answers import AnswerCollection, AnswerJournal, RagAnswer
from service.evaluation.rag.edits import edits_figures, wrong_answers
from service.evaluation.rag.figures import answer_figures, found_by, retrieval_figures
from service.evaluation.rag.plots import draw_evaluation
from service.evaluation.scratch_service import scratch_service
from service.pipeline import Pipeline
from service.progress import ProgressReporter

ANSWERS, FIGURES = "rag_answers.jsonl", "rag_evaluation.json"
RERANK = "rerank"
_PROBE = "Which encoder reads the questions?"


@dataclass(frozen=True)
class RagEvaluationOptions:
    """What the command was asked for.

    Attributes:
        sample: how many of the questions; 0: all.
        how: kinds of search whose recall is measured.
        k: passages for each answer.
        edits: how many questions are corrected to another answer and asked again.
    """

    modes: tuple[str, ...]
    how: tuple[str, ...]
    sample: int = 0
    seed: int = 2026
    k: int = 5
    max_tokens: int = 128
    edits: int = 0


Service = Callable[[], AbstractContextManager[Pipeline]]


def evaluate_rag(
    files: Sequence[Path],
    options: RagEvaluationOptions,
    out: Path | None,
    progress: ProgressReporter,
    service: Service = scratch_service,
) -> dict[str, Any]:
    """Measure retrieval and answers; an interrupted run goes on from the answers in ``out``.

    Returns:
        All figures and what they depend on; see ``write_evaluation``.

    Raises:
        CorpusError: a file is missing or broken, or there is nothing in it to judge.
        IndexNotReady: there is no index, and none could be built.
        NotReady: the service cannot be built, or edits are asked for and there is no editor.
        OSError: ``out`` cannot be written.
    """
    given = read_question_set(files)
    drawn = _drawn(given.questions, options)
    if out:
        out.mkdir(parents=True, exist_ok=True)
    journal = AnswerJournal(out and out / ANSWERS)
    about = {
        "files": [{"file": path.name, "sha256": file_digest(path)} for path in files],
        "given": len(given.questions),
        "without_answer": given.without_answer,
        "repeated": given.repeated,
        "asked": len(drawn),
        "digest": questions_digest(drawn),
    }
    with service() as served:
        run = RagEvaluationRun(served, options, drawn, journal, progress)
        return run.document(about, given.questions)


def write_evaluation(document: Mapping[str, Any], out: Path) -> None:
    """The figures as JSON, and plots of them. Raises OSError where a file cannot be written."""
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    (out / FIGURES).write_text(text, encoding="utf-8")
    draw_evaluation(document, out)


def _drawn(questions: Sequence[Question], options: RagEvaluationOptions) -> list[Question]:
    if not options.sample or options.sample >= len(questions):
        return list(questions)
    return random.Random(options.seed).sample(list(questions), options.sample)


@dataclass(frozen=True)
class RagEvaluationRun:
    """One evaluation: a service, what was asked for, and the questions."""

    served: Pipeline
    options: RagEvaluationOptions
    questions: Sequence[Question]
    journal: AnswerJournal
    progress: ProgressReporter

    def document(self, about: Mapping[str, Any], every: Sequence[Question]) -> dict[str, Any]:
        """Everything that was measured. ``every``: questions whose answers serve as wrong ones."""
        model, options = self.served.model(), self.options
        if options.edits and model.editor is None:
            raise NotReady(f"there is no editor for {model.base_model}, so nothing can be corrected")
        retriever = open_retriever(self.served.index_manager)
        index = _described(retriever.index.manifest)
        with self.progress.stage("looking for the answers", unit="passages") as stage:
            in_index = answerable(self.questions, retriever.index.passages, stage.update)
        found, without = self._retrieval(retriever, in_index)
        collection = self._collection(index)
        answers = {mode: self._answers(collection, mode) for mode in options.modes}
        return {
            **{name: value for name, value in asdict(options).items() if name not in ("how", "modes")},
            "errata": version("errata"),
            "model": asdict(model),
            "revision": model.revision,
            **_parts(self.served),
            "index": index,
            "questions": {**about, "in_the_index": sum(in_index)},
            "retrieval": found,
            "without": without,
            "answers": self._answer_figures(answers, in_index),
            "edits": self._edits(collection, answers, every) if options.edits and answers else None,
            "answers_taken_up": self.journal.taken_up,
        }

    def _answer_figures(
        self, answers: Mapping[str, Sequence[RagAnswer]], in_index: Sequence[bool]
    ) -> dict[str, dict[str, Any]]:
        """By mode."""
        among = found_by(answers)
        return {
            mode: answer_figures(own, self.questions, in_index, among, self.options.seed)
            for mode, own in answers.items()
        }

    def _retrieval(self, retriever: Retriever, in_index: Sequence[bool]) -> tuple[dict[str, Any], dict[str, str]]:
        """The figures of each kind of search, and why there are none of a kind that this index does not offer."""
        found, without = dict[str, Any](), dict[str, str]()
        for how in self.options.how:
            try:
                search = searching(retriever, how)
            except (LexicalUnavailable, NoReranker) as error:
                without[how] = str(error)
                continue
            with self.progress.stage(f"searching, {how}", unit="questions") as stage:
                ranks = rank_answers(how, search, self.questions, stage.update)
            found[how] = retrieval_figures(ranks, in_index, self.options.seed)
        return found, without

    def _collection(self, index: Mapping[str, Any]) -> AnswerCollection:
        model = self.served.model()
        depends = {"errata": version("errata"), "model": asdict(model), "index": index, **_parts(self.served)}
        params = SamplingParams(max_tokens=self.options.max_tokens)
        return AnswerCollection(self.served, self.journal, depends, self.options.k, params)

    def _answers(self, collection: AnswerCollection, mode: str) -> list[RagAnswer]:
        with self.progress.stage(f"answering, {mode}", len(self.questions), "questions") as stage:
            return collection.ask(mode, self.questions, stage.advance)

    def _edits(
        self, collection: AnswerCollection, answers: Mapping[str, Sequence[RagAnswer]], every: Sequence[Question]
    ) -> dict[str, Any]:
        corrections = wrong_answers(self.questions, every, self.options.seed)[: self.options.edits]
        steps = len(corrections) + len(answers) * len(self.questions)
        with self.progress.stage("correcting and asking again", steps, "questions") as stage:
            return edits_figures(collection, corrections, answers, stage.advance)


def searching(retriever: Retriever, how: str) -> SearchMany:
    """The retriever's search of many queries, of one kind; ``rerank``: hybrid, ordered by the cross-encoder.

    Raises LexicalUnavailable or NoReranker where this index or service has no such search.
    """
    if how == RERANK:
        if retriever.reranker is None:
            raise NoReranker
        return lambda queries, k: retriever.search_many(queries, k, rerank=True)
    kind: How = how  # type: ignore[assignment]  # checked by the command
    if retriever.kind(kind) != kind:
        raise LexicalUnavailable(retriever.version)
    return lambda queries, k: retriever.search_many(queries, k, kind)


def _parts(served: Pipeline) -> dict[str, Any]:
    """What else answers depend on: the reader, how much it reads, and the side of the encoder that questions go to.

    A question encoder of its own has no name; a vector tells it.
    """
    reader, vector = served.answerer.reader, served.index_manager.encoder.encode_query(_PROBE)
    return {
        "reader": reader and {"digest": reader.digest, "card": asdict(reader.card)},
        "passage_tokens": served.prompts.budget,
        "question_encoder": hashlib.sha256(vector.round(3).tobytes()).hexdigest()[:16],
    }


def _described(manifest: Any) -> dict[str, Any]:
    """The manifest without the time, which says nothing of what is in it."""
    described: dict[str, Any] = json.loads(manifest.to_json())
    return {name: value for name, value in described.items() if name != "built_at"}
