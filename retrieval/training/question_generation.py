"""Questions made from encyclopaedia articles by rules, in the words that people type into a search box.

Each answer is a stretch of the article, or its title, so a reader can be trained on them without an annotator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from errata.text import SENTENCE_END
from retrieval.training.question_patterns import (
    ABOUT,
    AFTER,
    ALIAS,
    BE,
    COUNT,
    DATE,
    DID,
    ECHOED,
    ENTITY,
    HOW_MANY,
    HOW_MUCH,
    MAKER,
    MONTH,
    NAMED,
    PASSIVE,
    PAST_OF,
    PERSON,
    PRONOUN,
    STEM_OF,
    VAGUE,
    VERB,
    YEAR,
)


@dataclass(frozen=True)
class GeneratedQuestion:
    """A question, and the answer as the text has it."""

    text: str
    answer: str


def make_questions(title: str, text: str, opening: bool = True) -> list[GeneratedQuestion]:
    """Questions about an article that its text answers, without repetitions, in the order of its sentences.

    Args:
        title: what the article is about; "Mercury (planet)" is asked about as "Mercury".
        text: the article, or a passage of it.
        opening: whether the text begins as articles do, with a sentence that says what the title is.
    """
    subject = re.sub(r" \([^)]*\)$", "", title)
    found: dict[str, GeneratedQuestion] = {}
    for made in _all(subject, text, opening):
        clean = GeneratedQuestion(_tidy(made.text), made.answer.strip(" ,.;"))
        plausible = _least(clean, subject) <= len(clean.text.split()) <= 24 and 1 <= len(clean.answer.split()) <= 8
        contained = clean.answer.casefold() in clean.text.casefold()
        if plausible and not contained and (clean.answer == subject or _ends_well(clean.answer, text)):
            found.setdefault(clean.text.casefold(), clean)
    return list(found.values())


def _ends_well(answer: str, text: str) -> bool:
    """Whether it stands in the text without the rest of a longer name behind it ("English" of "English author")."""
    ends = (match.end() for match in re.finditer(rf"(?<!\w){re.escape(answer)}", text))
    return re.fullmatch(COUNT, answer) is not None or any(AFTER.match(text, end) for end in ends)


def _least(made: GeneratedQuestion, subject: str) -> int:
    """Words that a question needs: one for the title must say enough to tell it from others."""
    return 6 if made.answer == subject else 3


def _tidy(question: str) -> str:
    question = re.sub(r"\s*\([^)]*\)?", "", question)
    return re.sub(r"\s+", " ", question).strip(" ,.;:")


def _all(subject: str, text: str, opening: bool) -> Iterator[GeneratedQuestion]:
    flat = re.sub(r"\s+", " ", text)
    who = bool(PERSON.search(flat[:250]))
    if opening:
        yield from _life(subject, flat)
    for number, sentence in enumerate(SENTENCE_END.split(flat)):
        said = _predicate(subject, sentence, first=opening and number == 0)
        if said is None:
            if not VAGUE.match(sentence):
                yield from _echo(sentence)
            continue
        plain = re.sub(r" ?\([^)]*\)", "", said)
        yield from _about_title(subject, plain, who)
        for rule in (_passive, _active, _numbers, _named):
            yield from rule(subject, plain)
        yield from _echo(f"{subject} {plain}")


def _predicate(subject: str, sentence: str, first: bool) -> str | None:
    """What a sentence says of the title; None if it is about something else."""
    if match := PRONOUN.match(sentence):
        return sentence[match.end() :]
    for start in (subject, f"The {subject}", f"A {subject}", f"An {subject}"):
        if sentence.startswith(start + " "):
            said = sentence[len(start) :].strip()
            return said if not said.startswith(("(", ",")) or not first else _after_be(said)
    return _after_be(sentence) if first else None


def _after_be(sentence: str) -> str | None:
    match = BE.search(re.sub(r"\([^)]*\)", lambda m: "_" * len(m[0]), sentence))
    return sentence[match.start() :] if match else None


def _life(subject: str, text: str) -> Iterator[GeneratedQuestion]:
    head = text[:400]
    if match := re.search(rf"\((?:[^()]*?\b)?(?:born )?({DATE})(?: [–-] ({DATE}))?", head):
        if match[2]:
            yield GeneratedQuestion(f"when was {subject} born", match[1])
            yield GeneratedQuestion(f"when did {subject} die", match[2])
        elif "born" in match[0]:
            yield GeneratedQuestion(f"when was {subject} born", match[1])
    if match := re.search(rf"\b[Bb]orn in ({ENTITY}(?:, {ENTITY})?)", text):
        yield GeneratedQuestion(f"where was {subject} born", match[1])
    if match := ALIAS.search(text):
        yield GeneratedQuestion(f"what is another name for {subject}", match[1])


def _about_title(subject: str, said: str, who: bool) -> Iterator[GeneratedQuestion]:
    """Questions whose answer is the title."""
    word = "who" if who else "what"
    clause = re.split(r"[,;]|\. ", said)[0]
    if match := re.match(r"(is|was|are|were) (the .+)", clause):
        yield GeneratedQuestion(f"{word} {match[1]} {match[2]}", subject)
    elif match := re.match(r"(?:is|was|are|were) (?:an?|one of the) ([^,;]+?) (?:who|that|which) (.+)", clause):
        yield GeneratedQuestion(f"{word} {match[2]}", subject)
        yield GeneratedQuestion(f"which {match[1]} {match[2]}", subject)
    elif match := re.match(r"(is|was) an? ([^,;]+?) ((?:best |well |widely )?known (?:for|as) .+)", clause):
        yield GeneratedQuestion(f"which {match[2]} {match[1]} {match[3]}", subject)
    elif match := re.match(r"(is|was|are|were) an? (.{25,})", clause):
        yield GeneratedQuestion(f"{word} {match[1]} a {match[2]}", subject)
    elif re.match(r"[a-z]+(?:ed|s)\b|(?:won|wrote|led|became|has|had|can|made|held)\b", clause):
        yield GeneratedQuestion(f"{word} {clause}", subject)


def _passive(subject: str, said: str) -> Iterator[GeneratedQuestion]:
    for match in PASSIVE.finditer(said):
        be, verb, rest = match[1], match[2], said[match.end() :].split(". ", maxsplit=1)[0]
        if found := re.search(rf"\b(?:in|on|from|since) ({DATE})", rest):
            yield GeneratedQuestion(f"when {be} {subject} {verb} {_between(rest, found)}", found[1])
        if found := re.search(rf"\bby ({ENTITY})", rest):
            yield GeneratedQuestion(f"who {be} {subject} {verb} by", found[1])
            yield GeneratedQuestion(f"who {PAST_OF.get(verb, verb)} {subject}", found[1])
        if (found := re.search(rf"\b(?:in|at|near|on) ({ENTITY}(?:, {ENTITY})?)", rest)) and not _dated(found[1]):
            yield GeneratedQuestion(f"where {be} {subject} {verb}", found[1])
    for match in MAKER.finditer(said):
        yield GeneratedQuestion(f"who {PAST_OF.get(match[1], match[1])} {subject}", match[2])


def _active(subject: str, said: str) -> Iterator[GeneratedQuestion]:
    if not (match := DID.match(said)):
        return
    verb, rest = _stem(match[1]), match[2]
    if found := re.search(rf"\bin ({DATE})", rest):
        yield GeneratedQuestion(f"when did {subject} {verb} {_between(rest, found)}", found[1])
    if found := re.match(rf" (?:the )?({ENTITY})", rest):
        yield GeneratedQuestion(f"what did {subject} {verb}", found[1])
    if (found := re.search(rf"\b(?:in|at|to|from) ({ENTITY})", rest)) and not _dated(found[1]):
        yield GeneratedQuestion(f"where did {subject} {verb} {_between(rest, found)}", found[1])


def _dated(name: str) -> bool:
    return re.search(rf"{MONTH}|{YEAR}", name) is not None


def _between(rest: str, found: re.Match[str]) -> str:
    between = re.sub(r"\b(?:in|on|at|by|from|to|since)$", "", rest[: found.start()].strip(" ,"))
    return between if len(between.split()) <= 8 and "," not in between else ""


def _stem(verb: str) -> str:
    if verb in STEM_OF:
        return STEM_OF[verb]
    stem = verb.removesuffix("ed")
    if stem.endswith("i"):
        return stem[:-1] + "y"
    if len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] not in "lsz":
        return stem[:-1]
    return stem + "e" if re.search(r"(?:[cgsuvz]|[^aeiou]at|[iu]t|in|[ou]r|id|os|ag)$", stem) else stem


def _numbers(subject: str, said: str) -> Iterator[GeneratedQuestion]:
    for match in HOW_MANY.finditer(said):
        yield GeneratedQuestion(f"how many {match[2]} does {subject} have", match[1])
    if found := re.search(rf"\bpopulation of {ABOUT}({COUNT})", said):
        yield GeneratedQuestion(f"what is the population of {subject}", found[1])
    for match in HOW_MUCH.finditer(said):
        yield GeneratedQuestion(f"what is the {match[1]} of {subject}", match[2])


def _named(subject: str, said: str) -> Iterator[GeneratedQuestion]:
    for pattern, question in NAMED:
        if match := re.search(pattern, said):
            yield GeneratedQuestion(question.format(subject), match[1])


_BEGUN = 20  # characters of the sentence that stand before its answer at least


def _echo(sentence: str) -> Iterator[GeneratedQuestion]:
    """The sentence up to an answer, with a question word in its place: "the treaty was signed in what year"."""
    for pattern, word in ECHOED:
        match = pattern.search(sentence, _BEGUN)
        if match and VERB.search(sentence[: match.start(1)]):
            start = match.start("name" if "name" in pattern.groupindex else 0)
            rest = re.split(r",|\. ", sentence[match.end() :])[0] if word == "how many" else ""
            yield GeneratedQuestion(f"{sentence[:start]}{word} {rest}", match[1])
