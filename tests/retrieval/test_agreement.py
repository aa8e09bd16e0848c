from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from index.errors import CorpusError
from retrieval.agreement import Question, measure_agreement, read_questions
from tests.retrieval.conftest import NQ, WordEncoder, passages_of


def test_shares_are_counted(words: WordEncoder) -> None:
    """The same vectors agree wholly, opposite ones not in the first place; answers are looked for without case."""
    passages = passages_of(30)
    vectors = words.encode([f"{passage.title}. {passage.text}" for passage in passages])
    questions = [Question("Title 3", ("NUMBER 3",)), Question("Title 4", ("nowhere",))]
    queries = words.encode([question.text for question in questions])
    same = measure_agreement(vectors, vectors, queries, questions, passages)
    assert (same.questions, same.top1, same.top5, same.answered, same.answered_quantised) == (2, 1, 1, 0.5, 0.5)
    assert measure_agreement(vectors, -np.roll(vectors, 7, 0), queries, questions, passages).top1 == 0


def test_a_line_that_is_no_question_is_numbered(tmp_path: Path) -> None:
    """A question file with a damaged line is refused with the line."""
    path = tmp_path / "questions.jsonl"
    path.write_text('{"question": "a", "answer": ["b"]}\n{"question": "a"}\n')
    with pytest.raises(CorpusError, match="line 2"):
        read_questions(path)


@pytest.mark.skipif(not NQ.is_file(), reason="the shared questions of Natural Questions are not here")
def test_natural_questions_are_read() -> None:
    """The file that the shipped figures were measured on."""
    assert len(read_questions(NQ)) == 1800
