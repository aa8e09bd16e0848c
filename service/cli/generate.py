"""Commands that ask the model or the index: generate, ask, retrieve."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from service.cli.terminal.options import (
    AsJson,
    AtRevision,
    Edits,
    MaxTokens,
    Raw,
    Url,
    Whole,
    edit_choice,
    print_json,
    server,
)

app = typer.Typer()


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="A question, or with --raw a text to continue.")],
    *,
    system: Annotated[str | None, typer.Option(help="A system message before the question.")] = None,
    raw: Raw = False,
    max_tokens: MaxTokens = 64,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Mass of the tokens to sample from.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="Makes a sampled answer repeatable.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="The text ends before this; may be repeated.")] = None,
    revision: AtRevision = None,
    edits: Edits = "active",
    no_stream: Whole = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Generate a text under the edits in force."""
    question: dict[str, Any] = {"prompt": prompt}
    if system is not None:
        question = {"messages": [{"role": "system", "content": system}, {"role": "user", "content": prompt}]}
    sampling = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "seed": seed, "stop": stop or []}
    body = {**question, "raw": raw, **sampling, "revision": revision, "edits": edit_choice(edits)}
    _print_answer("/generate", body, url, as_json, no_stream)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    *,
    k: Annotated[int, typer.Option("-k", "--k", help="How many passages to give to the model.")] = 5,
    mode: Annotated[
        str, typer.Option(help="concat: one prompt for all passages. sequence, token: RAG-Sequence and RAG-Token.")
    ] = "concat",
    decoding: Annotated[str, typer.Option(help="Of sequence: thorough or fast.")] = "thorough",
    max_tokens: MaxTokens = 128,
    revision: AtRevision = None,
    edits: Edits = "active",
    no_stream: Whole = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Answer a question from Wikipedia passages, and say which were cited."""
    how = {"k": k, "mode": mode, "decoding": decoding, "max_tokens": max_tokens}
    body = {"question": question, **how, "revision": revision, "edits": edit_choice(edits)}
    _print_answer("/ask", body, url, as_json, no_stream)


def _print_answer(path: str, body: dict[str, Any], url: str | None, as_json: bool, at_once: bool) -> None:
    """Print the answer as it comes, then what it rests on."""
    from service.cli.terminal.tables import footnote, show_passages

    with server(url) as client:
        if as_json:
            print_json(client.post(path, body))
            return
        if at_once:
            answer = client.post(path, body)
            typer.echo(answer.get("text", answer.get("answer")))
        else:
            answer = client.stream(path, body, lambda piece: typer.echo(piece, nl=False))
            typer.echo()
        if "passages" in answer:
            show_passages(answer["passages"], answer["index"])
        typer.secho(footnote(answer), err=True, dim=True)


@app.command()
def retrieve(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    *,
    k: Annotated[int, typer.Option("-k", "--k", help="How many passages.")] = 5,
    how: Annotated[str | None, typer.Option(help="dense, bm25 or hybrid; by default as the server chooses.")] = None,
    title: Annotated[list[str] | None, typer.Option(help="Only of this article; may be repeated.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Only from there; may be repeated.")] = None,
    rerank: Annotated[bool, typer.Option("--rerank", help="Let the server's cross-encoder order the best.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Find the passages that are nearest to a text."""
    from service.cli.terminal.tables import show_passages

    options = {"how": how, "titles": title, "sources": source, "rerank": rerank}
    body = {"query": query, "k": k, **{name: value for name, value in options.items() if value}}
    with server(url) as client:
        found = client.post("/retrieve", body)
        print_json(found) if as_json else show_passages(found["passages"], found["index"])
