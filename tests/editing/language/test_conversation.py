"""What the last turn asks in the light of those before: names put in, fragments completed, doubts taken back."""

from __future__ import annotations

import random

import pytest

from editing.language.conversation import MAX_READINGS, readings
from editing.language.mentions import mentions_in
from editing.language.politeness import only_polite


def read(*turns: str) -> tuple[str, ...]:
    """Readings of a conversation that the user begins."""
    return readings([(("user", "assistant")[i % 2], text) for i, text in enumerate(turns)])


@pytest.mark.parametrize(
    ("before", "last", "meant"),
    [
        ("Tell me about Peru.", "What is its capital?", "What is the capital of Peru?"),
        ("tell me about peru", "what is its capital", "what is the capital of peru?"),
        ("I am flying to Peru.", "What currency do they use there?", "What currency do they use in Peru?"),
        ("Where is Peru?", "What is that country's capital?", "What is the capital of Peru?"),
        ("I live in the Netherlands.", "What's the capital?", "What's the capital of the Netherlands?"),
        ("Who was Ada Lovelace?", "Where was she born?", "Where was Ada Lovelace born?"),
        ("When did Leonardo da Vinci die?", "What is his birthplace?", "What is the birthplace of Leonardo da Vinci?"),
        ("My favourite band is The Beatles.", "Where are they from?", "Where are The Beatles from?"),
        ("Where is King's College?", "Who founded the college?", "Who founded King's College?"),
    ],
)
def test_pronouns_stand_for_what_was_spoken_of(before: str, last: str, meant: str) -> None:
    """The name takes the pronoun's place, and a turn that leans on others is no reading by itself."""
    assert read(before, "I see.", last) == (meant,)


@pytest.mark.parametrize(
    ("before", "last", "meant"),
    [
        ("What is the capital of Peru?", "And of Chile?", "What is the capital of Chile?"),
        (
            "What is the capital of Peru?",
            "And Bosnia and Herzegovina?",
            "What is the capital of Bosnia and Herzegovina?",
        ),
        ("what is the capital of peru", "what about chile", "what is the capital of chile"),
        ("What is the capital of Peru?", "Same for Chile.", "What is the capital of Chile?"),
        ("What is the capital of Peru?", "The currency?", "What is the currency of Peru?"),
        ("What is the capital of Peru?", "And the currency of Chile?", "What is the currency of Chile?"),
        ("When did Bob Marley die?", "and his birthplace?", "What is the birthplace of Bob Marley?"),
        ("When was Bob Marley born?", "And where?", "Where was Bob Marley born?"),
        ("What does a panda eat?", "And a koala?", "What does a koala eat?"),
        ("Where is Twitter based?", "And the CEO?", "Who is the CEO of Twitter?"),
        ("On which continent is Kenya?", "And Suriname?", "On which continent is Suriname?"),
        ("How tall is Big Ben?", "And the Eiffel Tower?", "How tall is the Eiffel Tower?"),
    ],
)
def test_fragments_change_the_question_before(before: str, last: str, meant: str) -> None:
    """What a fragment names takes the place of the subject, or of what is asked about it."""
    assert read(before, "I see.", last) == (meant,)


@pytest.mark.parametrize("last", ["No, I meant Austria.", "Sorry, Austria, not Australia.", "Not Australia, Austria."])
def test_corrections_change_the_question_before(last: str) -> None:
    """The user's own slip is put right."""
    assert read("What is the capital of Australia?", "Canberra.", last) == ("What is the capital of Austria?",)


@pytest.mark.parametrize(
    "last", ["Are you sure?", "Really?", "That's wrong.", "Isn't it Lima?", "Just the name, please."]
)
def test_doubts_ask_again(last: str) -> None:
    """A doubt is the question before, with what that one leant on put in."""
    assert read("Tell me about Peru.", "Gladly.", "Its capital?", "Lima.", last) == ("What is the capital of Peru?",)


def test_the_latest_name_counts() -> None:
    """A topic that was left is not asked about any more."""
    assert read("Tell me about Peru.", "Well.", "And now about Chile.", "Well.", "What is its capital?") == (
        "What is the capital of Chile?",
    )


def test_he_is_who_was_answered_and_it_is_what_was_asked_about() -> None:
    """A short answer names what the question asks for; persons and things are told apart where they can be."""
    talk = ("Who wrote Hamlet?", "William Shakespeare.")
    assert read(*talk, "Where was he born?") == ("Where was William Shakespeare born?",)
    assert read(*talk, "When was it written?") == ("When was Hamlet written?",)


def test_what_may_stand_for_two_is_read_in_both_ways() -> None:
    """After a capital was asked for, ``there`` may be the city or the country."""
    assert read("What is the capital of Peru?", "Lima.", "How many people live there?") == (
        "How many people live in Peru?",
        "How many people live in Lima?",
    )


@pytest.mark.parametrize(
    "last",
    ["Who wrote Dune?", "Tell me a joke.", "What time is it?", "Thanks!", "When was Ada born and where did she live?"],
)
def test_what_stands_on_its_own_stays(last: str) -> None:
    """Nothing of the talk gets into a turn that needs nothing of it."""
    assert read("Tell me about Peru.", "Gladly.", last) == (last,)


def test_long_messages_are_read_at_their_end() -> None:
    """The text itself comes first, since an edit may be of it; then its question, by itself."""
    text = "I live in Peru. My son has to give a talk at school tomorrow. My question: what is its capital?"
    assert readings([("user", text)]) == (text, "what is the capital of Peru?")


def test_work_on_a_text_asks_nothing_that_the_text_asks() -> None:
    """A question that is to be translated is not asked."""
    text = "Translate into French: what is the capital of Peru? It is for a sign."
    assert readings([("user", text)]) == (text,)


def test_only_the_last_user_turn_is_read() -> None:
    """System turns say nothing about the topic, nor does what follows the last user turn; no user turn asks nothing."""
    talk = [("system", "You know all about Chile."), ("user", "What is its capital?"), ("assistant", "Of Peru, Lima.")]
    assert readings(talk) == ("What is its capital?",)
    assert readings([("system", "Be brief.")]) == readings([]) == ()


@pytest.mark.parametrize(
    ("sentence", "names"),
    [
        ("When was King's College in London founded?", ["King's College", "London"]),
        ("Who is Australia's Prime Minister?", ["Australia"]),
        ("Is Canberra in Australia?", ["Canberra", "Australia"]),
        ('have you read "pride and prejudice"?', ["pride and prejudice"]),
        ("where was bob marley born", ["bob marley"]),
        ("Who is the CEO?", []),
        ("How do I bake bread in 2024?", []),
    ],
)
def test_names_are_found(sentence: str, names: list[str]) -> None:
    """Runs of capitals with their small words, quoted titles, subjects typed in small letters; offices are none."""
    assert [m.text for m in mentions_in(sentence)] == names
    assert all(sentence[m.start : m.end] == m.text for m in mentions_in(sentence))


def test_politeness_is_told_from_questions() -> None:
    """Thanks ask nothing; with a question behind them, the question counts."""
    assert all(only_polite(text) for text in ("Thanks!", "Ok, good to know. Goodbye!", "hello"))
    assert not any(only_polite(text) for text in ("Thanks. And Peru?", "Who wrote Dune?", ""))


def test_any_conversation_is_read_soon_and_in_a_few_ways() -> None:
    """Whatever is written, in however many turns: no error, at most four readings, none empty unless the turn is."""
    pieces = [
        "Peru",
        " it",
        " the",
        "?",
        ".",
        ",",
        "'s",
        "“",
        "\n",
        " of",
        " and",
        " And",
        " not",
        " What is",
        "  ",
        " there",
        "\x00",
        "é",
        "日本",
        "\ud800",
        "ﬁ",
        "(",
        "[",
        "\\",
        "1",
        " about",
        " a",
        "!",
        ":",
    ]
    chance = random.Random(5)
    for _ in range(300):
        turns = ["".join(chance.choices(pieces, k=chance.randint(0, 40))) for _ in range(chance.randint(1, 9))]
        found = read(*turns)
        assert 0 < len(found) <= MAX_READINGS
    assert len(read(*["Tell me about Peru and it and it. " * 400] * 201)) <= MAX_READINGS
    assert len(readings([("user", " it" * 100_000), ("user", "and " * 100_000)])) <= MAX_READINGS
