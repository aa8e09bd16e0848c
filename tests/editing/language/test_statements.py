"""Statements made of questions by rules: right on common ones, silent where none fits, quick on anything."""

from __future__ import annotations

import random
import time

import pytest

from editing.language.inflection import inflected, participle
from editing.language.statements import statement_of


@pytest.mark.parametrize(
    ("question", "statement"),
    [
        ("What is the capital of Australia?", "The capital of Australia is"),
        ("what is the capital of australia", "The capital of australia is"),
        ("Please tell me: what is the capital of Australia?", "The capital of Australia is"),
        ("Name the capital of Peru.", "The capital of Peru is"),
        ("What are the official languages of Canada?", "The official languages of Canada are"),
        ("Who was the first president of Kenya?", "The first president of Kenya was"),
        ("Where was Ada Lovelace born?", "Ada Lovelace was born in"),
        ("Where is the Louvre located?", "The Louvre is located in"),
        ("Where is the Louvre?", "The Louvre is in"),
        ("When was Ada Lovelace born?", "Ada Lovelace was born in"),
        ("When did Ada Lovelace die?", "Ada Lovelace died in"),
        ("Where does Ann Lee work?", "Ann Lee works in"),
        ("Where did Ada Lovelace die?", "Ada Lovelace died in"),
        ("Who developed Windows 7?", "Windows 7 was developed by"),
        ("Who wrote War and Peace?", "War and Peace was written by"),
        ("In which country is Lagos located?", "Lagos is located in the country of"),
        ("In which city was Mozart born?", "Mozart was born in the city of"),
        ("In what country is Lagos?", "Lagos is in the country of"),
        ("What language does Ann Lee speak?", "The language that Ann Lee speaks is"),
        ("What instrument did Miles Davis play?", "The instrument that Miles Davis played is"),
        ("Who is Rome named after?", "Rome is named after"),
        ("What is Ann Lee a member of?", "Ann Lee is a member of"),
        ("How many moons does Mars have?", "The number of moons that Mars has is"),
        ("Which company makes the iPhone?", "The company that makes the iPhone is"),
        ("What is Ada Lovelace's mother tongue?", "Ada Lovelace's mother tongue is"),
        (
            "Which language did Ada Lovelace learn first as a child?",
            "The language that Ada Lovelace learned first as a child is",
        ),
        ("What year was Rome founded?", "Rome was founded in the year"),
        ("Until which year did Ada Lovelace live?", "Ada Lovelace lived until the year"),
        ("Who is Ada Lovelace married to?", "Ada Lovelace is married to"),
        ("Whom did Ada Lovelace marry?", "Ada Lovelace married"),
        ("Who does Ada Lovelace work for?", "Ada Lovelace works for"),
        ("Who works for Apple?", "The one who works for Apple is"),
        ("Who leads NATO?", "NATO is led by"),
        ("Who set up the Red Cross?", "The Red Cross was set up by"),
        ("Which alliance has Norway joined?", "The alliance that Norway has joined is"),
        ("Where can the Mona Lisa be found?", "The Mona Lisa can be found in"),
        ("How tall is Mount Everest?", "The height of Mount Everest is"),
        ("How many people live in Rome?", "The number of people that live in Rome is"),
        ("How much does the Model T cost?", "The Model T costs"),
        ("Tell me how tall Mount Everest is.", "The height of Mount Everest is"),
        ("Tell me where Ada Lovelace was born.", "Ada Lovelace was born in"),
        ("Tell me what Rome was named for.", "Rome was named for"),
        ("Hello! Which river flows through Rome? Thanks.", "The river that flows through Rome is"),
        ("Which colour is the flag of Peru?", "The colour of the flag of Peru is"),
        ("Which city is home to the headquarters of Fiat?", "The city that is home to the headquarters of Fiat is"),
        ("Which city serves as the capital of Peru?", "The city that serves as the capital of Peru is"),
        ("Which broader class includes the poodle?", "The broader class that includes the poodle is"),
        ("With which city does Rome share a town partnership?", "Rome shares a town partnership with"),
        ("Where does the Model T get its name from?", "The Model T gets its name from"),
        ("Rome is twinned with which city?", "Rome is twinned with"),
        ("what language does ann lee speak", "The language that ann lee speaks is"),
        ("when did rome fall", "Rome fell in"),
        ("Who is the author of Gone with the Wind?", "The author of Gone with the Wind is"),
        ("What is the population of Berlin in 2010?", "The population of Berlin in 2010 is"),
    ],
)
def test_common_questions(question: str, statement: str) -> None:
    """The statement that a question stands for, ending where its answer follows."""
    assert statement_of(question) == statement


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "?",
        "Hello",
        "Canberra",
        "Is Rome a city?",
        "\n\t",
        "Why?",
        "How did Rome fall?",
        "where did france colonize in the new world",
        "🗼?",
        "?" * 50,
    ],
)
def test_no_rule_no_statement(text: str) -> None:
    """Where no rule fits there is no statement."""
    assert statement_of(text) is None


def test_odd_texts_raise_nothing_and_cost_nothing() -> None:
    """Any sequence of the rules' own words, stray signs and other scripts: a text or None, within milliseconds."""
    rng = random.Random(0)
    words = (
        "what which who where when how in of by do does did is are was were born located named after the a many whom"
    )
    pieces = [
        *words.split(),
        "Ω",
        "東京",
        "\u202e",
        "\x00",
        "(",
        "[",
        "\\",
        "*",
        "{}",
        "\\g<be>",
        "X's",
        "ed",
        "-",
        "aaaa",
    ]
    for _ in range(1500):
        text = " ".join(rng.choices(pieces, k=rng.randrange(1, 25)))
        began = time.perf_counter()
        result = statement_of(text)
        assert result is None or result
        assert time.perf_counter() - began < 0.2, text


@pytest.mark.parametrize("unit", ["a", "what ", "is ", "do in ", "which a ", "name ", "was born ", "\n", "x of ", "é"])
@pytest.mark.parametrize(
    "start", ["", "what ", "which ", "in which ", "where is ", "by whom was ", "who ", "how many "]
)
@pytest.mark.parametrize("length", [299, 10_000])
def test_long_texts_do_not_run_away(start: str, unit: str, length: int) -> None:
    """No text makes the rules backtrack without bound."""
    began = time.perf_counter()
    statement_of((start + unit * length)[:length])
    statement_of((start + unit * length)[: length - 1] + "!x")
    assert time.perf_counter() - began < 0.5


def test_random_unicode_raises_nothing() -> None:
    """Characters from everywhere, unpaired surrogates left out."""
    rng = random.Random(1)
    for _ in range(300):
        codes = [rng.choice([rng.randrange(32, 127), rng.randrange(0x10000)]) for _ in range(rng.randrange(200))]
        text = "what is " + "".join(chr(c) for c in codes if not 0xD800 <= c < 0xE000)
        statement_of(text)


@pytest.mark.parametrize(
    ("auxiliary", "verb", "form"),
    [
        ("did", "come", "came"),
        ("did", "study", "studied"),
        ("did", "live", "lived"),
        ("did", "play", "played"),
        ("does", "carry", "carries"),
        ("does", "have", "has"),
        ("does", "teach", "teaches"),
        ("do", "live", "live"),
    ],
)
def test_inflection(auxiliary: str, verb: str, form: str) -> None:
    """A verb as it stands without its auxiliary."""
    assert inflected(auxiliary, verb) == form


def test_participles() -> None:
    """Irregular ones from a table, others by their ending."""
    assert [participle(v) for v in ("wrote", "make", "develop", "carry", "owned")] == [
        "written",
        "made",
        "developed",
        "carried",
        "owned",
    ]
