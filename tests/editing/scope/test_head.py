"""The trained decision whether two texts ask the same: features, files, training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from editing.language.views import views_of
from editing.scope.head import Member, ScopeHead, TextVectors, match_features
from editing.training.train_scope import (
    CalibrationProbe,
    Pair,
    calibrate,
    error_rates,
    own_pairs,
    texts_of,
    train_scope,
    vectors_of,
    wide_pairs,
)
from tests.editing import tiny
from tests.editing.scope.test_index import vectorise


def text(words: int, seed: int = 0) -> TextVectors:
    rng = np.random.default_rng(seed)
    tokens = rng.normal(size=(words, 8)).astype(np.float32)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    sentence = rng.normal(size=8).astype(np.float32)
    return TextVectors(sentence / np.linalg.norm(sentence), tokens)


def test_a_text_matches_itself_fully() -> None:
    """All nine features of a text beside itself are one."""
    one = text(5)
    np.testing.assert_allclose(match_features(one, one), np.ones(9), atol=1e-6)


def test_exchanging_the_texts_exchanges_the_sides() -> None:
    """Each side's mean and worst words change places, the cosine stays."""
    a, b = text(5), text(7, 1)
    forth, back = match_features(a, b), match_features(b, a)
    np.testing.assert_allclose(forth[[0, 2, 1, 6, 7, 8, 3, 4, 5]], back, atol=1e-6)


def test_short_and_empty_texts_have_nine_features() -> None:
    """Fewer than three words, or none that the encoder keeps, give finite features all the same."""
    for words in (0, 1, 2):
        assert match_features(text(words), text(3, 1)).shape == (9,)
        assert np.isfinite(match_features(text(words), text(3, 1))).all()


def test_score_of_many_is_the_score_of_each() -> None:
    """One text against several at once, and dropout plays no part."""
    torch.manual_seed(0)
    head, others = ScopeHead([Member(dim=8), Member(dim=8)]).train(), [text(3, seed) for seed in range(1, 5)]
    together = head.score(text(4), others)
    np.testing.assert_allclose(together, [head.score(text(4), [other])[0] for other in others], atol=1e-5)


def test_no_texts_no_scores() -> None:
    """An empty list gives an empty array."""
    assert ScopeHead([Member(dim=8)]).score(text(3), []).shape == (0,)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    """Threshold exactly, scores to half precision, sizes from the file."""
    torch.manual_seed(0)
    head = ScopeHead([Member(dim=8, width=7, words=5, hidden=6) for _ in range(2)])
    head.threshold = 0.1 + 0.2
    head.save(tmp_path / "scope.safetensors")
    loaded = ScopeHead.load(tmp_path / "scope.safetensors")
    assert loaded.threshold == 0.1 + 0.2 and not loaded.training
    np.testing.assert_allclose(loaded.score(text(3), [text(4, 1)]), head.score(text(3), [text(4, 1)]), atol=0.02)


def both(repeat: int) -> tuple[list[Pair], list[Pair], dict[str, TextVectors]]:
    own, wide = own_pairs(tiny.examples()) * repeat, wide_pairs(tiny.examples()) * repeat
    texts = [*texts_of(tiny.examples()), *(t for p in (*own, *wide) for t in (p.edit, p.prompt))]
    return own, wide, vectors_of(texts, vectorise)


def test_training_tells_wordings_from_neighbours() -> None:
    """After a few epochs on the examples' pairs, rephrasings score above same-subject and unrelated questions."""
    own, wide, vectors = both(8)
    head = train_scope(own, wide, vectors, epochs=12)
    assert len(head.members) == 2
    scores: dict[bool, list[float]] = {True: [], False: []}
    for pair in own[: len(own) // 8]:
        scores[pair.same].append(float(head.score(vectors[pair.prompt], [vectors[pair.edit]])[0]))
    assert np.mean(scores[True]) > np.mean(scores[False]) + 0.5


def test_training_is_deterministic() -> None:
    """The seed alone decides."""
    own, wide, vectors = both(1)
    one, two = (train_scope(own, wide, vectors, epochs=2).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_head_is_the_mean_of_its_members() -> None:
    """Each member's log-odds count alike."""
    torch.manual_seed(0)
    members = [Member(dim=8), Member(dim=8)]
    one, two = (ScopeHead([m]).score(text(4), [text(3, 1)])[0] for m in members)
    assert ScopeHead(members).score(text(4), [text(3, 1)])[0] == pytest.approx((one + two) / 2, abs=1e-6)


def test_wide_pairs_set_every_wording_against_every_other() -> None:
    """Positives come from wordings of one question, in both orders; negatives never pair two of them."""
    (example, *_) = tiny.examples()
    same = {v.text for v in (*views_of(example.edit.text, False), *example.chat, *example.statements)}
    for pair in wide_pairs([example] * 20):
        known = {pair.edit, pair.prompt} <= same
        assert known <= pair.same


def test_calibration_finds_the_gap() -> None:
    """Where wordings and neighbours lie apart, the threshold between them makes no error."""
    probes = [CalibrationProbe("chat", True, s) for s in (1.0, 1.5)] + [
        CalibrationProbe("unrelated", False, s) for s in (-1.0, 0.5)
    ]
    threshold = calibrate(probes)
    assert 0.5 <= threshold < 1.0
    assert error_rates(probes, threshold) == {"chat": 0.0, "unrelated": 0.0}
