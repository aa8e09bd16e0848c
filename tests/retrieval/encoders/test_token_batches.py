from __future__ import annotations

import pytest
import torch

from retrieval.encoders.token_batches import split_by_tokens


def features(lengths: list[int], left: bool = False) -> dict[str, object]:
    """Ids that name their row, padded on one side to 12 columns."""
    columns = torch.arange(12)
    mask = torch.stack([(columns >= 12 - length if left else columns < length).long() for length in lengths])
    rows = torch.arange(1, len(lengths) + 1)[:, None]
    return {"input_ids": mask * rows, "attention_mask": mask, "modality": "text", "whole": rows}


@pytest.mark.parametrize("left", [False, True])
def test_batches_hold_every_text_once_and_no_padding_alone(left: bool) -> None:
    """Longest first, cut to the longest of each batch, on whichever side the padding is."""
    lengths = [3, 7, 1, 7, 4, 2]
    seen = []
    for rows, batch in split_by_tokens(features(lengths, left), texts=100, tokens=14):
        seen += rows.tolist()
        assert batch["attention_mask"].shape == (len(rows), max(lengths[row] for row in rows))
        assert batch["attention_mask"].sum(1).tolist() == [lengths[row] for row in rows]
        assert batch["input_ids"].max(1).values.tolist() == [row + 1 for row in rows]
        assert batch["whole"][:, 0].tolist() == [row + 1 for row in rows] and batch["modality"] == "text"
        assert batch["attention_mask"].numel() <= 14
    assert sorted(seen) == list(range(6)) and [lengths[row] for row in seen] == sorted(lengths, reverse=True)


def test_texts_and_tokens_are_limits() -> None:
    """A text longer than the limit is a batch of its own; texts are counted too."""
    sizes = [len(rows) for rows, _ in split_by_tokens(features([12, 1, 1, 1]), texts=2, tokens=5)]
    assert sizes == [1, 2, 1]
