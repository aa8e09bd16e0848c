"""The re-ranker: a cross-encoder, which reads question and passage together (Nogueira and Cho 2019)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from index.passages.passage import Passage
from retrieval.encoders.encoder import model_folder, quiet, readable
from retrieval.encoders.passage_text import render
from retrieval.errors import EncoderError, RerankerError

DEPTH = 50  # passages that are read for a question at least; more where more are asked for
_LONGEST_QUESTION = 2_000  # characters; behind a longer one nothing of the passage would be read
_PROBE = ("What is the capital of Australia?", "Canberra is the capital of Australia.")


class Reranker:
    """A sentence-transformers ``CrossEncoder`` with one score a pair. Safe to call from several threads.

    Attributes:
        name: for people.
    """

    def __init__(self, model: Any, name: str) -> None:
        self._model = model
        self._reading = threading.Lock()  # a fast tokenizer keeps padding state
        self.name = name

    @classmethod
    def load(cls, path_or_name: str | Path) -> Self:
        """Load a cross-encoder on the CPU.

        Args:
            path_or_name: a folder; or a name on the hub, the only case of network.

        Raises:
            RerankerError: there is no such model, it cannot be loaded, or it gives several scores for a pair.
        """
        try:
            reranker = cls(_load(model_folder(path_or_name)), Path(path_or_name).name)
            scores = reranker._predict([_PROBE])
        except EncoderError as error:
            raise RerankerError(str(error)) from error
        except Exception as error:  # whatever transformers, safetensors or tokenizers make of a damaged file
            raise RerankerError(f"{path_or_name}: the re-ranker cannot be loaded: {error}") from error
        if scores.shape != (1,):
            raise RerankerError(f"{path_or_name}: gives {scores.size} scores for a pair; a re-ranker gives one")
        return reranker

    def score(self, queries: Sequence[str], passages: Sequence[Passage]) -> list[float]:
        """How well each passage answers the query at its place, (n,): the cross-encoder's logit, larger is better.

        Raises ValueError if there is not one query a passage.
        """
        if len(queries) != len(passages):
            raise ValueError(f"{len(queries)} queries for {len(passages)} passages")
        asked = [readable(query[:_LONGEST_QUESTION]) for query in queries]
        pairs = [(query, readable(render(passage))) for query, passage in zip(asked, passages, strict=True)]
        return [float(score) for score in self._predict(pairs)] if pairs else []

    def _predict(self, pairs: Sequence[tuple[str, str]]) -> Any:
        """Logits, not their sigmoids, which are all 1 for pairs that fit well."""
        import torch

        with self._reading:
            return self._model.predict(
                list(pairs), batch_size=32, show_progress_bar=False, activation_fn=torch.nn.Identity()
            )


def _load(folder: Path) -> Any:
    """The model, which reads no more tokens than it has positions for, whatever its tokenizer says."""
    with quiet():
        from sentence_transformers import CrossEncoder

        model = CrossEncoder(str(folder), device="cpu", local_files_only=True).eval()
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None:
        model.tokenizer.model_max_length = min(model.tokenizer.model_max_length, positions)
    return model
