"""Sentences that lean on earlier ones, and how they read when what they lean on is put in.

Three kinds: a pronoun stands for a name ("Where was he born?"), a fragment changes one part of the question before
("And of Australia?", "the currency?"), a doubt asks it again ("Are you sure?"). Any other sentence stays as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from editing.language.mentions import Kind, Mention, mentions_in
from editing.language.politeness import only_polite, without_lead_in

_AGAIN = re.compile(
    r"(are|r) (you|u) (really |quite |absolutely )?(sure|certain|positive)( about (that|this|it))?( though)?|"
    r"really|seriously|"
    r"(is|was) (that|this|it) (really |actually )?(right|true|correct|so)|"
    r"(that|this|it)( is|'s|’s)( not| n't)? (right|true|correct)|(that|this|it) isn['’]t (right|true|correct)|"
    r"(that|this|it)( is|'s|’s|sounds| sounds) (wrong|incorrect|false|not right)|wrong|incorrect|not true|"
    r"i (don['’]t|do not) (think so|believe (that|you|it))|"
    r"(please )?(check|try|think)( that| it)?( once)? (more|again)|"
    r"(can you )?(please )?(double[- ]check|repeat|say)( that| it| this)?( again)?|come again|pardon|what was that|"
    r"(only |just )(the |its |a )?(name|number|answer|city|date|year|word|place|country)( only)?|"
    r"(answer )?(in|with) (one|a single|a few|two) words?|(be )?(brief|shorter)|(give me )?(a )?(short|shorter) answer|"
    r"(isn['’]t|wasn['’]t) (it|that) [\w' -]{1,60}|i thought (it|that) (is|was) [\w' -]{1,60}",
    re.IGNORECASE,
)
CLASSES = (
    "country|nation|city|town|state|place|island|region|continent|village|band|group|film|movie|book|novel|play|song|"
    "album|opera|series|show|game|painting|picture|building|tower|company|firm|organisation|organization|team|club|"
    "college|university|school|animal|language|metal|element|product|war|one"
)
PEOPLE = (
    "person|man|woman|guy|lady|singer|musician|artist|painter|author|writer|poet|actor|actress|player|footballer|"
    "scientist|physicist|politician|composer|director|inventor|philosopher"
)
_NOT_BE = r"(?<!is )(?<!are )(?<!was )(?<!were )"  # "Is there a …?" speaks of no place
_LEANING: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("person", re.compile(rf"\b(?:this|that|these|those|the same) (?:{PEOPLE})s?\b(?P<own>['’]s?)?", re.IGNORECASE)),
    ("thing", re.compile(rf"\b(?:this|that|these|those|the same) (?:{CLASSES})s?\b(?P<own>['’]s?)?", re.IGNORECASE)),
    ("person", re.compile(rf"\bthe (?:{PEOPLE})\b(?P<own>['’]s)?(?! of\b| for\b|$)", re.IGNORECASE)),
    ("thing", re.compile(rf"\bthe (?:{CLASSES})\b(?P<own>['’]s)?(?! of\b| in\b)", re.IGNORECASE)),
    ("thing", re.compile(rf"{_NOT_BE}(?:\b(?P<prep>in|from|over|out) )?\bthere\b", re.IGNORECASE)),
    ("person", re.compile(r"\b(?:he|she|him)\b", re.IGNORECASE)),
    ("person", re.compile(r"\b(?P<own>his|her)\b(?= [\w-])(?! (?:in|to|at|on|by|for|with|when)\b)", re.IGNORECASE)),
    ("person", re.compile(r"\bher\b", re.IGNORECASE)),
    ("thing", re.compile(r"\b(?P<own>its)\b", re.IGNORECASE)),
    ("thing", re.compile(r"\bit\b", re.IGNORECASE)),
    ("any", re.compile(r"\b(?P<own>their)\b", re.IGNORECASE)),
    ("any", re.compile(r"\b(?:they|them)\b", re.IGNORECASE)),
    ("any", re.compile(r"\b(?:this|that)\b(?=$| (?:written|made|born|built|located|called)\b)", re.IGNORECASE)),
)
_EMPTY_IT = re.compile(
    r"what time is it|\bis it (true|possible|raining|cold|hot|ok|okay|safe|worth|time)\b", re.IGNORECASE
)
_OWNED = re.compile(
    r"(?P<wh>what|who)(?: (?P<be>is|are|was|were)|['’]s) (?P<own>.{1,80}?)['’]s? (?P<noun>[\w -]{1,60})", re.IGNORECASE
)
_BARE = re.compile(
    r"(?:what|who|which|where|when)(?: (?:is|are|was|were)|['’]s) the [\w-]+(?: [\w-]+){0,2}", re.IGNORECASE
)
_ABOUT = re.compile(
    r"(?:(?:what|how)['’]?s? about|about|(?:the )?same(?: question| thing)?(?= (?:for|with|in|of)\b)|"
    r"(?:what|how) if it (?:is|was)|i (?:mean|meant|was asking about|am asking about|was talking about|said)|"
    r"i['’]m (?:asking|talking) about|(?:and )?tell me about)\s+",
    re.IGNORECASE,
)
_PREPOSITION = re.compile(r"(?P<prep>of|for|in|at|on|from|with|by|to)\s+", re.IGNORECASE)
_NOT = re.compile(
    r"not (?P<wrong>[^,]{1,60}), *(?:but )?(?P<x>.{1,60})|(?P<y>[^,]{1,60}),? (?:and )?not (?P<other>.{1,60})",
    re.IGNORECASE,
)
_PERSON_NOUN = re.compile(
    r"\b(president|king|queen|mayor|ceo|author|director|founder|inventor|owner|wife|husband|father|mother|son|daughter|"
    r"spouse|composer|prime minister|chancellor|captain|coach|leader|head of \w+|singer|painter|writer)s?$",
    re.IGNORECASE,
)
_ATTRIBUTE = re.compile(
    r"\b(capital|currency|population|language|birthplace|nationality|height|age|area|name|flag|size|symbol|density|"
    r"colou?r|genre|label|headquarters|religion|occupation|profession|birthday|date of \w+|place of \w+|continent|"
    r"time zone|city|mountain|river|anthem|gdp|cause of death|death|birth|plot|length|weight|price|instrument|club|"
    r"network|tongue)s?$",
    re.IGNORECASE,
)
_WHERE_WHEN = re.compile(r"(in|on|at) (which|what) \w+|what (year|city|country|date)|where|when", re.IGNORECASE)
_ASKING = re.compile(
    r"(?:(?:in|on|at|of|to|from|by|with|for) )?(?:what|which|who|whom|whose|where|when|how|why)\b|"
    r"(?:is|are|was|were|do|does|did|can|could|has|have|will|would|isn['’]t) |"
    r"(?:please )?(?:name|tell me|give me|state|say|remind me|i (?:want|need|would like) to know|do you know)\b",
    re.IGNORECASE,
)
_OPENS = re.compile(r"[\w'’.&-]+(?: [\w'’.&-]+){0,6}")


@dataclass(frozen=True)
class Fragment:
    """What takes the place of a part of the question before: a name, or what is asked about the subject.

    Attributes:
        preposition: the one that it came with, which tells the part that it replaces.
    """

    text: str
    preposition: str = ""


def is_question(sentence: str) -> bool:
    return sentence.rstrip("\"”' ").endswith("?") or bool(_ASKING.match(without_lead_in(sentence)))


def doubts_answer(sentence: str) -> bool:
    """Whether the answer before is doubted, or wanted in other words."""
    return bool(_AGAIN.fullmatch(without_lead_in(sentence)))


def find_pronoun(sentence: str) -> tuple[Kind, re.Match[str]] | None:
    """The first pronoun, or the like, that no name earlier in the sentence explains; and what it can stand for."""
    if _EMPTY_IT.search(sentence):
        return None
    named = min((m.start for m in mentions_in(sentence)), default=len(sentence))
    text = sentence.rstrip(" ?.!")
    return next(((kind, m) for kind, p in _LEANING if (m := p.search(text)) and m.start() <= named), None)


def with_name(sentence: str, found: re.Match[str], kind: Kind, name: Mention) -> str:
    """The sentence with a name in the place of every such pronoun; ``its capital`` reads ``the capital of X``."""
    text = sentence
    for other, pattern in _LEANING:
        if other in (kind, "any") or pattern is found.re:
            text = pattern.sub(lambda m: _as(name.text, m), text) if not _generic(pattern, found) else text
    owned = _OWNED.fullmatch(text.rstrip(" ?.!"))
    if owned and owned["own"] == name.text:
        return f"{owned['wh']} {owned['be'] or 'is'} the {owned['noun']} of {name.text}?"
    return text


def _generic(pattern: re.Pattern[str], found: re.Match[str]) -> bool:
    """``they`` beside ``there`` are people in general."""
    return pattern is not found.re and "there" in found[0].lower() and "they" in pattern.pattern


def _as(name: str, found: re.Match[str]) -> str:
    parts = found.groupdict()
    if "prep" in parts:
        return f"{'from' if parts['prep'] == 'from' else 'in'} {name}"
    return f"{name}{chr(39) if name.endswith('s') else chr(39) + 's'}" if parts.get("own") else name


def with_owner(sentence: str, name: str) -> str | None:
    """``What is the capital?`` of the place that was spoken of; None where nothing is left out."""
    text = sentence.rstrip(" ?.!")
    return f"{text} of {name}?" if _BARE.fullmatch(text) and " of " not in text else None


def fragment_of(sentence: str) -> Fragment | None:
    """What a sentence that is no whole one puts in the place of a part of the question before."""
    text = without_lead_in(sentence)
    led = text != " ".join(sentence.split()).strip(' ?.!…"“”') or sentence.rstrip().endswith("?")
    about = _ABOUT.match(text)
    text = text[about.end() :] if about else text
    if (contrast := _NOT.fullmatch(text)) and not _ASKING.match(text):
        text, led = contrast["x"] or contrast["y"], True
    preposition = _PREPOSITION.match(text)
    text = text[preposition.end() :] if preposition else text
    if only_polite(text) or not _OPENS.fullmatch(text) or (not about and _ASKING.match(f"{text} ")):
        return None if not _WHERE_WHEN.fullmatch(text) else Fragment(text)
    short = len(text.split()) <= 3 and (not text.islower() or bool(_ATTRIBUTE.search(text)))
    if not (led or about or preposition or short):
        return None
    return Fragment(text.removesuffix("'s").removesuffix("’s"), preposition["prep"].lower() if preposition else "")


def with_subject(question: str, new: Fragment) -> list[str]:
    """The question with its subject replaced; where it names several, each in turn, the likeliest first."""
    names = list(mentions_in(question))
    if new.preposition:
        names.sort(key=lambda m: not re.search(rf"\b{new.preposition} (the )?$", question[: m.start].lower()))
    return [f"{question[: m.start]}{new.text}{question[m.end :]}" for m in names[:2]]


def with_question_word(question: str, new: Fragment) -> str | None:
    """``Where …?`` for ``When …?``"""
    opening = _WHERE_WHEN.match(question)
    return (
        f"{new.text.capitalize()}{question[opening.end() :]}" if opening and _WHERE_WHEN.fullmatch(new.text) else None
    )


def question_about(new: Fragment, name: str) -> str | None:
    """A question for something else about the same subject, if the fragment can be such: ``the currency``."""
    text = new.text if new.text[1:2].isupper() else new.text[:1].lower() + new.text[1:]
    noun = re.sub(r"^(the|its|his|her|their) ", "", text)
    attribute = noun != text or bool(_ATTRIBUTE.search(noun) or _PERSON_NOUN.search(noun))
    if not attribute or new.preposition or any(not m.text.islower() for m in mentions_in(text)):
        return None
    return f"{'Who' if _PERSON_NOUN.search(noun) else 'What'} is the {noun} of {name}?"


def question_in(new: Fragment) -> str | None:
    """A fragment that holds both, what is asked and of what: ``the currency of Peru``."""
    if not re.search(r"[a-z'’]s? .*\bof [\w]|\w['’]s [a-z]", new.text) or re.match(r"(a|an) ", new.text):
        return None
    return f"{'Who' if _PERSON_NOUN.search(re.split(r' of ', new.text)[0]) else 'What'} is {new.text}?"
