"""``errata evaluate-rag``: retrieval and answers judged on question sets, on a service of its own in this process."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from index.atomic_files import file_digest
from retrieval.encoders.encoder import Progress
from retrieval.errors import LexicalUnavailable, NoReranker
from retrieval.evaluation.nq_open import Question, questions_digest, read_question_set
from retrieval.evaluation.recall import SearchMany, answerable, rank_answers
from retrieval.search.retriever import How, Retriever
from service.answers.index_manager import IndexManager
from service.engines.protocol import SamplingParams
from service.errors import IndexNotReady, NotReady
from service.evaluation.editing.run import progress_bar, scratch_service
from service.evaluation.rag.answers import AnswerCollection, AnswerJournal, RagAnswer
from service.evaluation.rag.edits import edits_figures, wrong_answers
from service.evaluation.rag.figures import answer_figures, found_by, retrieval_figures
from service.evaluation.rag.plots import draw_evaluation
from service.evaluation.rag.report import show_evaluation
from service.pipeline import Pipeline

ANSWERS, FIGURES = "rag_answers.jsonl", "rag_evaluation.json"
RERANK = "rerank"
_PROBE = "Which encoder reads the questions?"
_LOOK = 0.1  # seconds between looks at an index that is being opened or built


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


def evaluate_rag_command(
    files: Sequence[Path], choices: RagEvaluationOptions, out: Path | None = None, service: Service = scratch_service
) -> None:
    """Measure, print tables, and write JSON, plots and every answer under ``out``; an interrupted run goes on there.

    Raises:
        CorpusError: a file is missing or broken, or there is nothing in it to judge.
        IndexNotReady: there is no index, and none could be built.
        OSError: ``out`` cannot be written.
    """
    given = read_question_set(files)
    drawn = _drawn(given.questions, choices)
    if out:
        out.mkdir(parents=True, exist_ok=True)
    notes = AnswerJournal(out and out / ANSWERS)
    about = {
        "files": [{"file": path.name, "sha256": file_digest(path)} for path in files],
        "given": len(given.questions),
        "without_answer": given.without_answer,
        "repeated": given.repeated,
        "asked": len(drawn),
        "digest": questions_digest(drawn),
    }
    with service() as served, progress_bar() as bar:
        run = RagEvaluationRun(served, choices, drawn, notes, bar)
        document = run.document(about, given.questions)
    show_evaluation(document)
    if out:
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        (out / FIGURES).write_text(text, encoding="utf-8")
        draw_evaluation(document, out)


def _drawn(questions: Sequence[Question], choices: RagEvaluationOptions) -> list[Question]:
    if not choices.sample or choices.sample >= len(questions):
        return list(questions)
    return random.Random(choices.seed).sample(list(questions), choices.sample)


@dataclass(frozen=True)
class RagEvaluationRun:
    """One evaluation: a service, what was asked for, and the questions."""

    served: Pipeline
    choices: RagEvaluationOptions
    questions: Sequence[Question]
    notes: AnswerJournal
    bar: Any = field(repr=False)

    def document(self, about: Mapping[str, Any], every: Sequence[Question]) -> dict[str, Any]:
        """Everything that was measured. ``every``: questions whose answers serve as wrong ones."""
        if self.choices.edits and self.served.model().editor is None:
            raise NotReady(f"there is no editor for {self.served.model().base_model}, so nothing can be corrected")
        retriever = opened(self.served.library)
        index = _described(retriever.index.manifest)
        with self._task("looking for the answers") as progress:
            told = answerable(self.questions, retriever.index.passages, progress)
        found, without = self._retrieval(retriever, told)
        asking = self._asking(index)
        said = {mode: self._answers(asking, mode) for mode in self.choices.modes}
        among = found_by(said)
        seed = self.choices.seed
        return {
            **{name: value for name, value in asdict(self.choices).items() if name not in ("how", "modes")},
            "errata": version("errata"),
            "model": asdict(self.served.model()),
            "revision": self.served.model().revision,
            **_parts(self.served),
            "index": index,
            "questions": {**about, "in_the_index": sum(told)},
            "retrieval": found,
            "without": without,
            "answers": {m: answer_figures(own, self.questions, told, among, seed) for m, own in said.items()},
            "edits": self._edits(asking, said, every) if self.choices.edits and said else None,
            "answers_taken_up": self.notes.taken_up,
        }

    def _retrieval(self, retriever: Retriever, told: Sequence[bool]) -> tuple[dict[str, Any], dict[str, str]]:
        """The figures of each kind of search, and why there are none of a kind that this index does not offer."""
        found, without = dict[str, Any](), dict[str, str]()
        for how in self.choices.how:
            try:
                search = searching(retriever, how)
            except (LexicalUnavailable, NoReranker) as error:
                without[how] = str(error)
                continue
            with self._task(f"searching, {how}") as progress:
                ranks = rank_answers(how, search, self.questions, progress)
            found[how] = retrieval_figures(ranks, told, self.choices.seed)
        return found, without

    def _asking(self, index: Mapping[str, Any]) -> AnswerCollection:
        model = self.served.model()
        depends = {"errata": version("errata"), "model": asdict(model), "index": index, **_parts(self.served)}
        params = SamplingParams(max_tokens=self.choices.max_tokens)
        return AnswerCollection(self.served, self.notes, depends, self.choices.k, params)

    def _answers(self, asking: AnswerCollection, mode: str) -> list[RagAnswer]:
        with self._steps(f"answering, {mode}", len(self.questions)) as step:
            return asking.ask(mode, self.questions, step)

    def _edits(
        self, asking: AnswerCollection, said: Mapping[str, Sequence[RagAnswer]], every: Sequence[Question]
    ) -> dict[str, Any]:
        corrections = wrong_answers(self.questions, every, self.choices.seed)[: self.choices.edits]
        steps = len(corrections) + len(said) * len(self.questions)
        with self._steps("correcting and asking again", steps) as step:
            return edits_figures(asking, corrections, said, step)

    @contextmanager
    def _task(self, name: str) -> Iterator[Progress]:
        task = self.bar.add_task(name, total=None)
        yield lambda done, total: self.bar.update(task, completed=done, total=total)

    @contextmanager
    def _steps(self, name: str, total: int) -> Iterator[Callable[[], None]]:
        task = self.bar.add_task(name, total=total)
        yield lambda: self.bar.advance(task)


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


def opened(library: IndexManager) -> Retriever:
    """The retriever of the active version; waits while the index is built. Raises IndexNotReady."""
    while not library.is_open:
        if library.failure:
            raise IndexNotReady(library.failure)
        time.sleep(_LOOK)
    return library.retriever()


def _parts(served: Pipeline) -> dict[str, Any]:
    """What else answers depend on: the reader, how much it reads, and the side of the encoder that questions go to.

    A question encoder of its own has no name; a vector tells it.
    """
    reader, vector = served.answerer.reader, served.library.encoder.encode_query(_PROBE)
    return {
        "reader": reader and {"digest": reader.digest, "card": asdict(reader.card)},
        "passage_tokens": served.prompts.budget,
        "question_encoder": hashlib.sha256(vector.round(3).tobytes()).hexdigest()[:16],
    }


def _described(manifest: Any) -> dict[str, Any]:
    """The manifest without the time, which says nothing of what is in it."""
    described: dict[str, Any] = json.loads(manifest.to_json())
    return {name: value for name, value in described.items() if name != "built_at"}
