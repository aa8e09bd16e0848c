"""Countries and their capitals, which edits of benchmarks are made from."""

from __future__ import annotations

from pathlib import Path

_LIST = Path(__file__).with_name("capitals.txt")


def capitals() -> list[tuple[str, str]]:
    """(country, capital), in alphabetical order."""
    lines = (line.split(": ") for line in _LIST.read_text(encoding="utf-8").splitlines() if ":" in line)
    return [(country, capital) for country, capital in lines]
