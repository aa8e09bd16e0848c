"""The prompt with which a model reads passages, in training and serving alike, and the text for no answer."""

from __future__ import annotations

from collections.abc import Sequence

from index.passages.passage import Passage

ASK = "Answer the question in a few words, using the passages.\n\n{passages}\n\nQuestion: {question}"
NO_ANSWER = "Not in the index."


def prompt_text(question: str, passages: Sequence[Passage]) -> str:
    """The user's text: numbered passages, then the question."""
    shown = "\n\n".join(f"[{n}] {passage.title}: {passage.text}" for n, passage in enumerate(passages, start=1))
    return ASK.format(passages=shown, question=question)
