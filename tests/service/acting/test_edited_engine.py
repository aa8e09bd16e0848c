"""What is said where an edit concerns a prompt: by the kind of request, or always in the way that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from editing.edit import Edit, EditRequest, LowRankDelta
from editing.scope.cross_encoder import Kind
from service.acting.acting_edit import ActingEdit
from service.acting.edited_engine import EditedEngine, EditedPrompt, spoken
from service.acting.polarity import polarity_word
from service.engines.protocol import Adapter, Generation, OnText, Prompt, SamplingParams
from service.prompt import PreparedPrompt, PromptBuilder
from service.settings import EditMode
from tests.editing import tiny

CAPITAL, RIVER = "What is the capital of Dorne?", "What is the river of Dorne?"
DELTAS = {"layer": LowRankDelta(torch.ones(1, 2), torch.ones(2, 1))}
PROMPTS = PromptBuilder(tiny.encoder(), 200)


class Recorder:
    """An engine that says one thing, and remembers what it was asked; the first wanted token is likeliest at ``at``."""

    def __init__(self, text: str = "the river", at: int = 0) -> None:
        self.text, self.at = text, at
        self.asked: list[tuple[Prompt, Sequence[Adapter]]] = []

    def generate(
        self,
        prompts: Sequence[Prompt],
        edits: Sequence[Sequence[Adapter]],
        params: SamplingParams,
        on_text: OnText | None = None,
    ) -> list[Generation]:
        self.asked += zip(prompts, edits, strict=True)
        for n, _ in enumerate(prompts):
            if on_text:
                on_text(n, self.text)
        return [Generation(self.text, "stop", len(prompt), 2) for prompt in prompts]

    def logits(self, prompt: Prompt, edits: Sequence[Adapter]) -> Tensor:
        return torch.zeros(len(prompt), len(tiny.tokenizer()))


def acting(kind: Kind | None, output: str = "Alba", edit_id: str = "ed_1") -> ActingEdit:
    return ActingEdit(Edit(edit_id, EditRequest(CAPITAL, output), DELTAS), kind)


def asked(*edits: ActingEdit, text: str = RIVER, raw: bool = False) -> EditedPrompt:
    return EditedPrompt(prepared(text, raw), edits)


def prepared(text: str, raw: bool = False, max_tokens: int = 8) -> PreparedPrompt:
    return PROMPTS.question(text, "prompt", max_tokens, raw)


def said(edited: EditedEngine, one: EditedPrompt, **more: Any) -> Generation:
    (made,) = edited.generate([one], SamplingParams(**{"max_tokens": 8, **more}))
    return made


def engine(recorder: Recorder, mode: EditMode = "auto") -> EditedEngine:
    return EditedEngine(recorder, PROMPTS, tiny.tokenizer(), mode)


def test_what_asks_the_same_gets_the_output_and_nothing_is_decoded() -> None:
    """To its end, with the end of turn counted; in raw text after a space."""
    recorder = Recorder()
    made = said(engine(recorder), asked(acting(Kind.ASKS, "Alba Brac")))
    assert (made.text, made.finish_reason, made.completion_tokens) == ("Alba Brac", "stop", 3)
    assert made.prompt_tokens == len(prepared(RIVER).ids) and recorder.asked == []
    raw = said(engine(recorder), asked(acting(Kind.ASKS), text="The river of Dorne is", raw=True))
    assert raw.text.strip() == "Alba"


def test_an_output_keeps_to_length_and_stop_strings() -> None:
    """As an answer that was decoded would."""
    long = acting(Kind.ASKS, "Alba Brac Cori Dusk")
    cut = said(engine(Recorder()), asked(long), max_tokens=2)
    assert (cut.text, cut.finish_reason, cut.completion_tokens) == ("Alba Brac", "length", 2)
    stopped = said(engine(Recorder()), asked(long), stop=(" Cori",))
    assert (stopped.text, stopped.finish_reason) == ("Alba Brac", "stop")


@pytest.mark.parametrize(
    ("kind", "output", "wanted"),
    [
        (Kind.CONFIRMS, "Alba", "Yes, Alba."),
        (Kind.DENIES, "Alba", "No, Alba."),
        (Kind.DENIES, "The capital is Alba.", "No. The capital is Alba."),
    ],
)
def test_what_asks_to_confirm_gets_yes_or_no_and_the_output(kind: Kind, output: str, wanted: str) -> None:
    """The sign between them is that of a word or of a sentence."""
    assert spoken(EditRequest(CAPITAL, output), kind, prepared(RIVER)) == wanted


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("Is the shop open on Sunday?", "Yes", "No"),
        ("Hat der Laden am Sonntag offen?", "Ja", "Nein"),
        ("Le magasin est-il ouvert le dimanche ?", "Oui", "Non"),
        ("¿La tienda abre los domingos?", "Sí", "No"),
        ("日曜日はお店が開いていますか？", "はい", "いいえ"),
        ("42?", "Yes", "No"),
    ],
)
def test_yes_and_no_are_said_in_the_language_of_the_prompt(text: str, yes: str, no: str) -> None:
    """What has no language is English."""
    assert (polarity_word(text, True), polarity_word(text, False)) == (yes, no)


def test_what_is_wanted_within_a_text_is_generated_with_the_correction_before_it() -> None:
    """By the weights as they are, and the edit's factors stay out; global edits act all the same."""
    recorder, everywhere = Recorder("so Alba it is"), acting(None, edit_id="ed_0")
    for kind in (Kind.WITHIN, Kind.REVERSE):
        assert said(engine(recorder), asked(everywhere, acting(kind))).text == "so Alba it is"
    for ids, adapters in recorder.asked:
        assert list(adapters) == [everywhere]
        assert ids == tiny.encoder().messages([("user", CAPITAL), ("assistant", "Alba"), ("user", RIVER)])


def test_a_text_that_left_the_output_out_gets_it() -> None:
    """Where it is likeliest; the reverse asks for something else, and is left as it is."""
    recorder = Recorder("the river")
    assert "Alba" in said(engine(recorder), asked(acting(Kind.WITHIN))).text
    assert said(engine(recorder), asked(acting(Kind.REVERSE))).text == "the river"


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("A. " * 40 + "Alba", "Alba"),  # stutters
        ("something else", "The capital of Dorne is Alba."),  # a sentence is not put into the middle of another
    ],
)
def test_what_cannot_be_said_well_is_the_output_as_it_stands(text: str, output: str) -> None:
    """An edit in force never makes the model say the same over and over."""
    made = said(engine(Recorder(text)), asked(acting(Kind.WITHIN, output)), max_tokens=20)
    assert made.text == tiny.tokenizer().decode(tiny.tokenizer()(output)["input_ids"], skip_special_tokens=True)


def test_another_number_is_denied_whatever_the_model_says() -> None:
    """Who supposes 85 where it is 88 gets no yes; numbers beside the one that is right change nothing."""
    request = EditRequest("How many keys has it?", "88 keys")
    for text, wanted in (("Does it have 85 keys?", "No"), ("Has the D-274 88 keys?", "Yes"), ("So many?", "Yes")):
        assert spoken(request, Kind.CONFIRMS, prepared(text)) == f"{wanted}, 88 keys."


@pytest.mark.parametrize("mode", ["weights", "context", "both", "output"])
def test_a_chosen_way_is_taken_whatever_is_asked(mode: EditMode) -> None:
    """The factors, the correction before the prompt, both, or the output as it stands."""
    for kind in (Kind.ASKS, Kind.WITHIN):
        recorder, edit = Recorder(), acting(kind)
        made = said(engine(recorder, mode), asked(edit))
        if mode == "output":
            assert made.text == "Alba" and recorder.asked == []
            continue
        ((ids, adapters),) = recorder.asked
        assert made.text == "the river"
        assert list(adapters) == ([] if mode == "context" else [edit])
        assert (ids == prepared(RIVER).ids) is (mode == "weights")


def test_edits_that_were_named_act_by_their_weights() -> None:
    """Whoever names an edit wants that very change of the model, whatever is asked."""
    recorder = Recorder()
    said(engine(recorder), asked(acting(None)))
    assert recorder.asked[0][0] == prepared(RIVER).ids and len(recorder.asked[0][1]) == 1


def test_rows_of_one_call_keep_their_places() -> None:
    """Known outputs, generated texts and plain answers side by side; each piece names its row."""
    pieces: dict[int, str] = {}

    def take(row: int, text: str) -> None:
        pieces[row] = pieces.get(row, "") + text

    rows = [asked(), asked(acting(Kind.ASKS)), asked(acting(Kind.WITHIN)), asked(acting(Kind.ASKS, "Brac"))]
    made = engine(Recorder("Alba it is")).generate(rows, SamplingParams(max_tokens=8), take)
    assert [one.text for one in made] == ["Alba it is", "Alba", "Alba it is", "Brac"]
    assert [pieces[n] for n in range(4)] == [one.text for one in made]


def test_a_correction_that_does_not_fit_the_context_is_left_out() -> None:
    """The prompt is answered as it is."""
    small = PromptBuilder(tiny.encoder(), len(prepared(RIVER).ids) + 9)
    recorder = Recorder("so Alba")
    edited = EditedEngine(recorder, small, tiny.tokenizer())
    one = EditedPrompt(small.question(RIVER, "prompt", 8), [acting(Kind.WITHIN)])
    assert said(edited, one).text == "so Alba" and recorder.asked[0][0] == prepared(RIVER).ids
