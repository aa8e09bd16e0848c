"""Concurrent answers decoded together are what each would be alone, and nobody is kept waiting."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from editing.model.side_path import stack
from service.engines import forward, scheduler
from service.engines.batched_step import BatchedStep
from service.engines.local import LocalEngine
from service.engines.protocol import Generation, Prompt, SamplingParams
from service.engines.sequence import TokenSequence
from tests.editing import tiny
from tests.service.meeting import (
    EMPTY,
    SHORT,
    EngineCall,
    alone,
    answered,
    built,
    edit,
    gemma3,
    meeting,
    prompt,
    request,
)


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    engine = built(tiny.llama())
    yield engine
    engine.compute.close()


def steps(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each step has that is made together."""
    made: list[int] = []
    together = engine.scheduler.batched
    step = together.step

    def counted(rows: Sequence[TokenSequence]) -> Any:
        made.append(len(rows))
        return step(rows)

    monkeypatch.setattr(together, "step", counted)
    return made


FAMILIES: dict[str, Callable[[], Any]] = {"llama": tiny.llama, "gpt2": tiny.gpt2, "gemma3": gemma3}


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_the_same_as_one_by_one(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty requests from six threads at random times: rows of all lengths, edits, seeds, stop strings and ends."""
    model = FAMILIES[family]()
    engine, draw = built(model), random.Random(family)
    edits = [edit(model, seed, 1 + seed % 3) if family != "gpt2" else EMPTY for seed in range(6)]
    asked = [request(draw, edits) for _ in range(20)]
    expected = [alone(engine, one) for one in asked]
    made = steps(engine, monkeypatch)
    waits = [draw.random() * 0.02 for _ in asked]
    pieces: list[dict[int, str]] = [{} for _ in asked]

    def ask(n: int) -> list[Generation]:
        time.sleep(waits[n])
        said = pieces[n]
        return answered(engine, asked[n], lambda row, text: said.update({row: said.get(row, "") + text}))

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(ask, range(len(asked))))
    engine.compute.close()
    assert found == expected
    assert [[said.get(n, "") for n in range(len(answers))] for said, answers in zip(pieces, found, strict=True)] == [
        [one.text for one in answers] for answers in found
    ]
    assert engine.scheduler.why_apart is None and max(made) >= 4


def test_a_row_without_edits_does_not_see_those_beside_it(engine: LocalEngine) -> None:
    """Edited and unedited rows of the same prompt, in one step."""
    ids, own = prompt(random.Random(1), 12), edit(engine.model, 1)
    plain, changed = EngineCall((ids,), ((),), SHORT), EngineCall((ids,), ((own,),), SHORT)
    expected = [alone(engine, plain), alone(engine, changed)]
    assert expected[0] != expected[1]
    assert meeting(engine, lambda: answered(engine, plain), lambda: answered(engine, changed)) == expected
    assert tiny.hooks(engine.model) == 0 and engine.model.config._attn_implementation == "sdpa"


def test_bfloat16_logits_in_company_are_those_alone_bit_for_bit() -> None:
    """Rows of different lengths, two of them edited, over twelve steps."""
    model = tiny.llama(torch.bfloat16)
    together, draw = BatchedStep(model), random.Random(2)
    prompts = [prompt(draw, 3 + 7 * n) for n in range(5)]
    rows, same = [[begun(model, ids, n) for n, ids in enumerate(prompts)] for _ in range(2)]
    for _ in range(12):
        logits = together.step(rows)
        single = torch.stack([forward.step(model, row) for row in same])
        assert torch.equal(logits, single)
        for row, other, own in zip(rows, same, logits, strict=True):
            row.append(int(own.argmax()))
            other.append(int(own.argmax()))


def begun(model: Any, ids: Prompt, n: int) -> TokenSequence:
    row = TokenSequence(n, ids, (), SamplingParams(99), (), lambda _row, _word: None)
    row.factors = stack([[edit(model, n).deltas] if n in (1, 4) else []], model.dtype)
    logits = forward.read(model, row)
    assert logits is not None
    row.append(int(logits.argmax()))
    return row


def test_a_width_of_one_never_decodes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Concurrent answers take turns then, each on the path that it takes alone."""
    engine, draw = built(tiny.llama(), width=1), random.Random(3)
    made = steps(engine, monkeypatch)
    asked = [EngineCall((prompt(draw, 5),), ((),), SHORT) for _ in range(3)]
    expected = [alone(engine, one) for one in asked]
    found = meeting(engine, *(lambda one=one: answered(engine, one) for one in asked))
    engine.compute.close()
    assert (found, made) == (expected, [])


def test_more_rows_than_the_width_take_turns(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve answers, eight at a time: nobody waits until others have ended."""
    made = steps(engine, monkeypatch)
    params = SamplingParams(max_tokens=10)
    engine.end_tokens = set()
    order: list[int] = []

    def ask(n: int) -> list[Generation]:
        return engine.generate([prompt(random.Random(n), 4)], [[]], params, lambda _row, _text: order.append(n))

    found = meeting(engine, *(lambda n=n: ask(n) for n in range(12)))
    assert all(answers[0].completion_tokens == 10 for answers in found)
    assert max(made) == 8
    assert set(order[: len(order) // 2]) == set(range(12))


def test_a_long_prompt_lets_short_ones_pass(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read in pieces, and answers that came later are complete before its first token."""
    monkeypatch.setattr(forward, "PIECE", 8)
    monkeypatch.setattr(scheduler, "SHARE", 8)
    draw = random.Random(5)
    long, short = EngineCall((prompt(draw, 240),), ((),), SHORT), EngineCall((prompt(draw, 6),), ((),), SHORT)
    expected = [alone(engine, long), alone(engine, short)]
    engine.end_tokens = set()
    ends: list[str] = []

    def ask(name: str, asked: EngineCall) -> list[Generation]:
        found = answered(engine, asked, lambda _row, _text: ends.append(name))
        ends.append(f"{name} ended")
        return found

    meeting(engine, lambda: ask("long", long), lambda: ask("short", short))
    assert ends.index("short ended") < ends.index("long")
    engine.end_tokens = {1}
    assert [answered(engine, long), answered(engine, short)] == expected


def test_a_prompt_read_in_pieces_gives_the_same_answer(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of the pieces, also with an edit."""
    asked = EngineCall((prompt(random.Random(6), 50),), ((edit(engine.model, 1),),), SamplingParams(max_tokens=12))
    expected = answered(engine, asked)
    for size in (7, 16, 49):
        monkeypatch.setattr(forward, "PIECE", size)
        assert answered(engine, asked) == expected


def test_generating_from_within_the_compute_thread_works(engine: LocalEngine) -> None:
    """It makes the turns itself, with other calls' rows in them."""
    draw = random.Random(11)
    asked = [EngineCall((prompt(draw, 4 + n),), ((),), SHORT) for n in range(2)]
    expected = [alone(engine, one) for one in asked]
    found = meeting(engine, lambda: answered(engine, asked[0]))
    assert engine.compute.run(answered, engine, asked[1]) == expected[1] and found[0] == expected[0]


def test_edits_and_scope_decisions_come_between_steps(engine: LocalEngine) -> None:
    """Other work of the compute thread is done while an answer without an end goes on."""
    engine.end_tokens = set()
    asked = EngineCall((prompt(random.Random(12), 4),), ((),), SamplingParams(max_tokens=1_000_000))
    begun, enough = threading.Event(), threading.Event()

    def hear(_row: int, _text: str) -> None:
        begun.set()
        if enough.is_set():
            raise InterruptedError

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(answered, engine, asked, hear)
        assert begun.wait(20)
        try:
            found = [engine.compute.later(int, "7").result(20) for _ in range(3)]
            assert found == [7, 7, 7] and not future.done()
        finally:
            enough.set()
        assert isinstance(future.exception(20), InterruptedError)


def test_no_prompts_and_no_tokens_are_answered_at_once(engine: LocalEngine) -> None:
    """Nothing is computed for them."""
    assert engine.generate([], [], SHORT) == []
    assert engine.generate([(2, 3)], [[]], SamplingParams(max_tokens=0)) == [Generation("", "length", 2, 0)]


def test_running_rows_make_a_step_for_every_share_of_tokens_read(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While twelve pieces of a long prompt are read, four shares each, an answer under way gets forty tokens."""
    monkeypatch.setattr(forward, "PIECE", 16)
    monkeypatch.setattr(scheduler, "SHARE", 4)
    engine.end_tokens = set()
    happened: list[str] = []

    def noted(name: str, work: Callable[[Any, TokenSequence], Any]) -> Callable[[Any, TokenSequence], Any]:
        def noting(model: Any, row: TokenSequence) -> Any:
            happened.append(name)
            return work(model, row)

        return noting

    for name in ("read", "step"):
        monkeypatch.setattr(f"service.engines.scheduler.{name}", noted(name, getattr(forward, name)))
    draw = random.Random(13)
    short = EngineCall((prompt(draw, 4),), ((),), SamplingParams(max_tokens=80))
    long = EngineCall((prompt(draw, 16 * 12),), ((),), SHORT)
    meeting(engine, lambda: answered(engine, short), lambda: answered(engine, long))
    reads = [at for at, what in enumerate(happened) if what == "read"]
    assert len(reads) == 13
    assert happened[reads[1] : reads[-1]].count("step") >= 40
