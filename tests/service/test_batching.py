"""Concurrent answers decoded together are what each would be alone; errors stay where they belong."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from editing.edit import Edit, EditRequest
from editing.model import stack
from service.compute import ComputeThread
from service.engines import Generation, OnText, Prompt, SamplingParams, forward
from service.engines import batch as batch_module
from service.engines.local import LocalEngine
from service.engines.row import Row
from service.engines.together import Together
from service.errors import NotReady
from tests.editing import tiny

SHORT = SamplingParams(max_tokens=6)
EMPTY = Edit("ed_none", EditRequest("a", "b"), {})


@dataclass(frozen=True)
class Asked:
    """One request."""

    prompts: tuple[Prompt, ...]
    edits: tuple[tuple[Edit, ...], ...]
    params: SamplingParams


def built(model: Any, width: int = 8) -> LocalEngine:
    engine = LocalEngine(model, tiny.tokenizer(), ComputeThread(1), width)
    engine.end_tokens = {1}
    return engine


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    engine = built(tiny.llama())
    yield engine
    engine.compute.close()


def edit(model: Any, seed: int, rank: int = 2) -> Edit:
    names = tiny.DOWN if seed % 2 else tiny.DOWN[:1]
    return Edit(f"ed_{seed}", EditRequest("a", "b"), tiny.deltas(model, seed, rank, names))


def prompt(draw: random.Random, length: int) -> Prompt:
    return tuple(draw.randrange(2, len(tiny.tokenizer())) for _ in range(length))


def request(draw: random.Random, edits: Sequence[Edit]) -> Asked:
    """Rows, lengths, edits, seeds and stop strings at random."""
    rows = draw.choice((1, 1, 1, 2, 5))
    params = SamplingParams(
        draw.choice((1, 2, 7, 20)), draw.choice((0.0, 0.0, 1.3)), draw.choice((1.0, 0.8)), draw.randrange(9),
        draw.choice(((), (), ("Alba", "is of"))),
    )  # fmt: skip
    return Asked(
        tuple(prompt(draw, draw.choice((1, 2, 9, 30, 75))) for _ in range(rows)),
        tuple(tuple(draw.sample(edits, draw.choice((0, 0, 1, 1, 2, 3)))) for _ in range(rows)),
        params,
    )


def answered(engine: LocalEngine, asked: Asked, on_text: OnText | None = None) -> list[Generation]:
    return engine.generate(asked.prompts, asked.edits, asked.params, on_text)


def alone(engine: LocalEngine, asked: Asked) -> list[Generation]:
    """Each row in a call of its own, one after the other."""
    rows = zip(asked.prompts, asked.edits, strict=True)
    return [answered(engine, Asked((ids,), (own,), asked.params))[0] for ids, own in rows]


def steps(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each step has that is made together."""
    made: list[int] = []
    together = engine.batch._together
    step = together.step

    def counted(rows: Sequence[Row]) -> Any:
        made.append(len(rows))
        return step(rows)

    monkeypatch.setattr(together, "step", counted)
    return made


def held(engine: LocalEngine) -> threading.Event:
    """The compute thread waits until the event is set, so that what is asked meanwhile meets."""
    release = threading.Event()
    engine.compute.later(release.wait)
    return release


def meeting(engine: LocalEngine, *calls: Callable[[], Any]) -> list[Any]:
    """What each call returns or raises, all begun before the first token."""
    release = held(engine)
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(call) for call in calls]
        while len(engine.batch._new) < len(calls):
            time.sleep(0.001)
        release.set()
        return [future.exception(30) or future.result() for future in futures]


def gemma3() -> Any:
    """Three layers that see 8 tokens back, and one that sees all."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=len(tiny.tokenizer()), hidden_size=32, intermediate_size=48, num_hidden_layers=4, head_dim=8,
        num_attention_heads=4, num_key_value_heads=2, sliding_window=8, max_position_embeddings=256,
        layer_types=["sliding_attention"] * 3 + ["full_attention"], initializer_range=0.2, eos_token_id=1,
        bos_token_id=None, pad_token_id=0, query_pre_attn_scalar=8,
    )  # fmt: skip
    return Gemma3ForCausalLM(config).eval().requires_grad_(False)


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
    assert engine.batch.why_apart is None and max(made) >= 4


def test_a_row_without_edits_does_not_see_those_beside_it(engine: LocalEngine) -> None:
    """Edited and unedited rows of the same prompt, in one step."""
    ids, own = prompt(random.Random(1), 12), edit(engine.model, 1)
    plain, changed = Asked((ids,), ((),), SHORT), Asked((ids,), ((own,),), SHORT)
    expected = [alone(engine, plain), alone(engine, changed)]
    assert expected[0] != expected[1]
    assert meeting(engine, lambda: answered(engine, plain), lambda: answered(engine, changed)) == expected
    assert tiny.hooks(engine.model) == 0 and engine.model.config._attn_implementation == "sdpa"


def test_bfloat16_logits_in_company_are_those_alone_bit_for_bit() -> None:
    """Rows of different lengths, two of them edited, over twelve steps."""
    model = tiny.llama(torch.bfloat16)
    together, draw = Together(model), random.Random(2)
    prompts = [prompt(draw, 3 + 7 * n) for n in range(5)]
    rows, same = [[begun(model, ids, n) for n, ids in enumerate(prompts)] for _ in range(2)]
    for _ in range(12):
        logits = together.step(rows)
        single = torch.stack([forward.step(model, row) for row in same])
        assert torch.equal(logits, single)
        for row, other, own in zip(rows, same, logits, strict=True):
            row.push(int(own.argmax()))
            other.push(int(own.argmax()))


def begun(model: Any, ids: Prompt, n: int) -> Row:
    row = Row(n, ids, (), SamplingParams(99), (), lambda _row, _word: None)
    row.factors = stack([[edit(model, n).deltas] if n in (1, 4) else []], model.dtype)
    logits = forward.read(model, row)
    assert logits is not None
    row.push(int(logits.argmax()))
    return row


def test_a_width_of_one_never_decodes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Concurrent answers take turns then, each on the path that it takes alone."""
    engine, draw = built(tiny.llama(), width=1), random.Random(3)
    made = steps(engine, monkeypatch)
    asked = [Asked((prompt(draw, 5),), ((),), SHORT) for _ in range(3)]
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
    monkeypatch.setattr(batch_module, "AT_ONCE", 8)
    draw = random.Random(5)
    long, short = Asked((prompt(draw, 240),), ((),), SHORT), Asked((prompt(draw, 6),), ((),), SHORT)
    expected = [alone(engine, long), alone(engine, short)]
    engine.end_tokens = set()
    ends: list[str] = []

    def ask(name: str, asked: Asked) -> list[Generation]:
        found = answered(engine, asked, lambda _row, _text: ends.append(name))
        ends.append(f"{name} ended")
        return found

    meeting(engine, lambda: ask("long", long), lambda: ask("short", short))
    assert ends.index("short ended") < ends.index("long")
    engine.end_tokens = {1}
    assert [answered(engine, long), answered(engine, short)] == expected


def test_a_prompt_read_in_pieces_gives_the_same_answer(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of the pieces, also with an edit."""
    asked = Asked((prompt(random.Random(6), 50),), ((edit(engine.model, 1),),), SamplingParams(max_tokens=12))
    expected = answered(engine, asked)
    for size in (7, 16, 49):
        monkeypatch.setattr(forward, "PIECE", size)
        assert answered(engine, asked) == expected


class Gone(Exception):
    """The client left."""


def test_an_error_of_on_text_ends_its_own_call_only(engine: LocalEngine) -> None:
    """It comes out of the call that it belongs to; the other answer is complete, and the row leaves the batch."""
    draw = random.Random(7)
    engine.end_tokens = set()
    mine = Asked((prompt(draw, 4), prompt(draw, 9)), ((), ()), SamplingParams(max_tokens=500))
    other = Asked((prompt(draw, 8),), ((),), SamplingParams(max_tokens=12))
    expected = alone(engine, other)

    def leave(_row: int, _text: str) -> None:
        raise Gone

    found = meeting(engine, lambda: answered(engine, mine, leave), lambda: answered(engine, other))
    assert isinstance(found[0], Gone) and found[1] == expected
    assert answered(engine, other) == expected
    assert idle(engine)


def idle(engine: LocalEngine) -> bool:
    """Whether nothing is left to do and no row is kept, once the turns that are under way are over."""
    for _ in range(10):
        engine.compute.run(int)
    return not (engine.batch._new or engine.batch._reading or engine.batch._running)


def test_a_failure_of_the_model_reaches_all_rows_of_the_step_and_the_engine_goes_on(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of memory in the third step of two rows."""
    draw = random.Random(8)
    asked = [Asked((prompt(draw, 4 + n),), ((),), SHORT) for n in range(2)]
    expected = [alone(engine, one) for one in asked]
    step, made = engine.batch._together.step, []

    def fail(rows: Any) -> Any:
        made.append(len(rows))
        if len(made) == 3:
            raise MemoryError("no more")
        return step(rows)

    monkeypatch.setattr(engine.batch._together, "step", fail)
    engine.end_tokens = set()
    found = meeting(engine, *(lambda one=one: answered(engine, one) for one in asked))
    assert [type(error) for error in found] == [MemoryError, MemoryError]
    monkeypatch.undo()
    engine.end_tokens = {1}
    assert [answered(engine, one) for one in asked] == expected
    assert idle(engine)


def test_a_prompt_that_fails_leaves_the_others_alone(engine: LocalEngine) -> None:
    """A token that the model does not know is an error of its own row."""
    good = Asked((prompt(random.Random(9), 4),), ((),), SHORT)
    expected = alone(engine, good)
    bad = Asked(((2, 10_000),), ((),), SHORT)
    found = meeting(engine, lambda: answered(engine, bad), lambda: answered(engine, good))
    assert isinstance(found[0], IndexError) and found[1] == expected


def test_closing_with_rows_in_flight_ends_them(engine: LocalEngine) -> None:
    """Answers under way and those that come afterwards are refused, and nobody waits for ever."""
    engine.end_tokens = set()
    asked = Asked((prompt(random.Random(10), 4),), ((),), SamplingParams(max_tokens=100_000))
    begun = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(answered, engine, asked, lambda _row, _text: begun.set()) for _ in range(3)]
        assert begun.wait(20)
        engine.compute.close()
        for future in futures:
            assert isinstance(future.exception(20), NotReady)
    with pytest.raises(NotReady):
        answered(engine, asked)


def test_generating_from_within_the_compute_thread_works(engine: LocalEngine) -> None:
    """It makes the turns itself, with other calls' rows in them."""
    draw = random.Random(11)
    asked = [Asked((prompt(draw, 4 + n),), ((),), SHORT) for n in range(2)]
    expected = [alone(engine, one) for one in asked]
    found = meeting(engine, lambda: answered(engine, asked[0]))
    assert engine.compute.run(answered, engine, asked[1]) == expected[1] and found[0] == expected[0]


def test_edits_and_scope_decisions_come_between_steps(engine: LocalEngine) -> None:
    """Other work of the compute thread is done long before a long answer ends."""
    engine.end_tokens = set()
    said: list[str] = []
    asked = Asked((prompt(random.Random(12), 4),), ((),), SamplingParams(max_tokens=150))
    begun = threading.Event()

    def hear(_row: int, text: str) -> None:
        said.append(text)
        begun.set()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(answered, engine, asked, hear)
        assert begun.wait(20)
        at = [engine.compute.run(lambda: len(said)) for _ in range(3)]
        future.result(30)
    assert at[-1] < 100


def test_no_prompts_and_no_tokens_are_answered_at_once(engine: LocalEngine) -> None:
    """Nothing is computed for them."""
    assert engine.generate([], [], SHORT) == []
    assert engine.generate([(2, 3)], [[]], SamplingParams(max_tokens=0)) == [Generation("", "length", 2, 0)]
