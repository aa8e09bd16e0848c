"""Adding, changing and deleting passages without building again: a new version that shares the old one's files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from index.errors import AmendmentError, UnknownPassages
from index.passages.column import KEY
from index.passages.id_table import id_key
from index.passages.passage import Passage
from index.passages.passage_file import PassageFile
from index.passages.sequence import PassageSubset
from index.segments.record import next_segment_name
from index.vectors.search_types import index_type
from index.vectors.selection import Mask, Rows
from index.vectors.vector_index import Vectors
from index.versions.articles import articles_after, rows_beside
from index.versions.manifest import Manifest
from index.versions.passage_index import PassageIndex
from index.versions.successor import Successor, successor
from index.versions.workspace import AMENDING

_BLOCK = 4096  # passages compared at a time


@dataclass(frozen=True)
class ArticleKey:
    """All passages of a title, of a source, or of both together; None: of any."""

    title: str | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        if self.title is None and self.source is None:
            raise ValueError("an article is named by its title, its source or both")

    def __str__(self) -> str:
        parts = (("title", self.title), ("source", self.source))
        return " and ".join(f"{name} {value!r}" for name, value in parts if value is not None)

    def rows(self, index: PassageIndex) -> Rows:
        """Of the passages of the article in an index, ascending."""
        titles, sources = ((None if value is None else (value,)) for value in (self.title, self.source))
        return index.rows_where(titles, sources)


def amend_index(
    root: Path,
    version: str,
    *,
    add: Sequence[Passage] = (),
    vectors: Iterable[Vectors] = (),
    delete: Collection[str | ArticleKey] = (),
    replace_articles: bool = False,
) -> Manifest:
    """Make a version that is ``version`` without what is deleted and with what is added; ``version`` stays as it is.

    What is added becomes a segment of its own. The big files are shared with ``version`` (hard links, or copies where
    those do not work); what is deleted or replaced is left out of every search and every look-up by id from then on.
    A passage that is added under an id that is there takes its place; one that is there already, word for word, stays,
    also if it is among the deleted. If nothing changes, nothing is made. The new version is not made active.
    :func:`index.versions.compact.compact_index` merges segments when there are many.

    Args:
        root: the directory of all versions.
        version: the one to begin with.
        add: passages, n of them, no two of the same id.
        vectors: blocks (m, d), n rows in all, in the order of ``add``, made as the version's recipe says.
        delete: ids, and articles whose passages go.
        replace_articles: the passages of an article (title and source) that is added to are all replaced: those that
            are not added again are deleted. So an article that has become shorter leaves nothing behind.

    Returns:
        The manifest of the new version, or of ``version`` itself if nothing changes.

    Raises:
        UnknownIndex: there is no such version.
        UnknownPassages: something to delete is not there; names it. Nothing was made.
        AmendmentError: two passages to add have the same id, or no passage would be left. Nothing was made.
        ValueError: vectors that are not as above. Nothing was made.
        IndexMismatch: a file of the version is damaged.
        IndexStorageError: the disk does not take it.
    """
    _refuse_repeated(add)
    with successor(root, version, AMENDING) as made:
        index = made.parent
        new, gone = _changes(index, add, delete, replace_articles)
        if not new.any() and not len(gone):
            return index.manifest
        if len(gone) == len(index.passages) and not new.any():
            raise AmendmentError(f"the version {version} would have no passage left")
        added = PassageSubset(add, np.flatnonzero(new)) if not new.all() else add
        _write(made, gone, added, _vectors_of(new, vectors))
        manifest = replace(made.manifest(index.manifest.recipe), articles=articles_after(index, gone, added))
        return made.finish(manifest)


def _refuse_repeated(add: Sequence[Passage]) -> None:
    if isinstance(add, PassageFile):
        return  # its ids are told apart already
    keys = np.fromiter((id_key(passage.id) for passage in add), KEY, len(add))
    order = np.argsort(keys, kind="stable")
    repeated = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
    if len(repeated):
        passage = add[int(order[repeated[0] + 1])]
        raise AmendmentError(f"two of the passages to add have the id {passage.id} ({passage.title!r:.60})")


def _changes(
    index: PassageIndex, add: Sequence[Passage], delete: Collection[str | ArticleKey], replace_articles: bool
) -> tuple[Mask, Rows]:
    """Which of the added passages (n,) are new or different, and the rows that go, ascending."""
    there, same = np.empty(len(add), np.int64), np.empty(len(add), np.bool_)
    for first in range(0, len(add), _BLOCK):
        block = add[first : first + _BLOCK]
        rows = index.rows_of([passage.id for passage in block])
        pairs = zip(rows.tolist(), block, strict=True)
        there[first : first + _BLOCK] = rows
        same[first : first + _BLOCK] = [row >= 0 and index.passages[row] == passage for row, passage in pairs]
    gone = [there[(there >= 0) & ~same], _named_rows(index, delete)]
    if replace_articles:
        gone.append(rows_beside(index, add))
    return ~same, np.setdiff1d(np.concatenate(gone), there[same])


def _named_rows(index: PassageIndex, delete: Collection[str | ArticleKey]) -> Rows:
    """Raises UnknownPassages."""
    ids = [one for one in delete if isinstance(one, str)]
    of_ids = index.rows_of(ids)
    articles = {one: one.rows(index) for one in delete if not isinstance(one, str)}
    unknown = [one for one, row in zip(ids, of_ids.tolist(), strict=True) if row < 0]
    unknown += [str(one) for one, rows in articles.items() if not len(rows)]
    if unknown:
        raise UnknownPassages(index.manifest.version, unknown)
    return np.concatenate([of_ids, *articles.values()])


def _write(made: Successor, gone: Rows, added: Sequence[Passage], vectors: Iterable[Vectors]) -> None:
    """The segments that still hold anything when the rows ``gone`` go, and one of what is added."""
    index = made.parent
    for segment, deleted in zip(index.segments, _deleted(index, gone), strict=True):
        if len(deleted) < segment.record.rows:
            made.share(segment, deleted)
    if added:
        recipe = index.manifest.recipe.of_type(index_type(len(added)))
        made.write(next_segment_name(index.manifest.segments), recipe, added, vectors)


def _deleted(index: PassageIndex, gone: Rows) -> list[Rows]:
    """For each segment the rows of it that are deleted when rows of the index, ascending, are deleted too."""
    deleted = []
    for start, segment in zip(index.passages.starts, index.segments, strict=False):
        first, behind = np.searchsorted(gone, (start, start + len(segment)))
        deleted.append(np.union1d(segment.deleted, segment.rows_of(gone[first:behind] - start)))
    return deleted


def _vectors_of(chosen: Mask, vectors: Iterable[Vectors]) -> Iterator[Vectors]:
    """The vectors of the chosen passages. Raises ValueError if there are not as many in all as passages."""
    first = 0
    for block in vectors:
        if first + len(block) > len(chosen):
            raise ValueError(f"{first + len(block)} vectors or more for {len(chosen)} passages")
        yield block[chosen[first : first + len(block)]]
        first += len(block)
    if first != len(chosen):
        raise ValueError(f"{first} vectors for {len(chosen)} passages")
