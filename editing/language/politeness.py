"""What people say around a question out of courtesy: greetings, thanks, "please tell me"."""

from __future__ import annotations

import re

_REQUEST_BEGIN = re.compile(
    r"(please|kindly|quick question|tell me|i would like to know|i was wondering|could you tell me|can you tell me|"
    r"do you (happen to )?know|name|give me|say|let me know|question|hello|hi)[:,!]?\s+",
    re.IGNORECASE,
)
_REQUEST_END = re.compile(
    r"\s+((please )?answer( briefly)?|thanks|thank you|please|keep it short|be brief)$", re.IGNORECASE
)
_LEAD_IN = re.compile(
    r"(?:(?:and|but|also|so|then|now|okay|ok|well|thanks( a lot)?|thank you( very much)?|great|cool|nice|perfect|"
    r"hmm?|ah|oh|hi|hello|hey|haha|no(?! \w+(?<!i)(?<!the)(?<!not)\b)|nope|"
    r"sorry|wait|actually|please|alright|right|yes|interesting|one more|next)\b"
    r"[\s,.!:;…–-]*)+",
    re.IGNORECASE,
)
_THANKS = re.compile(r"(?<=\w)[, ]+(please|thanks|thank you)$", re.IGNORECASE)
_PLEASANTRY = re.compile(
    r"((good to know|got it|i see)[,.! ]+)?((good)?bye( bye)?|good to know|got it|i see|lol|wow|cheers|"
    r"sure|fine|awesome|never mind|see you( later)?|"
    r"that('s| is) (great|nice|good|interesting|all)( to know)?|much appreciated|you too)",
    re.IGNORECASE,
)


def bare(question: str) -> str:
    """A question without politeness and closing signs."""
    text = " ".join(question.split()).rstrip("?.! ")
    while (shorter := _REQUEST_END.sub("", text).rstrip("?.! ")) != text:
        text = shorter
    while (match := _REQUEST_BEGIN.match(text)) and len(text[match.end() :].split()) > 1:
        text = text[match.end() :]
    return text


def without_lead_in(sentence: str) -> str:
    """A sentence without what leads into it ("And", "Thanks!", "No,"), and without closing signs."""
    text = _THANKS.sub("", " ".join(sentence.split()).strip(' ?.!…"“”'))
    lead = _LEAD_IN.match(text)
    return text[lead.end() :] if lead and lead.end() < len(text) else text


def only_polite(text: str) -> bool:
    """Whether a text is thanks, a greeting or a farewell, and nothing else."""
    return bool(_LEAD_IN.fullmatch(text.strip(" ?.!…")[:200]) or _PLEASANTRY.fullmatch(without_lead_in(text[:200])))
