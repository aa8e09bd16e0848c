"""Files as streams of bytes, decompressed on the way, and as numbered lines. Whatever is wrong is a CorpusError."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from index.errors import CorpusError

LONGEST_LINE = 1 << 26  # bytes, 64 MiB: a line beyond that is not an article, and one of many GB would fill the memory
_MAGIC = {".bz2": b"BZh", ".gz": b"\x1f\x8b"}
_FOREIGN = {b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"7z\xbc\xaf": "7-Zip", b"PK\x03\x04": "ZIP"}


def compression(name: str) -> str:
    """``.bz2``, ``.gz`` or nothing, by the end of a file's name."""
    suffix = Path(name).suffix.lower()
    return suffix if suffix in _MAGIC else ""


def plain_name(name: str) -> str:
    """A file's name without what compression adds, so that sources do not change when a file is packed."""
    name = writable(name)
    return name[: len(name) - len(compression(name))]


def writable(name: str) -> str:
    """A file's name as text that can be written down: bytes that are not UTF-8 become ``\\xff``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@contextmanager
def open_stream(path: Path, place: Callable[[], str] = str) -> Iterator[io.BufferedReader]:
    """Open a file for reading, decompressed if its name ends in .bz2 or .gz; bz2 of many streams is one stream here.

    Args:
        path: the file.
        place: says how far the reading came, when an error is to name it.

    Raises:
        CorpusError: the file cannot be read, is not what its name says, is cut short or damaged.
    """
    try:
        with path.open("rb") as raw:
            yield _decompressed(path, raw)
    except EOFError as error:
        raise CorpusError(path, "the compressed data is cut short; fetch the file again", place()) from error
    except zlib.error as error:
        raise CorpusError(path, f"the compressed data is damaged ({error}); fetch the file again", place()) from error
    except OSError as error:
        damaged = error.errno is None
        why = f"the compressed data is damaged ({error}); fetch the file again" if damaged else error.strerror
        raise CorpusError(path, why or str(error), place()) from error


def _decompressed(path: Path, raw: io.BufferedReader) -> io.BufferedReader:
    packed = compression(path.name)
    head = raw.peek(8)[:8]
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            raise CorpusError(path, f"it is packed with {name}; unpack it, or pack it with bz2 or gz")
    if packed and head and not head.startswith(_MAGIC[packed]):
        raise CorpusError(path, f"its name ends in {packed}, but it does not hold such data (it begins {head!r})")
    if packed == ".bz2":
        return cast(io.BufferedReader, bz2.BZ2File(raw))
    return cast(io.BufferedReader, gzip.GzipFile(fileobj=raw)) if packed else raw


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number from 1, line with its line feed) of a file, decompressed. Memory holds one line.

    Raises:
        CorpusError: as above, or a line is longer than 64 MiB; names the line.
    """
    number = 0
    with open_stream(path, lambda: f"after line {number}" if number else "") as stream:
        while line := stream.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise CorpusError(path, f"the line is longer than {LONGEST_LINE >> 20} MiB", f"line {number}")
            yield number, line


def head_of(path: Path, size: int = 4096) -> bytes:
    """The first bytes of a file, decompressed. Raises CorpusError as above."""
    with open_stream(path) as stream:
        return stream.read(size)
