"""Articles of parquet files with the columns title and text, as the hub's ``wikimedia/wikipedia`` has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from index.corpora.skips import NULL, Skips, fault_of
from index.corpora.streams import plain_name
from index.errors import CorpusError
from index.passages.passage import Article

_ROWS = 256  # read at once
_BUFFER = 1 << 20  # bytes of each column read at once, so that a row group of any size streams


def read_parquet(path: Path, skipped: Skips | None = None, name: str | None = None) -> Iterator[Article]:
    """Articles in the order of the rows.

    The source is the row's ``url``, or else ``name`` (by default the file's), with ``#`` and the row's ``id`` if it has
    one. Further columns are not read. Rows whose title or text is null are left out and counted. Memory holds 256 rows.

    Raises:
        CorpusError: the file is missing, damaged, cut short, or without such columns; names the column or the row.
    """
    skipped = Skips() if skipped is None else skipped
    name = plain_name(path.name) if name is None else name
    for row, entry in enumerate(_entries(path), start=1):
        if entry["title"] is None or entry["text"] is None:
            skipped.record(NULL)
        else:
            yield _article(path, f"row {row}", name, entry)


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    """The rows, of the columns that matter."""
    import pyarrow as pa

    row = 0
    try:
        with path.open("rb") as stream:
            table = _opened(path, stream)
            for batch in table.iter_batches(_ROWS, columns=_columns(path, table.schema_arrow)):
                yield from batch.to_pylist()
                row += len(batch)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        place = f"after row {row}" if row else ""
        raise CorpusError(path, f"the data is damaged: {_first_line(error)}", place) from error
    except OSError as error:
        why = error.strerror or f"the data is damaged: {_first_line(error)}"
        raise CorpusError(path, why, f"after row {row}" if row else "") from error


def _opened(path: Path, stream: Any) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(stream, buffer_size=_BUFFER, pre_buffer=False, page_checksum_verification=True)
    except pa.ArrowInvalid as error:
        raise CorpusError(path, f"not parquet, or cut short; fetch it again: {_first_line(error)}") from error


def _columns(path: Path, schema: Any) -> list[str]:
    """Those of the columns title, text, url and id that are there. Raises CorpusError if their types do not fit."""
    import pyarrow.types as of

    there = [name for name in ("title", "text", "url", "id") if name in schema.names]
    for name in ("title", "text"):
        if name not in there:
            raise CorpusError(path, f'the column "{name}" is missing; there are: {", ".join(schema.names) or "none"}')
    for name in there:
        kind = schema.field(name).type
        kind = kind.value_type if of.is_dictionary(kind) else kind
        text = of.is_string(kind) or of.is_large_string(kind) or of.is_string_view(kind)
        if not text and not (name == "id" and of.is_integer(kind)):
            raise CorpusError(path, f"it is of type {kind}, not text", f'column "{name}"')
    return there


def _article(path: Path, place: str, name: str, entry: dict[str, Any]) -> Article:
    key = entry.get("id")
    source = entry.get("url") or (name if key is None or key == "" else f"{name}#{key}")
    for field, text in (("title", entry["title"]), ("text", entry["text"]), ("url or id", source)):
        if fault := fault_of(text):
            raise CorpusError(path, f'"{field}" {fault}', place)
    return Article(entry["title"], entry["text"], source)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
