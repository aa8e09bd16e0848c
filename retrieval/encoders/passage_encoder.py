"""The encoder of a build: as the retriever's, and faster as soon as there is much to embed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from index.vectors.vector_index import EncoderIdentity
from retrieval.encoders.acceleration import AUTO, choose_device
from retrieval.encoders.encoder import Encoder, Progress, Vectors
from retrieval.errors import EncoderError

_FEW = 32  # texts that are embedded as they come, before anything is copied to a device


class PassageEncoder:
    """Embeds on a device of choice, in half precision where that is native and keeps the vectors.

    Raises EncoderError when made for a device that there is not, or when the device fails.

    Args:
        encoder: in float32, on the CPU.
        device: ``auto``, or a name that PyTorch knows.
    """

    def __init__(self, encoder: Encoder, device: str = AUTO) -> None:
        self.encoder, self.device = encoder, choose_device(device)

    @property
    def identity(self) -> EncoderIdentity:
        return self.encoder.identity

    @cached_property
    def fast(self) -> Encoder:
        return self.encoder.for_passages(self.device)

    @property
    def computes(self) -> str:
        """Where and how it has embedded, e.g. ``cpu, bfloat16``."""
        return (self.fast if "fast" in vars(self) else self.encoder).computes

    def encode(self, texts: Sequence[str], batch_size: int = 4096, progress: Progress | None = None) -> Vectors:
        """As :meth:`Encoder.encode`."""
        try:
            encoder = self.encoder if len(texts) <= _FEW else self.fast
            return encoder.encode(texts, batch_size, progress)
        except RuntimeError as error:  # of CUDA: out of memory, or worse
            why = (str(error) or type(error).__name__).splitlines()[0]
            raise EncoderError(f"embedding on {self.device!r} failed: {why}; finished shards stay") from error

    def encode_query(self, query: str) -> Vectors:
        return self.encoder.encode_query(query)

    def encode_queries(self, queries: Sequence[str]) -> Vectors:
        return self.encoder.encode_queries(queries)
