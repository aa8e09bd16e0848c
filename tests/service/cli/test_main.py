"""The command line against a real server with a fake service."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner, Result

import service
from editing.edit import EditRequest
from service.cli.main import app
from service.client.errors import NotErrata, Refusal, Unreachable
from service.client.http import Client
from service.engines.protocol import SamplingParams
from service.errors import InvalidPrompt
from service.types.answers import SearchOptions
from service.types.edits import Amendment
from service.types.generation import Message
from tests.service.fakes import EDIT, FakeService

QUESTION = "What is the capital of Australia?"
Errata = Callable[..., Result]


@pytest.fixture
def errata(url: str, monkeypatch: pytest.MonkeyPatch) -> Errata:
    """Runs ``errata …`` against the server; the address comes from the environment."""
    monkeypatch.setenv("ERRATA_URL", url)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(app, [*arguments])


def document(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_help_answers_at_once() -> None:
    """Neither torch nor the server is loaded to print the help."""
    script = "import sys; from service.cli.main import app; app(['--help'], standalone_mode=False); print(*sys.modules)"
    root = Path(service.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True)
    assert "rollback" in done.stdout
    modules = done.stdout.splitlines()[-1].split()
    assert not {"torch", "transformers", "fastapi", "pydantic", "httpx", "faiss"} & set(modules)


def test_generate_prints_the_pieces(errata: Errata, service: FakeService) -> None:
    """The text goes to stdout, what it rests on to stderr."""
    result = errata("generate", QUESTION)
    assert (result.exit_code, result.stdout) == (0, "Canberra\n")
    assert EDIT in result.stderr
    assert errata("generate", QUESTION, "--no-stream").stdout == "Canberra\n"


def test_generate_as_json(errata: Errata, service: FakeService) -> None:
    """The contract's answer and nothing else on stdout; every option arrives."""
    options = (
        "--raw --max-tokens 3 --temperature 0.5 --top-p 0.9 --seed 7 --stop a --stop b --revision 2 --edits ed_a,ed_b"
    )
    assert document(errata("generate", "x", "--json", *options.split()))["text"] == "Canberra"
    query = service.calls[-1][1]
    assert (query.prompt, query.raw, query.revision, query.edits) == ("x", True, 2, ("ed_a", "ed_b"))
    assert query.params == SamplingParams(max_tokens=3, temperature=0.5, top_p=0.9, seed=7, stop=("a", "b"))


def test_generate_with_a_system_message(errata: Errata, service: FakeService) -> None:
    """--system makes a conversation of two messages."""
    errata("generate", "x", "--system", "Be short.", "--json")
    assert service.calls[-1][1].messages == (Message("system", "Be short."), Message("user", "x"))


@pytest.mark.parametrize("option", [["--json"], [], ["--no-stream"]])
def test_problems_end_with_a_status_and_the_reason(errata: Errata, service: FakeService, option: list[str]) -> None:
    """Title, detail and fields on stderr, nothing on stdout, status 1; streamed or not."""
    result = errata("generate", "x", "--max-tokens", "0", *option)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "The request is not valid" in result.stderr
    assert "max_tokens: Input should be greater than or equal to 1" in result.stderr
    service.fails["generate"] = InvalidPrompt("prompt", "too long")
    assert "The prompt cannot be answered: too long" in errata("generate", "x", *option).stderr


def test_stream_that_breaks_is_a_failure(errata: Errata, service: FakeService) -> None:
    """What was said before the error stays; the status says that it is not all."""
    service.fails["after"] = RuntimeError("x")
    result = errata("generate", "x")
    assert result.exit_code == 1
    assert "Canberra" in result.stdout
    assert "Something went wrong inside the service" in result.stderr


def test_odd_arguments_are_the_servers_to_refuse(errata: Errata) -> None:
    """NaN and bytes that are no UTF-8 get the server's problem, not a stack trace."""
    assert "temperature" in errata("generate", "x", "--temperature", "nan").stderr
    assert "surrogates" in errata("generate", "a\udcff").stderr
    assert errata("edits", "ed_\udcff/../x?y").exit_code == 1


def test_edit(errata: Errata, service: FakeService) -> None:
    """Every option arrives; the table shows the report."""
    lists = ["--rephrase", "a", "--rephrase", "b", "--locality", "c"]
    options = "--scope global --raw --force --reason r --actor José --if-match 4 --idempotency-key k"
    result = errata("edit", QUESTION, "Canberra", *lists, *options.split())
    assert result.exit_code == 0, result.output
    for said in (EDIT, "Checked by free generation", "1 of 1 unchanged", "exact"):
        assert said in result.stdout
    _, request, chosen = service.calls[-1]
    assert request == EditRequest(QUESTION, "Canberra", True, ("a", "b"), ("c",), "global")
    assert (chosen.actor, chosen.reason, chosen.force, chosen.if_match, chosen.idempotency_key) == (
        "José",
        "r",
        True,
        4,
        "k",
    )


def test_edit_as_json(errata: Errata, service: FakeService) -> None:
    """The same body as over HTTP."""
    assert document(errata("edit", "x", "y", "--json"))["id"] == EDIT
    assert document(errata("edit", "x", "y", "--dry-run", "--json"))["id"] is None
    assert "nothing was recorded" in errata("edit", "x", "y", "--dry-run").stdout


def test_failed_check_shows_its_report(errata: Errata) -> None:
    """Why an edit was refused can be read where the refusal is."""
    result = errata("edit", "x", "wrong")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "The edit did not pass its checks" in result.stderr
    assert "Checked by free generation" in result.stderr
    assert errata("edit", "x", "y", "--if-match", "3").exit_code == 1


def test_amend(errata: Errata, service: FakeService) -> None:
    """Further wordings of one edit."""
    words = ("amend", EDIT, "--rephrase", "a", "--rephrase", "b", "--locality", "c", "--reason", "r")
    assert EDIT in errata(*words).stdout
    assert service.calls == [("amend", EDIT, Amendment(("a", "b"), ("c",)), "anonymous", "r", None)]
    assert "There is no such edit" in errata("amend", "ed_nobody", "--rephrase", "a").stderr
    assert "add_rephrases" in errata("amend", EDIT).stderr


def test_match(errata: Errata, service: FakeService) -> None:
    """A table for each prompt, or the answer as it is."""
    shown = errata("match", "Where is it?", "And when?").stdout
    assert "Where is it? → " in shown and "And when? → " in shown and "it asks the same" in shown
    assert document(errata("match", "Where is it?", "--json"))["revision"] == 5


def test_rollback(errata: Errata, service: FakeService) -> None:
    """One edit, or to a revision; not both, not neither."""
    assert "took back " + EDIT in errata("rollback", EDIT, "--reason", "r").stdout
    assert document(errata("rollback", "--to-revision", "0", "--json"))["revision"] == 6
    assert service.calls == [("rollback", EDIT, "anonymous", "r", None), ("restore", 0, "anonymous", None, None)]
    assert "exactly one" in errata("rollback").stderr
    assert "There is no such edit" in errata("rollback", "ed_nobody").stderr
    assert errata("rollback", "ed_done").exit_code == 1


def test_edits(errata: Errata, service: FakeService) -> None:
    """A page with the way to the next, or one edit with its events."""
    result = errata("edits", "--status", "all", "--limit", "3", "--cursor", "abc")
    assert EDIT in result.stdout
    assert "errata edits --status all --limit 3 --cursor next" in result.stdout
    assert service.calls == [("edits", "all", 3, "abc")]
    assert "next_cursor" in document(errata("edits", "--json"))
    assert "apply" in errata("edits", EDIT).stdout
    assert document(errata("edits", EDIT, "--json"))["id"] == EDIT


def test_log(errata: Errata) -> None:
    """The ledger's events as a table or as JSON."""
    assert "apply" in errata("log").stdout
    assert "errata log --after 1 --limit 1" in errata("log", "--limit", "1").stdout
    assert document(errata("log", "--after", "1", "--json"))["events"] == []


def test_verify(errata: Errata, service: FakeService) -> None:
    """A damaged log ends with status 1, also with --json."""
    assert "5 events, all whole" in errata("verify").stdout
    assert document(errata("verify", "--json"))["ok"] is True
    service.whole_log = False
    result = errata("verify")
    assert (result.exit_code, "event 3: changed" in result.stderr) == (1, True)
    result = errata("verify", "--json")
    assert (result.exit_code, json.loads(result.stdout)["first_bad_seq"]) == (1, 3)


def test_ask_retrieve_and_indexes(errata: Errata, service: FakeService) -> None:
    """Passages as a table, cited ones marked; versions of the index."""
    result = errata("ask", QUESTION, "-k", "3")
    assert result.stdout.startswith("Canberra\n")
    assert "Its capital is Canberra." in result.stdout
    assert service.calls[-1][1].k == 3
    assert document(errata("ask", QUESTION, "--json"))["answer"] == "Canberra"
    errata("ask", QUESTION, "--mode", "token")
    assert service.calls[-1][1].mode == "token"
    errata("ask", QUESTION, "--mode", "sequence", "--decoding", "fast")
    assert (service.calls[-1][1].mode, service.calls[-1][1].decoding) == ("sequence", "fast")
    assert "Australia" in errata("retrieve", "capital", "--k", "2").stdout
    assert document(errata("retrieve", "capital", "--json"))["index"] == "v1"
    errata(
        "retrieve", "capital", "--how", "dense", "--title", "Canberra", "--title", "Perth", "--source", "s", "--rerank"
    )
    assert service.calls[-1] == ("retrieve", "capital", 5, SearchOptions("dense", ("Canberra", "Perth"), ("s",), True))
    assert "IndexFlatIP" in errata("indexes").stdout
    assert document(errata("indexes", "--json"))["indexes"]
    assert "active" in errata("index", "activate", "v1").stdout
    assert errata("index", "activate", "v2").exit_code == 1


def test_text_from_outside_is_no_markup(errata: Errata, service: FakeService) -> None:
    """Square brackets in an answer or an edit are printed as they are."""
    service.pieces = ("[red]x[/red]", "[/nothing]")
    assert errata("generate", "x").stdout == "[red]x[/red][/nothing]\n"
    result = errata("edit", "[/b]", "[bold]y")
    assert result.exit_code == 0
    assert "[/b]" in result.stdout
    assert "[bold]y" in result.stdout


def test_no_server_says_how_to_start_one() -> None:
    """Nothing listens: the message names the command, and the address that was tried."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    result = CliRunner().invoke(app, ["log", "--url", f"http://127.0.0.1:{port}"])
    assert result.exit_code == 1
    assert "errata serve" in result.stderr
    assert str(port) in result.stderr


SERVER_VARIABLES = ("ERRATA_URL", "ERRATA_HOST", "ERRATA_PORT", "HOST", "PORT")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the variables that say where a server is, and no others of them."""

    def only(**given: str) -> None:
        for name in SERVER_VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)

    return only


@pytest.mark.parametrize("prefix", ["", "ERRATA_"])
def test_the_client_asks_where_serve_would_listen(
    environment: Callable[..., None], url: str, service: FakeService, prefix: str
) -> None:
    """HOST and PORT, which ``errata serve`` takes, are the address of the client commands too."""
    host, port = url.removeprefix("http://").split(":")
    environment(**{f"{prefix}HOST": host, f"{prefix}PORT": port})
    result = CliRunner().invoke(app, ["edits", "--json"])
    assert result.exit_code == 0, result.output
    assert EDIT in result.stdout


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"PORT": "1"}, "http://127.0.0.1:1"),
        ({"HOST": "0.0.0.0", "PORT": "1"}, "http://127.0.0.1:1"),
        ({"HOST": "::", "PORT": "1"}, "http://[::1]:1"),
        ({"HOST": "::1", "PORT": "1"}, "http://[::1]:1"),
        ({"ERRATA_PORT": "2", "PORT": "1"}, "http://127.0.0.1:2"),
        ({"ERRATA_URL": "http://127.0.0.1:3", "HOST": "0.0.0.0", "PORT": "1"}, "http://127.0.0.1:3"),
    ],
)
def test_which_address_is_asked(
    environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch, given: dict[str, str], asked: str
) -> None:
    """--url goes before ERRATA_URL, that before HOST and PORT; a server that listens everywhere is asked here."""
    addresses: list[str] = []

    class Noted(Client):
        def __init__(self, url: str) -> None:
            addresses.append(url)
            super().__init__(url, httpx.MockTransport(lambda _: httpx.Response(200, json={"indexes": []})))

    monkeypatch.setattr("service.client.http.Client", Noted)
    environment(**given)
    CliRunner().invoke(app, ["indexes"])
    CliRunner().invoke(app, ["indexes", "--url", "http://127.0.0.1:4"])
    assert addresses == [asked, "http://127.0.0.1:4"]


def test_a_port_that_is_none_is_told_in_a_line(environment: Callable[..., None]) -> None:
    """The variable is named; there is no stack trace."""
    environment(PORT="tcp://10.0.0.1:80")
    for command in (["edits"], ["serve"]):
        result = CliRunner().invoke(app, command)
        assert (result.exit_code, isinstance(result.exception, SystemExit)) == (1, True)
        assert "PORT" in result.stderr


@pytest.mark.parametrize("url", ["http://[", "ftp://x", "http://127.0.0.1:99999", "http://a b", "", "http://"])
def test_addresses_that_are_none(url: str) -> None:
    """A wrong --url is a message, not a stack trace."""
    result = CliRunner().invoke(app, ["log", "--url", url])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.stderr


def answering(response: httpx.Response) -> Client:
    return Client("http://x", httpx.MockTransport(lambda _: response))


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[1]),
        httpx.Response(502, text="Bad Gateway"),
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(307, headers={"Location": "/"}),
        httpx.Response(200, content=b"\xff"),
    ],
)
def test_other_servers_are_recognised(response: httpx.Response) -> None:
    """What is not ours is said not to be ours."""
    with pytest.raises(NotErrata):
        answering(response).get("/log")


def test_client_raises_the_problem() -> None:
    """A program that uses the client gets the document."""
    with pytest.raises(Refusal) as caught:
        answering(httpx.Response(404, json={"title": "T", "detail": "D", "status": 404})).get("/log")
    assert caught.value.problem["status"] == 404
    assert str(caught.value) == "T: D"


@pytest.mark.parametrize("text", ['data: {"text": "a"}\n\n', "", "data: [DONE]\n\n", "data: {oops\n\n", "hello\n"])
def test_stream_that_ends_early(text: str) -> None:
    """Half an answer is not taken for one."""
    with pytest.raises((Unreachable, NotErrata)):
        answering(httpx.Response(200, text=text)).stream("/generate", {}, lambda _: None)


def test_every_command_explains_itself() -> None:
    """Each command and each option has a help text."""
    root = typer.main.get_group(app)
    index: Any = root.commands["index"]
    commands = [*root.commands.values(), *index.commands.values()]
    assert {"serve", "generate", "edit", "rollback", "edits", "log", "verify", "ask", "retrieve"} <= set(root.commands)
    for command in commands:
        assert command.help, command.name
        for parameter in command.params:
            assert getattr(parameter, "help", None), (command.name, parameter.name)
