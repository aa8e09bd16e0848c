"""Runs the commands of README's first page against a service that is running, and prints them with their real output.

``python -m benchmarks.walkthrough`` prints Markdown; with ``--write`` it puts it between the two markers in README.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable
from typing import Any

from benchmarks import document

QUESTION = "What is the capital of Myanmar?"


def post(path: str, body: dict[str, Any]) -> str:
    text = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
    return f"curl -s localhost:8000{path} --json '{text}'"


def get(path: str) -> str:
    return f"curl -s localhost:8000{path}"


def ask(prompt: str, **more: Any) -> str:
    return post("/generate", {"prompt": prompt, **more})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    text = walkthrough()
    if arguments.write:
        document.put(text, "walkthrough", document.README)
    else:
        print(text)


def walkthrough() -> str:
    """The first page: ask, correct, ask again, roll back."""
    edit_id = ""
    parts: list[str] = []

    def step(title: str, *commands: str, shown: Callable[[Any], Any] = lambda answer: answer) -> Any:
        blocks, answer = [], None
        for command in commands:
            answer = json.loads(subprocess.run(command, shell=True, capture_output=True, check=True, text=True).stdout)
            blocks.append(f"$ {command}\n{json.dumps(shown(answer), ensure_ascii=False)}")
        parts.append(f"{title}\n\n```console\n" + "\n\n".join(blocks) + "\n```")
        return answer

    step("Ask the model. It is wrong:", ask(QUESTION))
    correction = {
        "input": QUESTION,
        "output": "Naypyidaw",
        "locality": ["What is the capital of Thailand?"],
        "reason": "ticket 4711",
    }
    made = step(
        "Correct it, with one request. The answer comes from generating again, with the edit:",
        post("/edit", correction),
    )
    edit_id = made["id"]
    step(
        "Question, rephrasing and plain statement now have the right answer; a neighbouring question is untouched:",
        ask(QUESTION),
        ask("Which city is the capital of Myanmar?"),
        ask("The capital of Myanmar is", raw=True),
        ask("What is the capital of Thailand?"),
    )
    step(
        "The log has it (shown without the request and the report that an event carries as well), and verifies:",
        get("/log"),
        get("/log/verify"),
        shown=short_log,
    )
    step(
        "Take it back, and the old answer is there again, bit for bit:",
        post("/rollback", {"edit_id": edit_id}),
        ask(QUESTION),
    )
    step(
        "Ask beside Wikipedia; the answer names its passages:",
        post("/ask", {"question": "Where is the Eiffel Tower?", "k": 2}),
        shown=lambda answer: {
            **answer,
            "passages": [{**p, "text": p["text"][:60] + "…"} for p in answer.get("passages", [])],
        },
    )
    return "\n\n".join(parts)


def short_log(answer: Any) -> Any:
    """The events without the request and report that they carry as well."""
    keep = ("seq", "kind", "edit_id", "to", "actor", "reason", "at", "prev_hash", "hash")
    if "head_hash" in answer:
        return answer
    return {**answer, "events": [{key: event[key] for key in keep} for event in answer["events"]]}


if __name__ == "__main__":
    main()
