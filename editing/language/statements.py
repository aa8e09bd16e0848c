"""Questions turned into the statements that they stand for, by a small grammar of English questions.

``What is the capital of Peru?`` stands for ``The capital of Peru is``, and the answer continues it. The grammar knows
five shapes of question (be, do, perfect, a bare verb, how) and finds the subject by its capital letters; what it does
not understand gives no statement.
"""

from __future__ import annotations

import re

from editing.language.inflection import PAST, VERBS, base_form, inflected, participle
from editing.language.politeness import bare

MAX_QUESTION = 300  # characters; nothing is tried on longer texts, so that the cost stays bounded

_PREPOSITION = "in|on|at|of|to|from|by|with|for|after|under|since|until|as|about|into|through"
_ASK = re.compile(
    rf"(?:(?P<prep>{_PREPOSITION}) )?(?P<wh>what|which|whose|whom|who|where|when)(?: (?P<noun>\S+(?: \S+){{0,3}}?))??"
    r" (?P<aux>is|are|was|were|do|does|did|has|have|had|can|could|will|would) (?P<rest>\S.*)",
    re.IGNORECASE,
)
_HOW = re.compile(
    r"how (?P<word>many|much|\w+)(?: (?P<noun>\w+(?: \w+)?))??"
    r" (?P<aux>is|are|was|were|do|does|did|live|lived|work) (?P<rest>\S.*)",
    re.IGNORECASE,
)
_EMBEDDED = re.compile(
    r"(?P<wh>who|what|where|when|how (?P<word>\w+)) (?P<subject>\S.*) (?P<be>is|are|was|were)\b ?(?P<rest>.*)",
    re.IGNORECASE,
)
_ENDS_ASKING = re.compile(rf"(?P<rest>.+ (?:{_PREPOSITION})) (?:what|which|whom)(?: \w+)?", re.IGNORECASE)
_POSSESSIVE = re.compile(r".+(?:'s|’s|s'|s’) [^?]+")
_ADVERB = r"(?:(?:\w+ly|first|also|best|most|now|still|mainly) )*"
_IRREGULAR = "born|built|made|held|found|set|spoken|written|drawn|sung|taught|led|run|known|won|sold|buried|laid|shown"
_COMPLEMENT = re.compile(
    rf"{_ADVERB}(\w+ed|{_IRREGULAR}|\w+en|active)\b.*|(.* )?({_PREPOSITION})|(the|a|an) .+", re.IGNORECASE
)
_VERBAL = re.compile(
    rf"{_ADVERB}(\w+ed|{_IRREGULAR}|\w+ing|given|home|behind|next|near|part|in|on|from|at|native|official)\b.*"
)
_PLACES = {"country", "city", "town", "region", "state", "province", "village", "county"}
_QUALITIES = {"colour", "color", "size", "age", "genre", "gender", "shape", "type", "kind", "nationality"}
_MEASURES = {
    "tall": "height",
    "high": "height",
    "long": "length",
    "heavy": "weight",
    "old": "age",
    "big": "size",
    "large": "size",
    "expensive": "price",
    "deep": "depth",
    "wide": "width",
    "fast": "speed",
}
_VERB = re.compile(
    rf"(?P<wh>who|what|which)(?: (?P<noun>\w+(?: \w+)??))?? (?P<verb>{'|'.join(PAST.values())}|\w+ed|\w+[^\Ws]s) "
    r"(?P<rest>\S.*)",
    re.IGNORECASE,
)


def statement_of(question: str) -> str | None:
    """The beginning of a statement whose continuation is the answer, or None where the grammar finds none.

    >>> statement_of("What is the capital of Australia?")
    'The capital of Australia is'
    >>> statement_of("Where was Ada Lovelace born?")
    'Ada Lovelace was born in'
    """
    if len(question) > MAX_QUESTION:
        return None
    text = bare(question)
    for pattern, build in _SHAPES:
        match = pattern.fullmatch(text)
        statement = build(match) if match else None
        if statement:
            statement = " ".join(statement.split())
            return statement[:1].upper() + statement[1:]
    return None


def _asked(match: re.Match[str]) -> str | None:
    aux = match["aux"].lower()
    noun = match["noun"] or ""
    if re.fullmatch(rf"(.* )?({_PREPOSITION}|that|who)", noun):
        return None
    if noun and match["wh"].lower() in {"who", "whom", "where", "when"}:
        return None  # where X was born: not asked but embedded
    if not noun.islower() and match["wh"].lower() == "what" and re.match(rf"\w+ed|{_IRREGULAR}", match["rest"]):
        return None  # what X was named after
    if aux in {"is", "are", "was", "were"}:
        return _be(match)
    if aux in {"do", "does", "did"}:
        return _do(match)
    return _perfect(match)


def _be(match: re.Match[str]) -> str | None:
    wh, noun, be, rest = match["wh"].lower(), match["noun"] or "", match["aux"].lower(), match["rest"]
    subject, complement = _divided(rest)
    said = f"{subject} {be} {complement}"
    if match["prep"]:
        return f"{said} {_leading(match['prep'], noun)}"
    if wh in {"where", "when"}:
        return f"{said} {'in' if complement or wh == 'where' else 'on'}"
    if noun and not complement:
        return _noun_and_phrase(noun, be, rest)
    dangling = complement.split()[-1:] in ([p] for p in _PREPOSITION.split("|"))
    return said if dangling or not noun else f"{said} {_leading('in', noun)}"


def _noun_and_phrase(noun: str, be: str, rest: str) -> str:
    """``What colour is X`` → ``the colour of X is``; ``Which city is the capital of X`` → ``the capital of X is``."""
    if re.match(r"(kind|type|sort) of ", noun):
        return f"{rest} {be}"
    if _VERBAL.fullmatch(rest):
        return f"the {noun} that {be} {rest} is"
    a_name = not re.match(r"(the|a|an) ", rest, re.IGNORECASE) and not _POSSESSIVE.fullmatch(rest)
    return f"the {noun} of {rest} {be}" if a_name or noun.lower() in _QUALITIES else f"{rest} {be}"


def _do(match: re.Match[str]) -> str | None:
    clause = _clause(match["rest"].split())
    if clause is None:
        return None
    subject, verb, tail = clause
    said = f"{subject} {inflected(match['aux'].lower(), verb)} {tail}".strip()
    noun, wh = match["noun"], match["wh"].lower()
    if match["prep"]:
        return f"{said} {_leading(match['prep'], noun or '')}"
    if wh in {"where", "when"}:
        return said if tail.endswith((" from", " to", " with")) or tail in {"from", "to", "with"} else f"{said} in"
    if noun:
        return f"the {noun} that {said} is"
    return f"what {said} is" if verb == "do" else said


def _perfect(match: re.Match[str]) -> str | None:
    aux, rest, noun = match["aux"].lower(), match["rest"], match["noun"]
    subject, complement = _divided(rest)
    if aux in {"can", "could", "will", "would"}:
        if match["wh"].lower() != "where" or " be " not in rest:
            return None
        who, _, participle = rest.partition(" be ")
        return f"{who} {aux} be {participle} in"
    if match["prep"]:
        return f"{subject} {aux} {complement} {match['prep'].lower()}" if complement else None
    if not noun:
        return None
    return f"the {noun} that {subject} {aux} {complement} is" if complement else f"the {noun} that {aux} {rest} is"


def _verb(match: re.Match[str]) -> str | None:
    """``Who developed X`` → ``X was developed by``; ``Which company makes X`` → ``The company that makes X is``."""
    wh, noun, verb, rest = match["wh"].lower(), match["noun"], match["verb"].lower(), match["rest"]
    if wh != "who":
        if noun and noun.split()[0].lower() in {"can", "could", "will", "would", "may", "might"}:
            return None
        return f"the {noun} that {verb} {rest} is" if noun else f"what {verb} {rest} is" if wh == "what" else None
    if noun:
        return None
    be, stem = ("is", base_form(verb)) if verb.endswith("s") else ("was", verb)
    particle = re.match(r"(up|out|off|down) ", rest)
    if not particle and re.match(rf"({_PREPOSITION}) ", rest):
        return f"the one who {verb} {rest} is"
    rest = rest[particle.end() :] if particle else rest
    return f"{rest} {be} {participle(stem)} {particle[1] if particle else ''} by"


def _how(match: re.Match[str]) -> str | None:
    word, noun, aux, rest = match["word"].lower(), match["noun"], match["aux"].lower(), match["rest"]
    if word in _MEASURES and not noun and aux in {"is", "are", "was", "were"}:
        return f"the {_MEASURES[word]} of {rest} {aux}"
    if word not in {"many", "much"}:
        return None
    if aux not in {"do", "does", "did"}:
        return f"the {'number' if word == 'many' else 'amount'} of {noun} that {aux} {rest} is" if noun else None
    clause = _clause(rest.split())
    if clause is None:
        return None
    subject, verb, tail = clause
    said = f"{subject} {inflected(aux, verb)} {tail}"
    amount = "number of " if word == "many" else ""
    return f"the {amount}{noun} that {said} is" if noun else said


def _embedded(match: re.Match[str]) -> str | None:
    """``(Tell me) where X was born``: the clause stands in a statement's order already."""
    wh, be, word = match["wh"].lower(), match["be"].lower(), match["word"]
    if word:
        return f"the {_MEASURES[word.lower()]} of {match['subject']} {be}" if word.lower() in _MEASURES else None
    return f"{match['subject']} {be} {match['rest']} {'in' if wh in {'where', 'when'} else ''}"


def _noun_phrase(match: re.Match[str]) -> str:
    return f"{match[0]} is"


def _divided(rest: str) -> tuple[str, str]:
    """Subject and complement of what follows ``be``: ``X born`` → ``X``, ``born``. A noun phrase has no complement."""
    words = rest.split()
    last = max((i for i, word in enumerate(words) if not word.islower()), default=None)
    if last is None:  # all in small letters: only a complement of one or two known words is seen
        tail = re.search(rf" ((?:{_IRREGULAR}|\w+ed)(?: (?:{_PREPOSITION}))?|(?:{_PREPOSITION}))$", rest)
        return (rest[: tail.start()], tail[1]) if tail else (rest, "")
    subject, complement = " ".join(words[: last + 1]), " ".join(words[last + 1 :])
    if words[last].endswith(("'s", "’s", "s'", "s’")):
        named = re.fullmatch(rf"(.+) (called|named|{_PREPOSITION})", complement)
        return (f"{subject} {named[1]}", named[2]) if named else (rest, "")
    return (subject, complement) if _COMPLEMENT.fullmatch(complement) else (rest, "")


def _clause(words: list[str]) -> tuple[str, str, str] | None:
    """Subject, verb and the rest: names are capitalised, the verb is the first word after them that is no adverb.

    A clause without capitals is divided at a verb that is known, or not at all.
    """
    last = max((i for i, word in enumerate(words) if not word.islower()), default=-1)
    at = last + 1
    if words[last].endswith(("'s", "’s", "s'", "s’")) and last >= 0:
        at += 1  # X's flag have
    while at < len(words) - 1 and re.fullmatch(_ADVERB, f"{words[at]} "):
        at += 1
    if not 0 < at < len(words) or last < 0:
        at = next((i for i in range(len(words) - 1, 0, -1) if words[i] in VERBS), 0)
        if not at:
            return None
    return " ".join(words[:at]), words[at], " ".join(words[at + 1 :])


def _leading(preposition: str, noun: str) -> str:
    """How the statement leads to the answer: ``in the city of``, ``in the year``, ``by``."""
    preposition, noun = preposition.lower(), noun.lower()
    if preposition == "in" and noun in _PLACES:
        return f"in the {noun} of"
    return f"{preposition} the year" if noun == "year" and preposition in {"in", "since", "until"} else preposition


_SHAPES = (
    (
        re.compile(rf"who or what(?= {'(?:is|are|was|were)'} )(?P<x>).*", re.IGNORECASE),
        lambda m: statement_of(m[0].replace(" or what", "", 1)),
    ),
    (_ASK, _asked),
    (_HOW, _how),
    (_EMBEDDED, _embedded),
    (_VERB, _verb),
    (_ENDS_ASKING, lambda m: m["rest"]),
    (re.compile(r"(the|a|an) .+", re.IGNORECASE), _noun_phrase),
    (_POSSESSIVE, _noun_phrase),
)
