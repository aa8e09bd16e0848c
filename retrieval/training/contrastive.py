"""Contrastive training of an encoder with in-batch and hard negatives (Karpukhin et al. 2020), equation 2 of DPR.

The losses are sentence-transformers' own. Either only the question side moves, towards and away from the vectors that
an index holds, or the encoder of both sides, after which the index has to be built anew.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from index.versions.passage_index import PassageIndex
from retrieval.encoders.passage_text import render
from retrieval.encoders.question_encoder import TrainableEncoder
from retrieval.search.dense import stored_vectors
from retrieval.training.mining import HardNegatives

_MINI_BATCH = 16  # texts that are in memory at once when both sides are trained


class ContrastiveTraining:
    """The task: −log of the positive's share among all passages of the batch, by ``exp(cosine / temperature)``.

    Args:
        encoder: of the questions, and with ``both`` of the passages too.
        index: holds the passages and their vectors.
        mined: the questions, with the same number of negatives each.
        temperature: τ.
        both: whether passages are encoded, with gradients, instead of taken from the index.
    """

    def __init__(
        self,
        encoder: TrainableEncoder,
        index: PassageIndex,
        mined: Sequence[HardNegatives],
        temperature: float,
        both: bool = False,
    ) -> None:
        from sentence_transformers.sentence_transformer import losses

        self.encoder, self.index, self.mined, self.both = encoder, index, mined, both
        self.modules: Mapping[str, Any] = {"question_encoder": encoder.model}
        scale = 1 / temperature
        self._loss: Any = losses.MultipleNegativesRankingLoss(encoder.model, scale=scale)
        self._cached: Any = losses.CachedMultipleNegativesRankingLoss(encoder.model, scale, mini_batch_size=_MINI_BATCH)

    def batches(self, size: int, seed: int) -> list[list[int]]:
        """All questions in random batches; no passage is the positive of two questions of one batch."""
        order = list(range(len(self.mined)))
        random.Random(seed).shuffle(order)
        batches: list[list[int]] = []
        open_: list[tuple[list[int], set[int]]] = []  # batches that are not full, and their positives
        for row in order:
            positive = self.mined[row].positive
            found = next((one for one in open_ if positive not in one[1]), None)
            if found is None:
                found = ([], set())
                batches.append(found[0])
                open_.append(found)
            found[0].append(row)
            found[1].add(positive)
            if len(found[0]) == size:
                open_.remove(found)
        return batches

    def backward(self, rows: Sequence[int]) -> float:
        """Add the gradient of the batch's mean loss, and give the loss."""
        batch = [self.mined[row] for row in rows]
        questions = [one.question.text for one in batch]
        if self.both:
            texts = [[render(self.index.passages[row]) for row in column] for column in _columns(batch)]
            loss = self._cached([self.encoder.features(column) for column in (questions, *texts)], labels=None)
        else:
            loss = self._loss.compute_loss_from_embeddings(
                [self.encoder.vectors(questions), *self._stored(batch)], None
            )
        loss.backward()
        return float(loss.detach())

    def judge(self, size: int) -> float:
        """The mean loss over all questions in batches of ``size``, without gradients."""
        import torch

        total = 0.0
        for rows in self.batches(size, seed=0):
            batch = [self.mined[row] for row in rows]
            queries = torch.from_numpy(self.encoder.encode([one.question.text for one in batch]))
            documents = self._encoded(batch) if self.both else [vectors.cpu() for vectors in self._stored(batch)]
            total += float(self._loss.compute_loss_from_embeddings([queries, *documents], None)) * len(batch)
        return total / len(self.mined)

    def _stored(self, batch: Sequence[HardNegatives]) -> list[Any]:
        """d(z) of the index: for positives and each column of negatives, (b, d)."""
        import torch

        device = self.encoder.model.device
        return [torch.from_numpy(stored_vectors(self.index, column)).to(device) for column in _columns(batch)]

    def _encoded(self, batch: Sequence[HardNegatives]) -> list[Any]:
        import torch

        columns = ([render(self.index.passages[row]) for row in column] for column in _columns(batch))
        return [torch.from_numpy(self.encoder.encode(column)) for column in columns]


def _columns(batch: Sequence[HardNegatives]) -> list[list[int]]:
    """The positives' rows, and those of every question's first, second, … negative."""
    return [list(column) for column in zip(*((one.positive, *one.negatives) for one in batch), strict=True)]
