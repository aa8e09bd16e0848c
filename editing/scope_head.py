"""Do two texts ask the same thing? A small trained head over a sentence encoder's token embeddings.

Cosine similarity of sentence embeddings cannot tell "the capital of Australia" from "the currency of Australia". Two
views of a pair can, together: how well each word of one text is met by some word of the other (late interaction, as in
ColBERT, Khattab and Zaharia 2020), which carries over to relations never seen, and difference and product of the
sentence embeddings, which knows that "native language" and "mother tongue" are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TextVectors:
    """A text as the encoder sees it.

    Attributes:
        sentence: (d,), normalised.
        tokens: (n, d), each normalised, without the encoder's special tokens.
    """

    sentence: Floats
    tokens: Floats


class ScopeHead(nn.Module):
    """Log-odds that two texts ask the same; ``threshold`` is where the calibration put the decision."""

    def __init__(self, dim: int = 384, words: int = 32, hidden: int = 64, dropout: float = 0.5) -> None:
        super().__init__()
        self.words = nn.Sequential(nn.Linear(9, words), nn.ReLU(), nn.Linear(words, 1))
        self.meaning = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(2 * dim, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1)
        )
        self.threshold = 0.0

    def forward(self, match: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """match (n, 9), u and v (n, d) → log-odds (n,)."""
        pair = torch.cat([(u - v).abs() * 10, u * v * 20], dim=-1)
        logits: Tensor = self.words((match - 0.6) * 5) + self.meaning(pair)
        return logits[:, 0]

    @torch.inference_mode()
    def score(self, text: TextVectors, others: Sequence[TextVectors]) -> Floats:
        """Log-odds for one text against many, (n,)."""
        if not others:
            return np.zeros(0, np.float32)
        match = torch.from_numpy(np.stack([match_features(text, other) for other in others]))
        u = torch.from_numpy(text.sentence).expand(len(others), -1)
        v = torch.from_numpy(np.stack([other.sentence for other in others]))
        scores: Floats = self.eval()(match, u, v).numpy()
        return scores

    def save(self, path: Path) -> None:
        tensors = {name: value.to(torch.float16) for name, value in self.state_dict().items()}
        save_file(tensors, path, metadata={"threshold": repr(self.threshold)})

    @classmethod
    def load(cls, path: Path) -> ScopeHead:
        with safe_open(path, "pt") as file:
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
            threshold = float(file.metadata()["threshold"])
        hidden, twice_dim = state["meaning.1.weight"].shape
        head = cls(dim=twice_dim // 2, words=state["words.0.weight"].shape[0], hidden=hidden)
        head.load_state_dict(state)
        head.threshold = threshold
        return head.eval()


def match_features(a: TextVectors, b: TextVectors) -> Floats:
    """(9,): cosine, mean of each word's best match in both directions, the three worst best matches of either side."""
    tokens_a = a.tokens if len(a.tokens) else a.sentence[None]
    tokens_b = b.tokens if len(b.tokens) else b.sentence[None]
    similarity = tokens_a.astype(np.float32) @ tokens_b.astype(np.float32).T
    of_a, of_b = similarity.max(1), similarity.max(0)
    return np.array([a.sentence @ b.sentence, of_a.mean(), of_b.mean(), *_worst(of_a), *_worst(of_b)], np.float32)


def _worst(best: Floats, n: int = 3) -> Floats:
    """The n smallest, ascending; the largest is repeated where there are fewer."""
    ordered = np.sort(best)
    return np.pad(ordered, (0, n), mode="edge")[:n]
