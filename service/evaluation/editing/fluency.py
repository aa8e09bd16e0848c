"""Fluency of a long answer: n-gram entropy, as ROME measures it on CounterFact (Meng et al. 2022)."""

from __future__ import annotations

import math
import re
from collections import Counter

_WEIGHTS = {2: 2 / 3, 3: 4 / 3}  # the mean of the two weighted entropies is taken


def n_gram_entropy(text: str) -> float:
    """(2/3 · H₂ + 4/3 · H₃) / 2 in bits, H of the text's own 2- and 3-grams; an edit that stutters brings it down."""
    words = re.findall(r"\w+|[^\w\s]", text)
    return sum(weight * _entropy(words, n) for n, weight in _WEIGHTS.items()) / len(_WEIGHTS)


def _entropy(words: list[str], n: int) -> float:
    counts = Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1))
    total = counts.total()
    return sum(-count / total * math.log2(count / total) for count in counts.values())
