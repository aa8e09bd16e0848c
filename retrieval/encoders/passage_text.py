"""How a passage is rendered for the encoder."""

from __future__ import annotations

from index.passages.passage import Passage

TEMPLATE = "{title}. {text}"  # what of a passage is embedded; recorded in every manifest


def render(passage: Passage) -> str:
    """The text that is embedded for a passage: see ``TEMPLATE``; without a title, the text alone."""
    return TEMPLATE.format(title=passage.title, text=passage.text) if passage.title else passage.text
