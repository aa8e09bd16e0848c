"""Question files: what is read, and what is said of broken ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from index.errors import CorpusError
from retrieval.evaluation.nq_open import Question, questions_digest, read_question_set
from tests.retrieval.conftest import NQ

PERU = {"question": "what is the capital of peru", "answer": ["Lima"]}


def written(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_several_files_are_one_set(tmp_path: Path) -> None:
    """A question that stands in two files is one, with the answers of both; packed files are unpacked."""
    first = written(tmp_path / "a.jsonl", PERU, "", {"question": "who", "answer": "me"})
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(json.dumps({**PERU, "answer": ["Lima", "Lima city"]}).encode()))
    found = read_question_set([first, packed])
    assert found.questions == (Question(PERU["question"], ("Lima", "Lima city")), Question("who", ("me",)))  # type: ignore[arg-type]
    assert (found.repeated, found.without_answer) == (1, 0)


def test_questions_without_answers_are_counted(tmp_path: Path) -> None:
    """They cannot be judged; where there are no others, that is an error."""
    silent = {"question": "why", "answer": []}
    found = read_question_set([written(tmp_path / "a.jsonl", silent, PERU, {"question": "how", "answer": [" "]})])
    assert (len(found.questions), found.without_answer) == (1, 2)
    with pytest.raises(CorpusError, match=r"b\.jsonl: none of its 1 questions has an answer"):
        read_question_set([tmp_path / "a.jsonl", written(tmp_path / "b.jsonl", silent)])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"question": "x", "answer"', r"line 2 column \d+: broken JSON"),
        ("[1, 2]", "line 2: expected a JSON object, found list"),
        ({"question": "x"}, 'line 2: the field "answer" is missing'),
        ({"answer": ["x"]}, 'line 2: the field "question" is missing'),
        ({"question": " ", "answer": ["x"]}, 'line 2: "question" is not a text, or is empty'),
        ({"question": "x", "answer": [1]}, 'line 2: "answer" is not a list of texts'),
        ({"question": "x", "answer": {"a": 1}}, 'line 2: "answer" is not a list of texts'),
        ({"question": "x", "answer": ["\ud800"]}, "line 2: half a character"),
        ("[" * 100_000, "line 2"),
        ("9" * 5000, "line 2"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: object, why: str) -> None:
    """With its file and number."""
    with pytest.raises(CorpusError, match=rf"a\.jsonl, {why}"):
        read_question_set([written(tmp_path / "a.jsonl", PERU, line)])


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_is_named(tmp_path: Path, content: bytes) -> None:
    """And what should be in it."""
    path = tmp_path / "empty.jsonl"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=r"empty\.jsonl: there are no questions in it; expected lines of"):
        read_question_set([path])


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """Missing, a directory, not UTF-8, a gzip file cut short."""
    with pytest.raises(CorpusError, match="No such file"):
        read_question_set([tmp_path / "missing.jsonl"])
    with pytest.raises(CorpusError, match="directory"):
        read_question_set([tmp_path])
    (tmp_path / "latin.jsonl").write_bytes(b'{"question": "\xe9", "answer": ["x"]}\n')
    with pytest.raises(CorpusError, match="line 1: not valid UTF-8"):
        read_question_set([tmp_path / "latin.jsonl"])
    (tmp_path / "cut.gz").write_bytes(gzip.compress(json.dumps(PERU).encode() * 9)[:-12])
    with pytest.raises(CorpusError, match="cut short or damaged"):
        read_question_set([tmp_path / "cut.gz"])


@pytest.mark.skipif(not NQ.is_file(), reason="the shared questions of Natural Questions are not here")
def test_natural_questions_are_read() -> None:
    """Each of the 1,800 with at least one answer."""
    found = read_question_set([NQ])
    assert (len(found.questions), found.without_answer, found.repeated) == (1800, 0, 0)


def test_the_digest_names_questions_and_answers() -> None:
    """Another answer or order gives another."""
    one, two = Question("a", ("x",)), Question("b", ("y",))
    digests = {questions_digest(q) for q in ([one, two], [two, one], [one], [Question("a", ("z",)), two])}
    assert len(digests) == 4 and questions_digest([one, two]) in digests
