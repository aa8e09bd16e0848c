"""Does an edit hold? Asked by free generation: greedy, to the natural stop, never by teacher forcing (D9)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from editing.edit import EditRequest

Match = Literal["exact", "contains", "no"]
Answerer = Callable[[str], str]  # prompt text → generated text
_SIGN = re.compile(r"(?P<number>(?<=\d)[.:/](?=\d)|(?<!\w)-(?=\d))|[^\w\s]|_")
_MEANINGFUL = "#%&@"  # Unicode calls them punctuation; "C#" is not "C", "5%" is not "5"


def normalise(text: str) -> str:
    """Case, punctuation, white space and leading articles taken away.

    Signs that carry meaning stay: the point of "1.5", the minus of "-5", the symbols of "C++" and "$5".
    """
    words = _SIGN.sub(_without_punctuation, unicodedata.normalize("NFKC", text).casefold()).split()
    while len(words) > 1 and words[0] in {"a", "an", "the"}:
        words = words[1:]
    return " ".join(words)


def _without_punctuation(sign: re.Match[str]) -> str:
    char = sign.group()
    if sign["number"] or char in _MEANINGFUL:
        return char
    category = unicodedata.category(char)
    if category == "Pd" or char == "/":  # a dash stands between two words
        return " "
    return "" if category.startswith("P") or char == "`" else char


def match(answer: str, wanted: str) -> Match:
    """``exact`` when equal after normalisation, ``contains`` when the wanted words stand in the answer."""
    has, want = normalise(answer), normalise(wanted)
    if not want:  # nothing but punctuation is wanted: compare as written
        return "exact" if answer.strip() == wanted.strip() else "no"
    if has == want:
        return "exact"
    return "contains" if re.search(rf"(?<!\w){re.escape(want)}(?!\w)", has) else "no"


@dataclass(frozen=True)
class VerificationCase:
    """One prompt's answers before and after the edit."""

    prompt: str
    before: str
    after: str

    @property
    def unchanged(self) -> bool:
        return self.before == self.after


@dataclass(frozen=True)
class Verification:
    """What free generation says of an edit."""

    request: EditRequest
    own: VerificationCase
    rephrases: tuple[VerificationCase, ...]
    locality: tuple[VerificationCase, ...]

    @property
    def efficacy(self) -> bool:
        return match(self.own.after, self.request.output) == "exact"

    @property
    def passed(self) -> int:
        return sum(match(case.after, self.request.output) == "exact" for case in self.rephrases)

    @property
    def unchanged(self) -> int:
        return sum(case.unchanged for case in self.locality)

    @property
    def generalizes(self) -> bool:
        return self.efficacy and self.passed == len(self.rephrases)

    @property
    def holds(self) -> bool:
        """Every check that the request asks for."""
        return self.generalizes and self.unchanged == len(self.locality)

    def report(self) -> dict[str, Any]:
        """As the contract has it, without the times."""
        wanted = self.request.output
        rephrases = [vars(case) | {"match": match(case.after, wanted)} for case in self.rephrases]
        locality = [
            vars(case) | {"unchanged": case.unchanged, "match": "exact" if case.unchanged else "no"}
            for case in self.locality
        ]
        return {
            "before": self.own.before,
            "after": self.own.after,
            "match": match(self.own.after, wanted),
            "efficacy": self.efficacy,
            "generalization": {"passed": self.passed, "total": len(rephrases), "cases": rephrases},
            "locality": {"unchanged": self.unchanged, "total": len(locality), "cases": locality},
        }


def verify(request: EditRequest, before: Sequence[str], answer: Answerer) -> Verification:
    """Ask everything that the request names once more, now with the edit.

    Args:
        before: answers without the edit to input, rephrases and locality prompts, in this order.
        answer: generates with the edit in force as it will be served.
    """
    prompts = (request.input, *request.rephrases, *request.locality)
    cases = [VerificationCase(prompt, text, answer(prompt)) for prompt, text in zip(prompts, before, strict=True)]
    split = 1 + len(request.rephrases)
    return Verification(request, cases[0], tuple(cases[1:split]), tuple(cases[split:]))
