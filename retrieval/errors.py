"""What can go wrong while encoding and retrieving; errors of corpora and indexes are in ``index.errors``."""


class RetrievalError(Exception):
    """Root of the tree."""


class EncoderError(RetrievalError):
    """The encoder is not installed, is damaged, or does not give vectors. The message says what to do."""


class EmbeddingError(RetrievalError):
    """Vectors cannot be written or read: the disk is full, read-only or unreadable. Finished shards stay."""


class AdapterError(RetrievalError):
    """A LoRA adapter is missing, damaged, or does not fit the generator."""


class RetrieverTrainingError(RetrievalError):
    """Training cannot begin or go on: no usable questions, or what lies in the run's folder is of another run."""


class RerankerError(RetrievalError):
    """The cross-encoder is missing, damaged, or does not give one score a pair. The message says what to do."""


class NoReranker(RerankerError):
    """Re-ranking was asked for, and no cross-encoder was given."""

    def __init__(self) -> None:
        super().__init__("no re-ranker is configured; set ERRATA_RERANKER to a cross-encoder, or leave rerank out")


class LexicalUnavailable(RetrievalError):
    """BM25 was asked for, and the index has none: its disk takes nothing and memory does not hold so many passages."""

    def __init__(self, version: str) -> None:
        super().__init__(f"there is no BM25 of {version}, because its directory cannot be written; search dense")
