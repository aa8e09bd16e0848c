"""Templates of Wikipedia that stand in the middle of a sentence, and what they show; of all others nothing is shown.

A sentence that lost ``{{convert|8848|m}}`` says nothing. The names are those of the English Wikipedia.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Mapping, Sequence

Shows = Callable[[Sequence[str], Mapping[str, str]], str]  # of the arguments without and with a name

_UNITS = {"sqkm": "km²", "km2": "km²", "sqm": "m²", "m2": "m²", "m3": "m³", "km3": "km³", "sqmi": "sq mi", "C": "°C"}
_UNITS |= {"F": "°F", "sqft": "sq ft", "acre": "acres", "mile": "miles", "foot": "feet", "inch": "inches"}
_RANGES = {"to": " to ", "-": "–", "–": "–", "and": " and ", "or": " or ", "by": " by ", "x": " × ", "×": " × "}
_COMPOUND = {("ft", "in"), ("lb", "oz"), ("st", "lb")}


def template_name(name: str) -> str:
    """As templates are compared: lower case, single spaces."""
    return re.sub(r"[\s_]+", " ", name).strip().lower().removeprefix("template:")


def marks_disambiguation(name: str) -> bool:
    """Whether a page with the template of this name only lists what its title may mean."""
    return name in _DISAMBIGUATION or name.endswith(" disambiguation")


def inline_template(name: str) -> Shows | None:
    """What the template of this name shows, as a function of its arguments; None if that is nothing."""
    return _first if name.startswith("lang-") else _INLINE.get(name)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split(", "))


def _first(given: Sequence[str], named: Mapping[str, str]) -> str:
    return given[0] if given else named.get("1", named.get("text", ""))


def _second(given: Sequence[str], named: Mapping[str, str]) -> str:
    return given[1] if len(given) > 1 else named.get("2", _first(given, named))


def _quote(given: Sequence[str], named: Mapping[str, str]) -> str:
    return f"\n\n{_first(given, named)}\n\n"


def _sign(sign: str) -> Shows:
    return lambda *_: sign


def _joined(between: str) -> Shows:
    return lambda given, _: between.join(given)


def _behind(lead: str) -> Shows:
    return lambda given, named: (lead + _first(given, named)).strip()


def _class_of_ships(given: Sequence[str], _named: Mapping[str, str]) -> str:
    return "-class ".join(given[:2])


def _old_style(given: Sequence[str], _named: Mapping[str, str]) -> str:
    return f"{given[0]} [O.S. {given[2]}] {given[1]}" if len(given) > 2 else " ".join(given)


def _japanese(given: Sequence[str], named: Mapping[str, str]) -> str:
    others = ", ".join(filter(None, given[1:3]))
    return f"{_first(given, named)} ({others})" if others else _first(given, named)


def _value(given: Sequence[str], named: Mapping[str, str]) -> str:
    return f"{_first(given, named)} {named.get('u', named.get('ul', ''))}".strip()


def _fraction(given: Sequence[str], _named: Mapping[str, str]) -> str:
    """1/2 of 1, 2; 3 1/2 of 3, 1, 2; 1/2 of 2."""
    parts = ["1", *given] if len(given) == 1 else list(given)
    return " ".join([*parts[:-2], "/".join(parts[-2:])])


def _as_of(given: Sequence[str], named: Mapping[str, str]) -> str:
    """``As of May 2020`` of year and month."""
    year, month = [*given, "", ""][:2]
    if month.isdecimal() and 1 <= int(month) <= 12:
        month = calendar.month_name[int(month)]
    return " ".join(filter(None, ["as of" if "lc" in named else "As of", month, year]))


def _measure(given: Sequence[str], _named: Mapping[str, str]) -> str:
    """``5–10 km`` of 5, -, 10, km, mi; ``6 ft 2 in`` of 6, ft, 2, in: as it was measured, without the conversion."""
    padded = [*given, "", "", "", ""]
    text, rest = padded[0], padded[1:]
    while rest[0] in _RANGES:
        text += _RANGES[rest[0]] + rest[1]
        rest = [*rest[2:], "", ""]
    unit, value, below = rest[:3]
    text = f"{text} {_UNITS.get(unit, unit)}"
    return (f"{text} {value} {below}" if (unit, below) in _COMPOUND else text).strip()


_DISAMBIGUATION = _names(
    "disambig, dab, hndis, geodis, disamb, disambiguation, begriffsklärung, homonymie, disambigua, desambiguación, "
    "desambiguação, dp, неоднозначность, ujednoznacznienie, aimai, 曖昧さ回避, 消歧义, 消歧義, förgrening"
)
_SHOWING: dict[str, Shows] = {
    "nowrap, nobr, nobreak, small, smaller, big, large, larger, abbr, tooltip, nobold, noitalic, noitalics, em, "
    "strong, allcaps, smallcaps, sc, mvar, math, var, code, kbd, mono, tt, midsize, angbr, ill, illm, interlanguage "
    "link, visible anchor, vanchor, flag, flagu, flagcountry, sup, sub, chem2, sic, typo, not a typo, notatypo, as "
    "written, proper name, nihongo2, columns-list, column-list, div col, plainlist, flatlist, formatnum, lc, uc, "
    "ucfirst, lcfirst, nts, ordinal, strikethrough, underline, u, highlight": _first,
    "lang, langx, transl, transliteration, translit, wikt-lang, wt, color, font color": _second,
    "quote, blockquote, quotation, cquote, bquote": _quote,
    "convert, cvt": _measure,
    "as of": _as_of,
    "frac, sfrac, fraction": _fraction,
    "val": _value,
    "nihongo": _japanese,
    "oldstyledate, old style date": _old_style,
    "sclass, sclass2": _class_of_ships,
    "circa, c.": _behind("c. "),
    "usd, us$": _behind("US$"),
    "gbp, £": _behind("£"),
    "eur, euro, €": _behind("€"),
    "inr": _behind("₹"),
    "jpy": _behind("¥"),
    "chem, linktext": _joined(""),
    "gaps": _joined(","),
    "ship, bibleverse, sortname": _joined(" "),
    "ubl, hlist, unbulleted list, bulleted list": _joined(", "),
    "ndash, en dash, endash": _sign("–"),
    "snd, spnd, spaced ndash, spaced en dash, sndash, dash": _sign(" – "),
    "mdash, em dash, emdash": _sign("—"),
    "nbsp, space, spaces, thinsp, thin space, hair space, nnbsp": _sign(" "),
    "·, dot, middot, •, bullet": _sign(" · "),
    "pb, paragraph break, paragraph": _sign("\n\n"),
    "br, break": _sign("\n"),
    "x, times": _sign("×"),
    "pi": _sign("π"),
    "sharp": _sign("♯"),
    "flat": _sign("♭"),
    "okina": _sign("ʻ"),
    "ayin": _sign("ʿ"),
    "hamza": _sign("ʾ"),
    "!": _sign("|"),
    "'": _sign("'"),
    "'s": _sign("'s"),
    **{f"{ship}": _behind(f"{ship.upper()} ") for ship in ("uss", "hms", "ss", "rms", "mv", "hmas", "hmcs", "sms")},
}
_INLINE = {name: shows for names, shows in _SHOWING.items() for name in _names(names)} | {"=": _sign("=")}
