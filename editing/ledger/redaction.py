"""Texts that can be erased from the log while its hashes go on to hold.

An event's hash does not cover its texts but a commitment to each of them: SHA-256 over the canonical JSON of
``[salt, names, text]``, where the names lead to the text, as in ``["request", "input"]``. The salt is 128 random bits
for each event and stands beside the texts. While they are there, anybody can check that they are the ones that were
written. When texts and salt are erased, the hash still holds, and without the salt nobody finds a text out by trying
(the salted disclosures of RFC 9901, section 4.2, are of the same kind; there, parts can be shown, here it is all or
nothing).

Everything here works on trees: objects within objects, whose leaves are texts or commitments; a list is a leaf.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from editing.ledger.canonical import canonical

Tree = Mapping[str, Any]
WORDS = frozenset({"scope", "match"})  # one of a few words of ours, not texts
SALT_BYTES = 16


def new_salt() -> str:
    """128 random bits, in hexadecimal digits."""
    return secrets.token_hex(SALT_BYTES)


def texts_in(content: Tree) -> dict[str, Any]:
    """The part of an object that is or holds text: strings and lists. Numbers, booleans, nulls, names are none."""
    found: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            if inner := texts_in(value):
                found[name] = inner
        elif isinstance(value, str | list | tuple) and name not in WORDS:
            found[name] = value
    return found


def commitments_to(texts: Tree, salt: str, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """The commitment to each text, where the text stands.

    Raises:
        ValueError, TypeError: a text cannot be written as JSON.
    """
    made: dict[str, Any] = {}
    for name, text in texts.items():
        if isinstance(text, dict):
            made[name] = commitments_to(text, salt, (*names, name))
        else:
            made[name] = hashlib.sha256(canonical([salt, [*names, name], text]).encode()).hexdigest()
    return made


def erased(texts: Tree) -> dict[str, Any]:
    """Null in the place of each text."""
    return {name: erased(text) if isinstance(text, dict) else None for name, text in texts.items()}


def without(content: Tree, names: Tree) -> dict[str, Any]:
    """An object without what ``names`` has leaves for."""
    kept: dict[str, Any] = {}
    for name, value in content.items():
        inner = names.get(name)
        if inner is None:
            kept[name] = value
        elif isinstance(inner, dict) and isinstance(value, dict):
            kept[name] = without(value, inner)
    return kept


def joined(content: Tree, leaves: Tree) -> dict[str, Any]:
    """An object with leaves put in where they were taken out.

    Raises:
        ValueError: something stands there already, or no object does.
    """
    whole = dict(content)
    for name, leaf in leaves.items():
        if isinstance(leaf, dict):
            inner = whole.get(name)
            if not isinstance(inner, dict):
                raise ValueError(f"no object {name!r} to put texts into")
            whole[name] = joined(inner, leaf)
        elif whole.get(name) is not None:
            raise ValueError(f"{name!r} is there twice")
        else:
            whole[name] = leaf
    return whole


def picked(content: Tree, names: Tree) -> dict[str, Any]:
    """What stands in an object where ``names`` has leaves.

    Raises:
        ValueError: one of them is missing.
    """
    found: dict[str, Any] = {}
    for name, inner in names.items():
        if name not in content:
            raise ValueError(f"{name!r} is missing")
        value = content[name]
        if isinstance(inner, dict):
            if not isinstance(value, dict):
                raise ValueError(f"{name!r} is no object")
            found[name] = picked(value, inner)
        else:
            found[name] = value
    return found
