"""Wiki markup to text that reads well: what a reader of the article's prose would see.

Left out, as in the paper's index (Karpukhin et al. 2020, section 4.1): tables, info boxes, references, pictures,
galleries; further categories, comments, sections that only list other pages, and headings with nothing under them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from index.corpora.skips import fault_of
from index.corpora.wiki_site import ENGLISH_WIKIPEDIA, Site
from index.corpora.wiki_templates import inline_template, marks_disambiguation, template_name

_DROPPED = re.compile(
    r"ref|references|table|tr|td|th|caption|gallery|timeline|imagemap|syntaxhighlight|source|score|graph|mapframe|"
    r"maplink|templatestyles|includeonly|hiero|style|script|section|indicator|inputbox|templatedata|categorytree|hr"
)
_FORMULAS = frozenset({"math", "chem", "ce"})
_BLOCKS = re.compile(r"p|div|blockquote|br|center|li|dt|dd|ul|ol|dl|poem|pre|h\d")
_LISTS_OF_PAGES = frozenset(
    {"references", "external links", "external link", "see also", "further reading", "notes", "notes and references"}
    | {
        "references and notes",
        "citations",
        "footnotes",
        "works cited",
        "sources",
        "cited sources",
        "general references",
    }
    | {"explanatory notes", "notes and citations", "cited references", "explanatory footnotes", "informational notes"}
)
_MEDIA = re.compile(r":.*\.(jpe?g|png|svg|gif|webp|tiff?|ogg|oga|ogv|webm|pdf|djvu|mp3|wav|flac)\s*$", re.IGNORECASE)
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]{2,})*:")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|\[\[|\]\]|\{\{+|\}\}+")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_OPENING = re.compile(r"<([a-zA-Z]+)(?:\s[^<>]*?)?(?<!/)>")
_CLOSING = re.compile(r"</([a-zA-Z]+)")
_SINGLE = frozenset({"br", "hr", "li", "dt", "dd", "wbr", "td", "tr", "th"})  # need no end
_UNCLOSED = 1000
_SWITCH = re.compile(r"__[A-Z]{3,}__")
_QUOTES = re.compile(r"'{2,}")
_TABLE_LINE = re.compile(r"\s*(\||\{\||!.*(!!|\|))")  # what is left of a table that was never closed
_GAPS = (
    (re.compile(r"[^\S\n]+"), " "),
    (re.compile(r" ?\((?:[ ,;:/–-]|\bor\b)*\)"), ""),  # brackets whose templates showed nothing
    (re.compile(r"\([ ,;:]+"), "("),
    (re.compile(r"(?<![ ,;])[ ,;]+\)"), ")"),
    (re.compile(r" +([,.])(?=[\s)\"”]|$)"), r"\1"),
    (re.compile(r",(?: ?,)+"), ","),
)


class UnreadableMarkup(ValueError):
    """The parser gives up on a page's markup."""


@dataclass(frozen=True)
class Page:
    """A page's text without markup, and whether it is a disambiguation page."""

    text: str
    disambiguates: bool


def read_page(markup: str, title: str = "", site: Site = ENGLISH_WIKIPEDIA) -> Page:
    """Take the markup off a page. Raises UnreadableMarkup if the parser cannot read it."""
    import mwparserfromhell
    from mwparserfromhell.parser import ParserError

    try:
        code = mwparserfromhell.parse(_readable(markup), skip_style_tags=True)
        names = (template_name(str(node.name)) for node in code.nodes if type(node).__name__ == "Template")
        disambiguates = any(map(marks_disambiguation, names)) or "__DISAMBIG__" in markup
        return Page(_tidy("".join(_Rendering(title, site).sections(code.nodes))), disambiguates)
    except (ParserError, RecursionError) as error:
        raise UnreadableMarkup(str(error)) from error


def _readable(markup: str) -> str:
    """Without comments and switches. Raises UnreadableMarkup where the parser's time would grow with the square."""
    last = markup.rfind("-->") + 3 if "-->" in markup else 0
    code = _SWITCH.sub("", _COMMENT.sub("", markup[:last]) + markup[last:].replace("<!--", ""))
    unclosed = (code.count(start) - code.count(end) for start, end in ("[]", "{}", "<>"))
    if max(*unclosed, _unclosed_tags(code)) > _UNCLOSED:
        raise UnreadableMarkup(f"more than {_UNCLOSED} brackets or tags are opened and never closed")
    return code


def _unclosed_tags(code: str) -> int:
    opened = Counter(name.lower() for name in _OPENING.findall(code))
    opened.subtract(name.lower() for name in _CLOSING.findall(code))
    return sum(count for name, count in opened.items() if count > 0 and name not in _SINGLE)


@dataclass(frozen=True)
class _Rendering:
    title: str
    site: Site

    def sections(self, nodes: Iterable[Any]) -> Iterator[str]:
        """The texts between headings, each heading before the first text that follows it and is under it."""
        waiting: list[tuple[int, str]] = []
        dropped = 7  # deeper than any heading: the level of the section that is left out
        for heading, nodes_below in _by_heading(nodes):
            if heading is not None:
                name = _tidy(self.render(heading.title.nodes))
                if heading.level <= dropped:
                    dropped = heading.level if name.lower().rstrip(":") in _LISTS_OF_PAGES else 7
                waiting = [entry for entry in waiting if entry[0] < heading.level] + [(heading.level, name)]
            if dropped == 7 and (text := self.render(nodes_below)).strip():
                if not _tidy(text):
                    continue
                yield "".join(f"\n\n{name}\n\n" for _, name in waiting)
                yield text
                waiting = []

    def render(self, nodes: Iterable[Any]) -> str:
        return "".join(map(self.node, nodes))

    def node(self, node: Any) -> str:
        rendered = _RENDERED.get(type(node).__name__)
        return rendered(self, node) if rendered else ""

    def text(self, node: Any) -> str:
        return _TAG.sub("", str(node.value))

    def heading(self, node: Any) -> str:
        return f"\n\n{self.render(node.title.nodes)}\n\n"

    def argument(self, node: Any) -> str:
        return self.render(node.default.nodes) if node.default is not None else ""

    def external(self, node: Any) -> str:
        if node.title is not None:
            return self.render(node.title.nodes)
        return "" if node.brackets else str(node.url)

    def entity(self, node: Any) -> str:
        try:
            sign = str(node.normalize())
        except (ValueError, OverflowError):  # a number that is no character
            return ""
        return "" if fault_of(sign) else sign

    def link(self, node: Any) -> str:
        target = str(node.title).strip()
        space = target.partition(":")[0].strip().lower().replace("_", " ") if ":" in target else ""
        if space in self.site.files | self.site.categories or _MEDIA.search(target):
            return ""
        if node.text is not None:
            return self.render(node.text.nodes)
        return "" if _LANGUAGE.match(target) else self.render(node.title.nodes).strip().lstrip(":#")

    def tag(self, node: Any) -> str:
        name = str(node.tag).strip().lower()
        if _DROPPED.fullmatch(name):
            return ""
        inside = self.render(node.contents.nodes) if node.contents is not None else ""
        if name in _FORMULAS:  # kept where it reads as text, as E = mc^2 does
            return "" if "\\" in inside else inside
        if node.wiki_markup or not _BLOCKS.fullmatch(name):
            return inside
        return f"\n{inside}\n" if inside else "\n"

    def template(self, node: Any) -> str:
        name, colon, argument = str(node.name).partition(":")
        name = template_name(name)
        if name == "pagename":
            return self.title
        shows = inline_template(name)
        if shows is None:
            return ""
        if colon:  # {{lc:Text}}
            return shows([argument.strip()], {})
        given = [self.render(entry.value.nodes).strip() for entry in node.params if not entry.showkey]
        return shows(given, {str(e.name).strip(): self.render(e.value.nodes).strip() for e in node.params if e.showkey})


_RENDERED: dict[str, Callable[[_Rendering, Any], str]] = {
    "Text": _Rendering.text,
    "Wikilink": _Rendering.link,
    "Tag": _Rendering.tag,
    "Template": _Rendering.template,
    "ExternalLink": _Rendering.external,
    "HTMLEntity": _Rendering.entity,
    "Heading": _Rendering.heading,
    "Argument": _Rendering.argument,
}


def _by_heading(nodes: Iterable[Any]) -> Iterator[tuple[Any | None, list[Any]]]:
    """(heading or None before the first, the nodes under it)."""
    heading: Any | None = None
    below: list[Any] = []
    for node in nodes:
        if type(node).__name__ == "Heading":
            yield heading, below
            heading, below = node, []
        else:
            below.append(node)
    yield heading, below


def _tidy(text: str) -> str:
    """Quotes, gaps and rests of tables away; paragraphs apart by one empty line."""
    lines = (_without_quotes(line) for line in text.splitlines() if not _TABLE_LINE.match(line))
    text = "\n".join(lines)
    for pattern, replacement in _GAPS:
        text = pattern.sub(replacement, text)
    kept = (line.strip() for line in text.split("\n"))
    text = "\n".join(line if any(map(str.isalnum, line)) else "" for line in kept)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _without_quotes(line: str) -> str:
    """Without the marks of bold and italic type, which are apostrophes.

    As MediaWiki has it: if neither comes out even, one mark of three is a real apostrophe and a mark of two.
    """

    def rank(run: re.Match[str]) -> int:  # first behind a word of one letter, as in l'''amour, then behind any word
        before = line[: run.start()]
        return 2 if before[-1:] in ("", " ") else 0 if before[-2:-1] in ("", " ") else 1

    runs = list(_QUOTES.finditer(line))
    bold = [run for run in runs if len(run[0]) in (3, 4)]
    fives = sum(len(run[0]) > 4 for run in runs)
    odd = (len(bold) + fives) % 2 and (len(runs) - len(bold)) % 2
    apostrophe = min(bold, key=rank).start() if odd and bold else -1

    def kept(run: re.Match[str]) -> str:
        size = len(run[0])
        return "'" * (1 if size == 4 or run.start() == apostrophe else max(0, size - 5))

    return _QUOTES.sub(kept, line)
