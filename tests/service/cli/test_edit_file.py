"""Many corrections from a file: sent once each, whatever breaks on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from service.cli import edit_file
from service.cli.main import app
from service.cli.terminal import options
from service.client.corrections_file import read_corrections
from service.client.errors import Refusal, Unreachable
from service.client.http import Client
from service.client.results_file import ResultsFile
from service.client.uploader import Clock, Uploader, UploadOptions

Items = list[dict[str, Any]]


class BatchServer:
    """The contract of POST /edits/batch, with an answer known for each input, and ways to fail.

    Attributes:
        edits: inputs in the order in which they were recorded.
        recorded: by key and place, as the server's log has them.
        dies: inputs behind whose recording the connection breaks, once each.
        first: replies given before any work is done, the next one first.
    """

    def __init__(self) -> None:
        self.edits: list[str] = []
        self.recorded: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, Items]] = []
        self.dies: list[str] = []
        self.first: list[httpx.Response] = []
        self.full: list[str] = []  # inputs that find the service full, once each

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            if request.url.path == "/model":
                return httpx.Response(200, json={})
            known = any(item["id"] == request.url.path.split("/")[-1] for item in self.recorded.values())
            return httpx.Response(200, json={}) if known else problem(404, "unknown-edit")
        body, key = json.loads(request.content), request.headers["idempotency-key"]
        self.requests.append((key, body["edits"]))
        assert body["stream"] is True and len(key) <= 200
        if self.first:
            return self.first.pop(0)
        return httpx.Response(200, stream=Stream(self, key, body["edits"]))

    def item(self, key: str, place: int, edit: dict[str, Any]) -> dict[str, Any]:
        name = f"{key}/{place}"
        if name in self.recorded:
            return {**self.recorded[name], "replayed": True}
        if edit["input"] in self.full:
            self.full.remove(edit["input"])
            return refused(place, 503, "overloaded")
        if edit["output"] == "wrong" and not edit.get("force"):
            return refused(place, 422, "checks-failed")
        if edit.get("dry_run"):
            return {"index": place, "id": None, "status": "active", "report": {"efficacy": True}}
        self.edits.append(edit["input"])
        made = {"index": place, "id": f"ed_{len(self.edits)}", "status": "active", "report": {"efficacy": True}}
        self.recorded[name] = made
        return made


class Stream(httpx.SyncByteStream):
    """Server-sent events, made one by one as they are read."""

    def __init__(self, server: BatchServer, key: str, edits: Items) -> None:
        self.server, self.key, self.edits = server, key, edits

    def __iter__(self) -> Any:
        done = []
        for place, edit in enumerate(self.edits):
            done.append(self.server.item(self.key, place, edit))
            if edit["input"] in self.server.dies:
                self.server.dies.remove(edit["input"])
                raise httpx.ReadError("connection reset")
            yield data(done[-1])
        yield data({"edits": done, "made": 0, "refused": 0, "revision": len(self.server.edits)}) + b"data: [DONE]\n\n"


def data(document: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(document)}\n\n".encode()


def problem(status: int, slug: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    document = {"type": f"/problems/{slug}", "title": slug, "status": status, "detail": "why", **more}
    return httpx.Response(status, json=document, headers=headers)


def refused(place: int, status: int, slug: str) -> dict[str, Any]:
    return {"index": place, "id": None, "status": "refused", "problem": problem(status, slug).json()}


@pytest.fixture
def server() -> BatchServer:
    return BatchServer()


def corrections(count: int, *wrong: int) -> bytes:
    records = [{"input": f"q{n}?", "output": "wrong" if n in wrong else f"a{n}"} for n in range(1, count + 1)]
    return "".join(json.dumps(record) + "\n" for record in records).encode()


class World:
    """Sends a file's content to the server as the command would; pauses are noted, not waited for."""

    def __init__(self, server: BatchServer, path: Path) -> None:
        self.server, self.path = server, path
        self.pauses: list[float] = []
        self.told: list[int] = []

    def send(self, content: bytes, chunk: int = 3, **manner: Any) -> ResultsFile:
        results = ResultsFile(self.path, read_corrections(content, False, {}).corrections)
        results.begin()
        with Client("http://x", httpx.MockTransport(self.server)) as client:
            Uploader(
                client,
                results,
                UploadOptions(chunk, **manner),
                lambda one: self.told.append(one.line),
                clock=Clock(self.pauses.append, lambda: sum(self.pauses)),
            ).run()
        return results

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def world(server: BatchServer, tmp_path: Path) -> World:
    return World(server, tmp_path / "x.results.jsonl")


def inputs(*numbers: int) -> list[str]:
    return [f"q{n}?" for n in numbers]


def test_a_file_is_sent_in_chunks_and_each_line_has_its_result(world: World, server: BatchServer) -> None:
    """In order; a refused line says why and stops no other."""
    world.send(corrections(5, 2))
    assert [len(edits) for _, edits in server.requests] == [3, 2]
    assert server.edits == inputs(1, 3, 4, 5) and world.told == [1, 2, 3, 4, 5]
    rows = world.rows()
    assert [(row["line"], row["id"], row["status"]) for row in rows[:2]] == [
        (1, "ed_1", "active"),
        (2, None, "refused"),
    ]
    assert rows[0]["efficacy"] is True and rows[1]["problem"]["type"] == "/problems/checks-failed"
    assert not world.path.with_name("x.results.jsonl.pending").exists()


def test_a_lost_connection_is_tried_again_and_nothing_is_applied_twice(world: World, server: BatchServer) -> None:
    """The edit was recorded, its answer was lost: the same key brings it back as it was."""
    server.dies = inputs(2, 4)
    world.send(corrections(5))
    assert server.edits == inputs(1, 2, 3, 4, 5)
    assert sorted(world.told) == [1, 2, 3, 4, 5] and len(world.rows()) == 5
    assert len({key for key, _ in server.requests}) == 2 and len(server.requests) == 4
    assert world.pauses == [1.0, 1.0]


@pytest.mark.parametrize("dying", range(1, 6))
def test_a_run_that_was_killed_goes_on_where_it_was(world: World, server: BatchServer, dying: int) -> None:
    """Also with other chunks and a file that has grown meanwhile: what was on its way is asked for under its key."""
    server.dies = inputs(dying)
    with pytest.raises(Unreachable):
        world.send(corrections(5), patience=0.5)
    with world.path.open("a") as file:
        file.write('{"line": 9, "id": "ed_')  # killed while it wrote
    grown = b'{"input": "new?", "output": "x"}\n' + corrections(6)
    world.send(grown, chunk=4)
    assert sorted(server.edits) == sorted([*inputs(1, 2, 3, 4, 5, 6), "new?"])
    world.send(grown)
    assert len(server.edits) == 7
    assert sorted(row["line"] for row in world.rows()) == [1, 2, 3, 4, 5, 6, 7]


def test_without_the_results_the_server_replays_what_it_has(world: World, server: BatchServer) -> None:
    """The key comes from the content: the same file in the same chunks is done once."""
    world.send(corrections(5))
    world.path.unlink()
    world.send(corrections(5))
    assert len(server.edits) == 5 and all(row["replayed"] for row in world.rows())
    world.path.unlink()
    world.send(corrections(5), key="again")
    assert len(server.edits) == 10


def test_a_full_service_is_waited_for_and_a_request_that_still_runs_too(world: World, server: BatchServer) -> None:
    """As long as it says, longer each time; an item that found no place is asked for again with its chunk."""
    server.first = [problem(503, "overloaded", {"Retry-After": "7"}), problem(409, "idempotency-in-progress")]
    server.full = inputs(2)
    world.send(corrections(3))
    assert sorted(server.edits) == inputs(1, 2, 3)
    assert world.pauses == [7.0, 2.0, 1.0]
    assert {row["status"] for row in world.rows()} == {"active"} and len(world.rows()) == 3


def test_patience_has_an_end(world: World, server: BatchServer) -> None:
    """What does not get better is said; nothing is lost."""
    server.first = [problem(503, "overloaded") for _ in range(100)]
    with pytest.raises(Refusal):
        world.send(corrections(3), patience=20)
    assert 7 <= sum(world.pauses) <= 20
    server.first = [problem(503, "not-ready", {"Retry-After": "3600"})]
    before = len(world.pauses)
    with pytest.raises(Refusal):
        world.send(corrections(3), patience=600)
    assert len(world.pauses) == before


def test_a_chunk_that_is_refused_as_a_whole_is_parted(world: World, server: BatchServer) -> None:
    """Named items are refused and the others made; a body that is too large is halved down to the line itself."""
    errors = [{"field": "edits.2", "message": "asks the same as edits.0"}, {"field": "edits.0", "message": "…"}]
    server.first = [problem(422, "contradicting-edits", errors=errors)]
    world.send(corrections(3))
    assert server.edits == inputs(2)
    assert [(row["line"], row["status"]) for row in world.rows()] == [(1, "refused"), (3, "refused"), (2, "active")]
    large = world.path.with_name("large.jsonl")
    other = World(server, large)
    server.first = [problem(413, "body-too-large") for _ in range(2)]
    other.send(corrections(3))
    assert [(row["line"], row["status"]) for row in other.rows()] == [(1, "refused"), (2, "active"), (3, "active")]


def test_what_may_go_better_is_tried_again_in_the_next_run(world: World, server: BatchServer) -> None:
    """A full disk is; a failed check is not, unless it is forced."""
    server.full = []
    first = ResultsFile(world.path, read_corrections(corrections(2, 2), False, {}).corrections)
    first.begin()
    first.add(first.corrections[0], refused(0, 507, "storage-failed"))
    first.add(first.corrections[1], refused(1, 422, "checks-failed"))
    world.send(corrections(2, 2))
    assert server.edits == inputs(1) and len(server.requests) == 1
    forced = read_corrections(corrections(2, 2), False, {"force": True}).corrections
    assert [ResultsFile(world.path, forced).is_done(one) for one in forced] == [True, False]


@pytest.fixture
def errata(server: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs ``errata edit --file …`` in a directory of its own against the fake server."""

    class Connected(Client):
        def __init__(self, url: str) -> None:
            super().__init__(url, httpx.MockTransport(server))

    monkeypatch.setattr("service.client.http.Client", Connected)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments, **more: CliRunner().invoke(app, ["edit", *arguments], **more)


def test_the_command_sums_up_and_ends_with_1_when_something_was_refused(
    errata: Callable[..., Result], server: BatchServer
) -> None:
    """How many, where to read why, and the reason itself."""
    Path("c.jsonl").write_bytes(corrections(4, 3) + corrections(1))
    result = errata("--file", "c.jsonl", "--chunk", "2", "--actor", "José")
    assert result.exit_code == 1
    assert "4 corrections: 3 made, 1 refused, 1 duplicates left out" in result.stdout
    assert "c.results.jsonl" in result.stdout and "c.jsonl:3: refused: checks-failed: why" in result.stderr
    result = errata("--file", "c.jsonl", "--force", "--json")
    assert (result.exit_code, json.loads(result.stdout)["made"]) == (0, 4)
    assert server.edits == inputs(1, 2, 4, 3)


def test_nothing_is_sent_of_a_broken_or_contradicting_file(errata: Callable[..., Result], server: BatchServer) -> None:
    """File and line are named; --skip-broken goes on without broken lines."""
    Path("c.jsonl").write_bytes(b"oops\n" + corrections(2))
    result = errata("--file", "c.jsonl")
    assert result.exit_code == 1 and "c.jsonl:1: not JSON" in result.stderr and server.requests == []
    result = errata("--file", "c.jsonl", "--skip-broken")
    assert result.exit_code == 0 and "1 broken lines skipped" in result.stdout and len(server.edits) == 2
    Path("d.jsonl").write_bytes(corrections(2) + corrections(2, 2))
    result = errata("--file", "d.jsonl")
    assert result.exit_code == 1 and "d.jsonl:4: asks the same as line 2" in result.stderr
    assert len(server.requests) == 1


def test_standard_input_a_dry_run_and_what_does_not_go_together(
    errata: Callable[..., Result], server: BatchServer
) -> None:
    """``-`` reads CSV too; a dry run records nothing and does not mix its results with those of the run."""
    result = errata("--file", "-", "--dry-run", input="question,answer\nq?,a\n")
    assert (result.exit_code, server.edits) == (0, []), result.output
    assert "1 rehearsed" in result.stdout and Path("corrections.dry-run.jsonl").is_file()
    assert errata("--file", "-", input="question,answer\nq?,a\n").exit_code == 0
    assert server.edits == ["q?"]
    for wrong in (["--file", "-", "q?", "a"], ["--file", "-", "--if-match", "3"], [], ["q?"]):
        assert errata(*wrong).exit_code == 2
    assert "cannot be read" in errata("--file", "nowhere.jsonl").stderr
    assert "no corrections" in errata("--file", "-", input="").stderr


def test_results_of_something_else_are_left_alone(errata: Callable[..., Result], server: BatchServer) -> None:
    """Of other corrections, or of a server that is not this one."""
    Path("c.jsonl").write_bytes(corrections(2))
    assert errata("--file", "c.jsonl").exit_code == 0
    kept = Path("c.results.jsonl").read_text()
    result = errata("--file", "c.jsonl", "--idempotency-key", "anew")
    assert result.exit_code == 1 and "other corrections" in result.stderr
    server.recorded.clear()
    result = errata("--file", "c.jsonl")
    assert result.exit_code == 1 and "does not know" in result.stderr
    assert Path("c.results.jsonl").read_text() == kept and len(server.edits) == 2


def test_an_interruption_says_how_to_go_on(
    errata: Callable[..., Result], server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends with 130; the same command does the rest."""
    Path("c.jsonl").write_bytes(corrections(3))

    def interrupted(correction: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as pressed:
        pressed.setattr(Uploader, "_repeat", lambda self, chunk: interrupted(chunk))
        result = errata("--file", "c.jsonl")
    assert (result.exit_code, server.edits) == (130, []) and "goes on" in result.stderr
    assert errata("--file", "c.jsonl").exit_code == 0
    assert server.edits == inputs(1, 2, 3)
    assert vars(edit_file)["server"] is options.server
