from __future__ import annotations

import pytest

from index.corpora.wiki_site import ENGLISH_WIKIPEDIA
from index.corpora.wikitext import UnreadableMarkup, read_page


def plain_text(markup: str, title: str = "") -> str:
    return read_page(markup, title, ENGLISH_WIKIPEDIA).text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("'''A''' is ''b'' and '''''c'''''.", "A is b and c."),
        ("''[[Titanic]]'''s crew", "Titanic's crew"),
        ("L'''amour''' '''Queen''''s", "Lamour Queen's"),
        ("A [[B (c)|b]] and [[D]]s, [[#E|e]].", "A b and Ds, e."),
        ("x [[fr:Paris]] y [[:Category:Z]]", "x y Category:Z"),
        ("[[File:a.jpg|thumb|200px|A [[b|c]] {{d}} e]]Text", "Text"),
        ("[[Bild:a.jpg|mini|links|Unterschrift]]Text", "Text"),
        ("[[Image:a b.svg]] [[Category:C|d]] Text [[category:E]]", "Text"),
        ("A<ref>r</ref> b<ref name=x /> c<ref name='y'>{{cite|z}}</ref>.", "A b c."),
        ("A<!-- b --> c<!-- d\ne -->.", "A c."),
        ("{{Infobox\n| a = {{b|c}}\n| d = [[e]]\n}}\nText", "Text"),
        ('x\n{| class="a"\n|-\n! b !! c\n|-\n| d || {| \n| e\n|}\n|}\ny', "x\n\ny"),
        ("a\n{|\n|-\n| never closed", "a"),
        ("A ({{IPA|x}}, {{y}}) b (; c) d ({{lang-fr|été}}; {{z}}).", "A b (c) d (été)."),
        ("5&nbsp;km &ndash; &lt;b&gt; &#x41;", "5 km – <b> A"),
        ("[http://a.b the site] [http://a.b] c", "the site c"),
        ("* a\n** b\n# c\n: d", "a\nb\nc\nd"),
        ("a<br>b<br />c", "a\nb\nc"),
        ("<nowiki>[[a]] ''b''</nowiki>", "a b"),
        ("<gallery>\nFile:a.jpg|b\n</gallery><timeline>c</timeline>d", "d"),
        ("<math>E=mc^2</math>, <math>\\frac{1}{2}</math>x", "E=mc^2, x"),
        ("a <sup>b</sup><small>c</small> <div style='x'>d</div>", "a bc\nd"),
        ("__NOTOC__a __TOC__", "a"),
        ("{{DISPLAYTITLE:''a''}}{{#if:x|y}}b {{PAGENAME}}", "b T"),
        ("a {{unclosed | b", "a unclosed | b"),
        ("a ]] b }} <ref>c", "a b c"),
        ("", ""),
    ],
)
def test_markup_reads_as_text(markup: str, text: str) -> None:
    """What a reader of the article does not see is gone, and no syntax is left."""
    assert plain_text(markup, "T") == text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("{{convert|8848.86|m|ft}} high", "8848.86 m high"),
        ("{{convert|5|to|10|km|mi}}, {{cvt|3|-|4|sqkm}}", "5 to 10 km, 3–4 km²"),
        ("{{convert|6|ft|2|in|m}}", "6 ft 2 in"),
        ("{{As of|2020|5}}, {{as of|2019|lc=y}}", "As of May 2020, as of 2019"),
        ("{{lang|fr|été}} {{Lang-de|Sommer}} {{transl|ru|leto}}", "été Sommer leto"),
        ("{{nowrap|a [[b|c]]}} {{circa|1500}}", "a c c. 1500"),
        ("{{frac|1|2}} {{frac|3|1|2}} {{frac|4}}", "1/2 3 1/2 1/4"),
        ("{{HMS|Victory|1765}}, {{US$|5 million}}", "HMS Victory, US$5 million"),
        ("{{nihongo|Tokyo|東京|Tōkyō}}", "Tokyo (東京, Tōkyō)"),
        ("1914{{ndash}}1918", "1914–1918"),
        ("{{formatnum:12345}} {{lc:ABC}}", "12345 ABC"),
        ("a {{quote|text=said {{nowrap|so}}}} b", "a\n\nsaid so\n\nb"),
        ("{{convert}}{{frac}}{{val}}{{as of}}{{sclass}}{{oldstyledate}} x", "As of x"),
    ],
)
def test_templates_within_a_sentence_show_their_text(markup: str, text: str) -> None:
    """A figure or a word that a template stands for stays in its sentence, whatever arguments are there."""
    assert plain_text(markup) == text


def test_headings_stand_before_what_they_head() -> None:
    """Headings are lines of their own; without text under them, or before lists of other pages, they are gone."""
    markup = "Lead.\n== A ==\nOne.\n=== B ===\nTwo.\n== Empty ==\n== C ==\n=== D ===\nThree.\n== See also ==\n* [[X]]\n"
    markup += "=== Below ===\ny\n==References==\n{{reflist}}\n== Legacy ==\nFour.\n"
    markup += "== ''External links'' ==\n* [http://z Z]"
    assert plain_text(markup).split("\n\n") == [
        *("Lead.", "A", "One.", "B", "Two."),
        *("C", "D", "Three.", "Legacy", "Four."),
    ]


@pytest.mark.parametrize("markup", ["{{disambiguation|geo}}", "{{Hndis}}", "{{School disambiguation}}", "__DISAMBIG__"])
def test_disambiguation_pages_are_known(markup: str) -> None:
    """By the template at their foot, and not by one that only points to such a page."""
    assert read_page(f"'''A''' may be:\n* [[B]]\n{markup}").disambiguates
    assert not read_page("{{Other uses|A (disambiguation)}} A is b.{{disambiguation needed}}").disambiguates


@pytest.mark.parametrize("part", ["[http://a ", "{{", "[[", "<div>", "<ref>", "<a ", "{|\n"])
def test_what_is_never_closed_thousands_of_times_is_refused_at_once(part: str) -> None:
    """The parser's time would grow with the square of such markup."""
    with pytest.raises(UnreadableMarkup, match="never closed"):
        plain_text(part * 50_000)


@pytest.mark.parametrize("part", ["<!--", "'''''", ", ", "(", "( ", "__", "&", "| ", "! !"])
def test_long_markup_is_read_at_once(part: str) -> None:
    """Time does not grow with the square of what can be read: these would take minutes otherwise."""
    assert len(plain_text(part * 20_000)) <= 20_000 * len(part)
