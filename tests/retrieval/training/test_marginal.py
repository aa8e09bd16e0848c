"""Joint training: the marginal of the paper, where its gradients go, and what stays as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from index.passages.passage import Passage
from index.versions.passage_index import PassageIndex
from retrieval.encoders.encoder import Encoder
from retrieval.evaluation.nq_open import Question
from retrieval.search.dense import stored_vectors
from retrieval.training.config import TrainingConfig
from retrieval.training.marginal import Generator, MarginalTraining, Mode
from retrieval.training.trainer import Trainer
from tests.editing import tiny as models
from tests.retrieval.tiny_training import QUESTIONS, TOWNS, build, generator, llama, save_encoder, tokenizer

CONFIG = TrainingConfig("marginal", epochs=7, batch=12, lr=3e-3, generator_lr=3e-2)
PASSAGE = Passage("p_0", "Alba", "The capital " * 200, "made up", 0, 2400)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder.load(save_encoder(tmp_path_factory.mktemp("encoder")))


@pytest.fixture(scope="module")
def index(tiny: Encoder, tmp_path_factory: pytest.TempPathFactory) -> PassageIndex:
    return build(tmp_path_factory.mktemp("indexes"), tiny)


def task_of(
    tiny: Encoder, index: PassageIndex, made: Generator | None = None, mode: Mode = "sequence", **more: bool
) -> MarginalTraining:
    return MarginalTraining(tiny.trainable("questions"), made or generator(), index, QUESTIONS, 3, 0.1, mode, **more)


def likelihoods(task: MarginalTraining, question: Question) -> tuple[torch.Tensor, torch.Tensor]:
    """log p(z|x) (k,) and log p(y_i|x, z, y_<i) (k, tokens), one passage and one token at a time."""
    query = task.encoder.encode([question.text])
    hits = task.index.search(query, 3)[0]
    prior = torch.tensor([hit.score for hit in hits]).div(0.1).log_softmax(0)
    target = task.generator.answer(question.answers[0])
    rows = []
    for hit in hits:
        ids = list(task.generator.about(question.text, hit.passage, len(target)))
        row = []
        for token in target:
            logits = task.generator.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
            row.append(logits.log_softmax(-1)[token])
            ids.append(token)
        rows.append(torch.stack(row))
    return prior, torch.stack(rows)


@torch.no_grad()
def test_the_loss_is_the_papers_marginal(tiny: Encoder, index: PassageIndex) -> None:
    """RAG-Sequence marginalises the whole answer, RAG-Token each token; both as added up by hand."""
    task = task_of(tiny, index)
    wanted = {"sequence": 0.0, "token": 0.0}
    for question in QUESTIONS[:4]:
        prior, tokens = likelihoods(task, question)
        wanted["sequence"] -= float((prior + tokens.sum(1)).logsumexp(0)) / 4
        wanted["token"] -= float((prior[:, None] + tokens).logsumexp(0).sum()) / 4
    assert wanted["sequence"] != pytest.approx(wanted["token"], abs=1e-4)
    for mode in ("sequence", "token"):
        task = task_of(tiny, index, mode=mode)
        task.questions = QUESTIONS[:4]
        assert task.judge() == pytest.approx(wanted[mode], abs=1e-4)


def test_gradients_reach_encoder_and_generator(tiny: Encoder, index: PassageIndex) -> None:
    """Those of the encoder agree with a finite difference of the loss; the base model gets none."""
    task = task_of(tiny, index)
    task.encoder.model.eval()
    loss = task.backward([0, 5, 9])
    assert task.generator.lora is not None
    assert all(B.grad is not None and float(B.grad.abs().sum()) > 0 for B in task.generator.lora.B)
    assert all(p.grad is None for p in task.generator.model.parameters())
    norms = dict(task.encoder.model.named_parameters())
    name, weight = next((n, p) for n, p in norms.items() if n.endswith("output.dense.weight"))
    assert weight.grad is not None, name
    direction = weight.grad / weight.grad.norm()
    with torch.no_grad():
        weight -= 1e-3 * direction
    nearby = task.backward([0, 5, 9])
    with torch.no_grad():
        assert (loss - nearby) / 1e-3 == pytest.approx(float((weight.grad / 2 * direction).sum()), rel=0.1)


@pytest.mark.parametrize("mode", ["sequence", "token"])
def test_the_loss_falls_and_the_documents_stay(tiny: Encoder, index: PassageIndex, tmp_path: Path, mode: Mode) -> None:
    """Over 21 steps; stored vectors, the served encoder and the base model are as before, to the bit."""
    task = task_of(tiny, index, mode=mode)
    stored = stored_vectors(index, range(12)).copy()
    served = tiny.encode([question.text for question in QUESTIONS])
    base = [p.clone() for p in task.generator.model.parameters()]
    before = task.judge()
    losses = Trainer(task, CONFIG, tmp_path).run()
    assert len(losses) == 21
    assert task.judge() < 0.75 * before
    assert np.array_equal(stored_vectors(index, range(12)), stored)
    assert np.array_equal(tiny.encode([question.text for question in QUESTIONS]), served)
    assert all(torch.equal(a, b) for a, b in zip(base, task.generator.model.parameters(), strict=True))
    assert models.hooks(task.generator.model) == 0


def test_the_encoder_learns_from_the_generator_alone(tiny: Encoder, index: PassageIndex, tmp_path: Path) -> None:
    """With a generator that copies a title, the marginal moves questions to the passages that have the answer."""
    made = generator(trained=False)
    copying = Generator(CopyTitle(), made.prompt, made.answer, made.context)
    task = MarginalTraining(tiny.trainable("questions"), copying, index, QUESTIONS[:18], 12, 0.1)
    before, right = task.judge(), sum(_finds(task, question) for question in task.questions)
    Trainer(task, replace(CONFIG, epochs=12, batch=6, lr=1e-2), tmp_path).run()
    assert task.modules.keys() == {"question_encoder"}
    assert task.judge() < before - 0.5
    assert sum(_finds(task, question) for question in task.questions) > right + 3


def test_what_is_frozen_stays(tiny: Encoder, index: PassageIndex, tmp_path: Path) -> None:
    """Either side alone can be trained."""
    only_generator = task_of(tiny, index, train_encoder=False)
    texts = [question.text for question in QUESTIONS]
    vectors, before = only_generator.encoder.encode(texts), only_generator.judge()
    Trainer(only_generator, CONFIG, tmp_path).run()
    assert np.array_equal(only_generator.encoder.encode(texts), vectors)
    assert only_generator.judge() < before
    only_encoder = task_of(tiny, index, generator(trained=False))
    assert only_encoder.modules.keys() == {"question_encoder"}


def test_a_killed_run_gives_the_same_encoder_and_generator(tiny: Encoder, index: PassageIndex, tmp_path: Path) -> None:
    """To the bit, with dropout in the encoder, and several answers of which one is drawn for each epoch."""
    several = [replace(question, answers=TOWNS[:3]) for question in QUESTIONS[:8]]

    def run(folder: Path, stop: int | None = None) -> list[float]:
        task = MarginalTraining(tiny.trainable("questions"), generator(), index, several, 2, 0.1)
        trainer = Trainer(task, replace(CONFIG, epochs=4, batch=3), folder)

        def on_step(made: object) -> None:
            if trainer.step == stop:
                raise KeyboardInterrupt

        trainer.run(on_step, save_every=2)
        return [float(p.detach().double().sum()) for module in task.modules.values() for p in module.parameters()]

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", stop=5)
    assert run(tmp_path / "killed") == whole


def test_a_passage_is_cut_where_the_context_ends() -> None:
    """The question and the answer stay whole; a question that leaves no room to a passage does not fit."""
    made = generator()
    ids = made.about("which city leads Albaia", PASSAGE, room=5)
    assert len(ids) + 5 <= made.context
    assert ids[-4:] == made.prompt("which city leads Albaia")
    assert made.fits(QUESTIONS[0])
    assert not made.fits(Question("city " * 60, ("Alba",)))
    assert not made.fits(Question("city", ("Alba " * 60,)))


def _finds(task: MarginalTraining, question: Question) -> bool:
    return task.index.search(task.encoder.encode([question.text]), 1)[0][0].passage.title in question.answers


class CopyTitle(torch.nn.Module):
    """A causal language model that says the title of the passage in its prompt, or ends, each with almost 1/2."""

    def __init__(self) -> None:
        super().__init__()
        self.config = llama().config
        self.device = torch.device("cpu")
        self.bracket = tokenizer().convert_tokens_to_ids("]")

    def forward(self, input_ids: torch.Tensor, logits_to_keep: int = 1, **_: object) -> SimpleNamespace:
        logits = torch.zeros(len(input_ids), logits_to_keep, len(tokenizer()))
        for row, ids in enumerate(input_ids.tolist()):
            logits[row, :, [ids[ids.index(self.bracket) + 1], 4]] = 8.0
        return SimpleNamespace(logits=logits)
