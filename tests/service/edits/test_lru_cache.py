"""A cache that forgets what was not used for longest, and what is erased."""

from __future__ import annotations

from service.edits.lru_cache import LruCache


def test_the_values_used_last_are_kept() -> None:
    """A value is made once, and again after others have taken its place."""
    cache, made = LruCache[str](2), list[str]()

    def make(name: str) -> str:
        made.append(name)
        return name.upper()

    assert [cache.get(name, make) for name in ("a", "b", "a", "c", "a", "b")] == ["A", "B", "A", "C", "A", "B"]
    assert made == ["a", "b", "c", "b"]


def test_an_erased_value_is_made_anew() -> None:
    """What was never there can be erased too."""
    cache = LruCache[int](2)
    assert cache.get("a", lambda _: 1) == cache.get("a", lambda _: 2) == 1
    cache.erase("a")
    cache.erase("b")
    assert cache.get("a", lambda _: 3) == 3
