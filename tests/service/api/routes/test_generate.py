"""Generate, ask and retrieve over HTTP, whole and streamed."""

from __future__ import annotations

import json
import threading
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from retrieval.errors import LexicalUnavailable, NoReranker
from service.engines.protocol import SamplingParams
from service.errors import IndexNotReady, InvalidPrompt, Overloaded
from service.types.answers import SearchOptions
from service.types.generation import Message
from tests.service.fakes import EDIT, FakeService
from tests.service.problems import fields, problem

QUESTION = "What is the capital of Australia?"
ANSWER = {
    "text": "Canberra",
    "finish_reason": "stop",
    "revision": 4,
    "edits_used": [EDIT],
    "edits": [{"id": EDIT, "kind": "asks"}],
    "usage": {"prompt_tokens": 38, "completion_tokens": 2},
}


def test_generate_answers_as_the_contract_says(client: TestClient, service: FakeService) -> None:
    """Defaults are the contract's, and the answer has its fields and no others."""
    response = client.post("/generate", json={"prompt": QUESTION})
    assert (response.status_code, response.json()) == (200, ANSWER)
    query = service.calls[0][1]
    assert query.params == SamplingParams(64, 0.0, 1.0, None, ())
    assert (query.prompt, query.messages, query.raw, query.revision, query.edits) == (
        QUESTION,
        None,
        False,
        None,
        "active",
    )


def test_generate_takes_everything_that_the_contract_names(client: TestClient, service: FakeService) -> None:
    """Whole numbers are fine where fractions are; the prompt arrives unchanged."""
    body = {
        "prompt": f"  {QUESTION}\n",
        "raw": True,
        "max_tokens": 3,
        "temperature": 1,
        "top_p": 0.5,
        "seed": -7,
        "stop": ["\n", "é"],
        "stream": False,
        "revision": 2,
        "edits": ["ed_b", "ed_a", "ed_b"],
    }
    assert client.post("/generate", json=body).json()["revision"] == 2
    query = service.calls[0][1]
    assert query.params == SamplingParams(3, 1.0, 0.5, -7, ("\n", "é"))
    assert (query.prompt, query.raw, query.revision, query.edits) == (body["prompt"], True, 2, ("ed_b", "ed_a"))


@pytest.mark.parametrize(("edits", "chosen"), [("none", "none"), ([], ()), (["ed_a"], ("ed_a",))])
def test_generate_with_chosen_edits(client: TestClient, service: FakeService, edits: Any, chosen: Any) -> None:
    """No edits, exactly these, and the empty list are three different things to ask for."""
    client.post("/generate", json={"prompt": "x", "edits": edits})
    assert service.calls[0][1].edits == chosen


def test_generate_from_messages(client: TestClient, service: FakeService) -> None:
    """A conversation arrives turn by turn."""
    messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": QUESTION}]
    assert client.post("/generate", json={"messages": messages}).status_code == 200
    assert service.calls[0][1].messages == (Message("system", "Be short."), Message("user", QUESTION))


def test_prompt_that_the_model_cannot_take(client: TestClient, service: FakeService) -> None:
    """What only the tokenizer can find wrong names its field like everything else."""
    service.fails["generate"] = InvalidPrompt("prompt", "9000 tokens and 64 to come; the context has 8192")
    document = problem(client.post("/generate", json={"prompt": "x"}), 422)
    assert fields(document) == ["prompt"]
    assert "8192" in document["detail"]


def test_overload_says_when_to_come_back(client: TestClient, service: FakeService) -> None:
    """A full queue is a 503 with Retry-After."""
    service.fails["generate"] = Overloaded("64 requests are waiting", retry_after=2)
    response = client.post("/generate", json={"prompt": "x"})
    problem(response, 503)
    assert response.headers["retry-after"] == "2"


def events(text: str) -> list[Any]:
    """The data of each event, parsed where it is JSON."""
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def test_stream_of_pieces(client: TestClient) -> None:
    """Each piece, the whole answer, then [DONE]."""
    response = client.post("/generate", json={"prompt": QUESTION, "stream": True})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert events(response.text) == [{"text": "Can"}, {"text": "berra"}, ANSWER, "[DONE]"]


def test_stream_keeps_odd_line_ends_inside_an_event(client: TestClient, service: FakeService) -> None:
    """No character of a piece ends the event, whatever the reader takes for a line's end."""
    service.pieces = ("a\n\nb", "\u2028\u0085\r", "😀", "", "\ud800")
    response = client.post("/generate", json={"prompt": "x", "stream": True})
    assert [event["text"] for event in events(response.text)[:4]] == ["a\n\nb", "\u2028\u0085\r", "😀", "\ud800"]
    assert all(line.startswith("data: ") for line in response.text.splitlines() if line)


def test_stream_without_a_piece(client: TestClient, service: FakeService) -> None:
    """An empty answer is a whole answer."""
    service.pieces = ()
    streamed = events(client.post("/generate", json={"prompt": "x", "stream": True}).text)
    assert (streamed[0]["text"], streamed[1:]) == ("", ["[DONE]"])


def test_stream_that_fails_before_its_first_piece(client: TestClient, service: FakeService) -> None:
    """As long as nothing was sent, an error has its own status."""
    service.fails["generate"] = InvalidPrompt("prompt", "too long")
    problem(client.post("/generate", json={"prompt": "x", "stream": True}), 422)
    service.fails = {"generate": RuntimeError("secret")}
    assert "secret" not in str(problem(client.post("/generate", json={"prompt": "x", "stream": True}), 500))


def test_stream_that_fails_later(client: TestClient, service: FakeService) -> None:
    """After the first piece an error is an event with the problem document, and nothing is [DONE]."""
    service.fails["after"] = RuntimeError("secret")
    response = client.post("/generate", json={"prompt": "x", "stream": True})
    assert "event: error\ndata: " in response.text
    assert [event.get("status") for event in events(response.text)] == [None, None, 500]
    assert "secret" not in response.text


def test_pieces_leave_as_they_come(app: FastAPI, service: FakeService) -> None:
    """The first piece is sent before the second exists, and a client that leaves stops the generation."""
    service.pieces = tuple("abcdefgh")
    go_on = threading.Event()
    service.between = lambda _: go_on.wait(5)
    sent: list[dict[str, Any]] = []

    async def converse() -> None:
        left = anyio.Event()
        messages = [{"type": "http.request", "body": b'{"prompt":"x","stream":true}', "more_body": False}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            if message.get("body"):  # the first piece: the client has read enough
                left.set()

        scope = {"type": "http", "method": "POST", "path": "/generate", "query_string": b"", "http_version": "1.1"}
        headers = [(b"content-type", b"application/json")]
        await app({**scope, "scheme": "http", "headers": headers, "raw_path": b"/generate"}, receive, send)
        go_on.set()
        while not service.stopped.is_set():
            await anyio.sleep(0.01)

    async def bounded() -> None:
        with anyio.fail_after(8):
            await converse()

    anyio.run(bounded)
    bodies = [message["body"] for message in sent if message.get("body")]
    assert bodies == [b'data: {"text": "a"}\n\n']


def test_ask_answers_as_the_contract_says(client: TestClient, service: FakeService) -> None:
    """Passages say whether they were cited; there is no weight in a mode that does not marginalise."""
    document = client.post("/ask", json={"question": QUESTION, "k": 3, "max_tokens": 9}).json()
    assert {"answer", "passages", "edits_used", "revision", "index", "mode", "usage"} <= set(document)
    assert set(document["passages"][0]) == {
        "id",
        "title",
        "text",
        "score",
        "rank",
        "source",
        "cited",
        "overruled",
    }
    query = service.calls[0][1]
    assert (query.question, query.k, query.mode, query.params.max_tokens) == (QUESTION, 3, "concat", 9)


def test_ask_streams(client: TestClient) -> None:
    """The whole answer of a stream is the answer that would have come at once."""
    whole = client.post("/ask", json={"question": QUESTION}).json()
    streamed = events(client.post("/ask", json={"question": QUESTION, "stream": True}).text)
    assert streamed == [{"text": "Can"}, {"text": "berra"}, whole, "[DONE]"]


def test_modes_that_marginalise_do_not_sample(client: TestClient) -> None:
    """RAG-Sequence and RAG-Token search for the likeliest answer; a temperature is refused and says why."""
    for mode in ("sequence", "token"):
        assert client.post("/ask", json={"question": "x", "mode": mode}).json()["mode"] == mode
        document = problem(client.post("/ask", json={"question": "x", "mode": mode, "temperature": 0.5}), 422)
        assert f"mode {mode}" in document["errors"][0]["message"]


def test_retrieve(client: TestClient, service: FakeService) -> None:
    """Passages and the version of the index; five unless told."""
    document = client.post("/retrieve", json={"query": "capital"}).json()
    assert document["index"] == "v1"
    assert set(document["passages"][0]) == {"id", "title", "text", "score", "rank", "source"}
    assert service.calls == [("retrieve", "capital", 5)]


def test_how_to_retrieve_reaches_the_search(client: TestClient, service: FakeService) -> None:
    """Kind, titles, sources and re-ranking; what is not said is as by default."""
    chosen = {"how": "bm25", "titles": ["Canberra", ""], "sources": ["wikipedia"], "rerank": True}
    assert client.post("/retrieve", json={"query": "capital", "k": 100, **chosen}).status_code == 200
    assert service.calls[-1] == (
        "retrieve",
        "capital",
        100,
        SearchOptions("bm25", ("Canberra", ""), ("wikipedia",), True),
    )
    client.post("/retrieve", json={"query": "capital", "titles": ["Canberra"]})
    assert service.calls[-1][-1] == SearchOptions(titles=("Canberra",))


def test_many_queries_are_searched_at_once(client: TestClient, service: FakeService) -> None:
    """A result for each, in their order, with the kind of search that it was."""
    document = client.post("/retrieve", json={"queries": ["capital", "river"], "k": 2}).json()
    assert [result["index"] for result in document["results"]] == ["v1", "v1"]
    assert document["results"][0]["how"] == "hybrid" and document["results"][0]["passages"][0]["title"] == "Australia"
    assert service.calls == [("retrieve_many", ["capital", "river"], 2)]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"query": "x", "how": "sparse"}, "'dense', 'bm25' or 'hybrid'"),
        ({"query": "x", "titles": "Canberra"}, "titles"),
        ({"query": "x", "titles": ["t"] * 1001}, "titles"),
        ({"query": "x", "sources": ["\0"]}, "U+0000"),
        ({"query": "x", "rerank": 1}, "rerank"),
        ({"query": "x", "rerank": True, "k": 101}, "with rerank, k is at most 100"),
        ({"query": "x", "queries": ["y"]}, "exactly one of query and queries"),
        ({}, "exactly one of query and queries"),
        ({"queries": []}, "queries"),
        ({"queries": ["x"] * 101}, "queries"),
        ({"queries": ["x", " "]}, "queries.1"),
    ],
)
def test_a_search_that_cannot_be_is_refused(client: TestClient, service: FakeService, body: Any, said: str) -> None:
    """With what is wrong; nothing is searched."""
    assert said in problem(client.post("/retrieve", json=body), 422)["detail"]
    assert service.calls == []


@pytest.mark.parametrize("error", [NoReranker(), LexicalUnavailable("v1")])
def test_a_search_that_this_service_cannot_make_is_refused(
    client: TestClient, service: FakeService, error: Exception
) -> None:
    """No re-ranker is configured, or there is no BM25: 422 that says so."""
    service.fails["retrieve"] = error
    assert problem(client.post("/retrieve", json={"query": "x", "rerank": True}), 422)["detail"] == str(error)


@pytest.mark.parametrize(("path", "body"), [("/retrieve", {"query": "x"}), ("/ask", {"question": "x"})])
def test_index_that_is_being_built(client: TestClient, service: FakeService, path: str, body: Any) -> None:
    """Until the index is there, what needs it is a 503 with Retry-After."""
    service.fails[path[1:]] = IndexNotReady("10 of 40 shards are embedded")
    response = client.post(path, json=body)
    assert "shards" in problem(response, 503)["detail"]
    assert int(response.headers["retry-after"]) > 0
