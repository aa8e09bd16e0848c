"""Several views of one edit: the statement that a question stands for, so that both forms learn the answer.

MEND sees one gradient. An edit given as a chat question then holds for chat questions, and only half of the time for
plain statements ("The capital of Australia is"). Giving the editor a second view, the statement, mends that. Users
give questions, so the statement is made here by rules; the editor is trained on views made by these same rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_QUESTION = 300  # characters; no rule is tried on longer texts, so their cost stays bounded
_BE = r"(?P<be>is|are|was|were)"
_DO = r"(?P<do>do|does|did)"
_PREPOSITION = r"(?P<prep>in|on|at|of|to|from|by|with|for|after)"
_POLITE = re.compile(
    r"^(please|kindly|quick question|tell me|i would like to know|i was wondering|could you tell me|can you tell me|"
    r"do you (happen to )?know|name|give me|say|let me know)[:,]?\s+",
    re.IGNORECASE,
)
_PARTICIPLES = {
    "write": "written", "wrote": "written", "make": "made", "makes": "made", "made": "made", "build": "built",
    "built": "built", "sing": "sung", "sang": "sung", "sings": "sung", "own": "owned", "owns": "owned", "won": "won",
    "win": "won", "wins": "won", "found": "found", "drew": "drawn", "led": "led",
    "leads": "led",
}  # fmt: skip


@dataclass(frozen=True)
class View:
    """One wording under which an edit is computed. ``raw`` texts are continued as they stand."""

    text: str
    raw: bool


def statement_of(question: str) -> str | None:
    """The beginning of a statement whose continuation is the answer, or None where no rule fits.

    >>> statement_of("What is the capital of Australia?")
    'The capital of Australia is'
    >>> statement_of("Where was Ada Lovelace born?")
    'Ada Lovelace was born in'
    """
    if len(question) > MAX_QUESTION:
        return None
    text = _bare(question)
    for pattern, template in _RULES:
        if match := re.fullmatch(pattern, text, re.IGNORECASE):
            return _sentence(template(match) if callable(template) else match.expand(template))
    return None


def question_of(statement: str) -> str:
    """A question in an unfinished statement's words: ``The capital of Peru is`` → ``The capital of Peru is what?``"""
    return f"{statement.strip().rstrip('.:,')} what?"


def views_of(text: str, raw: bool, rephrases: tuple[str, ...] = ()) -> tuple[View, ...]:
    """The edit's own wording first, its other form second where a rule gives one, then the user's rephrases."""
    other = question_of(text) if raw else statement_of(text)
    views = (View(text, raw), *(View(rephrase, raw) for rephrase in rephrases))
    return (views[0], View(other, not raw), *views[1:]) if other else views


def _bare(question: str) -> str:
    text = " ".join(question.split())
    while (shorter := _POLITE.sub("", text)) != text and len(shorter.split()) > 1:
        text = shorter
    return text.rstrip("?.! ")


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text[:1].upper() + text[1:]


def _past(match: re.Match[str]) -> str:
    """``Who developed X`` → ``X was developed by``; the verb list covers what does not end in -ed."""
    verb, rest = match["verb"].lower(), match["rest"]
    participle = _PARTICIPLES.get(verb)
    if participle is None:
        participle = verb if verb.endswith("ed") else re.sub(r"(e?s)?$", "ed", verb, count=1)
        participle = participle.replace("eed", "ed") if verb.endswith("es") else participle
    return f"{rest} was {participle} by"


def _third_person(match: re.Match[str]) -> str:
    """``Where does X work`` → ``X works in``; past tense stays a bare verb with ``did``."""
    preposition = match.groupdict().get("prep") or match.groupdict().get("default") or "in"
    return f"{match['rest']} {_inflect(match['do'], match['verb'])} {preposition.lower()}"


def _object(match: re.Match[str]) -> str:
    """``What language does X speak`` → ``The language that X speaks is``."""
    trailing = match.groupdict().get("prep") or ""
    verb = _inflect(match["do"], match["verb"])
    noun = (match.groupdict().get("noun") or "").strip()
    head = f"The {noun} that {match['rest']} {verb} {trailing}" if noun else f"What {match['rest']} {verb} {trailing}"
    return f"{head} is"


_IRREGULAR_PAST = {"die": "died", "come": "came", "have": "had", "go": "went", "hold": "held", "write": "wrote"} | {
    "speak": "spoke", "find": "found", "begin": "began", "win": "won", "live": "lived", "take": "took", "sing": "sang"
}  # fmt: skip


def _inflect(auxiliary: str, verb: str) -> str:
    if auxiliary.lower() == "did":
        if verb in _IRREGULAR_PAST:
            return _IRREGULAR_PAST[verb]
        return f"{verb}d" if verb.endswith("e") else f"{verb}ed"
    if auxiliary.lower() == "does":
        return "has" if verb == "have" else f"{verb}es" if verb.endswith(("ss", "ch", "sh", "o")) else f"{verb}s"
    return verb


_RULES = (
    (rf"where {_BE} (?P<rest>.+?) (?P<part>born|located|based|found|headquartered|buried|employed|held|situated)",
     r"\g<rest> \g<be> \g<part> in"),
    (rf"(what|which) (?P<noun>.+?) {_BE} (?P<rest>.+?) (?P<part>\w+(?:ed|born|written|found|spoken)) {_PREPOSITION}",
     r"\g<rest> \g<be> \g<part> \g<prep> the \g<noun>"),
    (rf"{_PREPOSITION} (what|which|whose) (?P<noun>.+?) {_BE} (?P<rest>.+?) "
     r"(?P<part>born|located|based|founded|written|developed|built|made|employed|created|headquartered|held|spoken)",
     lambda m: f"{m['rest']} {m['be']} {m['part']} {m['prep'].lower()} the {m['noun']} of"),
    (rf"{_PREPOSITION} (what|which|whose) (?P<noun>\w+(?: \w+)?) {_BE} (?P<rest>.+)",
     lambda m: f"{m['rest']} {m['be']} {m['prep'].lower()} the {m['noun']} of"),
    (rf"{_PREPOSITION} (what|which|whose) (?P<noun>\w+(?: \w+)?) {_DO} (?P<rest>.+) (?P<verb>\w+)", _third_person),
    (r"(?P<prep>by|after) whom (?P<be>was|is|were) (?P<rest>.+) (?P<verb>\w+)", r"\g<rest> \g<be> \g<verb> \g<prep>"),
    (rf"where {_DO} (?P<rest>.+) (?P<verb>\w+)(?: (?P<prep>from))?", _third_person),
    (rf"where {_BE} (?P<rest>.+)", r"\g<rest> \g<be> in"),
    (rf"when {_BE} (?P<rest>.+?) (?P<part>born|\w+ed|built|written|held|made)", r"\g<rest> \g<be> \g<part> in"),
    (rf"when {_BE} (?P<rest>.+)", r"\g<rest> \g<be> on"),
    (rf"when {_DO} (?P<rest>.+) (?P<verb>\w+)", _third_person),
    (r"how (?P<noun>many|much|old|tall|long|high|far|big|large|deep|wide|fast|heavy) (?P<rest>.+)",
     r"the answer to how \g<noun> \g<rest> is"),
    (rf"who (or what )?{_BE} (?P<rest>.+?) named (after|for)", r"\g<rest> \g<be> named after"),
    (rf"(who|what|which) {_BE} (?P<rest>.+?) (?P<part>(?:(?:a|an|the) )?\w+ (?:of|for|after|by|with))",
     r"\g<rest> \g<be> \g<part>"),
    (rf"(what|which) \w+ {_BE} (?P<rest>.+?) (?P<part>(?:(?:a|an|the|originally) )?(?:\w+ )?(?:of|from|by|with|in|on))",
     r"\g<rest> \g<be> \g<part>"),
    (rf"(what|which) \w+ {_BE} (?P<rest>(?:the|a|an|\S+'s) .+)", r"\g<rest> \g<be>"),
    (rf"(who|what|which) {_BE} (?P<rest>.+)", r"\g<rest> \g<be>"),
    (rf"(what|which) (?P<noun>\w+(?: \w+)?) {_BE} (?P<rest>.+)", r"the \g<noun> of \g<rest> \g<be>"),
    (rf"(what|which) (?P<noun>(?:\w+ ){{0,3}}?){_DO} (?P<rest>.+) (?P<verb>\w+) {_PREPOSITION}", _object),
    (rf"(what|which) (?P<noun>(?:\w+ ){{0,3}}?){_DO} (?P<rest>.+) (?P<verb>\w+)", _object),
    (r"who (?P<verb>\w+) (?P<rest>.+)", _past),
    (r"which (?P<noun>\w+(?: \w+)?) (?P<verb>\w+(?:ed|es|s)) (?P<rest>.+)", r"the \g<noun> that \g<verb> \g<rest> is"),
    (r"(?P<rest>.+ (?:in|of|to|with|after|as|by|for)) (what|which|which \w+|whom)", r"\g<rest>"),
    (r"(?P<rest>(the|a|an) .+)", r"\g<rest> is"),
)  # fmt: skip
