"""What the scope of edits looks at: the last turn and what was said before it."""

from __future__ import annotations

from editing.edit import EditRequest
from editing.scope.prompt import ScopePrompt
from service.engines.protocol import SamplingParams
from service.prompt import PromptBuilder
from service.types.generation import GenerateQuery, Message
from tests.editing import tiny

FEW = SamplingParams(max_tokens=4)


def about(query: GenerateQuery) -> ScopePrompt:
    return PromptBuilder(tiny.encoder(), 400).of_query(query).about


def test_a_conversation_is_about_its_last_turn_in_the_light_of_the_two_before() -> None:
    """The model reads the turns as they were written, all of them."""
    said = ("Hello!", "Hello.", "Tell me about Peru.", "Gladly.", "What is its capital?")
    turns = tuple(Message("assistant" if n % 2 else "user", text) for n, text in enumerate(said))
    query = GenerateQuery(FEW, messages=(Message("system", "Be brief."), *turns))
    assert about(query) == ScopePrompt("What is its capital?", "Tell me about Peru. / Gladly.")
    written = tiny.encoder().messages([("system", "Be brief."), *((turn.role, turn.content) for turn in turns)])
    assert PromptBuilder(tiny.encoder(), 400).of_query(query).ids == written


def test_a_correction_is_said_before_the_conversation_and_after_the_system_prompt() -> None:
    """Where there is room; a text that is continued has it in a line of its own."""
    builder, request = PromptBuilder(tiny.encoder(), 400), EditRequest("What is the capital of Dorne?", "Alba")
    turns = (Message("system", "Be brief."), Message("user", "Tell me about Dorne."))
    ids = builder.with_correction(builder.of_query(GenerateQuery(FEW, messages=turns)), request)
    said = [("system", "Be brief."), ("user", request.input), ("assistant", "Alba"), ("user", "Tell me about Dorne.")]
    assert ids == tiny.encoder().messages(said)
    raw = builder.with_correction(builder.of_query(GenerateQuery(FEW, "The river of Dorne is", raw=True)), request)
    assert raw == tiny.encoder().raw("What is the capital of Dorne? Alba\nThe river of Dorne is")


def test_a_prompt_is_about_itself() -> None:
    """Raw or not."""
    for raw in (False, True):
        assert about(GenerateQuery(FEW, "Who wrote Dune?", raw=raw)) == ScopePrompt("Who wrote Dune?")
