"""Contrastive training: positives and hard negatives, what moves and what stays, and what is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from index.versions.passage_index import PassageIndex
from retrieval.encoders.encoder import Encoder, folder_digest
from retrieval.encoders.passage_text import render
from retrieval.encoders.question_encoder import MANIFEST, check_question_encoder
from retrieval.errors import EncoderError
from retrieval.evaluation.nq_open import Question
from retrieval.search.dense import nearest, stored_vectors
from retrieval.search.retriever import Retriever
from retrieval.training.config import TrainingConfig
from retrieval.training.contrastive import ContrastiveTraining
from retrieval.training.held_out import HeldOut
from retrieval.training.mining import HardNegatives, divide, mine
from retrieval.training.trainer import Trainer
from tests.retrieval.tiny_training import QUESTIONS, build, save_encoder

TEXTS = [question.text for question in QUESTIONS]
CONFIG = TrainingConfig("contrastive", epochs=14, batch=12, lr=1e-2)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder.load(save_encoder(tmp_path_factory.mktemp("encoder")))


@pytest.fixture(scope="module")
def index(tiny: Encoder, tmp_path_factory: pytest.TempPathFactory) -> PassageIndex:
    return build(tmp_path_factory.mktemp("indexes"), tiny)


@pytest.fixture
def mined(tiny: Encoder, index: PassageIndex) -> list[HardNegatives]:
    return mine(index, QUESTIONS, nearest(index, tiny.encode_queries(TEXTS), 12), negatives=2)


def test_positives_have_an_answer_and_negatives_have_none(
    tiny: Encoder, index: PassageIndex, mined: list[HardNegatives]
) -> None:
    """The best of each kind, in the order of the search."""
    assert [one.question for one in mined] == list(QUESTIONS)
    for one, rows in zip(mined, nearest(index, tiny.encode_queries(TEXTS), 12), strict=True):
        right = [row for row in rows if index.passages[row].title == one.question.answers[0]]
        assert one.positive == right[0]
        assert one.negatives == tuple([row for row in rows if row not in right][:2])


def test_a_question_that_the_index_does_not_answer_is_left_out(tiny: Encoder, index: PassageIndex) -> None:
    """And one whose every passage has the answer has no negative: it is left out if one was asked for."""
    absent, everywhere = Question("which ?", ("Paris",)), Question("what ?", ("the capital",))
    found = [list(range(12))] * 2
    assert mine(index, [absent, everywhere], found, negatives=1) == []
    (one,) = mine(index, [absent, everywhere], found, negatives=0)
    assert (one.question, one.negatives) == (everywhere, ())


def test_too_few_negatives_come_more_than_once(tiny: Encoder, index: PassageIndex) -> None:
    """Every question has as many as were asked for."""
    found = mine(index, QUESTIONS[:3], [list(range(12))] * 3, negatives=20)
    assert [len(one.negatives) for one in found] == [20] * 3
    assert [len(set(one.negatives)) for one in found] == [11] * 3


def test_division_depends_on_questions_and_seed_alone() -> None:
    """Not on their order; the parts are disjoint and together everything."""
    train, judged = divide(QUESTIONS, 0.25, seed=3)
    again, same = divide(QUESTIONS[::-1], 0.25, seed=3)
    assert (set(train), set(judged)) == (set(again), set(same))
    assert len(judged) == 9 and set(train) | set(judged) == set(QUESTIONS) and not set(train) & set(judged)
    assert set(divide(QUESTIONS, 0.25, seed=4)[1]) != set(judged)


def test_no_two_questions_of_a_batch_have_the_same_positive(
    tiny: Encoder, index: PassageIndex, mined: list[HardNegatives]
) -> None:
    """Otherwise one's positive were the other's negative. Every question comes once an epoch."""
    task = ContrastiveTraining(tiny.trainable("questions"), index, mined, 0.05)
    batches = task.batches(8, seed=5)
    assert sorted(row for batch in batches for row in batch) == list(range(36))
    for batch in batches:
        positives = [mined[row].positive for row in batch]
        assert len(set(positives)) == len(positives) <= 8
    assert task.batches(8, seed=5) == batches != task.batches(8, seed=6)


@pytest.mark.parametrize("both", [False, True])
def test_the_loss_is_equation_2_of_dpr(
    tiny: Encoder, index: PassageIndex, mined: list[HardNegatives], both: bool
) -> None:
    """−log of the positive's share of exp(cosine / τ) among all passages of the batch, computed here by hand."""
    rows = [0, 3, 7]
    q = torch.from_numpy(tiny.encode_queries([TEXTS[row] for row in rows]))
    columns = [[mined[row].positive for row in rows], *([mined[row].negatives[n] for row in rows] for n in range(2))]
    vectors = stored_vectors(index, [row for column in columns for row in column])
    wanted = cross_entropy(q @ torch.from_numpy(vectors).T / 0.1, torch.arange(3))
    task = ContrastiveTraining(tiny.trainable("questions"), index, mined, 0.1, both=both)
    task.encoder.model.eval()
    assert task.backward(rows) == pytest.approx(float(wanted), abs=1e-4)
    gradients = [p.grad for p in task.encoder.model.parameters() if p.grad is not None]
    assert sum(float(g.abs().sum()) for g in gradients) > 0


def test_training_raises_recall_and_leaves_the_index_as_it_is(
    tiny: Encoder, index: PassageIndex, mined: list[HardNegatives], tmp_path: Path
) -> None:
    """The loss falls; documents' vectors and the encoder that is served stay, to the bit."""
    encoder = tiny.trainable("questions")
    stored, served = stored_vectors(index, range(12)).copy(), tiny.encode(TEXTS)
    held_out = HeldOut(QUESTIONS, index)
    before = held_out.recalls(encoder)
    task = ContrastiveTraining(encoder, index, mined, 0.05)
    losses = Trainer(task, CONFIG, tmp_path / "run").run()
    after = held_out.recalls(encoder)
    assert len(losses) == 42 and sum(losses[-3:]) < 0.7 * sum(losses[:3])
    assert after["1"] > before["1"] + 0.3
    assert np.array_equal(stored_vectors(index, range(12)), stored)
    assert np.array_equal(tiny.encode(TEXTS), served)


def test_a_trained_question_encoder_searches_the_same_index(
    tiny: Encoder, index: PassageIndex, mined: list[HardNegatives], tmp_path: Path
) -> None:
    """Saved and loaded it gives the same vectors; documents are encoded as before, and identity is the documents'."""
    trained = tiny.trainable("questions")
    Trainer(ContrastiveTraining(trained, index, mined, 0.05), CONFIG, tmp_path / "run").run()
    trained.save(tmp_path / "questions", tiny.identity)
    folder = save_encoder(tmp_path)
    loaded = Encoder.load(folder, name="model", questions=tmp_path / "questions")
    assert np.allclose(loaded.encode_queries(TEXTS), trained.encode(TEXTS), atol=1e-6)
    assert np.allclose(loaded.encode_query(TEXTS[0]), trained.encode(TEXTS[:1])[0], atol=1e-6)
    assert np.array_equal(loaded.encode(TEXTS), tiny.encode(TEXTS))
    assert not np.allclose(loaded.encode_queries(TEXTS), loaded.encode(TEXTS), atol=0.05)
    assert loaded.identity.digest == tiny.identity.digest
    retriever = Retriever(index, loaded)
    found = [hits[0].passage.title for hits in retriever.search_many(TEXTS, 1)]
    assert found == [retriever.search(text, 1)[0].passage.title for text in TEXTS]
    assert sum(title in question.answers for title, question in zip(found, QUESTIONS, strict=True)) > 15


def test_a_killed_run_gives_the_same_encoder(
    tiny: Encoder, index: PassageIndex, mined: list[HardNegatives], tmp_path: Path
) -> None:
    """With dropout in every layer: to the bit."""

    def run(folder: Path, stop: int | None = None) -> list[float]:
        task = ContrastiveTraining(tiny.trainable("questions"), index, mined, 0.05)
        trainer = Trainer(task, CONFIG, folder)

        def on_step(made: object) -> None:
            if trainer.step == stop:
                raise KeyboardInterrupt

        trainer.run(on_step, save_every=4)
        return [float(p.detach().double().sum()) for p in task.encoder.model.parameters()]

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", stop=10)
    assert run(tmp_path / "killed") == whole


def test_both_sides_are_judged_with_passages_embedded_again(tiny: Encoder, index: PassageIndex, tmp_path: Path) -> None:
    """The stored vectors mean nothing to the new encoder; what is saved is an encoder with a digest of its own."""
    encoder = tiny.trainable("documents")
    pooled = HeldOut.pooled(QUESTIONS, index, tiny.encode_queries(TEXTS))
    assert pooled.pool == list(range(12))
    assert pooled.recalls(encoder) == HeldOut(QUESTIONS, index).recalls(encoder)
    found = mine(index, QUESTIONS, nearest(index, tiny.encode_queries(TEXTS), 12), 1)
    task = ContrastiveTraining(encoder, index, found, 0.05, both=True)
    before = task.judge(12)
    Trainer(task, replace(CONFIG, epochs=4), tmp_path / "run").run()
    assert task.judge(12) < before
    assert pooled.recalls(encoder) != HeldOut(QUESTIONS, index).recalls(encoder)
    encoder.save(tmp_path / "encoder", None)
    loaded = Encoder.load(tmp_path / "encoder")
    assert loaded.digest != tiny.digest
    text = render(index.passages[0])
    assert np.allclose(loaded.encode([text]), encoder.encode([text]), atol=1e-6)


def test_a_question_encoder_of_another_encoder_is_refused(tiny: Encoder, tmp_path: Path) -> None:
    """Missing, of another document encoder, or changed: the message names the file and what to do."""
    folder = tmp_path / "questions"
    with pytest.raises(EncoderError, match="no question encoder; 'errata train-rag' writes one"):
        check_question_encoder(save_encoder(tmp_path), tiny.identity)
    tiny.trainable("questions").save(folder, tiny.identity)
    check_question_encoder(folder, tiny.identity)
    other = Encoder.load(save_encoder(tmp_path / "other", seed=5))
    with pytest.raises(
        EncoderError, match=f"belongs to the document encoder model .*, not to model .{other.digest[:12]}"
    ):
        Encoder.load(tmp_path / "other" / "model", questions=folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    weights = next(path for path in folder.rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(EncoderError, match=r"safetensors: missing, or changed"):
        check_question_encoder(folder, tiny.identity)
    for broken in ("{", "[]", json.dumps(manifest | {"document_encoder": 1})):
        (folder / MANIFEST).write_text(broken)
        with pytest.raises(EncoderError, match="not the manifest of a question encoder"):
            check_question_encoder(folder, tiny.identity)


def test_saving_again_replaces_the_whole_folder(tiny: Encoder, tmp_path: Path) -> None:
    """A question encoder is a sentence-transformers directory like others; nothing of the old one stays."""
    folder = tmp_path / "questions"
    folder.mkdir()
    (folder / "old.txt").write_text("x")
    tiny.trainable("questions").save(folder, tiny.identity)
    assert not (folder / "old.txt").exists() and [path.name for path in tmp_path.iterdir()] == ["questions"]
    assert np.allclose(Encoder.load(folder).encode(TEXTS), tiny.encode(TEXTS), atol=1e-6)
    assert folder_digest(folder) != tiny.digest
