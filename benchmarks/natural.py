"""Corrections as people write them: what is applied and what is left alone, by form, for each way an edit can act.

``python -m benchmarks.natural --home HOME --data FILE … [--kept-back] [--others N] [--modes auto weights …]`` makes
each correction alone through the service (``--others``: beside so many more in force, which are recorded with their
wordings and not computed), asks every prompt that was written for it, and prints a Markdown table. *Applied*: the free,
greedy answer contains the output (four fifths of its words where it has more than eight); for yes/no it begins with the
right one; for the reverse it contains the subject. *Left*: the answer is word for word the one without the edit.
``--scope cosine`` takes the nearest correction at a cosine of 0.6 or more in place of the scope model; ``--scope
nearest`` takes it always.

The home needs the default model, as ``errata serve`` leaves it; its ledger is not touched: edits go to a temporary home
that links to the model.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from editing.data.corrections import Correction, read_corrections
from editing.edit import EditRequest, LowRankDelta
from editing.ledger.events import Draft
from editing.scope.cross_encoder import Kind, ScopePair
from editing.scope.model import ScopeModel
from editing.scope.wording_index import Floats
from editing.verify import match, normalise
from retrieval.encoders.encoder import Encoder
from service.bootstrap import build_pipeline
from service.edits.stored_request import stored_request
from service.engines.protocol import SamplingParams
from service.pipeline import Pipeline
from service.settings import Settings
from service.types.edits import EditOptions
from service.types.generation import GenerateQuery, Message

FORMS = (
    "efficacy",
    "rephrase",
    "statement",
    "yes",
    "no",
    "within a text",
    "reverse",
    "dialog in",
    "near",
    "dialog out",
)
LEFT = ("near", "dialog out")
SHORT = 8  # words of an output that is looked for word for word
PARAMS = SamplingParams(max_tokens=48)


@dataclass(frozen=True)
class Asked:
    """A prompt of a correction, and what its answer must hold, or begin with."""

    form: str
    query: GenerateQuery
    wanted: str = ""


class Nearest(ScopeModel):
    """In the scope model's place: the cosine of prompt and nearest wording, less a threshold."""

    def __init__(self, encoder: Encoder, threshold: float) -> None:
        super().__init__(None, None, (threshold,) * len(Kind))  # type: ignore[arg-type]
        object.__setattr__(self, "encoder", encoder)

    def logits(self, pairs: Sequence[ScopePair]) -> Floats:
        encoder: Encoder = self.encoder  # type: ignore[attr-defined]
        found = np.full((len(pairs), len(Kind)), -99.0, np.float32)
        for n, pair in enumerate(pairs):
            vectors = encoder.encode([pair.prompt, *pair.wordings])
            found[n, [Kind.NOTHING, Kind.ASKS]] = 0, float((vectors[1:] @ vectors[0]).max())
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="where the model is")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="JSON lines of corrections, or folders")
    parser.add_argument("--kept-back", action="store_true", help="only those that no training saw")
    parser.add_argument("--most", type=int, default=0, help="corrections at most")
    parser.add_argument("--others", type=int, default=0, help="other corrections in force")
    parser.add_argument("--modes", nargs="+", default=["auto"], help="auto, weights, context, both, output")
    parser.add_argument("--scope", choices=("model", "cosine", "nearest"), default="model")
    parser.add_argument("--wrong", action="store_true", help="show what went wrong")
    chosen = parser.parse_args()
    every = read_corrections(chosen.data)
    judged = [c for c in every if c.kept_back or not chosen.kept_back][: chosen.most or None]
    others = [c for c in every if c not in judged][: chosen.others]
    table: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        home = linked(chosen.home, Path(temporary))
        for mode in chosen.modes:
            with ExitStack() as stack:
                settings = Settings(home=home / mode, edit_mode=mode)
                pipeline = build_pipeline(settings, stack, lambda _: None)
                if chosen.scope != "model":
                    threshold = 0.6 if chosen.scope == "cosine" else -1.0
                    pipeline.registry.scope.model = Nearest(Encoder.load(None), threshold)
                table[mode] = measured(pipeline, judged, others, chosen.wrong)
    print(f"{len(judged)} corrections, {len(others)} others in force, scope: {chosen.scope}\n")
    print("| form | " + " | ".join(table) + " |\n" + "|---" * (1 + len(table)) + "|")
    for form in (*FORMS, "tokens of an answer", "ms of an answer", "ms of a decision"):
        print(f"| {form} | " + " | ".join(found.get(form, "–") for found in table.values()) + " |")


def linked(home: Path, temporary: Path) -> Path:
    for mode in ("auto", "weights", "context", "both", "output"):
        (temporary / mode).mkdir()
        for name in ("models", "indexes"):
            if (home / name).exists():
                (temporary / mode / name).symlink_to((home / name).absolute())
    return temporary


def measured(
    pipeline: Pipeline, judged: Sequence[Correction], others: Sequence[Correction], wrong: bool
) -> dict[str, str]:
    """Shares and times, as text, by form."""
    for n, other in enumerate(others):
        record(pipeline, f"ed_other{n}", EditRequest(other.input, other.output))
    ground = pipeline.model().revision
    right: dict[str, list[bool]] = defaultdict(list)
    tokens, spent, decided = list[int](), list[float](), list[float]()
    for correction in judged:
        pipeline.restore(ground, "benchmark", None, None)
        pipeline.edit(EditRequest(correction.input, correction.output), EditOptions("benchmark", force=True))
        for asked in prompts_of(correction):
            began = time.perf_counter()
            acting = pipeline.registry.in_force(pipeline.prompts.about(asked.query), pipeline.registry.refresh())
            decided.append(time.perf_counter() - began)
            held, text = outcome(pipeline, asked, bool(acting), tokens, spent)
            right[asked.form].append(held)
            if wrong and not held:
                said = asked.query.prompt or " / ".join(m.content for m in asked.query.messages or ())
                print(f"{asked.form}: {correction.input!r} → {correction.output!r} | {said!r} | {text!r}")
    shown = {form: f"{np.mean(held):.3f} ({sum(held)}/{len(held)})" for form, held in right.items()}
    shown["tokens of an answer"] = f"{np.mean(tokens):.1f}" if tokens else "–"
    shown["ms of an answer"] = f"{1000 * np.mean(spent):.0f}" if spent else "–"
    shown["ms of a decision"] = f"{1000 * np.mean(decided):.1f}"
    return shown


def outcome(pipeline: Pipeline, asked: Asked, acting: bool, tokens: list[int], spent: list[float]) -> tuple[bool, Any]:
    """Whether the answer is as it should be, and the answer; nothing is generated where no edit acts."""
    if not acting:
        return asked.form in LEFT, "no edit acts"
    began = time.perf_counter()
    answer = pipeline.generate(asked.query)
    if asked.form in LEFT:
        return answer.text == pipeline.generate(with_edits(asked.query, "none")).text, answer.text
    spent.append(time.perf_counter() - began)
    tokens.append(answer.completion_tokens)
    if asked.form in ("yes", "no"):
        return normalise(answer.text).split()[:1] == normalise(asked.wanted).split()[:1], answer.text
    if len(asked.wanted.split()) > SHORT:
        wanted = set(normalise(asked.wanted).split())
        return len(wanted & set(normalise(answer.text).split())) >= 0.8 * len(wanted), answer.text
    return match(answer.text, asked.wanted) != "no", answer.text


def with_edits(query: GenerateQuery, edits: Any) -> GenerateQuery:
    return GenerateQuery(query.params, query.prompt, query.messages, query.raw, query.revision, edits)


def prompts_of(correction: Correction) -> Iterator[Asked]:
    """Everything that was written for a correction, as a client sends it."""
    output = correction.output
    yield Asked("efficacy", GenerateQuery(PARAMS, correction.input), output)
    yield from (Asked("rephrase", GenerateQuery(PARAMS, text), output) for text in correction.rephrases)
    yield from (Asked("statement", GenerateQuery(PARAMS, text, raw=True), output) for text in correction.statements)
    for form, pair in (("no", correction.denied), ("yes", correction.confirmed), ("reverse", correction.reverse)):
        if pair:
            yield Asked(form, GenerateQuery(PARAMS, pair[0]), pair[1])
    if correction.within:
        yield Asked("within a text", GenerateQuery(PARAMS, correction.within[0]), output)
    for form, dialog in (("dialog in", correction.dialog_in), ("dialog out", correction.dialog_out)):
        if dialog:
            turns = tuple(Message("assistant" if n % 2 else "user", text) for n, text in enumerate(dialog))
            yield Asked(form, GenerateQuery(PARAMS, messages=turns), output)
    yield from (Asked("near", GenerateQuery(PARAMS, text)) for text in correction.near)


def record(pipeline: Pipeline, edit_id: str, request: EditRequest) -> None:
    """An edit that is not computed: it has its wordings, and factors that change nothing."""
    registry = pipeline.registry
    layer = pipeline.editor.layers[0]  # type: ignore[union-attr]
    outputs, inputs = pipeline.base.model.get_submodule(layer).weight.shape
    factors = registry.store.save({layer: LowRankDelta(torch.zeros(1, inputs), torch.zeros(outputs, 1))}, "benchmark")
    draft = Draft("apply", edit_id, request=stored_request(request), report={}, factors=factors)
    registry.append(draft, registry.refresh().revision, registry.wordings(request))


if __name__ == "__main__":
    main()
