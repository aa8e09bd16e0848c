"""What can go wrong while encoding and retrieving; errors of corpora and indexes are in ``index.errors``."""


class RetrievalError(Exception):
    """Root of the tree."""


class EncoderError(RetrievalError):
    """The encoder is not installed, is damaged, or does not give vectors. The message says what to do."""


class EmbeddingError(RetrievalError):
    """Vectors cannot be written or read: the disk is full, read-only or unreadable. Finished shards stay."""


class AdapterError(RetrievalError):
    """A LoRA adapter is missing, damaged, or does not fit the generator."""


class TrainingError(RetrievalError):
    """Training cannot begin or go on: no usable questions, or what lies in the run's folder is of another run."""
