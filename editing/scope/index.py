"""Which edits does a prompt concern? An index of every edit's wordings finds those near it, and the scope model reads.

At most one edit of scope ``matched`` is in force for a prompt, the best; so ten thousand edits do not meet each other.
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
from editing.scope.cross_encoder import Kind, ScopePair
from editing.scope.decision import SAME, Candidate, judge, judge_all
from editing.scope.model import ScopeModel
from editing.scope.prompt import ScopePrompt
from editing.scope.vectors import Vectorise, WordingVectors
from editing.scope.wording_index import CANDIDATES, Floats, Mask, WordingIndex
from editing.scope.wordings import Wordings, says_something, wording_key

READ = 8  # edits that are read with a prompt, at most
FAR = 0.1  # cosine below which a wording is not read with a prompt; hardly a rephrasing that people write lies there
ROUNDS = 3  # of looking for further edits where many wordings belong to few
ALIKE = 8  # latest edits of one wording that are looked at
Amended = Collection[int] | None
Extra = tuple[str, Wordings]  # an edit that is not recorded yet, and takes part as the last


@dataclass(frozen=True)
class ScopeMatch:
    """An edit that a prompt may concern.

    Attributes:
        score: log-odds above the decision threshold; above 0 it is in scope.
        kind: of request that the prompt is to it.
        input: of the edit; ``wording``: the one of its wordings that is nearest to the prompt.
        why: what spoke for it or against it.
    """

    edit_id: str
    score: float
    kind: Kind = Kind.ASKS
    input: str = ""
    wording: str = ""
    why: str = ""


class _Part(NamedTuple):
    """Wordings that an edit was made with, or that an event gave it later."""

    event: int  # 0: it was made with them
    own: tuple[str, ...]
    apart: tuple[str, ...]


class _Entry(NamedTuple):
    edit_id: str
    output: str
    parts: tuple[_Part, ...]

    def at(self, amended: Amended) -> Wordings:
        parts = [part for part in self.parts if not part.event or amended is None or part.event in amended]
        own, apart = [t for part in parts for t in part.own], [t for part in parts for t in part.apart]
        return Wordings.of(own, apart, self.output)

    @property
    def texts(self) -> set[str]:
        return {text for part in self.parts for text in (*part.own, *part.apart)}


class ScopeIndex:
    """The wordings of all edits ever recorded; which of them may answer is given with each question.

    Edits are numbered in the order in which they are added: their ordinals. A wording that several edits share is one
    row of the index. Thread-safe: readers work on arrays that are only ever appended to.

    Args:
        model: the trained decision.
        vectorise: texts → vectors, from the sentence encoder.
        dim: d, width of a vector.
        vectors: keeps the vectors of wordings; in memory if not given.
    """

    def __init__(
        self, model: ScopeModel, vectorise: Vectorise, dim: int = 384, vectors: WordingVectors | None = None
    ) -> None:
        self.model, self.vectorise = model, vectorise
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
        """The input, the rephrases and the locality prompts, with their vectors.

        Raises:
            InvalidEdit: the input of a matched edit holds nothing but signs, so no prompt could be told to ask it; or a
                prompt is both a rephrase and a locality prompt.
        """
        self.check(request)
        wordings = Wordings.of(_own(request), request.locality, request.output)
        return wordings.filled(self.vectors.made(wordings.texts))

    def recorded(self, edit_id: str, amended: Amended = None) -> Wordings:
        """The wordings of an edit, without vectors."""
        return self._entries[self._ordinals[edit_id]].at(amended)

    def check(self, request: EditRequest) -> None:
        """Raises InvalidEdit, as :meth:`wordings`."""
        if request.scope == "matched" and not says_something(request.input):
            raise InvalidEdit(
                "input: nothing to match on is left without punctuation and white space; "
                "give a question in words, or scope 'global' for an edit that acts on every prompt"
            )
        own = {wording_key(text) for text in _own(request)}
        if both := [text for text in request.locality if wording_key(text) in own]:
            raise InvalidEdit(
                f"locality: {both[0]!r} is the input or one of the rephrases as well; "
                "the edit cannot both answer it and leave it as it is"
            )

    def keep(self, wordings: Wordings) -> None:
        """Keep the vectors of an edit that is about to be recorded, for all processes."""
        for text, vector in zip(wordings.texts, wordings.vectors, strict=True):
            self.vectors.keep(text, vector)

    def add(self, edit_id: str, wordings: Wordings) -> None:
        """Make an edit findable; nothing is ever taken out, since any past revision may ask for it."""
        self.keep(wordings)
        self._enter([_Entry(edit_id, wordings.output, (_Part(0, wordings.own, wordings.apart),))])

    def add_all(self, requests: Sequence[tuple[str, EditRequest | None]]) -> None:
        """As ``add``, for many edits recorded before; their wordings are embedded where they were not kept.

        Args:
            requests: None for an edit whose texts were erased: nothing matches it any more.
        """
        self._enter(
            [
                _Entry(edit_id, r.output, (_Part(0, _own(r), r.locality),)) if r else _Entry(edit_id, "", ())
                for edit_id, r in requests
            ]
        )

    def amend(self, edit_id: str, rephrases: Sequence[str], locality: Sequence[str], event: int) -> None:
        """Give an edit further wordings, which count where the event does."""
        place = self._ordinals[edit_id]
        texts = [text for text in dict.fromkeys(rephrases) if says_something(text)]
        sentences = self.vectors.sentences([text for text in texts if text not in self._rows])
        self.vectors.kept(locality)
        with self._lock:
            entry = self._entries[place]
            if any(part.event == event for part in entry.parts):
                return
            self._rows.add([text for text in texts if text not in self._rows], sentences)
            self._rows.own(place, texts)
            part = _Part(event, tuple(rephrases), tuple(locality))
            self._entries[place] = entry._replace(parts=(*entry.parts, part))
            for key in {wording_key(text) for text in rephrases} - entry.at(None).keys:
                self._by_key[key] = sorted({*self._by_key[key], place})

    def forget(self, edit_id: str) -> None:
        """The edit's texts were erased: nothing matches it any more, and what no other edit says is not kept."""
        with self._lock:
            place = self._ordinals.get(edit_id)
            if place is None:
                return
            entry = self._entries[place]
            self._entries[place] = _Entry(edit_id, "", ())
            for key in entry.at(None).keys:
                self._by_key[key] = [owner for owner in self._by_key[key] if owner != place]
            said = {text for other in self._entries for text in other.texts}
        for text in entry.texts - said:
            self.vectors.forget(text)

    def mask(self, edit_ids: Collection[str]) -> Mask:
        """These edits, by ordinal; unknown ones are passed over."""
        mask = np.zeros(len(self._entries), bool)
        mask[[self._ordinals[i] for i in edit_ids if i in self._ordinals]] = True
        return mask

    def best(
        self,
        prompt: str | ScopePrompt,
        among: Mask | Collection[str],
        extra: Extra | None = None,
        amended: Amended = None,
    ) -> ScopeMatch | None:
        """The first of ``rank`` that is in scope. A prompt that is exactly an edit's wording needs no reading."""
        whole, mask = _prompt(prompt), self._masked(among)
        key = wording_key(whole.text)
        if extra and key in extra[1].keys:
            return _exact(extra[0], extra[1])
        for place in self._owners(key, mask, ALIKE):
            wordings = self._entries[place].at(amended)
            if key in wordings.keys:
                return _exact(self._entries[place].edit_id, wordings)
        found = next(iter(self.rank(whole, mask, extra, amended)), None)
        return found if found and found.score > 0 else None

    def rank(
        self,
        prompt: str | ScopePrompt,
        among: Mask | Collection[str],
        extra: Extra | None = None,
        amended: Amended = None,
    ) -> list[ScopeMatch]:
        """The edits that were read with a prompt, best first; of equals the later one first. Above 0 is in scope.

        Args:
            among: the edits that may answer.
            extra: an edit that is not recorded yet but takes part, as the last.
            amended: the events whose further wordings count; None for all.
        """
        whole, mask = _prompt(prompt), self._masked(among)
        if not whole.text or not (extra or mask.any()):
            return []
        places, candidates = self._candidates(whole, mask, extra, amended)
        found = sorted(
            zip(judge(self.model, whole, candidates), places, candidates, strict=True),
            key=lambda one: (one[0].score, one[1]),
            reverse=True,
        )
        ids = [extra[0] if extra and place == len(mask) else self._entries[place].edit_id for _, place, _ in found]
        return [
            ScopeMatch(edit_id, j.score, j.kind, c.wordings.input, j.wording, j.why)
            for edit_id, (j, _, c) in zip(ids, found, strict=True)
        ]

    def asking_the_same(
        self, wordings: Wordings, among: Mask | Collection[str], margin: float, amended: Amended = None
    ) -> list[str]:
        """Edits with one of these wordings, or that certainly ask the same as the first of them."""
        found = []
        for match in self.rank(wordings.input, among, None, amended):
            stored = self._entries[self._ordinals[match.edit_id]].at(amended)
            if stored.keys & wordings.keys or (match.score > 0 and self.same_question(wordings, stored) >= margin):
                found.append(match.edit_id)
        return found

    def same_question(self, one: Wordings, other: Wordings) -> float:
        """Log-odds above the threshold that two edits ask the same, read either way round."""
        ways = [(one, other), (other, one)]
        pairs = [ScopePair(a.input, (b.input,)) for a, b in ways]
        logits = self.model.logits(pairs)
        asked = logits[:, Kind.ASKS] - np.logaddexp.reduce(np.delete(logits, Kind.ASKS, 1), axis=1)
        return float(asked.min()) - self.model.thresholds[Kind.ASKS]

    def any_concerned(self, later: Wordings, earlier: Sequence[Wordings]) -> bool:
        """Whether a prompt of one edit would be in scope of one of the others, of those nearest to it."""
        if not earlier:
            return False
        owner = np.repeat(np.arange(len(earlier)), [len(wordings.own) for wordings in earlier])
        rows = np.stack([vector for w in earlier for vector in w.vectors[: len(w.own)]])
        candidates: list[tuple[str, Candidate]] = []
        for text, vector in zip(later.texts, later.vectors, strict=True):
            near = np.full(len(earlier), -1.0, np.float32)
            np.maximum.at(near, owner, rows @ vector)
            places = [int(n) for n in np.argsort(-near, kind="stable")[:READ] if near[n] > FAR]
            candidates += [(text, Candidate(earlier[n], ScopePrompt(text), vector)) for n in places]
        return any(found.score > 0 for found in judge_all(self.model, candidates))

    def _enter(self, entries: Sequence[_Entry]) -> None:
        new = [entry for entry in entries if entry.edit_id not in self._ordinals]
        own = dict.fromkeys(text for entry in new for text in entry.at(None).own if says_something(text))
        texts = [text for text in own if text not in self._rows]
        sentences = self.vectors.sentences(texts)
        self.vectors.kept([text for entry in new for text in entry.at(None).apart])
        with self._lock:
            self._rows.add(texts, sentences)
            for entry in new:
                if entry.edit_id not in self._ordinals:
                    self._number(entry)

    def _number(self, entry: _Entry) -> None:
        ordinal, wordings = len(self._entries), entry.at(None)
        self._rows.own(ordinal, wordings.own)
        self._entries.append(entry)
        self._ordinals[entry.edit_id] = ordinal
        for key in wordings.keys:
            self._by_key[key].append(ordinal)

    def _masked(self, among: Mask | Collection[str]) -> Mask:
        return among if isinstance(among, np.ndarray) else self.mask(among)

    def _candidates(
        self, whole: ScopePrompt, mask: Mask, extra: Extra | None, amended: Amended
    ) -> tuple[list[int], list[Candidate]]:
        """Ordinals of the edits that are read, and with what; an edit is read with the part that is nearest to it."""
        parts = {part.text: part for part in whole.windows}
        queries = whole.queries if says_something(whole.text) else (whole.text,)
        vectors = self.vectorise(queries)
        near: dict[int, tuple[float, ScopePrompt, Floats]] = {}
        key = wording_key(whole.text)
        for place in self._owners(key, mask, ALIKE):
            near[place] = (SAME, whole, vectors[0])
        for text, vector in zip(queries, vectors, strict=True):
            read = (parts.get(text, parts.get(whole.text, whole)), vector)
            for place, cosine in self._nearest(vector, mask).items():
                if cosine > near.get(place, (FAR,))[0]:
                    near[place] = (cosine, *read)
        if extra:
            near[len(mask)] = self._nearest_part(extra[1], parts, whole, queries, vectors)
        places = sorted(near, key=lambda place: (-near[place][0], -place))[:READ]
        if extra and len(mask) not in places:
            places[-1] = len(mask)
        wordings = [extra[1] if extra and p == len(mask) else self._filled(p, amended) for p in places]
        return places, [Candidate(w, *near[p][1:]) for p, w in zip(places, wordings, strict=True)]

    def _nearest_part(
        self,
        wordings: Wordings,
        parts: dict[str, ScopePrompt],
        whole: ScopePrompt,
        queries: Sequence[str],
        vectors: Floats,
    ) -> tuple[float, ScopePrompt, Floats]:
        """Cosine to the nearest of an edit's wordings, and the part of the prompt that has it."""
        own = np.stack(wordings.vectors[: len(wordings.own)])
        similar = (vectors @ own.T).max(1)
        at = int(similar.argmax())
        return float(similar[at]), parts.get(queries[at], parts.get(whole.text, whole)), vectors[at]

    def _filled(self, place: int, amended: Amended) -> Wordings:
        wordings = self._entries[place].at(amended)
        return wordings.filled(self.vectors.kept(wordings.texts))

    def _nearest(self, vector: Floats, mask: Mask) -> dict[int, float]:
        """Cosine of the edits that are nearest to a vector, at least ``READ`` where there are so many."""
        found: dict[int, float] = {}
        rows = self._rows.of(mask)
        for _ in range(ROUNDS):
            nearest = self._rows.nearest(vector, rows)
            for row, cosine in nearest:
                for place in self._owners(wording_key(self._rows.texts[row]), mask, ALIKE):
                    found.setdefault(place, cosine)
            if len(found) >= READ or len(nearest) < CANDIDATES:
                break
            rows[[row for row, _ in nearest]] = False
            self._rows.clear(rows, [text for place in found for text in self._entries[place].texts])
        return found

    def _owners(self, key: str, mask: Mask, most: int) -> list[int]:
        """The latest edits that may answer and have this wording, now or at some revision."""
        owners = self._by_key.get(key, [])
        known = owners[: bisect_left(owners, len(mask))]
        return list(islice((place for place in reversed(known) if mask[place]), most))


def _exact(edit_id: str, wordings: Wordings) -> ScopeMatch:
    return ScopeMatch(edit_id, SAME, Kind.ASKS, wordings.input, wordings.input, "it is one of the edit's wordings")


def _own(request: EditRequest) -> tuple[str, ...]:
    return tuple(dict.fromkeys((request.input, *request.rephrases)))


def _prompt(prompt: str | ScopePrompt) -> ScopePrompt:
    return ScopePrompt(prompt) if isinstance(prompt, str) else prompt
