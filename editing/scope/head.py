"""Do two texts ask the same thing? A small trained head over a sentence encoder's token embeddings.

Cosine similarity of sentence embeddings cannot tell "the capital of Australia" from "the currency of Australia". Three
views of a pair can, together: each word compared with what it meets in the other text (decomposable attention, Parikh
et al. 2016), how well the words are met at all (late interaction, as in ColBERT, Khattab and Zaharia 2020), and the
difference and product of the sentence embeddings. The encoder itself stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TextVectors:
    """A text as the encoder sees it.

    Attributes:
        sentence: (d,), normalised.
        tokens: (n, d), each normalised, without the encoder's special tokens.
    """

    sentence: Floats
    tokens: NDArray[np.floating[Any]]

    @property
    def words(self) -> Floats:
        """The tokens in float32; the sentence as one word where the encoder kept none."""
        words: Floats = (self.tokens if len(self.tokens) else self.sentence[None]).astype(np.float32)
        return words


@dataclass(frozen=True, eq=False)
class Texts:
    """n texts side by side: sentence (n, d), words (n, s, d), mask (n, s)."""

    sentence: Tensor
    words: Tensor
    mask: Tensor

    @classmethod
    def of(cls, texts: Sequence[TextVectors]) -> Texts:
        words = [torch.from_numpy(text.words) for text in texts]
        mask = pad_sequence([torch.ones(len(w), dtype=torch.bool) for w in words], batch_first=True)
        sentence = torch.from_numpy(np.stack([text.sentence for text in texts]).astype(np.float32))
        return cls(sentence, pad_sequence(words, batch_first=True), mask)


class Member(nn.Module):
    """One head: log-odds that two texts ask the same.

    Args:
        dim: d of the encoder.
        width: of the space that words are compared in.
        words, hidden: inner widths of the two simpler views.
    """

    def __init__(
        self, dim: int = 384, width: int = 96, words: int = 32, hidden: int = 64, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.words = nn.Sequential(nn.Linear(9, words), nn.ReLU(), nn.Linear(words, 1))
        self.meaning = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(2 * dim, hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, 1)
        )
        self.narrow = nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, width))
        self.compare = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * width + 2, width), nn.ReLU())
        self.decide = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(4 * width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 1)
        )
        self.focus = nn.Parameter(torch.tensor(2.3))  # log of how sharply a word attends to its best match

    def forward(self, prompt: Texts, edit: Texts, match: Tensor) -> Tensor:
        """n prompts, n wordings of edits and ``match_features`` (n, 9) → log-odds (n,)."""
        u, v = prompt.sentence, edit.sentence
        meaning = torch.cat([(u - v).abs() * 10, u * v * 20], dim=-1)
        a, b = self.narrow(prompt.words * 8), self.narrow(edit.words * 8)
        similarity = prompt.words @ edit.words.transpose(1, 2)  # (n, s, t)
        sides = torch.cat(
            [
                self._compared(a, b, similarity, prompt.mask, edit.mask),
                self._compared(b, a, similarity.transpose(1, 2), edit.mask, prompt.mask),
            ],
            dim=-1,
        )
        logits: Tensor = self.words((match - 0.6) * 5) + self.meaning(meaning) + self.decide(sides)
        return logits[:, 0]

    def _compared(self, own: Tensor, other: Tensor, similarity: Tensor, mask: Tensor, other_mask: Tensor) -> Tensor:
        """Each word beside what it meets in the other text, over all words: (n, s, w), (n, t, w) → (n, 2w)."""
        similarity = similarity.masked_fill(~other_mask[:, None], -1e4)
        weights = (similarity * self.focus.exp()).softmax(-1)
        met = weights @ other
        best, mean = similarity.max(-1, keepdim=True).values, (weights * similarity).sum(-1, keepdim=True)
        compared = self.compare(torch.cat([own, met, (own - met).abs(), own * met, best * 2, mean * 2], dim=-1))
        compared = compared * mask[..., None]
        return torch.cat([compared.sum(1) / mask.sum(1, keepdim=True), compared.max(1).values], dim=-1)


class ScopeHead(nn.Module):
    """The mean of its members' log-odds; ``threshold`` is where the calibration put the decision.

    Members that were trained on different pairs err differently, so their mean errs less than each.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.threshold = 0.0

    def forward(self, prompt: Texts, edit: Texts, match: Tensor) -> Tensor:
        """As a member's: (n,)."""
        return torch.stack([member(prompt, edit, match) for member in self.members]).mean(0)

    @torch.inference_mode()
    def score(self, text: TextVectors, others: Sequence[TextVectors]) -> Floats:
        """Log-odds for one prompt against many wordings of edits, (n,)."""
        if not others:
            return np.zeros(0, np.float32)
        match = torch.from_numpy(np.stack([match_features(text, other) for other in others]))
        scores: Floats = self.eval()(Texts.of([text] * len(others)), Texts.of(others), match).numpy()
        return scores

    def save(self, path: Path) -> None:
        tensors = {name: value.to(torch.float16) for name, value in self.state_dict().items()}
        save_file(tensors, path, metadata={"threshold": repr(self.threshold)})

    @classmethod
    def load(cls, path: Path) -> ScopeHead:
        """Raises RuntimeError or KeyError where the file holds another kind of head."""
        with safe_open(path, "pt") as file:
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
            threshold = float(file.metadata()["threshold"])
        width, dim = state["members.0.narrow.1.weight"].shape
        words, hidden = state["members.0.words.0.weight"].shape[0], state["members.0.meaning.1.weight"].shape[0]
        count = 1 + max(int(name.split(".")[1]) for name in state)
        head = cls([Member(dim=dim, width=width, words=words, hidden=hidden) for _ in range(count)])
        head.load_state_dict(state)
        head.threshold = threshold
        return head.eval()


def match_features(a: TextVectors, b: TextVectors) -> Floats:
    """(9,): cosine, mean of each word's best match in both directions, the three worst best matches of either side."""
    similarity = a.words @ b.words.T
    of_a, of_b = similarity.max(1), similarity.max(0)
    return np.array([a.sentence @ b.sentence, of_a.mean(), of_b.mean(), *_worst(of_a), *_worst(of_b)], np.float32)


def _worst(best: Floats, n: int = 3) -> Floats:
    """The n smallest, ascending; the largest is repeated where there are fewer."""
    ordered = np.sort(best)
    return np.pad(ordered, (0, n), mode="edge")[:n]
