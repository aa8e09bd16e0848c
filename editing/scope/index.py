"""Which edits does a prompt ask about? An index of every edit's wordings, and a trained head that decides.

An index finds the wordings nearest to the prompt, ``ScopeHead`` says whether they ask the same thing. At most one edit
of scope ``matched`` is in force for a prompt, the best; so ten thousand edits do not meet each other.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np

from editing.edit import EditRequest
from editing.errors import InvalidEdit
from editing.language.views import views_of
from editing.scope.decision import SAME, scores
from editing.scope.head import ScopeHead, TextVectors
from editing.scope.vectors import Vectorise, WordingVectors
from editing.scope.wording_index import CANDIDATES, Mask, WordingIndex
from editing.scope.wordings import Wordings, says_something, wording_key

DISTINCT = 8  # edits below which more wordings are looked at
ROUNDS = 3  # of looking
ALIKE = 8  # latest edits of one wording that are looked at
Candidate = tuple[str, Wordings]


@dataclass(frozen=True)
class ScopeMatch:
    """An edit that a prompt asks about, with the log-odds above the decision threshold, and the edit's input."""

    edit_id: str
    score: float
    input: str = ""


class _Entry(NamedTuple):
    edit_id: str
    own: tuple[str, ...]
    apart: tuple[str, ...]


class ScopeIndex:
    """The wordings of all edits ever recorded; which of them may answer is given with each question.

    Edits are numbered in the order in which they are added: their ordinals. A wording that several edits share is one
    row of the index. Thread-safe: readers work on arrays that are only ever appended to.

    Args:
        head: the trained decision.
        vectorise: texts → vectors, from the sentence encoder.
        dim: width of a sentence vector.
        vectors: keeps the vectors of wordings; in memory if not given.
    """

    def __init__(
        self, head: ScopeHead, vectorise: Vectorise, dim: int = 384, vectors: WordingVectors | None = None
    ) -> None:
        self.head, self.vectorise = head, vectorise
        self.vectors = vectors or WordingVectors(vectorise)
        self._rows = WordingIndex(dim)
        self._entries: list[_Entry] = []
        self._ordinals: dict[str, int] = {}
        self._by_key: dict[str, list[int]] = defaultdict(list)  # edits by the exact wordings they answer to, ascending
        self._lock = threading.Lock()

    def __contains__(self, edit_id: str) -> bool:
        return edit_id in self._ordinals

    def __len__(self) -> int:
        return len(self._entries)

    def wordings(self, request: EditRequest) -> Wordings:
        """Vectors of the input, its other form, the rephrases and the locality prompts.

        Raises:
            InvalidEdit: the input of a matched edit holds nothing but signs, so no prompt could be told to ask it.
        """
        if request.scope == "matched" and not says_something(request.input):
            raise InvalidEdit(
                "input: nothing to match on is left without punctuation and white space; "
                "give a question in words, or scope 'global' for an edit that acts on every prompt"
            )
        own, apart = _own(request), request.locality
        vectors = self.vectors.made([*own, *apart])
        return Wordings.of(own, apart, vectors)

    def keep(self, wordings: Wordings) -> None:
        """Keep the vectors of an edit that is about to be recorded, for all processes."""
        for text, vectors in zip(wordings.own + wordings.set_apart, wordings.texts + wordings.apart, strict=True):
            self.vectors.keep(text, vectors)

    def add(self, edit_id: str, wordings: Wordings) -> None:
        """Make an edit findable; nothing is ever taken out, since any past revision may ask for it."""
        self.keep(wordings)
        self._enter([_Entry(edit_id, wordings.own, wordings.set_apart)])

    def add_all(self, requests: Sequence[tuple[str, EditRequest | None]]) -> None:
        """As ``add``, for many edits recorded before; their wordings are embedded where they were not kept.

        Args:
            requests: None for an edit whose texts were erased: nothing matches it any more.
        """
        self._enter([_Entry(edit_id, _own(r), r.locality) if r else _Entry(edit_id, (), ()) for edit_id, r in requests])

    def forget(self, edit_id: str) -> None:
        """The edit's texts were erased: nothing matches it any more, and what no other edit says is not kept."""
        with self._lock:
            place = self._ordinals.get(edit_id)
            if place is None:
                return
            _, own, apart = self._entries[place]
            self._entries[place] = _Entry(edit_id, (), ())
            for key in {wording_key(text) for text in own}:
                self._by_key[key] = [owner for owner in self._by_key[key] if owner != place]
            said = {text for entry in self._entries for text in (*entry.own, *entry.apart)}
        for text in {*own, *apart} - said:
            self.vectors.forget(text)

    def mask(self, edit_ids: Collection[str]) -> Mask:
        """These edits, by ordinal; unknown ones are passed over."""
        mask = np.zeros(len(self._entries), bool)
        mask[[self._ordinals[i] for i in edit_ids if i in self._ordinals]] = True
        return mask

    def score(self, prompt: str, vectors: TextVectors, wordings: Wordings) -> float:
        """Log-odds above the threshold that the prompt asks what the edit answers; above 0 it is in scope."""
        return scores(self.head, prompt, vectors, [wordings])[0]

    def best(
        self, prompts: str | Sequence[str], among: Mask | Collection[str], extra: Candidate | None = None
    ) -> ScopeMatch | None:
        """The first of ``rank``. Where a prompt is exactly an edit's wording, nothing is embedded."""
        mask, keys = self._masked(among), {wording_key(prompt) for prompt in _readings(prompts)}
        if extra and keys & extra[1].keys:
            return ScopeMatch(extra[0], SAME, extra[1].input)
        if exact := [place for key in keys for place in self._exact(key, mask, 1)]:
            return self._match(max(exact), SAME)
        return next(iter(self.rank(prompts, mask, extra)), None)

    def rank(
        self, prompts: str | Sequence[str], among: Mask | Collection[str], extra: Candidate | None = None
    ) -> list[ScopeMatch]:
        """The edits in scope, best first; of equals the later one first.

        Args:
            prompts: the readings of one prompt; an edit's score is that of the reading that it matches best.
            among: the edits that may answer.
            extra: an edit that is not recorded yet but takes part, as the last.
        """
        mask, readings, best = self._masked(among), _readings(prompts), dict[int, float]()
        last = len(self._entries)
        if not readings or not (extra or mask.any()):
            return []
        for prompt, vectors in zip(readings, self.vectorise(readings), strict=True):
            places = self._candidates(prompt, vectors, mask)
            wordings = [self._stored(place) for place in places] + ([extra[1]] if extra else [])
            found = scores(self.head, prompt, vectors, wordings, self._filled)
            for place, score in zip([*places, last], found, strict=False):
                best[place] = max(score, best.get(place, -SAME))
        order = sorted(((score, place) for place, score in best.items() if score > 0), reverse=True)
        return [
            ScopeMatch(extra[0], score, extra[1].input) if extra and place == last else self._match(place, score)
            for score, place in order
        ]

    def _enter(self, entries: Sequence[_Entry]) -> None:
        new = [entry for entry in entries if entry.edit_id not in self._ordinals]
        own = dict.fromkeys(text for entry in new for text in entry.own if says_something(text))
        texts = [text for text in own if text not in self._rows]
        sentences = self.vectors.sentences(texts)
        self.vectors.kept([text for entry in new for text in entry.apart])
        with self._lock:
            self._rows.add(texts, sentences)
            for entry in new:
                if entry.edit_id not in self._ordinals:
                    self._number(entry)

    def _number(self, entry: _Entry) -> None:
        ordinal = len(self._entries)
        self._rows.own(ordinal, entry.own)
        self._entries.append(entry)
        self._ordinals[entry.edit_id] = ordinal
        for key in {wording_key(text) for text in entry.own}:
            self._by_key[key].append(ordinal)

    def _masked(self, among: Mask | Collection[str]) -> Mask:
        return among if isinstance(among, np.ndarray) else self.mask(among)

    def _match(self, place: int, score: float) -> ScopeMatch:
        entry = self._entries[place]
        return ScopeMatch(entry.edit_id, score, entry.own[0] if entry.own else "")

    def _stored(self, place: int) -> Wordings:
        return Wordings.of(self._entries[place].own, self._entries[place].apart)

    def _filled(self, wordings: Wordings) -> Wordings:
        if wordings.texts:
            return wordings
        return wordings.filled(self.vectors.kept([*wordings.own, *wordings.set_apart]))

    def _candidates(self, prompt: str, vectors: TextVectors, mask: Mask) -> list[int]:
        """Edits that a prompt may ask about: those that it is a wording of, latest first, then those nearest to it."""
        found = dict.fromkeys(self._exact(wording_key(prompt), mask, ALIKE))
        if not says_something(prompt):
            return list(found)
        rows = self._rows.of(mask)
        for _ in range(ROUNDS):
            nearest = self._rows.nearest(vectors.sentence, rows)
            for row in nearest:
                found |= dict.fromkeys(self._exact(wording_key(self._rows.texts[row]), mask, ALIKE))
            if len(found) >= DISTINCT or len(nearest) < CANDIDATES:
                break
            rows[nearest] = False
            self._rows.clear(rows, [text for place in found for text in self._entries[place].own])
        return list(found)[:CANDIDATES]

    def _exact(self, key: str, mask: Mask, most: int) -> list[int]:
        """The latest edits that may answer and have this wording."""
        owners = self._by_key.get(key, [])
        known = owners[: bisect_left(owners, len(mask))]
        return list(islice((place for place in reversed(known) if mask[place]), most))


def _own(request: EditRequest) -> tuple[str, ...]:
    return tuple(view.text for view in views_of(request.input, request.raw, request.rephrases))


def _readings(prompts: str | Sequence[str]) -> tuple[str, ...]:
    return (prompts,) if isinstance(prompts, str) else tuple(dict.fromkeys(prompts))
