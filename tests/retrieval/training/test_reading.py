"""Examples: many questions behind the same passages, each as if it stood there alone."""

from __future__ import annotations

import random

import pytest
import torch

from index.passages.passage import Passage
from retrieval.reader.lora import Lora
from retrieval.reader.prompt import NO_ANSWER, prompt_text
from retrieval.training.reading import ReadingTask, pack, reading_loss
from retrieval.training.training_set import (
    QUESTIONS,
    AnnotatedQuestion,
    QuestionAnswer,
    ReadingExample,
    ReadingExampleBuilder,
)
from tests.editing import tiny

TOWNS = tuple(zip(tiny.SUBJECTS, tiny.ANSWERS, strict=True))
PASSAGES = tuple(
    Passage(f"p_{n}", subject, f"The capital of {subject} is {answer}", "s", 0, 30)
    for n, (subject, answer) in enumerate(TOWNS)
)
ROWS = tuple(range(len(PASSAGES)))
KNOWN = [
    AnnotatedQuestion(
        question.format(subject), (answer,), (row,), tuple(sorted(ROWS, key=lambda r: abs(r - row))), "made"
    )
    for row, (subject, answer) in enumerate(TOWNS)
    for question in tiny.QUESTIONS
]
VAIN = [AnnotatedQuestion(f"What is the river of {s}?", ("Styx",), (), ROWS, "unanswerable") for s in tiny.SUBJECTS]
KNOWN_BY = {one.text.rstrip("?.").casefold(): one for one in [*KNOWN, *VAIN]}
SHARES = {"made": 0.7, "unanswerable": 0.3}


def encode_prompt(text: str) -> tuple[int, ...]:
    return tiny.encoder().prompt(text, raw=False)


def encode_answer(text: str) -> tuple[int, ...]:
    return tiny.encoder().target(text, spaced=False)


def examples(seed: int = 0) -> ReadingExampleBuilder:
    return ReadingExampleBuilder(PASSAGES, [*KNOWN, *VAIN], SHARES, seed)


def test_questions_in_one_sequence_do_not_see_each_other() -> None:
    """The loss of a packed example is that of its questions one by one, weighted by their tokens."""
    model = tiny.llama().eval()
    for n in range(3):
        example = examples().example(n)
        packed = pack(example, encode_prompt, encode_answer)
        alone = [
            pack(ReadingExample(example.passages, (one,)), encode_prompt, encode_answer) for one in example.questions
        ]
        total = sum(float(reading_loss(model, one)) * len(one.targets) for one in alone)
        assert float(reading_loss(model, packed)) == pytest.approx(total / len(packed.targets), abs=1e-5)


def test_passages_stand_in_a_sequence_once() -> None:
    """What all prompts begin with is computed once, whatever the number of questions."""
    pairs = tuple(QuestionAnswer(question.format("Avaria"), "Alba") for question in tiny.QUESTIONS)
    one, three = (
        pack(ReadingExample(PASSAGES[:3], asked), encode_prompt, encode_answer) for asked in (pairs[:1], pairs)
    )
    passages = len(encode_prompt(prompt_text("", PASSAGES[:3])))
    assert three.ids.shape[1] - one.ids.shape[1] < passages
    assert three.positions.max() < one.ids.shape[1] + 5


def test_an_example_answers_from_what_it_shows_or_says_that_there_is_no_answer() -> None:
    """Right answers stand in a shown passage; where none is shown that tells, "not in the index" is right."""
    answerable = unanswerable = 0
    for n in range(60):
        example = examples().example(n)
        shown = " ".join(passage.text for passage in example.passages)
        assert 1 <= len(example.questions) <= QUESTIONS
        for pair in example.questions:
            known = KNOWN_BY[pair.question.rstrip("?").casefold()]
            assert (pair.answer == NO_ANSWER) == (known.answers[0] not in shown)
            answerable += pair.answer != NO_ANSWER
            unanswerable += pair.answer == NO_ANSWER
    assert answerable > 20 and unanswerable > 20


def test_an_example_depends_on_its_number_and_the_seed_alone() -> None:
    """So that a killed training goes on with the examples that it would have had."""
    random.seed(5)
    first = [examples().example(n) for n in (4, 2)]
    assert first == [examples().example(n) for n in (2, 4)][::-1]
    assert examples(1).example(4) != first[0]


def test_training_learns_to_read() -> None:
    """The loss of a tiny model falls to a half, and its own weights stay as they were."""
    model = tiny.llama().eval().requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lora = Lora.of_top_layers(model, layers=4, rank=8)
    task = ReadingTask(model, lora, examples(), encode_prompt, encode_answer, count=200)
    optimiser = torch.optim.Adam(lora.parameters(), lr=1e-2)
    losses = []
    for rows in task.batches(4, seed=0)[:40]:
        optimiser.zero_grad()
        losses.append(task.backward(rows))
        optimiser.step()
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
