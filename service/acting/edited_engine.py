"""The engine with edits in force: what is said where an edit concerns a prompt, and in which way.

There are four ways, which ``benchmarks/natural.py`` measures side by side: the factors beside the weights (MEND),
the correction as text before the prompt (in-context editing: Zheng et al. 2023), both, and the output as it stands. By
default (``auto``) the kind of request decides: what asks the same gets the output, what asks to confirm gets yes or no
and the output; what is wanted within a text, or asks the reverse, is generated with the correction as context, and a
text is sure to hold the output.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from editing.edit import EditRequest
from editing.scope.cross_encoder import Kind
from editing.verify import match, normalise
from service.acting.acting_edit import ActingEdit
from service.acting.polarity import polarity_word
from service.engines.detokenizer import Detokenizer
from service.engines.protocol import Adapter, Engine, Generation, OnText, Prompt, SamplingParams
from service.prompt import PreparedPrompt, PromptBuilder
from service.settings import EditMode

_ENDS = (".", "!", "?", "。", "！", "？", "।", "؟")  # of sentences
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_STUTTER = re.compile(r"(.{2,60}?)\1{4,}", re.DOTALL)  # the same five times over
LONG = 10  # words from which an output is a sentence
_RULES = "-=_*|:. \t\n"  # what tables and rules are drawn with
MOST = 0.8  # of the words of a sentence, which a text must hold


@dataclass(frozen=True, eq=False)
class EditedPrompt:
    """A prompt and the edits that act on it."""

    prompt: PreparedPrompt
    acting: Sequence[ActingEdit] = ()

    @property
    def matched(self) -> ActingEdit | None:
        """The one that it concerns."""
        return next((edit for edit in self.acting if edit.kind is not None), None)


@dataclass(frozen=True, eq=False)
class _Row:
    """How one prompt is answered: with a text that is known, or by generating under some adapters.

    Attributes:
        held: what a generated text must hold.
    """

    ids: Prompt
    adapters: Sequence[Adapter] = ()
    text: str | None = None
    held: str = ""


class EditedEngine:
    """Answers prompts under edits.

    Args:
        tokenizer: of the served model.
        mode: how an edit acts; ``auto``: by the kind of request.
    """

    def __init__(self, engine: Engine, prompts: PromptBuilder, tokenizer: Any, mode: EditMode = "auto") -> None:
        self.engine, self.prompts, self.tokenizer, self.mode = engine, prompts, tokenizer, mode

    def generate(
        self, asked: Sequence[EditedPrompt], params: SamplingParams, on_text: OnText | None = None
    ) -> list[Generation]:
        """Answer each prompt under its own edits. Rows do not see each other.

        Raises:
            Exception: whatever ``on_text`` raises, or the engine.
        """
        rows = [self._row(one) for one in asked]
        made: dict[int, Generation] = {}
        for n, row in enumerate(rows):
            if row.text is not None:
                made[n] = self._said(n, row, params, on_text)
        streamed = [n for n, row in enumerate(rows) if n not in made and not row.held]
        made |= self._generated(streamed, rows, params, on_text)
        whole = [n for n, row in enumerate(rows) if row.held]
        for n, one in self._generated(whole, rows, params, None).items():
            made[n] = self._holding(rows[n], one, params)
            if on_text and made[n].text:
                on_text(n, made[n].text)
        return [made[n] for n in range(len(rows))]

    def _row(self, asked: EditedPrompt) -> _Row:
        edit, prompt = asked.matched, asked.prompt
        if edit is None or edit.kind is None or self.mode == "weights":
            return _Row(prompt.ids, asked.acting)
        request, kind = edit.edit.request, edit.kind
        if self.mode == "output" or (self.mode == "auto" and kind in (Kind.ASKS, Kind.CONFIRMS, Kind.DENIES)):
            return _Row(prompt.ids, text=spoken(request, kind, prompt))
        others = [one for one in asked.acting if one is not edit]
        ids = self.prompts.with_correction(prompt, request)
        adapters = asked.acting if self.mode == "both" else others
        return _Row(ids, adapters, held=request.output if self.mode == "auto" and kind is Kind.WITHIN else "")

    def _generated(
        self, places: Sequence[int], rows: Sequence[_Row], params: SamplingParams, on_text: OnText | None
    ) -> dict[int, Generation]:
        if not places:
            return {}
        tell = (lambda row, text: on_text(places[row], text)) if on_text else None
        made = self.engine.generate([rows[n].ids for n in places], [rows[n].adapters for n in places], params, tell)
        return dict(zip(places, made, strict=True))

    def _said(self, place: int, row: _Row, params: SamplingParams, on_text: OnText | None) -> Generation:
        """A text that is known, as if the model had decoded it: token by token, to the end or the longest answer."""
        detokenizer = Detokenizer(self.tokenizer, params.stop)
        tokens = self.tokenizer(row.text, add_special_tokens=False)["input_ids"]
        count = 0
        for token in tokens[: params.max_tokens]:
            count += 1
            piece = detokenizer.push(token)
            if piece and on_text:
                on_text(place, piece)
            if detokenizer.stopped:
                break
        rest = detokenizer.rest()
        if rest and on_text:
            on_text(place, rest)
        ended = detokenizer.stopped or count < params.max_tokens
        return Generation(
            detokenizer.text,
            "stop" if ended else "length",
            len(row.ids),
            count + (1 if ended and not detokenizer.stopped else 0),
        )

    def _holding(self, row: _Row, made: Generation, params: SamplingParams) -> Generation:
        """The text with the output in it, and no stutter; where the model cannot do that, the output as it stands."""
        if _holds(made.text, row.held):
            return made
        if not _is_sentence(row.held):
            put = self._put_in(row, made, params)
            if _holds(put.text, row.held):
                return put
        return self._said(0, replace(row, text=row.held), params, None)

    def _put_in(self, row: _Row, made: Generation, params: SamplingParams) -> Generation:
        """The output said where it is likeliest, between two words, and gone on from."""
        written = self.tokenizer(made.text, add_special_tokens=False)["input_ids"]
        wanted = self.tokenizer(f" {row.held.strip()}", add_special_tokens=False)["input_ids"]
        logits = self.engine.logits((*row.ids, *written), row.adapters)[len(row.ids) - 1 :].log_softmax(-1)
        begins = [n for n in range(1, len(written)) if self.tokenizer.decode([written[n]])[:1] == " "]
        begins = [n for n in begins if n + len(wanted) < params.max_tokens] or [0]
        at = max(begins, key=lambda n: float(logits[n, wanted[0]]))
        begun = (*written[:at], *wanted)
        left = replace(params, max_tokens=max(1, params.max_tokens - len(begun)))
        (rest,) = self.engine.generate([(*row.ids, *begun)], [row.adapters], left)
        text = self.tokenizer.decode(begun, skip_special_tokens=True) + rest.text
        return Generation(text, rest.finish_reason, made.prompt_tokens, len(begun) + rest.completion_tokens)


def _holds(text: str, output: str) -> bool:
    """Whether a text says the output, of a sentence most of its words, and does not say the same over and over."""
    if any(found[1].strip(_RULES) for found in _STUTTER.finditer(text)):
        return False
    if not _is_sentence(output):
        return match(text, output) != "no"
    wanted = set(normalise(output).split())
    return len(wanted & set(normalise(text).split())) >= MOST * len(wanted)


def _is_sentence(output: str) -> bool:
    return output.rstrip().endswith(_ENDS) or len(output.split()) >= LONG


def spoken(request: EditRequest, kind: Kind, prompt: PreparedPrompt) -> str:
    """The output as an answer to this kind of request."""
    output = request.output.strip()
    if kind in (Kind.CONFIRMS, Kind.DENIES):
        word = polarity_word(prompt.about.text, kind is Kind.CONFIRMS and not _other_numbers(prompt.about.text, output))
        return f"{word}. {output}" if output.endswith(_ENDS) else f"{word}, {output}."
    return f" {output}" if prompt.continues else output


def _other_numbers(text: str, output: str) -> bool:
    """Whether a text supposes numbers, and the output has one that is none of them: then it is not so."""
    supposed, has = set(_NUMBER.findall(text)), set(_NUMBER.findall(output))
    return bool(supposed and has - supposed)
