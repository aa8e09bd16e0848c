from __future__ import annotations

import bz2
import gzip
import random
import tracemalloc
from pathlib import Path

import pytest

from index.corpora.mediawiki import read_mediawiki, site_of_dump
from index.corpora.skips import Skips
from index.errors import CorpusError
from index.passages.passage import Article
from tests.index.dumps import END, SITE, dump, head, page


def written(tmp_path: Path, data: bytes | str, name: str = "wiki-pages-articles.xml") -> Path:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(CorpusError) as caught:
        list(read_mediawiki(path))
    assert caught.value.path == path
    return str(caught.value)


def test_articles_come_without_markup_and_with_their_address(tmp_path: Path) -> None:
    """The address is that of the wiki of the dump; its own names of files and categories are known."""
    text = "'''Été''' [[Fichier:x.jpg|thumb|une image]] est [[Saison|une saison]].\n[[Catégorie:Saison]]"
    path = written(tmp_path, dump(page("L'été (film)", text), site=SITE))
    (article,) = read_mediawiki(path)
    address = "https://fr.wikipedia.org/wiki/L%27%C3%A9t%C3%A9_(film)"
    assert article == Article("L'été (film)", "Été est une saison.", address)


@pytest.mark.parametrize(
    ("site", "base"),
    [
        ("<siteinfo><dbname>dewiki</dbname></siteinfo>", "https://de.wikipedia.org/wiki/"),
        ("<siteinfo><dbname>zh_yuewiki</dbname></siteinfo>", "https://zh-yue.wikipedia.org/wiki/"),
        ("<siteinfo><dbname>enwiktionary</dbname></siteinfo>", "https://en.wiktionary.org/wiki/"),
        ("<siteinfo></siteinfo>", "https://en.wikipedia.org/wiki/"),
        ("<siteinfo><base>http://wiki.local/w/index.php/Main_Page</base></siteinfo>", "http://wiki.local/w/index.php/"),
        ("<siteinfo><base>http://x/i.php?title=Main</base></siteinfo>", "http://x/i.php?title="),
    ],
)
def test_the_dump_says_where_its_articles_stand(tmp_path: Path, site: str, base: str) -> None:
    """By the address of its main page, or the name of its database, or else it is the English Wikipedia."""
    assert site_of_dump(written(tmp_path, dump(page("A", "a"), site=site))).address("A b") == base + "A_b"


def test_what_is_no_article_is_counted(tmp_path: Path) -> None:
    """Redirects, other namespaces, disambiguation pages and scripts are left out, each by its reason."""
    pages = [
        page("A", "a"),
        page("Old", "#REDIRECT [[A]]", redirect="A"),
        page("Older", "#redirect [[A]]"),
        page("Talk:A", "talk", space=1),
        page("B", "'''B''' may refer to:\n* [[B1]]\n{{disambiguation}}"),
        page("C.js", "code()", model="javascript"),
        page("2001: A Space Odyssey", "film"),
    ]
    skipped = Skips()
    articles = list(read_mediawiki(written(tmp_path, dump(*pages)), skipped))
    assert [article.title for article in articles] == ["A", "2001: A Space Odyssey"]
    assert skipped.counts == {
        "redirects": 2,
        "pages of other namespaces": 1,
        "disambiguation pages": 1,
        "pages that are not wiki text": 1,
    }


def test_a_dump_without_siteinfo_has_the_default_namespaces(tmp_path: Path) -> None:
    """As MediaWiki's importers read one that was cut by hand: pages without <ns> too; a note says what was assumed."""
    talk = page("Talk:A", "talk", space=1)
    pages = (page("A", "[[File:x.jpg|thumb]] a"), talk, talk.replace("<ns>1</ns>", ""), page("B", "b"))
    skipped = Skips()
    path = written(tmp_path, dump(*pages, site=""))
    found = list(read_mediawiki(path, skipped))
    assert [article.text for article in found] == ["a", "b"]
    assert found[0].source == "https://en.wikipedia.org/wiki/A" and site_of_dump(path).address("A") == found[0].source
    assert skipped.counts == {"pages of other namespaces": 2}
    assert [note.split(":")[0] for note in skipped.notes] == ["wiki-pages-articles.xml has no <siteinfo>"]
    whole = Skips()
    list(read_mediawiki(written(tmp_path, dump(*pages)), whole))
    assert whole.notes == ()


def test_empty_and_repeated_articles_are_passed_on(tmp_path: Path) -> None:
    """Splitting counts them, so they are not counted here."""
    skipped = Skips()
    path = written(tmp_path, dump(page("A", ""), page("A", "a"), page("A", "a"), page("T", "{{only a template}}")))
    assert [article.text for article in read_mediawiki(path, skipped)] == ["", "a", "a", ""]
    assert skipped.counts == {}


def test_markup_that_would_take_hours_is_counted(tmp_path: Path) -> None:
    """A page of brackets that nobody closes is left out, and the next page is read."""
    skipped = Skips()
    path = written(tmp_path, dump(page("Bad", "[http://a " * 20_000), page("A", "a")))
    assert [article.title for article in read_mediawiki(path, skipped)] == ["A"]
    assert skipped.counts == {"pages whose markup cannot be read": 1}


def test_the_newest_revision_counts(tmp_path: Path) -> None:
    """Of a page's revisions, the last of the file is the article."""
    first, second = page("A", "old"), page("A", "new")
    both = first.replace("</page>", second[second.index("<revision>") :].strip(), 1)
    assert [article.text for article in read_mediawiki(written(tmp_path, dump(both)))] == ["new"]


def test_packed_dumps_of_one_and_many_streams(tmp_path: Path) -> None:
    """bz2 of one stream, of a stream per page as Wikimedia packs them, and gz give the same articles."""
    parts = [head(), page("A", "a"), page("B", "b"), END]
    whole = "".join(parts).encode()
    many = b"".join(bz2.compress(part.encode()) for part in parts)
    for name, data in {"a.xml.bz2": bz2.compress(whole), "b.xml.bz2": many, "c.xml.gz": gzip.compress(whole)}.items():
        assert [article.text for article in read_mediawiki(written(tmp_path, data, name))] == ["a", "b"]


def test_a_dump_cut_short_names_the_last_good_page(tmp_path: Path) -> None:
    """Whether XML ends, a bz2 stream ends in its middle, or a later stream is missing, good pages come first."""
    parts = [head() + page("A", "a"), page("B", "b") + END]
    packed = [bz2.compress(part.encode()) for part in parts]
    for name, data, why in (
        ("a.xml", (parts[0] + parts[1][:90]).encode(), "broken XML"),
        ("b.xml.bz2", packed[0] + packed[1][:50], "cut short"),
        ("c.xml.bz2", packed[0], "broken XML"),
        ("d.xml.gz", gzip.compress(parts[0].encode()), "broken XML"),
    ):
        articles = read_mediawiki(written(tmp_path, data, name))
        assert next(articles).title == "A"
        with pytest.raises(CorpusError, match=rf"{name}, after the page 'A': .*{why}"):
            next(articles)


def test_damaged_packing_is_named(tmp_path: Path) -> None:
    """Bytes that are no bz2, a damaged block, and other packings."""
    good = bytearray(bz2.compress(dump(page("A", "a")).encode()))
    good[40] ^= 0xFF
    assert "does not hold such data" in refusal(written(tmp_path, b"hello", "a.xml.bz2"))
    assert "before the first page: the compressed data is damaged" in refusal(
        written(tmp_path, bytes(good), "b.xml.bz2")
    )
    assert "packed with 7-Zip; unpack it" in refusal(written(tmp_path, b"7z\xbc\xaf\x27\x1c", "c.xml"))


@pytest.mark.parametrize("place", [0.2, 0.4, 0.6, 0.8])
def test_damaged_packing_is_not_called_broken_xml(tmp_path: Path, place: float) -> None:
    """A block is given out before its checksum is compared: what is read of it is no XML, but that is not the fault."""
    words = random.Random(1).choices([f"word{n}" for n in range(999)], k=20_000)
    good = bytearray(bz2.compress(dump(*(page(f"P {n}", " ".join(words[n::50])) for n in range(50))).encode()))
    good[int(len(good) * place)] ^= 0xFF
    assert "the compressed data is damaged" in refusal(written(tmp_path, bytes(good), "a.xml.bz2"))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("<rss><channel/></rss>", "its root is <rss>, where <mediawiki> is expected"),
        ("plain words", "line 1: not XML: syntax error"),
        (" \n", "not XML: no element found"),
        ("\0\0\0", "not XML"),
        ("<mediawiki></mediawiki>", "<siteinfo> tag not found"),
        (head() + page("A", "a") + "<oops/>" + END, "Expected to see <page>"),
        (head() + "<page><ns>0</ns><id>1</id></page>" + END, "before the first page: not as MediaWiki writes"),
        (dump(page("A", "a")).replace("<id>5</id>", "<id>five</id>"), "invalid literal"),
        (head() + page("A", "a") + "<page><title>B &undefined;</title></page>" + END, "after the page 'A': broken XML"),
        (head() + page("A", "a") + page("B", "x").replace("x</text>", "\x00</text>") + END, "after the page 'A'"),
    ],
)
def test_broken_dumps_are_named_with_place(tmp_path: Path, data: str, why: str) -> None:
    """What is no XML, no dump, or breaks off its form is refused with line or page."""
    assert why in refusal(written(tmp_path, data))


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    """A document type is refused before anything in it grows, in a packed file too, also behind a long comment."""
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?><!-- {"x" * 9000} --><!DOCTYPE mediawiki [<!ENTITY e0 "ha">{levels}]>'
    data = bomb + dump(page("A", "a").replace(">a<", ">&e9;<"))
    assert "document type" in refusal(written(tmp_path, data))
    assert "document type" in refusal(written(tmp_path, bz2.compress(data.encode()), "b.xml.bz2"))


def test_memory_does_not_grow_with_the_dump(tmp_path: Path) -> None:
    """Ten times the pages take no more memory, although each leaves its element behind in mwxml's tree."""
    peaks = []
    for count in (300, 3000):
        path = written(tmp_path, dump(*(page(f"Page {n}", "#redirect" if n % 50 else "text") for n in range(count))))
        next(read_mediawiki(path))
        tracemalloc.start()
        try:
            assert sum(1 for _ in read_mediawiki(path)) == count // 50
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000
