"""A record of a data file, whose fields are checked as they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from editing.data.facts import is_text

MAX_TEXT = 1000  # characters of a wording or an answer


class Unusable(Exception):
    """This record makes no example; the message is the reason, short, so that reasons can be counted."""


@dataclass(frozen=True)
class Record:
    """One JSON value out of a file. Names with dots lead into objects within it.

    All methods raise ``Unusable`` where the field is missing, empty, too long, or of another type.
    """

    content: Any

    def has(self, *names: str) -> bool:
        return isinstance(self.content, dict) and all(name in self.content for name in names)

    def value(self, name: str) -> Any:
        value = self.content
        if not isinstance(value, dict):
            raise Unusable("no JSON object")
        for part in name.split("."):
            if not isinstance(value, dict):
                raise Unusable(f"{name}: wrong type")
            if value.get(part) is None:
                raise Unusable(f"{name}: missing")
            value = value[part]
        return value

    def text(self, name: str) -> str:
        return checked(self.value(name), name)

    def wording(self, name: str) -> str:
        return checked(self.value(name), name, asks=True)

    def items(self, name: str) -> list[Any]:
        value = self.value(name)
        if not isinstance(value, list):
            raise Unusable(f"{name}: wrong type")
        return value

    def wordings(self, name: str) -> tuple[str, ...]:
        return tuple(checked(item, name, asks=True) for item in self.items(name))

    def gives(self, name: str) -> bool:
        """Whether a field that may be left out is there."""
        return isinstance(self.content, dict) and self.content.get(name) is not None


def checked(value: Any, name: str, *, asks: bool = False) -> str:
    """A text without the spaces around it. ``asks``: it must hold a letter or a digit, too.

    Raises:
        Unusable: it is no such text.
    """
    if not isinstance(value, str):
        raise Unusable(f"{name}: wrong type")
    text = value.strip()
    if not text or (asks and not any(sign.isalnum() for sign in text)):
        raise Unusable(f"{name}: empty")
    if not is_text(text):
        raise Unusable(f"{name}: not valid Unicode")
    if len(text) > MAX_TEXT:
        raise Unusable(f"{name}: too long")
    return text
