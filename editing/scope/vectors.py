"""Where scope has the vectors of wordings from: the file that keeps them, or the encoder for those that it lacks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import numpy as np

from editing.scope.vector_cache import VectorCache
from editing.scope.wording_index import Floats

logger = logging.getLogger(__name__)
Vectorise = Callable[[Sequence[str]], Floats]  # texts (n) → normalised vectors (n, d)
Say = Callable[[str], None]
BATCH = 32  # texts embedded at once
MANY = 1024  # texts whose vectors are in memory at once


class WordingVectors:
    """Vectors of wordings, in the precision that they are kept in, so that a restart changes no decision.

    Args:
        vectorise: texts (n) → normalised vectors (n, d), from the sentence encoder.
        file: keeps them; without one they stay in memory.
        say: hears when the file takes no more.
    """

    def __init__(self, vectorise: Vectorise, file: VectorCache | None = None, say: Say = logger.info) -> None:
        self.vectorise, self.file, self.say = vectorise, file, say
        self._unkept: dict[str, Floats] = {}  # what the file did not take

    def made(self, texts: Sequence[str]) -> list[Floats]:
        """The vectors of texts, from the encoder where there are none yet; nothing is kept."""
        found = self._found(dict.fromkeys(texts))
        if len(found) < len(set(texts)) and self.file is not None:
            with suppress(OSError):
                self.file.catch_up()  # another process may have been quicker
            found |= self._found([text for text in texts if text not in found])
        found |= self._embedded([text for text in dict.fromkeys(texts) if text not in found])
        return [found[text] for text in texts]

    def kept(self, texts: Sequence[str]) -> list[Floats]:
        """The vectors of texts; from now on they are there."""
        vectors = self.made(texts)
        for text, one in zip(texts, vectors, strict=True):
            self.keep(text, one)
        return vectors

    def sentences(self, texts: Sequence[str]) -> Floats:
        """Sentence vectors (n, d) of many texts, which are kept."""
        rows = [one for n in range(0, len(texts), MANY) for one in self.kept(texts[n : n + MANY])]
        return np.stack(rows) if rows else np.zeros((0, 0), np.float32)

    def keep(self, text: str, vectors: Floats) -> None:
        """Keep the vectors of a text. A disk that does not take them costs memory, and time at the next start."""
        if self.file is not None and text not in self._unkept:
            try:
                self.file.append(text, vectors)
                if text in self.file:
                    return
            except OSError as error:
                if not self._unkept:
                    self.say(f"{self.file.path} cannot be written ({error}); wordings are embedded again at each start")
        self._unkept[text] = vectors

    def forget(self, text: str) -> None:
        """Erase the vectors of a text, which tell much about it."""
        self._unkept.pop(text, None)
        if self.file is not None:
            try:
                self.file.erase(text)
            except OSError as error:
                self.say(f"{self.file.path} still holds vectors of an erased text ({error}); delete the file")

    def _found(self, texts: Iterable[str]) -> dict[str, Floats]:
        known = ((text, self._known(text)) for text in texts)
        return {text: vectors for text, vectors in known if vectors is not None}

    def _known(self, text: str) -> Floats | None:
        if (vectors := self._unkept.get(text)) is not None or self.file is None:
            return vectors
        try:
            return self.file.load(text)
        except OSError:
            return None

    def _embedded(self, texts: Sequence[str]) -> dict[str, Floats]:
        """From the encoder, in batches of like length."""
        found: dict[str, Floats] = {}
        ordered = sorted(texts, key=len)
        for first in range(0, len(ordered), BATCH):
            some = ordered[first : first + BATCH]
            vectors = self.vectorise(some).astype(np.float16).astype(np.float32)  # as the file gives them back
            found |= dict(zip(some, vectors, strict=True))
        return found
