from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from index.errors import ActiveIndex, AmendmentError, IndexMismatch, IndexStorageError, UnknownIndex, UnknownPassages
from index.passages.passage import Article, Passage, Split, split_articles
from index.segments.record import SegmentRecord
from index.versions.amend import ArticleKey, amend_index
from index.versions.build import build_index
from index.versions.compact import MOST_SEGMENTS, compact_index, to_merge
from index.versions.manifest import Manifest
from index.versions.name import version_name
from index.versions.passage_index import PassageIndex, open_index
from index.versions.registry import IndexVersions
from tests.index.conftest import ENCODER, RECIPE, build, unit_vectors

PROJECT = Path(__file__).parents[3]
NEW = unit_vectors(30, seed=7)


def opened(root: Path, manifest: Manifest) -> PassageIndex:
    return open_index(root / manifest.version, ENCODER)


def passages(*titles: str, text: str = "new") -> tuple[Passage, ...]:
    return tuple(split_articles(Article(title, f"{text} {title}", "made up") for title in titles).passages)


def entries(root: Path) -> set[str]:
    return {path.name for path in root.iterdir() if not path.name.endswith(".lock")}


@pytest.fixture
def base(root: Path) -> Manifest:
    return build(root)


def test_what_is_added_is_found_beside_what_was_there(root: Path, base: Manifest) -> None:
    """A new version in a segment of its own; the old one answers as before and is named as the parent."""
    manifest = amend_index(root, base.version, add=passages("A", "B"), vectors=[NEW[:1], NEW[1:2]])
    index = opened(root, manifest)
    assert (manifest.passages, manifest.articles, manifest.parent, len(manifest.segments)) == (22, 22, base.version, 2)
    assert [hits[0].passage.title for hits in index.search(np.stack([NEW[1], unit_vectors(20)[4]]), 3)] == [
        "B",
        "Title 4",
    ]
    assert [one.title for one in index.passages][-3:] == ["Title 19", "A", "B"]
    assert index.passages[20] == passages("A")[0] == index.find(passages("A")[0].id)
    assert np.allclose(index.vectors_of([21, 0]), [NEW[1], unit_vectors(20)[0]])
    assert len(opened(root, base).passages) == 20


def test_the_files_of_the_old_version_are_shared(root: Path, base: Manifest) -> None:
    """One copy on the disk, also when the old version is removed."""
    manifest = amend_index(root, base.version, add=passages("A"), vectors=[NEW[:1]])
    for name in base.files:
        assert (root / base.version / name).samefile(root / manifest.version / name)
    IndexVersions(root).remove(base.version)
    assert len(opened(root, manifest).search(NEW[:1], 50)[0]) == 21


def test_files_are_copied_where_links_do_not_work(root: Path, base: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on file systems without hard links."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "links are not supported")

    monkeypatch.setattr(os, "link", refuse)
    manifest = amend_index(root, base.version, delete=[opened(root, base).passages[0].id])
    assert len(opened(root, manifest).passages) == 19
    assert not (root / base.version / "index.faiss").samefile(root / manifest.version / "index.faiss")


def test_a_deleted_passage_never_answers(root: Path, base: Manifest) -> None:
    """Not by search, by row, by iterating, by id or by title; and k others are found in its place."""
    gone = opened(root, base).passages[3]
    index = opened(root, amend_index(root, base.version, delete=[gone.id]))
    hits = index.search(unit_vectors(20)[3:4], 19)[0]
    assert len(hits) == 19 and gone not in [hit.passage for hit in hits]
    assert index.find(gone.id) is None and gone not in list(index.passages)
    assert gone not in [index.passages[row] for row in range(19)] and len(index.passages) == 19
    assert len(index.rows_where(titles=[gone.title])) == 0 and index.rows_of([gone.id]).tolist() == [-1]
    assert np.allclose(index.vectors_of(np.arange(19)), np.delete(unit_vectors(20), 3, axis=0))
    assert (index.manifest.passages, index.manifest.articles) == (19, 19)


def test_a_changed_passage_answers_with_its_new_text_and_vector(root: Path, base: Manifest) -> None:
    """Under the same id; the old vector does not find it any more."""
    changed = passages("Title 3", text="changed")
    index = opened(root, amend_index(root, base.version, add=changed, vectors=[NEW[:1]]))
    assert index.find(changed[0].id) == changed[0] and index.manifest.passages == index.manifest.articles == 20
    assert [hit.passage.text for hit in index.search(NEW[:1], 1)[0]] == ["changed Title 3"]
    old = index.search(unit_vectors(20)[3:4], 20)[0]
    assert "word 3" not in [hit.passage.text for hit in old]
    assert next(hit.score for hit in old if hit.passage == changed[0]) == pytest.approx(
        unit_vectors(20)[3] @ NEW[0], abs=1e-5
    )


def test_an_article_that_has_become_shorter_leaves_nothing_behind(root: Path) -> None:
    """Replacing an article deletes those of its passages that are not added again; others of its title stay."""
    long = [Article("A", "one two three four", "s"), Article("A", "one two three", "other source")]
    split = split_articles(long, words=1)
    base = build_with(root, split.passages)
    short = split_articles([Article("A", "one TWO", "s")], words=1).passages
    index = opened(root, amend_index(root, base.version, add=short, vectors=[NEW[:2]], replace_articles=True))
    assert [one.text for one in index.passages if one.source == "s"] == ["one", "TWO"]
    assert [one.text for one in index.passages if one.source != "s"] == ["one", "two", "three"]
    assert index.manifest.articles == 2
    assert np.allclose(index.vectors_of(index.rows_of([short[0].id])), unit_vectors(7)[:1]), "what is the same stays"


def build_with(root: Path, passages: Sequence[Passage]) -> Manifest:
    articles = len({(one.title, one.source) for one in passages})
    return build_index(root, RECIPE, Split(passages, articles, 0, 0), [unit_vectors(len(passages))])


def test_articles_are_deleted_by_title_and_source(root: Path, base: Manifest) -> None:
    """By one or both; naming nothing is refused."""
    index = opened(
        root, amend_index(root, base.version, delete=[ArticleKey(title="Title 3"), ArticleKey("Title 4", "made up")])
    )
    assert index.manifest.passages == 18 and {"Title 3", "Title 4"}.isdisjoint(one.title for one in index.passages)
    with pytest.raises(UnknownPassages, match="title 'Title 4' and source 'elsewhere'"):
        amend_index(root, base.version, delete=[ArticleKey("Title 4", "elsewhere")])
    with pytest.raises(ValueError, match="title, its source or both"):
        ArticleKey()


def test_what_is_there_already_makes_nothing_new(root: Path, base: Manifest) -> None:
    """The same passages again, deleted and added at once: the manifest is the old one."""
    same = opened(root, base).passages[:3]
    assert amend_index(root, base.version, add=same, vectors=[unit_vectors(3)], replace_articles=True) == base
    assert amend_index(root, base.version, add=same, vectors=[unit_vectors(3)], delete=[same[0].id]) == base
    assert amend_index(root, base.version) == base and entries(root) == {base.version}


def test_the_same_change_has_the_same_name(root: Path, base: Manifest) -> None:
    """Made once; other changes have other names, and a chain of them can be undone by activating."""
    first = amend_index(root, base.version, add=passages("A"), vectors=[NEW[:1]])
    assert amend_index(root, base.version, add=passages("A"), vectors=[NEW[:1]]) == first
    others = {
        amend_index(root, base.version, add=passages("B"), vectors=[NEW[:1]]).version,
        amend_index(root, base.version, delete=[opened(root, base).passages[0].id]).version,
        amend_index(root, first.version, delete=[passages("A")[0].id]).version,
    }
    assert len({base.version, first.version} | others) == 5


def test_a_chain_of_changes_is_as_good_as_one_build(root: Path, base: Manifest) -> None:
    """Over several segments: search, rows, vectors, filters and allowed rows agree with a plain list."""
    held = {one.id: (one, vector) for one, vector in zip(opened(root, base).passages, unit_vectors(20), strict=True)}
    manifest = base
    for step in range(6):
        add = passages(f"Title {step}", f"New {step}", text=f"step {step}")
        gone = [one for one in held if held[one][0].title == f"Title {step + 10}"]
        vectors = NEW[2 * step : 2 * step + 2]
        manifest = amend_index(root, manifest.version, add=add, vectors=[vectors], delete=gone)
        held = {key: held[key] for key in held if key not in gone} | {
            one.id: (one, vector) for one, vector in zip(add, vectors, strict=True)
        }
    index, vectors = opened(root, manifest), np.stack([vector for _, vector in held.values()])
    expected = [one for one, _ in held.values()]
    assert sorted(one.id for one in index.passages) == sorted(held) and len(manifest.segments) == 7
    assert all(index.find(one.id) == one for one in expected)
    assert np.allclose(index.vectors_of(index.rows_of([one.id for one in expected])), vectors)
    queries = unit_vectors(10, seed=11)
    best = np.argsort(-(queries @ vectors.T), axis=1)
    assert [[hit.passage for hit in hits] for hits in index.search(queries, 5)] == [
        [expected[row] for row in rows[:5]] for rows in best
    ]
    allowed = index.rows_where(titles=["New 2", "Title 19", "Title 2", "Title 12"], sources=["made up"])
    found = {hit.passage.text for hit in index.search(queries, 9, allowed)[0]}
    assert found == {"step 2 New 2", "word 19", "step 2 Title 2"}
    merged = opened(root, compact_index(root, manifest.version, everything=True))
    assert [one.record.rows for one in merged.segments] == [20] and list(merged.passages) == list(index.passages)
    assert np.allclose(merged.search(queries, 5)[3][0].score, index.search(queries, 5)[3][0].score)
    assert merged.manifest.version == version_name(merged.manifest.recipe, list(index.passages))


def test_unknown_ids_are_named_and_nothing_is_made(root: Path, base: Manifest) -> None:
    """The first five, and how many more."""
    with pytest.raises(
        UnknownPassages, match=f"{base.version} holds no passage of: x0, x1, x2, x3, x4 and 2 more"
    ) as caught:
        amend_index(root, base.version, delete=[f"x{n}" for n in range(7)])
    assert len(caught.value.names) == 7 and entries(root) == {base.version}
    with pytest.raises(UnknownIndex):
        amend_index(root, "tiny-00000000", delete=["x"])


def test_contradictions_are_refused(root: Path, base: Manifest) -> None:
    """Two passages of one id; nothing left; vectors of another number, length or width; not finite."""
    with pytest.raises(AmendmentError, match="two of the passages to add have the id p_"):
        amend_index(root, base.version, add=passages("A") + passages("A"), vectors=[NEW[:2]])
    with pytest.raises(AmendmentError, match="no passage left"):
        amend_index(root, base.version, delete=[ArticleKey(source="made up")])
    for vectors, why in (
        (NEW[:1], "1 vectors for 2 passages"),
        (NEW[:3], "3 vectors or more for 2 passages"),
        (NEW[:2] * 2, "length 1"),
        (NEW[:2] * np.nan, "length 1"),
        (NEW[:2, :4], r"shape \(n, 8\)"),
    ):
        with pytest.raises(ValueError, match=why):
            amend_index(root, base.version, add=passages("A", "B"), vectors=[vectors])
    assert entries(root) == {base.version}


def test_a_full_disk_leaves_everything_as_it_was(root: Path, base: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the disk's, and no half version stays."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "disk")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(IndexStorageError, match="No space left"):
        amend_index(root, base.version, add=passages("A"), vectors=[NEW[:1]])
    assert entries(root) == {base.version} and len(opened(root, base).passages) == 20


def test_a_damaged_version_is_not_amended(root: Path, base: Manifest) -> None:
    """Damage does not spread to a new version."""
    path = root / base.version / "titles.u64"
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(IndexMismatch, match=r"titles\.u64"):
        amend_index(root, base.version, add=passages("A"), vectors=[NEW[:1]])


def test_a_killed_amendment_leaves_the_active_version_in_place(root: Path, base: Manifest) -> None:
    """kill -9 before the manifest is written; the next amendment sweeps up."""
    script = """
import os, signal, sys
from pathlib import Path
from tests.index.versions.test_amend import NEW, amend_index, passages
def die(event, arguments):
    if event == "open" and ".amending-" in str(arguments[0]) and "manifest.json" in str(arguments[0]):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(die)
amend_index(Path(sys.argv[1]), sys.argv[2], add=passages("A"), vectors=[NEW[:1]])
"""
    run = subprocess.run([sys.executable, "-c", script, str(root), base.version], cwd=PROJECT, check=False)
    assert run.returncode == -9 and len(entries(root)) == 2 and len(opened(root, base).passages) == 20
    after = amend_index(root, base.version, add=passages("A"), vectors=[NEW[:1]])
    assert entries(root) == {base.version, after.version}


def test_a_version_of_the_first_format_is_amended(root: Path, base: Manifest) -> None:
    """As an earlier release left it: two files and a manifest without sizes and segments."""
    directory = root / base.version
    fields = json.loads((directory / "manifest.json").read_bytes())
    kept = {name: fields["files"][name] for name in ("index.faiss", "passages.jsonl")}
    old = {key: fields[key] for key in fields if key not in {"sizes", "segments", "parent", "type_chosen"}}
    (directory / "manifest.json").write_text(json.dumps({**old, "format": 1, "files": kept}))
    for name in set(base.files) - set(kept):
        (directory / name).unlink()
    index = opened(root, base)
    assert len(index.passages) == 20 and index.manifest.segments[0].name == "."
    gone = index.passages[3].id
    amended = opened(root, amend_index(root, base.version, add=passages("A"), vectors=[NEW[:1]], delete=[gone]))
    assert len(amended.passages) == 20 and amended.find(gone) is None and amended.find(passages("A")[0].id)
    assert build(root) == index.manifest, "it is not built again"


def test_segments_are_merged_by_the_rule() -> None:
    """None at first; the worn one and smaller ones; beyond eight all, but a large one only where it is worth it."""

    def records(*counts: tuple[int, int]) -> list[SegmentRecord]:
        return [SegmentRecord(f"segment-{n}", "exact", *pair) for n, pair in enumerate(counts)]

    assert to_merge(records((100, 20), (5, 1))) == ()
    assert to_merge(records((100, 21))) == (0,)
    assert to_merge(records((100, 0), (10, 5), (3, 0), (8, 0))) == (1, 2)
    assert to_merge(records((1000, 0), *[(10, 0)] * MOST_SEGMENTS)) == tuple(range(1, MOST_SEGMENTS + 1))
    assert to_merge(records((40, 0), *[(10, 0)] * MOST_SEGMENTS)) == tuple(range(MOST_SEGMENTS + 1))


def test_compaction_gives_back_the_room_of_what_is_deleted(root: Path, base: Manifest) -> None:
    """By the rule, without new vectors; a version that needs none stays the same; the name is that of a fresh build."""
    assert compact_index(root, base.version) == base
    half = amend_index(root, base.version, delete=[one.id for one in list(opened(root, base).passages)[10:]])
    merged = compact_index(root, half.version)
    index = opened(root, merged)
    assert merged.version == build(root, 10).version and merged.parent == half.version
    assert [one.title for one in index.passages] == [f"Title {n}" for n in range(10)] and merged.articles == 10
    assert np.allclose(index.vectors_of(np.arange(10)), unit_vectors(20)[:10])
    assert "word 15" not in (root / merged.version / "passages.jsonl").read_text()
    assert sum(merged.sizes.values()) < sum(base.sizes.values())


def test_small_segments_are_merged_and_a_large_one_is_shared(root: Path) -> None:
    """The large one's files are the same files."""
    manifest = base = build(root, 200)
    for step in range(MOST_SEGMENTS):
        manifest = amend_index(root, manifest.version, add=passages(f"N {step}"), vectors=[NEW[step : step + 1]])
    merged = compact_index(root, manifest.version)
    assert [one.rows for one in merged.segments] == [200, MOST_SEGMENTS]
    assert (root / merged.version / "index.faiss").samefile(root / base.version / "index.faiss")
    index = opened(root, merged)
    assert [hits[0].passage.title for hits in index.search(NEW[:8], 1)] == [f"N {step}" for step in range(8)]


def test_a_request_finishes_on_a_version_that_is_removed(root: Path, base: Manifest) -> None:
    """Open files stay readable; the active version is not removed."""
    index = opened(root, base)
    versions = IndexVersions(root)
    versions.activate(build(root, 5).version)
    versions.remove(base.version)
    assert not (root / base.version).exists() and versions.list()[0].size > 0 and len(versions.list()) == 1
    assert len({hit.passage.id for hit in index.search(unit_vectors(1), 20)[0]}) == 20
    with pytest.raises(UnknownIndex):
        versions.remove(base.version)
    with pytest.raises(ActiveIndex, match="activate another one"):
        versions.remove(str(versions.active()))
    assert versions.open(str(versions.active()), ENCODER).passages[0].title == "Title 0"
