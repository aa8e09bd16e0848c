"""Articles of MediaWiki dumps (``pages-articles.xml``), page by page, without their markup."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree.ElementTree import ParseError
from xml.parsers import expat

from index.corpora.skips import DISAMBIGUATION, MARKUP, MODEL, NAMESPACE, REDIRECT, Skips
from index.corpora.streams import open_stream
from index.corpora.wiki_site import DEFAULT_NAMESPACES, Site, site_of
from index.corpora.wikitext import UnreadableMarkup, read_page
from index.errors import CorpusError
from index.passages.passage import Article

_REDIRECT = re.compile(r"\s*#redirect\b", re.IGNORECASE)
_ASSUMED = "it is read with MediaWiki's default namespaces, as a dump of the English Wikipedia"
_DEFAULT_SITE = "".join(
    (
        "<siteinfo><namespaces>",
        *(f'<namespace key="{key}">{name}</namespace>' for key, name in DEFAULT_NAMESPACES.items()),
        "</namespaces></siteinfo>",
    )
)
_HEAD = 1 << 20  # bytes within which the root element begins
_BLOCK = 900_000  # bytes of bz2's blocks, which are given out before their checksum is compared


@dataclass(frozen=True)
class _Source:
    """One page as it stands in the dump: its newest revision."""

    title: str
    namespace: int
    redirects: bool
    model: str
    markup: str


def read_mediawiki(path: Path, skipped: Skips | None = None) -> Iterator[Article]:
    """Articles of a dump, packed with bz2 (of one or many streams) or gz or not; the source is the article's address.

    Redirects, pages of other namespaces, disambiguation pages (as in the paper's index) and pages that are not wiki
    text are left out and counted, and those whose markup the parser gives up on. Of several revisions the last in the
    file counts. Memory holds one page.

    A dump without ``<siteinfo>``, such as one that was cut by hand, is taken to be of the English Wikipedia, with
    MediaWiki's default namespaces, and this is noted.

    Raises:
        CorpusError: the file is missing, damaged, cut short, or no such dump; names the line or the last good page.
    """
    skipped = Skips() if skipped is None else skipped
    site, pages = _open(path, skipped)
    for source in pages:
        if reason := _reason_to_skip(source):
            skipped.record(reason)
            continue
        try:
            page = read_page(source.markup, source.title, site)
        except UnreadableMarkup:
            skipped.record(MARKUP)
            continue
        if page.disambiguates:
            skipped.record(DISAMBIGUATION)
        else:
            yield Article(source.title, page.text, site.address(source.title))


def site_of_dump(path: Path) -> Site:
    """The wiki that a dump is of, by the head of the file. Raises CorpusError as above."""
    site, pages = _open(path, Skips())
    pages.close()
    return site


def _reason_to_skip(page: _Source) -> str | None:
    if page.namespace != 0:
        return NAMESPACE
    if page.redirects or _REDIRECT.match(page.markup):
        return REDIRECT
    return MODEL if page.model not in ("", "wikitext") else None


def _open(path: Path, skipped: Skips) -> tuple[Site, Any]:
    """The wiki, and a generator of its pages that has read the head only."""
    _check_head(path)
    pages = _read(path, skipped)
    return next(pages), pages


def _check_head(path: Path) -> None:
    """Refuse what is no dump, and any document type: entities that are declared there could grow without end."""
    roots: list[str] = []

    def refuse(*_: object) -> None:
        raise CorpusError(path, "it declares a document type (DTD); a dump has none, and its entities are not expanded")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda name, _: roots.append(name.rpartition(" ")[2])
    with open_stream(path, lambda: "before the first page") as stream:
        while not roots and stream.tell() < _HEAD:
            chunk = stream.read1(1 << 12)
            try:
                parser.Parse(chunk, not chunk)
            except expat.ExpatError as error:
                if not roots:  # what comes behind the root is read again, with its place
                    _read_on(stream)
                    raise CorpusError(
                        path, f"not XML: {expat.ErrorString(error.code)}", f"line {error.lineno}"
                    ) from error
            if not chunk:
                break
    if roots[:1] != ["mediawiki"]:
        found = f"its root is <{roots[0]}>" if roots else "it has no root element"
        raise CorpusError(path, f"not a MediaWiki dump: {found}, where <mediawiki> is expected")


def _read(path: Path, skipped: Skips) -> Iterator[Any]:
    """First the Site, then every page."""
    from mwxml import Dump
    from mwxml.element_iterator import ElementIterator

    last = ""

    def place() -> str:
        return f"after the page {last!r}" if last else "before the first page"

    with open_stream(path, place) as stream, _parsing(path, place, stream):
        root = ElementIterator.from_file(SimpleNamespace(read=stream.read1))  # what there is before a cut
        dump = Dump.from_element(_elements(root, path, skipped))
        yield site_of(dump.site_info)
        for page in dump.pages:
            source = _newest(page)
            last = source.title
            yield source
            root.element.clear()  # mwxml leaves the shell of every page there


def _elements(root: Any, path: Path, skipped: Skips) -> Iterator[Any]:
    """Those of the dump; before a page that comes first MediaWiki's default ``<siteinfo>``, and a note that says so."""
    from mwxml.element_iterator import ElementIterator

    elements = iter(root)
    first = next(elements, None)
    if first is None:
        return
    if first.tag == "page":
        skipped.note(f"{path.name} has no <siteinfo>: {_ASSUMED}")
        yield ElementIterator.from_string(_DEFAULT_SITE)
    yield first
    yield from elements


def _newest(page: Any) -> _Source:
    newest = None
    for revision in page:
        newest = revision
    text, model = (newest.text or "", newest.model or "") if newest is not None else ("", "")
    return _Source(page.title, page.namespace, page.redirect is not None, model.strip(), text)


@contextmanager
def _parsing(path: Path, place: Callable[[], str], stream: BufferedReader) -> Iterator[None]:
    """Turn what mwxml says about broken dumps into CorpusError."""
    from mwxml.errors import MalformedXML

    try:
        yield
    except ParseError as error:
        _read_on(stream)
        raise CorpusError(path, f"broken XML: {str(error)[:200]}", place()) from error
    except (MalformedXML, AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CorpusError(path, f"not as MediaWiki writes a dump: {str(error)[:200]}", place()) from error


def _read_on(stream: BufferedReader) -> None:
    """Read to the end of the block at hand: where compressed data is damaged, that is what is wrong, not the XML."""
    left = 2 * _BLOCK
    while left > 0 and (chunk := stream.read1(left)):
        left -= len(chunk)
