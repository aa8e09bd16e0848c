"""Which structure an index of n vectors is searched with, and with which parameters: the rules, in one place."""

from __future__ import annotations

from collections.abc import Mapping

AUTO = "auto"
EXACT = "exact"
HNSW = "hnsw"
IVFPQ = "ivfpq"
TYPES = (EXACT, HNSW, IVFPQ)

MOST_EXACT = 50_000
MOST_HNSW = 2_000_000
LEAST_IVFPQ = 1_024  # vectors; fewer do not train 256 codes

Parameters = Mapping[str, int]


def index_type(rows: int) -> str:
    """The type for ``rows`` vectors.

    - up to 50,000: ``exact``, every vector compared (flat inner product): perfect, and some milliseconds a query;
    - up to 2 million: ``hnsw``, a graph over float16 vectors (Malkov and Yashunin 2016, as in Lewis et al. 2020):
      about 1 KB of memory a vector at d = 384, built in minutes;
    - above: ``ivfpq``, inverted lists of rotated product-quantised codes (Jégou et al. 2011, Ge et al. 2013), whose
      best candidates are scored again with the float16 vectors, which stay on the disk: 56 bytes of memory a vector at
      d = 384.

    Measured with ``benchmarks/index_scale.py``.
    """
    if rows <= MOST_EXACT:
        return EXACT
    return HNSW if rows <= MOST_HNSW else IVFPQ


def resolved(kind: str, rows: int) -> str:
    """``kind``, or the type for ``rows`` vectors if it is ``auto``. Raises ValueError if it cannot be built of them."""
    if kind == AUTO:
        return index_type(rows)
    if kind not in TYPES:
        raise ValueError(f"{kind!r} is no index type; there are {AUTO}, {', '.join(TYPES)}")
    if kind == IVFPQ and rows < LEAST_IVFPQ:
        raise ValueError(f"the index type {IVFPQ!r} needs at least {LEAST_IVFPQ} passages, not {rows}; take {EXACT!r}")
    return kind


def parameters_for(kind: str, rows: int, dimension: int, chosen: Parameters | None = None) -> dict[str, int]:
    """How to build and search n = ``rows`` vectors of ``dimension`` d; each value can be ``chosen`` by the caller.

    - ``hnsw``: ``m`` links a vector (32), ``ef_construction`` (80) and ``ef_search`` (128) vectors held while
      adding and searching.
    - ``ivfpq``: ``lists``, the power of two at or below 4 √n (but n / 39 at most, which trains them); ``m`` bytes a
      code, the largest divisor of d that is d / 8 at most; ``probes``, lists looked at (64 at most); ``candidates``
      scored again (200).

    Raises:
        ValueError: a name that the type does not have, or a value that is not possible.
    """
    rule: dict[str, int] = {}
    if kind == HNSW:
        rule = {"m": 32, "ef_construction": 80, "ef_search": 128}
    if kind == IVFPQ:
        lists = 1 << (max(1, min(int(4 * rows**0.5), rows // 39)).bit_length() - 1)
        rule = {"lists": lists, "m": _code_bytes(dimension), "probes": min(lists, 64), "candidates": 200}
    for name, value in (chosen or {}).items():
        if name not in rule:
            raise ValueError(f"an index of type {kind!r} has no parameter {name!r}; it has {', '.join(rule) or 'none'}")
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"the parameter {name!r} is a whole number from 1, not {value!r}")
    made = {**rule, **(chosen or {})}
    _check(kind, made, rows, dimension)
    return made


def _code_bytes(dimension: int) -> int:
    return next(m for m in range(max(1, dimension // 8), 0, -1) if dimension % m == 0)


def _check(kind: str, made: Parameters, rows: int, dimension: int) -> None:
    if kind == HNSW and made["m"] < 2:
        raise ValueError("the parameter 'm' of an index of type 'hnsw' is at least 2")
    if kind == IVFPQ and dimension % made["m"]:
        raise ValueError(f"the parameter 'm' must divide the dimension {dimension}, {made['m']} does not")
    if kind == IVFPQ and made["lists"] > rows:
        raise ValueError(f"the parameter 'lists' is {made['lists']}, more than the {rows} passages")
    if kind == IVFPQ and made["probes"] > made["lists"]:
        raise ValueError(f"the parameter 'probes' is {made['probes']}, more than the {made['lists']} lists")
