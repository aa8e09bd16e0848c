"""How answers and retrieved passages are judged: the field's official normalisation and counts, nothing of our own.

Which function follows which source:

=====================  ================================================================================================
``normalise_answer``   SQuAD v1.1 ``normalize_answer`` (Rajpurkar et al. 2016), the same as DPR's ``_normalize_answer``
``exact_match``        NQ-open and EfficientQA (Lee et al. 2019, ORQA): Unicode NFD, then ``normalise_answer``
``f1``                 SQuAD v1.1 ``f1_score``, after NFD, so that it judges the same strings as ``exact_match``
``contained``          ours: the same normalised words, one after the other, somewhere in the prediction
``has_answer``         DPR ``has_answer`` with ``SimpleTokenizer`` (Karpukhin et al. 2020): NFD, no articles taken out
``recall_at``, ``mrr``   DPR's top-k accuracy, and the mean reciprocal rank of the first passage that has an answer
=====================  ================================================================================================
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from index.passages.passage import Passage
from retrieval.search.tokenizer import WordTable

_PUNCTUATION = str.maketrans("", "", string.punctuation)  # ASCII only, as in the official scripts
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalise_answer(text: str) -> str:
    """Lower case, without ASCII punctuation, without the articles a, an, the, single spaces between words."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, answers: Iterable[str]) -> bool:
    """Whether the prediction, normalised, equals one of the answers, normalised."""
    said = _words(prediction)
    return any(said == _words(answer) for answer in answers)


def f1(prediction: str, answers: Iterable[str]) -> float:
    """Harmonic mean of precision and recall of the normalised words, in [0, 1]; of several answers, the best.

    Nothing in common gives 0, also where both are empty (SQuAD v1.1).
    """
    said = _words(prediction)
    return max((_f1(said, _words(answer)) for answer in answers), default=0.0)


def contained(prediction: str, answers: Iterable[str]) -> bool:
    """Whether one of the answers stands in the prediction, word for word, both normalised."""
    said = _words(prediction)
    return any(_stands_in(_words(answer), said) for answer in answers)


def has_answer(answers: Iterable[str], text: str) -> bool:
    """Whether the tokens of one of the answers stand one after the other in the text, whatever their case.

    An answer without any token stands in no text; DPR's script would find it in every one.
    """
    tokens = tokenise(text)
    return any(_stands_in(tokenise(answer), tokens) for answer in answers)


def tokenise(text: str) -> list[str]:
    """DPR's tokens: runs of letters, digits and marks, and every other visible sign by itself; NFD, lower case."""
    return unicodedata.normalize("NFD", text).translate(_SPACED).lower().split()


def readable(passage: Passage) -> str:
    """What of a passage is searched for an answer: title and text, as DPR joins them (``use_title``)."""
    return f"{passage.title} . {passage.text}"


def first_with_answer(answers: Sequence[str], texts: Iterable[str]) -> int | None:
    """The rank, from 1, of the first text that has an answer; None if none has."""
    return next((rank for rank, text in enumerate(texts, start=1) if has_answer(answers, text)), None)


def recall_at(ranks: Sequence[int | None], k: int) -> float:
    """Share of questions whose first passage with an answer is among the best k.

    Args:
        ranks: one a question, as of :func:`first_with_answer`.
        k: at least 1.

    Raises ValueError without questions or with k < 1.
    """
    if k < 1:
        raise ValueError(f"recall is counted among at least one passage, not {k}")
    return _mean([float(rank is not None and rank <= k) for rank in ranks])


def mrr(ranks: Sequence[int | None]) -> float:
    """Mean of 1 / rank over all questions, 0 where no passage has an answer. Raises ValueError without questions."""
    return _mean([1 / rank if rank else 0.0 for rank in ranks])


def have_answers(answers: Sequence[Sequence[str]], texts: Iterable[str]) -> list[bool]:
    """For each question whether :func:`has_answer` in any of the texts. One pass; memory does not grow with the texts.

    Args:
        answers: of each of n questions.
        texts: a whole corpus.
    """
    open_: dict[str, dict[tuple[str, ...], set[int]]] = {}  # first token → answer → the questions it is of
    for number, own in enumerate(answers):
        for tokens in filter(None, (tuple(tokenise(answer)) for answer in own)):
            open_.setdefault(tokens[0], {}).setdefault(tokens, set()).add(number)
    found: set[int] = set()
    for text in texts:
        for answer in _standing(open_, tokenise(text)):
            found |= open_[answer[0]].pop(answer)
    return [number in found for number in range(len(answers))]


def _standing(open_: dict[str, dict[tuple[str, ...], set[int]]], tokens: list[str]) -> Iterator[tuple[str, ...]]:
    """The answers that stand in a text, each when it is met first."""
    for at, token in enumerate(tokens):
        for answer in list(open_.get(token, ())):
            if tuple(tokens[at : at + len(answer)]) == answer:
                yield answer


def _words(text: str) -> list[str]:
    return normalise_answer(unicodedata.normalize("NFD", text)).split()


def _f1(said: list[str], wanted: list[str]) -> float:
    same = sum((Counter(said) & Counter(wanted)).values())
    return 2 * same / (len(said) + len(wanted)) if same else 0.0


def _stands_in(part: list[str], whole: list[str]) -> bool:
    return bool(part) and f" {' '.join(part)} " in f" {' '.join(whole)} "


def _mean(values: Sequence[float]) -> float:
    if not values:
        raise ValueError("there are no questions to take the mean over")
    return sum(values) / len(values)


_SPACED = WordTable(signs=True)
