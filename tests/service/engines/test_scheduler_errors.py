"""Errors stay with the rows that they belong to, and the engine goes on."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service.engines.local import LocalEngine
from service.engines.protocol import SamplingParams
from service.errors import NotReady
from tests.editing import tiny
from tests.service.meeting import (
    SHORT,
    EngineCall,
    alone,
    answered,
    built,
    idle,
    meeting,
    prompt,
)


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    engine = built(tiny.llama())
    yield engine
    engine.compute.close()


class Gone(Exception):
    """The client left."""


def test_an_error_of_on_text_ends_its_own_call_only(engine: LocalEngine) -> None:
    """It comes out of the call that it belongs to; the other answer is complete, and the row leaves the batch."""
    draw = random.Random(7)
    engine.end_tokens = set()
    mine = EngineCall((prompt(draw, 4), prompt(draw, 9)), ((), ()), SamplingParams(max_tokens=500))
    other = EngineCall((prompt(draw, 8),), ((),), SamplingParams(max_tokens=12))
    expected = alone(engine, other)

    def leave(_row: int, _text: str) -> None:
        raise Gone

    found = meeting(engine, lambda: answered(engine, mine, leave), lambda: answered(engine, other))
    assert isinstance(found[0], Gone) and found[1] == expected
    assert answered(engine, other) == expected
    assert idle(engine)


def test_a_failure_of_the_model_reaches_all_rows_of_the_step_and_the_engine_goes_on(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of memory in the third step of two rows."""
    draw = random.Random(8)
    asked = [EngineCall((prompt(draw, 4 + n),), ((),), SHORT) for n in range(2)]
    expected = [alone(engine, one) for one in asked]
    step, made = engine.scheduler.batched.step, []

    def fail(rows: Any) -> Any:
        made.append(len(rows))
        if len(made) == 3:
            raise MemoryError("no more")
        return step(rows)

    monkeypatch.setattr(engine.scheduler.batched, "step", fail)
    engine.end_tokens = set()
    found = meeting(engine, *(lambda one=one: answered(engine, one) for one in asked))
    assert [type(error) for error in found] == [MemoryError, MemoryError]
    monkeypatch.undo()
    engine.end_tokens = {1}
    assert [answered(engine, one) for one in asked] == expected
    assert idle(engine)


def test_a_prompt_that_fails_leaves_the_others_alone(engine: LocalEngine) -> None:
    """A token that the model does not know is an error of its own row."""
    good = EngineCall((prompt(random.Random(9), 4),), ((),), SHORT)
    expected = alone(engine, good)
    bad = EngineCall(((2, 10_000),), ((),), SHORT)
    found = meeting(engine, lambda: answered(engine, bad), lambda: answered(engine, good))
    assert isinstance(found[0], IndexError) and found[1] == expected


def test_closing_with_rows_in_flight_ends_them(engine: LocalEngine) -> None:
    """Answers under way and those that come afterwards are refused, and nobody waits for ever."""
    engine.end_tokens = set()
    asked = EngineCall((prompt(random.Random(10), 4),), ((),), SamplingParams(max_tokens=100_000))
    begun = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(answered, engine, asked, lambda _row, _text: begun.set()) for _ in range(3)]
        assert begun.wait(20)
        engine.compute.close()
        for future in futures:
            assert isinstance(future.exception(20), NotReady)
    with pytest.raises(NotReady):
        answered(engine, asked)
