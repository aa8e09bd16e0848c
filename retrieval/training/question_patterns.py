"""What stands in encyclopaedia sentences where an answer may be: names, dates, counts, and the words around them."""

from __future__ import annotations

import re

NAME = r"(?:[A-Z][\w'’.&-]*|\d+(?:st|nd|rd|th))"
LINK = r"(?:of the|of|the|de|von|van|der|da|di|del|la|le|and|for|in)"
ENTITY = rf"(?:the )?{NAME}(?:(?: {LINK})? {NAME})*"
MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
YEAR = r"(?:1\d{3}|20\d{2}|\d{1,4} (?:BC|BCE|AD|CE))"
DATE = (
    rf"(?:\d{{1,2}} {MONTH} {YEAR}|{MONTH} \d{{1,2}}, {YEAR}|{MONTH} {YEAR}|"
    rf"the (?:early |mid-|late )?1?\d{{3}}s|{YEAR})"
)
ABOUT = r"(?:about |over |around |approximately |nearly |more than )?"
COUNT = r"(?:\d[\d,.]*(?: (?:million|billion|trillion))?|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
AFTER = re.compile(  # what stands behind a whole name or phrase
    r"\s*(?:$|[^\w\s])|\s+(?:(?:and|or|but|of|in|on|at|to|from|by|for|with|as|who|which|that|when|where|while|during|after|"
    r"before|until|since|is|was|are|were|has|had|have|the|a|an|than|into|through|under|over|because|\d{4})\b|"
    r"[a-z]+(?:ed|ing)\b)"
)
VAGUE = re.compile(  # how a sentence begins that says little without those before it
    r"(?:The|This|That|These|Those|His|Her|Its|Their|Such|Some|Other|Another|Many|Most|Both|Examples?|However|"
    r"In (?:the|this))\b"
)
PRONOUN = re.compile(r"(?:He|She|It|They)\b(?: (?:also|later|then|often|eventually|subsequently))?\s+")
BE = re.compile(r"\b(is|was|are|were)\b")
PERSON = re.compile(
    r"\(born|\bborn\b|\d{3,4}\)? ?[–-] ?[^()]*\d{3,4}\)|\b(?:actor|actress|singer|politician|writer|poet|painter|"
    r"composer|philosopher|scientist|physicist|mathematician|explorer|king|queen|emperor|pope|saint|god|goddess)\b"
)
ALIAS = re.compile(r"\b(?:also |commonly |formerly |originally |better )(?:known as|called) (?:the )?([^,.;()]{3,50})")
PASSIVE = re.compile(
    r"\b(is|was|are|were) (?:first |originally |officially |usually )?(\w+(?:ed|en|ung|uilt|ade|ound))\b"
)
MAKER = re.compile(
    r"\b(directed|written|produced|composed|created|founded|designed|developed|invented|discovered|painted|published|"
    rf"built|led) by ({ENTITY})"
)
DID = re.compile(r"(\w+ed|became|won|began|wrote|led|fell|took|made|held|came|grew|rose|ran|left|lost)\b(.*)")
HOW_MANY = re.compile(
    rf"\b(?:has|have|had|contains|comprises|comprising|includes|consists of|with|of) {ABOUT}({COUNT}) "
    r"([a-z]+s|[a-z]+ [a-z]+s|people)\b"
)
HOW_MUCH = re.compile(rf"\b(area|height|length|elevation|diameter|mass|speed) of {ABOUT}({COUNT} [\w/]+)")
PAST_OF = {
    "written": "wrote",
    "sung": "sang",
    "led": "led",
    "built": "built",
    "made": "made",
    "won": "won",
    "drawn": "drew",
    "begun": "began",
    "given": "gave",
    "taken": "took",
    "known": "knew",
    "held": "held",
    "fought": "fought",
}
STEM_OF = {
    "became": "become",
    "won": "win",
    "began": "begin",
    "wrote": "write",
    "led": "lead",
    "fell": "fall",
    "gave": "give",
    "took": "take",
    "made": "make",
    "held": "hold",
    "had": "have",
    "came": "come",
    "went": "go",
    "grew": "grow",
    "rose": "rise",
    "built": "build",
    "ran": "run",
    "met": "meet",
    "died": "die",
    "fought": "fight",
    "left": "leave",
    "served": "serve",
    "saw": "see",
    "found": "find",
    "sold": "sell",
    "spread": "spread",
    "lost": "lose",
}


NAMED = (
    (r"\bnamed (?:after|for|in honou?r of) (?:the )?([^,.;()]{3,50})", "who or what is {} named after"),
    (
        r"\bcapital(?: and largest city| city| and most populous city)?(?: is|,) ([A-Z][\w' -]+?)(?=[,.;]| and | is|$)",
        "what is the capital of {}",
    ),
    (r"\bofficial language(?:s)? (?:is|are) ([A-Z][\w ]+)", "what is the official language of {}"),
    (rf"\blargest city (?:is|being) ({ENTITY})", "what is the largest city in {}"),
    (r"\b(?:located|situated) (?:in|on|at|near) ((?:the )?[^,.;()]{3,50})", "where is {} located"),
    (r"\bderive[sd]? from (?:the )?([^,.;()]{3,50})", "where does the word {} come from"),
    (r"\b(?:caused by|results? from) (?:the )?([^,.;()]{3,50})", "what causes {}"),
    (r"\bused (?:to|for|in|as) ([^,.;()]{3,50})", "what is {} used for"),
    (
        r"\b(?:type|kind|form|genus|species|branch|family|order) of ([a-z][^,.;()]{2,40}?)"
        r"(?= that| which| in | from| of |$|[,.;])",
        "what is {} a type of",
    ),
    (r"\bconsists? of ([^.;()]{3,60})", "what does {} consist of"),
    (r"\bcomposed of ([^.;()]{3,60})", "what is {} made of"),
    (rf"\bborder(?:s|ed by) ({ENTITY})", "what does {} border"),
    (rf"\b(?:part|member|province|state|region|county) of ({ENTITY})", "what is {} part of"),
    (rf"\bflows? (?:into|through) ({ENTITY})", "where does {} flow"),
    (rf"\bplayed (?:for|by) ({ENTITY})", "who played {}"),
    (rf"\bmarried ({ENTITY})", "who did {} marry"),
    (rf"\bson of ({ENTITY})", "who was the father of {}"),
    (rf"\bstar(?:s|ring) ({ENTITY})", "who stars in {}"),
    (rf"\bset in ({ENTITY}(?:, {ENTITY})?)", "where is {} set"),
    (r"\bstudy of ([^,.;()]{3,50})", "{} is the study of what"),
    (r"\bknown for ([^,.;()]{3,50})", "what is {} known for"),
)


VERB = re.compile(r"\b(?:[a-z]+ed|is|was|are|were|has|have|[a-z]+s)\b")
ECHOED = (
    (re.compile(rf"\bin ({YEAR})\b"), "in what year"),
    (re.compile(rf"\bby ({ENTITY})"), "by whom"),
    (re.compile(rf"\b(?:in|at|near) ({ENTITY})"), "where"),
    (re.compile(rf"\b(?:as|called|named|include|including|from|with|between|of) (?P<name>{ENTITY})"), "what"),
    (re.compile(rf"(?<![\d,.])\b(?P<name>{COUNT}) (?=[a-z]+s\b)"), "how many"),
)
