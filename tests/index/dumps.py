"""Small MediaWiki dumps, written as MediaWiki writes them."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

SITE = """<siteinfo>
    <sitename>Wikipédia</sitename>
    <dbname>frwiki</dbname>
    <base>https://fr.wikipedia.org/wiki/Wikip%C3%A9dia:Accueil_principal</base>
    <generator>MediaWiki 1.44</generator>
    <case>first-letter</case>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Discussion</namespace>
      <namespace key="6" case="first-letter">Fichier</namespace>
      <namespace key="14" case="first-letter">Catégorie</namespace>
    </namespaces>
  </siteinfo>"""
END = "</mediawiki>\n"


def head(site: str = "<siteinfo><dbname>enwiki</dbname></siteinfo>") -> str:
    schema = "http://www.mediawiki.org/xml/export-0.11/"
    return f'<mediawiki xmlns="{schema}" version="0.11" xml:lang="en">\n  {site}\n'


def page(title: str, text: str, space: int = 0, redirect: str | None = None, model: str = "wikitext") -> str:
    target = f"<redirect title={quoteattr(redirect)} />" if redirect else ""
    revision = (
        "<revision><id>7</id><timestamp>2020-01-01T00:00:00Z</timestamp><contributor><username>A</username><id>1</id>"
        f"</contributor><comment>c</comment><model>{model}</model><format>text/x-wiki</format>"
        f'<text bytes="{len(text.encode())}" xml:space="preserve">{escape(text)}</text><sha1>x</sha1></revision>'
    )
    return f"  <page><title>{escape(title)}</title><ns>{space}</ns><id>5</id>{target}{revision}</page>\n"


def dump(*pages: str, site: str | None = None) -> str:
    return (head() if site is None else head(site)) + "".join(pages) + END
