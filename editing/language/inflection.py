"""As much English inflection as statements need: past tense, third person, participles."""

from __future__ import annotations

import re

PAST = dict(
    pair.split(":", 1)
    for line in (
        "become:became begin:began bring:brought build:built buy:bought choose:chose come:came cost:cost do:did",
        "draw:drew drive:drove fall:fell fight:fought find:found fly:flew get:got give:gave go:went grow:grew",
        "have:had hold:held keep:kept know:knew lead:led leave:left lie:lay lose:lost make:made pay:paid run:ran",
        "say:said see:saw sell:sold send:sent set:set sing:sang sit:sat speak:spoke spend:spent stand:stood",
        "swim:swam take:took teach:taught think:thought win:won write:wrote",
    )
    for pair in line.split(" ")
)
VERBS = PAST.keys() | {
    "die",
    "live",
    "work",
    "play",
    "start",
    "end",
    "use",
    "mean",
    "open",
    "close",
    "move",
    "happen",
    "belong",
    "star",
    "stop",
    "serve",
    "study",
    "originate",
    "border",
    "own",
    "air",
    "premiere",
    "release",
    "produce",
    "represent",
    "compete",
    "graduate",
    "attend",
    "receive",
    "marry",
    "love",
    "like",
    "want",
    "need",
}
_PARTICIPLES = {
    "write": "written",
    "wrote": "written",
    "draw": "drawn",
    "drew": "drawn",
    "sing": "sung",
    "sang": "sung",
    "run": "run",
    "ran": "run",
    "set": "set",
    "speak": "spoken",
    "spoke": "spoken",
    "take": "taken",
    "took": "taken",
    "know": "known",
    "knew": "known",
    "found": "found",
    "give": "given",
    "gave": "given",
    "own": "owned",
} | {
    w: past
    for base, past in PAST.items()
    if base in {"build", "make", "lead", "hold", "win", "buy", "teach", "sell"}
    for w in (base, past)
}


def inflected(auxiliary: str, verb: str) -> str:
    """A bare verb as it stands without its auxiliary: ``did come`` → ``came``, ``does carry`` → ``carries``."""
    stem = verb[:-1] + "i" if re.search(r"[^aeiou]y$", verb) else verb
    if auxiliary == "did":
        return PAST.get(verb) or (f"{verb}d" if verb.endswith("e") else f"{stem}ed")
    if auxiliary == "does":
        if verb == "have":
            return "has"
        return f"{stem}es" if stem != verb or verb.endswith(("ss", "ch", "sh", "x", "o")) else f"{verb}s"
    return verb


def base_form(verb: str) -> str:
    """``makes`` → ``make``, ``teaches`` → ``teach``, ``carries`` → ``carry``"""
    for ending, base in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("s", "")):
        if verb.endswith(ending):
            return verb.removesuffix(ending) + base
    return verb


def participle(verb: str) -> str:
    """``write`` and ``wrote`` → ``written``, ``develop`` → ``developed``"""
    if verb in _PARTICIPLES or verb.endswith("ed"):
        return _PARTICIPLES.get(verb, verb)
    stem = verb[:-1] + "i" if re.search(r"[^aeiou]y$", verb) else verb
    return f"{verb}d" if verb.endswith("e") else f"{stem}ed"
