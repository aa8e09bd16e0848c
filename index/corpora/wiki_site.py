"""A wiki: where its articles stand, and what it calls its files and categories."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

_DATABASE = re.compile(r"([a-z][a-z0-9_]*?)(wiki|wikinews|wikibooks|wikiquote|wikisource|wikivoyage|wiktionary)")
_CATEGORIES, _FILES = 14, 6  # numbers of namespaces, the same in every MediaWiki


@dataclass(frozen=True)
class Site:
    """One wiki.

    Attributes:
        base: what stands before the title in an article's address.
        files: names of the namespace of files, in lower case; the English ones hold everywhere.
        categories: likewise.
    """

    base: str = "https://en.wikipedia.org/wiki/"
    files: frozenset[str] = frozenset({"file", "image", "media"})
    categories: frozenset[str] = frozenset({"category"})

    def address(self, title: str) -> str:
        """Where the article of this title can be read."""
        return self.base + quote(title.replace(" ", "_"), safe="/:(),!")

    @property
    def licence(self) -> str:
        """Of the texts, where it is known."""
        return "CC BY-SA 4.0" if re.match(r"https?://[a-z0-9.-]+\.wikipedia\.org/", self.base) else "as the wiki says"


ENGLISH_WIKIPEDIA = Site()
DEFAULT_NAMESPACES = {
    0: "",
    1: "Talk",
    2: "User",
    3: "User talk",
    4: "Project",
    5: "Project talk",
    6: "File",
    7: "File talk",
    8: "MediaWiki",
    9: "MediaWiki talk",
    10: "Template",
    11: "Template talk",
    12: "Help",
    13: "Help talk",
    14: "Category",
    15: "Category talk",
}  # those that every MediaWiki has, by their canonical names (MediaWiki's NamespaceInfo::CANONICAL_NAMES)


def site_of(info: Any) -> Site:
    """The wiki of a dump's ``<siteinfo>`` (mwxml's SiteInfo); the English Wikipedia where it does not say."""
    base = _base(info.base or "") or _base_of_database(info.dbname or "") or ENGLISH_WIKIPEDIA.base
    names = [(space.id, (space.name or "").strip().lower()) for space in info.namespaces or ()]

    def called(number: int) -> frozenset[str]:
        return frozenset(name for key, name in names if str(key) == str(number) and name)

    return Site(base, ENGLISH_WIKIPEDIA.files | called(_FILES), ENGLISH_WIKIPEDIA.categories | called(_CATEGORIES))


def _base(main_page: str) -> str:
    """``https://en.wikipedia.org/wiki/`` of the main page's address, which is all that a dump holds."""
    found = re.match(r"https?://[^/\s]+/(?:\S*[?&]title=|(?:[^?\s]*/)?)", main_page.strip())
    return found[0] if found else ""


def _base_of_database(name: str) -> str:
    found = _DATABASE.fullmatch(name.strip())
    if not found:
        return ""
    project = "wikipedia" if found[2] == "wiki" else found[2]
    return f"https://{found[1].replace('_', '-')}.{project}.org/wiki/"
