"""What a question is after, as far as its words say so: somebody's occupation, employer or birth are three topics.

Questions about one person share most of their words ("work", "employed", "profession"), and sentence vectors put them
close together. Where both texts name a topic and share none, they do not ask the same. Only lower-case words count, so
that names ("Schwan Food Company", "The Job") have no topic, and the subject's own words rarely do.
"""

from __future__ import annotations

import re
from functools import lru_cache

_TOPICS = {
    "occupation": r"occupation|(?<!their )(?<!his )(?<!her )profession|jobs?|for a living|kind of work|"
    r"field of|what field|discipline|expertise|domain of activity|speciali[sz]e[sd]?|works? as what",
    "employer": r"employers?|employs|employed|works? for|worked for|on the payroll",
    "workplace": r"work location|(?:city|town|place) .*(?:work|employment)|(?:their|his|her) profession|"
    r"active professionally",
    "continent": r"continent",
    "capital": r"capital|seat of government",
    "language": r"languages?|mother tongue|native tongue",
    "religion": r"religions?|religious|faith|denomination",
    "genre": r"genres?|musical style|kind of music|type of music",
    "broadcast": r"networks?|channels?|broadcast|aired|airs|broadcaster",
    "currency": r"currency|currencies|money",
    "border": r"borders?|bordering|neighbou?rs?|next to|adjacent",
    "instrument": r"instruments?",
    "birth": r"born|birth|birthplace|birthday",
    "death": r"died|dies|die|death|dead",
    "marriage": r"spouse|wife|husband|married|marry",
    "founding": r"founders?|founded|established|set up by",
    "headquarters": r"headquarters|headquartered|head office",
    "owner": r"owns|owned|owners?|belongs? to whom",
    "population": r"population|inhabitants|many people",
    "sport": r"sports?|position on the team|playing position",
    "twin": r"twin|twinned|sister city|partner city",
    "namesake": r"named after|named for|namesake|name from|origin of the name",
}
_PATTERNS = {topic: re.compile(rf"\b(?:{words})\b") for topic, words in _TOPICS.items()}
_NAME = re.compile(r"\b[A-Z][\w'’-]*")


@lru_cache(maxsize=4096)
def topics_in(text: str) -> frozenset[str]:
    """The topics that the text's small words name; mostly none or one."""
    plain = _NAME.sub("X", text[:1000])
    return frozenset(topic for topic, pattern in _PATTERNS.items() if pattern.search(plain))


def other_topic(one: str, other: str) -> bool:
    """Whether both name a topic, and none in common."""
    mine, theirs = topics_in(one), topics_in(other)
    return bool(mine and theirs and not mine & theirs)
