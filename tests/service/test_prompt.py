"""What the scope of edits looks at: the last turn as it is meant, a single prompt as it stands."""

from __future__ import annotations

from service.engines.protocol import SamplingParams
from service.prompt import PromptBuilder
from service.types.generation import GenerateQuery, Message
from tests.editing import tiny

FEW = SamplingParams(max_tokens=4)


def about(query: GenerateQuery) -> tuple[str, ...]:
    return PromptBuilder(tiny.encoder(), 400).of_query(query).about


def test_a_conversation_is_about_what_its_last_turn_means() -> None:
    """The turns before say what "its" stands for; the model still reads the turns as they were written."""
    said = ("Tell me about Peru.", "Gladly.", "What is its capital?")
    turns = tuple(Message("assistant" if n % 2 else "user", text) for n, text in enumerate(said))
    query = GenerateQuery(FEW, messages=turns)
    assert about(query) == ("What is the capital of Peru?",)
    written = tiny.encoder().messages([(turn.role, turn.content) for turn in turns])
    assert PromptBuilder(tiny.encoder(), 400).of_query(query).ids == written


def test_a_prompt_is_about_itself_first_and_then_about_its_question() -> None:
    """A short one is about nothing else; a text to be continued is never taken apart."""
    assert about(GenerateQuery(FEW, "Who wrote Dune?")) == ("Who wrote Dune?",)
    text = "I live in Peru. What's the capital?"
    assert about(GenerateQuery(FEW, text)) == (text, "What's the capital of Peru?")
    assert about(GenerateQuery(FEW, text, raw=True)) == (text,)
