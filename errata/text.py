"""Where sentences end: one rule for text that was edited, one for what people type."""

from __future__ import annotations

import re
from collections.abc import Iterable

# A mark and the white space behind it.
SENTENCE_END = re.compile(r"(?<![A-Z])(?<!\b(?:St|Dr|Mr|Jr|Sr|vs|No|ca))(?<!\b(?:Mrs|e\.g|i\.e))[.!?]\s+(?=[A-Z\"“])")
_MESSAGE_END = re.compile(
    r"(?<=[.!?…])[\"”']?\s+(?=\S)|\n+|(?<=[:;])\s+(?=(?:what|which|who|where|when|how|in which)\b)", re.IGNORECASE
)


def split_sentences(text: str) -> list[str]:
    """Sentences of edited text with the marks at their ends.

    One begins with a capital letter or a quotation mark; neither an initial nor one of a few abbreviations ends one.
    """
    ends = [match.start() + 1 for match in SENTENCE_END.finditer(text)]
    return _stripped(text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True))


def split_message(text: str) -> list[str]:
    """Sentences of what somebody typed: lines are sentences, capitals mean nothing, a question may follow a colon."""
    return _stripped(_MESSAGE_END.split(text))


def _stripped(parts: Iterable[str]) -> list[str]:
    return [part for text in parts if (part := text.strip())]
