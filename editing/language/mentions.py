"""What a sentence names: runs of capitalised words, or, typed in small letters, what the grammar finds as its subject.

The names of a talk are few and near, so rules do: no gazetteer, no model. A mention also says whether it can be a
person, as far as the sentence shows; ``he`` never stands for what somebody wrote, ``it`` never for who wrote it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from editing.language.names import looks_like_name
from editing.language.statements import MAX_QUESTION, statement_of

Kind = Literal["person", "thing", "any"]


@dataclass(frozen=True)
class Mention:
    """A name in a sentence: ``sentence[start:end]`` is ``text``, without a closing ``'s``."""

    text: str
    start: int = 0
    end: int = 0
    kind: Kind = "any"

    def fits(self, kind: Kind) -> bool:
        return "any" in (kind, self.kind) or kind == self.kind


_SIGNS = ".,;:!?\"'“”‘’«»()[]…"
_JOINING = {
    "of",
    "and",
    "&",
    "the",
    "da",
    "de",
    "del",
    "della",
    "di",
    "do",
    "du",
    "von",
    "van",
    "der",
    "den",
    "la",
    "le",
    "el",
    "al",
    "bin",
    "ibn",
    "y",
    "e",
    "on",
    "for",
}
_NO_NAMES = frozenset(
    """a about actually ah alright also although am an and any are as at be because but by can cool could describe
    did discuss do does dr each every explain first for from give good great had has have he hello help her here hey hi
    his hm hmm how however i if in is isn't it its just last let let's list look made make many may me meanwhile most mr
    mrs ms my name next nice no not now of oh ok okay on one or our please put read really recommend right say second
    see shall she should show since so some sorry speaking suggest summarise summarize sure talk tell thank thanks that
    the their then there these they this those to today tomorrow translate try under us use very wait was wasn't we
    well were what what's when when's where where's which while who who's whom whose why will with would wow write wrong
    yes yesterday you your
    ceo cfo cto gdp hq president prime minister chancellor chairman king queen mayor pm english""".split()  # noqa: SIM905 - a list of so many quoted words reads worse
)
_OFFICES = frozenset(["president", "prime", "minister", "chancellor", "mayor", "ceo", "king", "queen", "government"])
_POSSESSIVE = re.compile(r"['’]s?$")
_ENDS_NOUN = re.compile(r"(is|are|was|were|do|does|did|has|have|had|can|in|on|of|at|to|from|by|with|and|or)$")
_PERSON_AFTER = re.compile(r"(['’]s)?( \w+)? (born|die[sd]?|married|marry|live[sd]?|sings?|sang|plays? for|grow up)\b")
_PERSON_BEFORE = re.compile(
    r"(\bwho (is|was)|\bwho['’]s|(wife|husband|mother|father|son|daughter|spouse|nationality|birthplace|"
    r"native language|mother tongue|death|birth) of|biography of|met|married) $",
    re.IGNORECASE,
)
_THING_BEFORE = re.compile(
    r"(\bin|\bto|\bat|\bfrom|\bvisit\w*|(capital|currency|population|president|king|queen|mayor|city|mountain|river|ceo|"
    r"headquarters|author|director|plot|symbol|prime minister|flag|language) of|\bwhat (is|was|are|were)|"
    r"\bwho (?!is|was|are|were|married|killed|beat|succeeded|met)\w+( in)?|\bread|\bwatched|\bfinished) $",
    re.IGNORECASE,
)
_PERSONAL = re.compile(
    r"(?:the )?(?:i|you|we|they|it|he|she|this|that|these|those|there|one|people|me|my|"
    r"your|our|its|his|her|their|who|what|which|where|when|how|why)\b"
)
_SUBJECTS = (
    re.compile(r"what (?P<x>.+?) (?:\w+s|\w+ed|is|was|are|were|has|have|had) (?:\w+ )?is"),
    re.compile(r"the [\w ]+? that (?P<x>.+?) (?:\w+s|\w+ed|is|was|are|were|has|have|had)\b.* is"),
    re.compile(r".*\b(?:of|in) (?P<x>(?:(?! of ).)+?) (?:is|are|was|were)"),
    re.compile(r"(?P<x>.+?)['’]s [\w ]+ (?:is|are|was|were)"),
    re.compile(r"(?P<x>.+?) (?:is|are|was|were|has|have|had|\w+s|\w+ed|died)\b(?! of).*"),
)
_DEFINITE = re.compile(r"(what|who|which|where|when)( is| are| was| were|['’]s) the (?!.* (of|in|to)\b)")
_CUES = (
    re.compile(
        r"\b(?:does|do|did) (?P<x>(?:(?:a|an|the) )?[\w'’-]+(?: [\w'’-]+){0,2}?) \w+"
        r"(?: (?:for|from|in|on|to|with|at))?$"
    ),
    re.compile(r"\babout (?P<x>(?:the )?\w[\w'’-]*(?: \w[\w'’-]*){0,3}?)(?: please| now| today)?$"),
    re.compile(
        r"\b(?:in|to|from|of|visit|read|watched|love|like|finished|learn) "
        r"(?P<x>(?:the )?\w[\w'’-]*(?: \w[\w'’-]*)?)"
        r"(?: (?:next|last|this) \w+| now| today| recently| soon)?$"
    ),
)


def mentions_in(sentence: str) -> tuple[Mention, ...]:
    """The names of a sentence in their order; quoted titles count, numbers alone do not. Nothing in very long ones.

    >>> [m.text for m in mentions_in("When was King's College in London founded?")]
    ["King's College", 'London']
    """
    if len(sentence) > MAX_QUESTION:
        return ()
    found = _quoted(sentence) or _capitalised(sentence)
    if not found and (typed := _typed_small(sentence)):
        found = [typed]
    return tuple(replace(m, kind=_kind(sentence, m)) for m in found)


def _quoted(sentence: str) -> list[Mention]:
    return [
        Mention(m[1], m.start(1), m.end(1))
        for m in re.finditer(r"[\"“«]([^\"“”«»]{1,80})[\"”»]", sentence)
        if len(m[1].split()) <= 6 and not m[1].endswith("?")
    ]


def _capitalised(sentence: str) -> list[Mention]:
    words = [(m[0], m.start()) for m in re.finditer(r"\S+", sentence)]
    found, at = [], 0
    while at < len(words):
        end = _run(words, at)
        if end > at and (mention := _mention(sentence, words[at:end], at and words[at - 1][0])):
            found.append(mention)
        at = max(end, at + 1)
    return found


def _run(words: list[tuple[str, int]], at: int) -> int:
    """Index behind the run of capitalised words that begins at ``at``; ``at`` where none does."""
    if not _names(words[at][0]) or (_plain(words[at][0]) in _NO_NAMES - {"the", "a", "prime", "king", "queen"}):
        return at
    end = at + 1
    while end < len(words) and not _closes(words[end - 1][0], words[end][0]):
        step = 1
        while end + step < len(words) and step < 3 and words[end + step - 1][0] in _JOINING:
            step += 1
        if not _names(words[end + step - 1][0]) or _plain(words[end + step - 1][0]) == "i":
            break
        if step > 1 and any(w.endswith(("'s", "’s")) for w, _ in words[end - 1 : end]):
            break
        end += step
    return end


def _closes(word: str, following: str) -> bool:
    """Whether a name ends with this word: a sign follows it, or it owns what is no name."""
    if re.search(r"[,;:!?…)\]\"”]$", word) or (word.endswith(".") and len(word) > 3):
        return True
    return bool(_POSSESSIVE.search(word)) and (not _names(following) or _plain(following) in _OFFICES)


def _mention(sentence: str, run: list[tuple[str, int]], before: str | int) -> Mention | None:
    if all(_plain(word) in _NO_NAMES or word.strip(_SIGNS).isdigit() for word, _ in run):
        return None
    start = run[0][1] + len(run[0][0]) - len(run[0][0].lstrip(_SIGNS))
    end = run[-1][1] + len(run[-1][0].rstrip(_SIGNS))
    text = sentence[start:end]
    own = _POSSESSIVE.search(text)
    end -= len(own[0]) if own else 0
    rest = sentence[end:].lstrip(" ")
    if before == "the" and (own or not rest[:1].isalpha() or _ENDS_NOUN.match(rest.split()[0])):
        start = sentence.rindex("the", 0, start)
    return Mention(sentence[start:end], start, end) if end > start else None


def _typed_small(sentence: str) -> Mention | None:
    """The subject of a question, or what a sentence is about, where nothing is capitalised."""
    text = sentence.rstrip(_SIGNS + " ").lower()
    for subject in (*_by_grammar(text), *(m["x"] for cue in _CUES if (m := cue.search(text)))):
        definite = subject.startswith("the ") and _DEFINITE.match(text)
        words, start = subject.split(), text.find(subject)
        names = 0 < len(words) <= 5 and not all(word in _NO_NAMES or word.isdigit() for word in words)
        if start >= 0 and names and not definite and not _PERSONAL.match(subject):
            return Mention(sentence[start : start + len(subject)], start, start + len(subject))
    return None


def _by_grammar(text: str) -> list[str]:
    statement = (statement_of(text) or "").lower()
    found = next((m["x"] for pattern in _SUBJECTS if (m := pattern.fullmatch(statement))), None)
    return [found] if found else []


def _kind(sentence: str, mention: Mention) -> Kind:
    before, after = sentence[: mention.start], sentence[mention.end :]
    before = re.sub(r"\b(the|a|an) $", "", before)
    if (_PERSON_BEFORE.search(before) and not _POSSESSIVE.match(after[:2])) or _PERSON_AFTER.match(after):
        return "person"
    return "thing" if _THING_BEFORE.search(before) or mention.text.lower().startswith(("the ", "a ", "an ")) else "any"


def _names(word: str) -> bool:
    return looks_like_name(word.lstrip(_SIGNS))


def _plain(word: str) -> str:
    return _POSSESSIVE.sub("", word.strip(_SIGNS)).lower()
