"""What can go wrong while encoding and retrieving; errors of corpora and indexes are in ``index.errors``."""


class RetrievalError(Exception):
    """Root of the tree."""


class EncoderError(RetrievalError):
    """The encoder is not installed, is damaged, or does not give vectors. The message says what to do."""


class EmbeddingError(RetrievalError):
    """Vectors cannot be written or read: the disk is full, read-only or unreadable. Finished shards stay."""
