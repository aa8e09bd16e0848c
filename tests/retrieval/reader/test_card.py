"""A reader on disk: found by the model it belongs to, and refused by name when something is wrong with it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from retrieval.errors import AdapterError
from retrieval.reader.card import CARD, NEAR, PRETRAINED, ReaderCard, Thresholds, find_reader, read_card, reader_digest
from retrieval.reader.lora import Lora

CARD_OF = ReaderCard("one", "d" * 64, Thresholds(0.5, 0.1), Thresholds(0.6, 0.05), 0.05, training={"steps": 3})


def write(folder: Path, card: ReaderCard = CARD_OF) -> Path:
    Lora({"a.b": (3, 4)}, 2).save(folder)
    (folder / CARD).write_text(card.to_json())
    return folder


def test_a_reader_is_found_by_the_model_that_it_belongs_to(tmp_path: Path) -> None:
    """By digest, not by name."""
    folder = write(tmp_path / "one")
    assert find_reader("d" * 64, tmp_path) == folder
    assert find_reader("e" * 64, tmp_path) is None
    assert read_card(folder) == CARD_OF
    assert len(reader_digest(folder)) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0},
        {"together": {"not_told": 0.5}},
        {"alone": {"not_told": 0.5, "sure": 2}},
        {"sentences": 0},
        {"extra": 1},
    ],
)
def test_a_damaged_card_is_named(tmp_path: Path, change: dict[str, object]) -> None:
    """With its path, so that somebody can look at it."""
    folder = write(tmp_path / "one")
    path = folder / CARD
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(AdapterError, match=r"one/reader\.json"):
        read_card(folder)


def test_what_is_shipped_is_whole_and_small() -> None:
    """Every committed reader has a card that reads, factors that load, and at most 12 MB."""
    shipped = sorted(PRETRAINED.glob("*/"))
    assert shipped
    for folder in shipped:
        assert read_card(folder).name
        assert Lora.load(folder).rank >= 1
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 12_000_000


def test_doubt_weighs_less_beside_a_near_passage() -> None:
    """In log-odds, around the inner product that says nothing."""
    thresholds = Thresholds(0.5, 0.1, nearness=4.0)
    assert thresholds.least(NEAR) == pytest.approx(0.5)
    assert thresholds.least(None) == 0.5
    assert thresholds.least(0.75) == pytest.approx(1 / (1 + math.exp(-1)))
    assert thresholds.least(0.25) == pytest.approx(1 / (1 + math.exp(1)))
    assert Thresholds(1.0, 0.1, 4.0).least(0.9) == 1.0
