"""What a training run of the retriever is judged by, and what it trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from retrieval.encoders.question_encoder import TrainableEncoder
from retrieval.evaluation.nq_open import Question
from retrieval.training.config import TrainingConfig
from retrieval.training.contrastive import ContrastiveTraining
from retrieval.training.held_out import HeldOut
from retrieval.training.marginal import MarginalTraining
from retrieval.training.mining import HardNegatives, mine
from service.training.retriever_parts import Figures, RetrieverTrainingParts


class RetrieverEvaluation:
    """Questions held out and some that are trained on, judged with what encoder and generator are at the moment.

    Args:
        parts: all that was loaded.
        encoder, config: of the run.
        mined: the questions to train on; as many of them are judged as of the others.
        judged: the questions held out, whose answers are in the index.
    """

    def __init__(
        self,
        parts: RetrieverTrainingParts,
        encoder: TrainableEncoder,
        config: TrainingConfig,
        mined: Sequence[HardNegatives],
        judged: Sequence[Question],
    ) -> None:
        self.encoder, self.config = encoder, config
        vectors = parts.encoder.encode_queries([question.text for question in judged])
        pooled = HeldOut.pooled(judged, parts.index, vectors) if config.sides == "both" else None
        self.held_out = pooled or HeldOut(judged, parts.index)
        self._tasks = _judging(parts, encoder, config, mined, judged)

    @property
    def steps(self) -> int:
        """How often :meth:`figures` calls its ``advance`` with 1."""
        return len(self.held_out.questions) + sum(map(_count, self._tasks.values()))

    def figures(self, advance: Callable[[int], None] = lambda _: None) -> Figures:
        """Recall on the questions held out; mean losses on them and on those that are trained on."""
        figures: Figures = {"recall": self.held_out.recalls(self.encoder), "questions": len(self.held_out.questions)}
        advance(len(self.held_out.questions))
        if self.held_out.pool:
            figures["pool"] = len(self.held_out.pool)
        for name, task in self._tasks.items():
            if isinstance(task, MarginalTraining):
                loss = task.judge(lambda: advance(1))
            else:
                loss = task.judge(self.config.batch)
                advance(_count(task))
            figures |= {name: loss, f"{name}_questions": _count(task)}
        return figures


def task_of(
    parts: RetrieverTrainingParts, encoder: TrainableEncoder, config: TrainingConfig, mined: Sequence[HardNegatives]
) -> MarginalTraining | ContrastiveTraining:
    """The task of the run's objective, on some questions."""
    if parts.generator is None:
        return ContrastiveTraining(encoder, parts.index, mined, config.temperature, both=config.sides == "both")
    return _marginal(parts, encoder, config, [one.question for one in mined])


def _marginal(
    parts: RetrieverTrainingParts, encoder: TrainableEncoder, config: TrainingConfig, questions: Sequence[Question]
) -> MarginalTraining:
    assert parts.generator is not None
    return MarginalTraining(
        encoder,
        parts.generator,
        parts.index,
        questions,
        config.k,
        config.temperature,
        config.mode,
        train_encoder=config.freeze != "encoder",
    )


def _judging(
    parts: RetrieverTrainingParts,
    encoder: TrainableEncoder,
    config: TrainingConfig,
    mined: Sequence[HardNegatives],
    judged: Sequence[Question],
) -> dict[str, MarginalTraining | ContrastiveTraining]:
    """The tasks whose losses are told. The contrastive one needs passages that do and do not answer."""
    if parts.generator is not None:
        trained = [one.question for one in mined]
        own = {"loss": judged[: config.judged], "trained_loss": trained[: config.judged]}
        return {name: _marginal(parts, encoder, config, questions) for name, questions in own.items()}
    found = mine(parts.index, judged, parts.search(judged, config.depth), config.negatives)
    some = {"loss": found, "trained_loss": mined[: len(found)]}
    return {name: task_of(parts, encoder, config, of) for name, of in some.items() if of}


def _count(task: MarginalTraining | ContrastiveTraining) -> int:
    return len(task.questions) if isinstance(task, MarginalTraining) else len(task.mined)
