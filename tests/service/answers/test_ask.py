"""Questions answered from passages of the real index, and from edits before them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import cast

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from index.passages.passage import Hit, Passage
from retrieval.reader.prompt import NO_ANSWER
from service.answers.citations import cited
from service.app import create_app
from service.settings import Settings
from tests.real import correction, new_home

HAMLET = "Who wrote Hamlet?"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    home = new_home(tmp_path_factory.mktemp("ask") / "home")
    with TestClient(create_app(Settings(home=home, verify_tokens=8), lambda _: None)) as client:
        end = time.monotonic() + 60
        while client.get("/readyz").status_code != 200 and time.monotonic() < end:
            time.sleep(0.1)
        yield client


def test_an_answer_names_its_passages_and_says_of_each_whether_it_rests_on_it(client: TestClient) -> None:
    """The article that is asked about comes first; every passage has its rank and its flag."""
    reply = client.post("/ask", json={"question": HAMLET, "k": 3, "max_tokens": 8})
    assert reply.status_code == 200, reply.text
    answer = reply.json()
    assert answer["passages"][0]["title"] == "Hamlet"
    assert [passage["rank"] for passage in answer["passages"]] == [1, 2, 3]
    assert {type(passage["cited"]) for passage in answer["passages"]} == {bool}
    assert (answer["edits_used"], answer["mode"]) == ([], "concat")


def test_passages_that_hold_what_the_answer_adds_to_the_question_are_cited() -> None:
    """Words of the question prove nothing; an answer that no passage holds cites none."""
    texts = ("Hamlet is a tragedy by William Shakespeare.", "Hamlet is a village in Denmark.")
    hits = [Hit(Passage(f"p_{n}", "Hamlet", text, "source", 0, len(text)), 0.5, n) for n, text in enumerate(texts, 1)]
    assert cited(HAMLET, "William Shakespeare wrote Hamlet.", hits) == {1}
    assert cited(HAMLET, "Francis Bacon", hits) == set()
    assert cited(HAMLET, "…", hits) == set()


def test_more_passages_than_the_index_holds_gives_those_that_there_are(client: TestClient) -> None:
    """A ``k`` beyond the index gives every passage once, best first."""
    service = cast(FastAPI, client.app).state.service
    passages = service.retrieve(HAMLET, 10**6).passages
    (active,) = (index for index in service.indexes() if index.active)
    assert len(passages) == active.passages == len({passage.id for passage in passages})
    assert all(one.score >= other.score for one, other in pairwise(passages))


def test_an_edit_in_force_answers_before_the_passages(client: TestClient) -> None:
    """The corrected question is answered by the edit; without edits, and after the rollback, by the passages again."""
    ask = {"question": HAMLET, "k": 2, "max_tokens": 24}
    before = client.post("/ask", json=ask).json()
    made = client.post("/edit", json=correction(HAMLET, "Bacon"))
    assert made.status_code == 201, made.text
    corrected = client.post("/ask", json=ask).json()
    assert corrected["edits_used"] == [made.json()["id"]]
    assert corrected["answer"] == client.post("/generate", json={"prompt": HAMLET, "max_tokens": 24}).json()["text"]
    assert client.post("/ask", json={**ask, "edits": "none"}).json()["answer"] == before["answer"]
    client.post("/rollback", json={"edit_id": made.json()["id"]})
    assert client.post("/ask", json=ask).json()["answer"] == before["answer"]


@pytest.mark.parametrize("mode", ["concat", "sequence", "token"])
def test_every_mode_answers_shortly_from_the_passages(client: TestClient, mode: str) -> None:
    """The author and nothing else, resting on a passage that says it; weights where passages are marginalised."""
    answer = client.post("/ask", json={"question": HAMLET, "k": 3, "mode": mode}).json()
    assert (answer["answer"], answer["supported"], answer["mode"]) == ("William Shakespeare", True, mode)
    assert answer["passages"][0]["cited"]
    weights = [passage.get("weight") for passage in answer["passages"]]
    assert weights == [None] * 3 if mode == "concat" else sum(weights) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("mode", ["concat", "sequence", "token"])
def test_what_nothing_retrieved_tells_is_said_to_be_missing(client: TestClient, mode: str) -> None:
    """No passage is cited for it, and the reply says that it is not supported."""
    question = "who played the bartender in season 4 of the soap opera Verdant Shores"
    answer = client.post("/ask", json={"question": question, "mode": mode}).json()
    assert (answer["answer"], answer["supported"]) == (NO_ANSWER, False)
    assert not any(passage["cited"] for passage in answer["passages"])


@pytest.mark.parametrize("mode", ["concat", "sequence"])
def test_what_is_streamed_is_the_answer(client: TestClient, mode: str) -> None:
    """Pieces, the whole answer, the end."""
    reply = client.post("/ask", json={"question": HAMLET, "k": 2, "mode": mode, "stream": True})
    events = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
    assert "".join(event["text"] for event in events[:-1]) == events[-1]["answer"] == "William Shakespeare"
    assert reply.text.rstrip().endswith("data: [DONE]")


def test_an_edit_overrules_passages_and_says_which(client: TestClient) -> None:
    """The answer follows the edit in every mode; the passage that says otherwise is named, with what it says."""
    made = client.post("/edit", json=correction(HAMLET, "Bacon")).json()
    for mode in ("concat", "token"):
        answer = client.post("/ask", json={"question": HAMLET, "k": 2, "mode": mode}).json()
        assert (answer["answer"], answer["edits_used"], answer["supported"]) == ("Bacon", [made["id"]], True)
        assert answer["passages"][0]["overruled"] and not answer["passages"][0]["cited"]
        assert answer["passages_say"] == "William Shakespeare"
    other = client.post("/ask", json={"question": "Who painted the Mona Lisa?", "k": 2}).json()
    assert other["edits_used"] == [] and "passages_say" not in other
    client.post("/rollback", json={"edit_id": made["id"]})


def test_a_question_that_no_context_holds_is_refused(client: TestClient) -> None:
    """In every mode, naming the field."""
    for mode in ("concat", "sequence", "token"):
        reply = client.post("/ask", json={"question": "why " * 25_000, "mode": mode})
        assert reply.status_code == 422, reply.text[:200]
        assert reply.json()["errors"][0]["field"] == "question"
