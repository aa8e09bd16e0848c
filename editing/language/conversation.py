"""What the last turn of a conversation asks, in the light of those before it.

"What is its capital?" asks nothing by itself; after a talk about Australia it asks for the capital of Australia. Scope
compares single questions, so a conversation is read from its beginning, sentence by sentence, keeping what was asked
and which names were spoken of, and its last turn is given back as the questions that it may stand for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from editing.language.follow_ups import (
    CLASSES,
    PEOPLE,
    Fragment,
    doubts_answer,
    find_pronoun,
    fragment_of,
    is_question,
    question_about,
    question_in,
    with_name,
    with_owner,
    with_question_word,
    with_subject,
)
from editing.language.mentions import Kind, Mention, mentions_in
from editing.language.politeness import without_lead_in
from editing.language.statements import MAX_QUESTION
from errata.text import split_message

Message = tuple[str, str]  # (role, content)
MAX_READINGS = 4
_TURNS = 24  # turns that are looked back on
_ENDS = 1000  # characters read at either end of a turn
_SENTENCES = 5  # read at either end of a turn
_KEPT = 4  # groups of names that are remembered
_WORK = re.compile(
    r"(?:please |can you |could you )*(?:translate|summari[sz]e|re-?write|proofread|paraphrase|correct|write|continue|"
    r"classify|rephrase)\b",
    re.IGNORECASE,
)
_FOR_ONE = re.compile(
    rf"(?:name|give me|tell me|recommend|suggest) (?:an?|one|some|another)\b|(?:which|what) (?:{CLASSES}|{PEOPLE})\b",
    re.IGNORECASE,
)
_FOR_A_NAME = re.compile(
    r"(?:(?:in|on|at|of|to|from|by|with|for) )?(?:what|wh[oi]\w*|where)\b|"
    r"(?:name|give|recommend|suggest|tell me(?! about))\b",
    re.IGNORECASE,
)
_LITTLE = {"in", "at", "on", "the", "by", "from", "to", "of", "it", "is", "was", "that", "and", "a"}
_WHO = re.compile(r"(?:by )?who(?:m|se)?\b(?! won)", re.IGNORECASE)
_WHERE = re.compile(
    r"where|(?:in |on |to |from )?(?:which|what) (?:city|country|place|state)|what is the capital", re.IGNORECASE
)


@dataclass(frozen=True)
class Talk:
    """What a conversation has come to.

    Attributes:
        asked: readings of the question before.
        spoken_of: names, those of one exchange together, the latest exchange first.
    """

    asked: tuple[str, ...] = ()
    spoken_of: tuple[tuple[Mention, ...], ...] = ()

    def candidates(self, kind: Kind) -> tuple[Mention, ...]:
        """The latest names that a pronoun can stand for."""
        fitting = (tuple(m for m in group if m.fits(kind)) for group in self.spoken_of)
        return next((group for group in fitting if group), ())

    def naming(self, names: Sequence[Mention]) -> Talk:
        group = tuple(dict.fromkeys(replace(name, start=0, end=0) for name in names))[:MAX_READINGS]
        return replace(self, spoken_of=(group, *self.spoken_of)[:_KEPT]) if group else self


def readings(turns: Sequence[Message]) -> tuple[str, ...]:
    """The questions that the last user turn may stand for, the likeliest first; at most ``MAX_READINGS``.

    The turn itself is one of them unless it leans on earlier turns; what a long turn asks at its end is another.

    Args:
        turns: (role, content), oldest first; what follows the last user turn, and system turns, are left out.

    >>> readings([("user", "Tell me about Peru."), ("assistant", "A country."), ("user", "What is its capital?")])
    ('What is the capital of Peru?',)
    """
    last = next((i for i in range(len(turns) - 1, -1, -1) if turns[i][0] == "user"), None)
    if last is None:
        return ()
    text = turns[last][1]
    alone = _after_turn(Talk(), text)[1]
    talk = Talk()
    for role, content in turns[max(0, last - _TURNS) : last]:
        if role == "user":
            talk = _after_turn(talk, content)[0]
        elif role == "assistant":
            talk = _after_reply(talk, content)
    understood = _after_turn(talk, text)[1]
    own = (text,) if understood == alone or not understood else ()
    return tuple(dict.fromkeys((*own, *understood)))[:MAX_READINGS]


def _after_turn(talk: Talk, text: str) -> tuple[Talk, tuple[str, ...]]:
    """The talk after a user turn, and what that turn asks: of several questions at its end, the last one first."""
    parts = _outer_sentences(text)
    asked: list[tuple[str, ...]] = []
    for part in parts:
        talk, found = _after_sentence(talk, part)
        asked.append(found)
    if any(_WORK.match(part) for part in parts):
        return talk, ()
    return talk, tuple(reading for found in reversed(asked[-3:]) for reading in found)


def _outer_sentences(text: str) -> list[str]:
    """The sentences at either end of a text; a question behind a colon is one of its own."""
    ends = (text,) if len(text) <= 2 * _ENDS else (text[:_ENDS], text[-_ENDS:])
    parts = [part for end in ends for part in split_message(end) if len(part) <= MAX_QUESTION]
    return parts if len(parts) <= 2 * _SENTENCES else [*parts[:_SENTENCES], *parts[-_SENTENCES:]]


def _after_sentence(talk: Talk, sentence: str) -> tuple[Talk, tuple[str, ...]]:
    """The talk after one more sentence of the user, and what it asks, if anything."""
    if doubts_answer(sentence):
        return talk, talk.asked
    meant = _fragment(talk, sentence) or _with_pronoun(talk, sentence)
    if not meant:
        text = without_lead_in(sentence)
        meant = (sentence if text == sentence.rstrip("?.! ") else text + sentence[len(sentence.rstrip("?.! ")) :],)
    names = [name for reading in meant for name in _named(talk, reading)]
    talk = talk.naming(names)
    if not is_question(meant[0]):
        return talk, ()
    return replace(talk, asked=meant), meant


def _named(talk: Talk, reading: str) -> list[Mention]:
    """The names of a reading; those known before keep what is known of them."""
    known = {m.text.casefold(): m for group in talk.spoken_of for m in group}
    found = mentions_in(reading)
    return [known[m.text.casefold()] if m.kind == "any" and m.text.casefold() in known else m for m in found]


def _with_pronoun(talk: Talk, sentence: str) -> tuple[str, ...]:
    """Readings of a whole sentence with a pronoun, or with its subject left out."""
    text = without_lead_in(sentence) + ("?" if sentence.rstrip().endswith("?") else "")
    pronoun = find_pronoun(text)
    if pronoun:
        kind, found = pronoun
        return tuple(with_name(text, found, kind, name) for name in talk.candidates(kind)[: MAX_READINGS - 1])
    if mentions_in(text):
        return ()
    made = (with_owner(text, name.text) for name in talk.candidates("any")[:2])
    return tuple(question for question in made if question)


def _fragment(talk: Talk, sentence: str) -> tuple[str, ...]:
    """Readings of a sentence that only changes a part of the question before."""
    new = fragment_of(sentence)
    if new is None or not (talk.asked or talk.spoken_of):
        return ()
    if made := question_in(new):
        return (made,)
    pronoun = find_pronoun(new.text)
    names = talk.candidates(pronoun[0])[:2] if pronoun else talk.candidates("any")[:1]
    other = tuple(q for name in names if (q := question_about(new, name.text)))
    if other:
        return other
    return _replaced(talk.asked, new)


def _replaced(asked: Sequence[str], new: Fragment) -> tuple[str, ...]:
    turned = [q for question in asked if (q := with_question_word(question, new))]
    return tuple(turned or [q for question in asked[:2] for q in with_subject(question, new)])


def _after_reply(talk: Talk, text: str) -> Talk:
    """The talk after a reply: a short one names what it is asked for, a long one its first name if none was named."""
    first = next(iter(_outer_sentences(text)), "")
    names = mentions_in(first)
    asked = bool(talk.asked) and bool(_FOR_A_NAME.match(talk.asked[0]))
    if not names or not asked or not _bare_answer(first, names):
        return talk if talk.spoken_of else talk.naming(names[:1])
    question = talk.asked[0]
    kind: Kind = "person" if _WHO.match(question) else "thing" if _WHERE.match(question) else "any"
    answer = replace(names[0], kind=kind, start=0, end=0)
    group = talk.spoken_of[0] if talk.spoken_of else ()
    joined = (answer, *group) if _FOR_ONE.match(question) else (*group, answer)
    return replace(talk, spoken_of=(joined[:MAX_READINGS], *talk.spoken_of[1:]))


def _bare_answer(text: str, names: Sequence[Mention]) -> bool:
    """Whether a reply is a name and nothing else: ``In Rosario, Argentina.``"""
    named = {word for name in names for word in re.findall(r"\w+", name.text)}
    others = [word for word in re.findall(r"\w+", text) if word not in named]
    named_so = names[0].text[:1].isupper() and not re.match(r"an? ", text, re.IGNORECASE)
    return named_so and not re.search(r"\d", text) and all(w.lower() in _LITTLE for w in others)
