"""The indexes beside the model: built in the background when there is none, swapped without a restart."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from index.errors import IndexingError
from index.versions.registry import IndexVersions, ListedVersion
from retrieval.encoders.encoder import Encoder
from retrieval.encoders.reranker import Reranker
from retrieval.indexing.builder import build_summaries_index
from retrieval.search.bm25_store import Bm25Store
from retrieval.search.retriever import Retriever
from service.errors import IndexNotReady
from service.types.answers import IndexInfo

logger = logging.getLogger(__name__)


class IndexManager:
    """Holds the retriever of the active version. A request that has taken it keeps it to its end.

    Args:
        root: directory of the versions.
        say: hears what opening and building are doing.
        reranker: of every version; None: re-ranking is refused.
        threads: that one search takes; None: as many as there are cores.
    """

    def __init__(
        self,
        root: Path,
        encoder: Encoder,
        say: Callable[[str], None] = logger.info,
        reranker: Reranker | None = None,
        threads: int | None = None,
    ) -> None:
        self.root, self.encoder, self.say, self.reranker, self.threads = root, encoder, say, reranker, threads
        self.versions, self.shelf = IndexVersions(root), Bm25Store(root, say)
        self.failure: str | None = None
        self._retriever: Retriever | None = None
        self._switching = threading.Lock()
        self._tenth = 0

    def start(self) -> None:
        """Open the active version, or build the default one, in a thread: generation and edits need not wait."""
        threading.Thread(target=self._open_or_build, name="index", daemon=True).start()

    def retriever(self) -> Retriever:
        """The active version, opened.

        Raises:
            IndexNotReady: it is still being built, or could not be.
        """
        if self._retriever is None:
            raise IndexNotReady(self.why_not, 5)
        return self._retriever

    @property
    def is_open(self) -> bool:
        return self._retriever is not None

    @property
    def why_not(self) -> str:
        return self.failure or "the index is still being built; generation and edits work already"

    def list(self) -> list[IndexInfo]:
        return [_info(listed) for listed in self.versions.list()]

    def activate(self, version: str) -> IndexInfo:
        """Open a version and swap it in; a version that does not open leaves the active one in place.

        Raises:
            UnknownIndex, IndexMismatch, IndexStorageError
        """
        with self._switching:
            retriever = self._open(version)
            self.versions.activate(version)
            self._retriever, self.failure = retriever, None
        return next(info for info in self.list() if info.version == version)

    def _progress(self, done: int, total: int) -> None:
        """A word at every tenth of the passages."""
        if done * 10 // total != self._tenth:
            self._tenth = done * 10 // total
            self.say(f"index: {done} of {total} passages embedded")

    def _open(self, version: str) -> Retriever:
        index = self.versions.open(version, self.encoder.identity, self.threads)
        return Retriever(index, self.encoder, self.shelf.open(index), self.reranker)

    def _open_or_build(self) -> None:
        try:
            with self._switching:
                version = self.versions.active()
                if version is None:
                    self.say("building the index, once")
                    built = build_summaries_index(self.root, self.encoder, self._progress).version
                    version = self.versions.active() or built  # another process may have chosen one meanwhile
                self._retriever = self._open(version)
            self.say(f"index {version}, {len(self._retriever.index.passages)} passages")
        except Exception as error:
            self.failure = f"the index cannot be used: {error}"
            self.say(self.failure)
            logger.error("%s", self.failure, exc_info=not isinstance(error, IndexingError))


def _info(listed: ListedVersion) -> IndexInfo:
    m = listed.manifest
    return IndexInfo(
        version=m.version,
        passages=m.passages,
        dimension=m.dimension,
        type=m.type,
        built_at=m.built_at,
        active=listed.active,
    )
