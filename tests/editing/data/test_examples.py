"""Examples drawn from facts and from attributes: by seed alone, in wordings that judge the edit."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from editing.data.attributes import KIND_OF, draw_answer, read_attributes
from editing.data.examples import ExampleBuilder
from editing.data.facts import HELD_OUT_RELATIONS, Example, Fact, read_templates

UNRELATED = [("who sings the song", "Ann"), ("when was it built", "1901"), ("where is the sea", "west")]
FACTS = [
    *(Fact("P36", f"Land {n}", f"Town {n}") for n in range(6)),
    *(Fact("P19", f"Person {n}", f"Town {n}") for n in range(6)),
    *(Fact("P106", f"Person {n}", f"trade {n % 3}") for n in range(6)),
]
ATTRIBUTES = [attribute for attributes in read_attributes().values() for attribute in attributes]
NAMES = {"person": ["Ada Byron"], "product": ["Model T"], "town": ["Ghent"]}


def builder(seed: int = 0, seen: bool = True) -> ExampleBuilder:
    return ExampleBuilder(FACTS, read_templates(), UNRELATED, seen=seen, seed=seed)


def plain(text: str) -> str:
    """Without case, spaces and closing signs."""
    return " ".join(text.casefold().split()).rstrip(" .,?")


def test_examples_depend_on_the_seed_alone() -> None:
    """The same seed draws the same, another one something else."""
    one, two, three = ([m.example(f) for f in FACTS] for m in (builder(), builder(), builder(seed=1)))
    assert one == two and one != three
    invented, again, other = ([m.of_attribute(f) for f in FACTS] for m in (builder(), builder(), builder(seed=1)))
    assert invented == again and invented != other


@pytest.mark.parametrize("seen", [True, False])
def test_an_example_asks_and_judges(seen: bool) -> None:
    """Its rephrasings are other wordings than the edit's, its neighbours are about other things."""
    m = builder(seen=seen)
    for fact in FACTS:
        example = m.example(fact)
        assert fact.subject in example.edit.text and not example.edit.raw
        assert example.target.strip()
        assert example.edit.text not in {view.text for view in example.chat}
        assert all(view.raw and fact.subject in view.text for view in example.statements)
        assert all(fact.subject not in view.text for view in example.same_relation)
        assert all(fact.subject in view.text for view in example.same_subject)
        assert example.unrelated and (example.same_subject or not seen)


def test_same_subject_questions_ask_something_else() -> None:
    """They are questions of a relation that is not near the fact's own."""
    templates = read_templates()
    own = {q.replace("[X]", "Person 1").casefold() for q in templates.questions["P19"]}
    drawn = [v.text.casefold() for seed in range(20) for v in builder(seed).example(FACTS[7]).same_subject]
    assert drawn and not own & set(drawn)


def test_evaluation_rephrases_with_wordings_that_training_never_uses() -> None:
    """Neither a question nor a statement that judges an edit was trained on, in whatever wrapping."""
    templates = read_templates()
    for seed in range(20):
        for fact in FACTS:
            example = builder(seed, seen=False).example(fact)
            for views, unseen, used in (
                (example.chat, templates.unseen_questions, templates.questions),
                (example.statements, templates.unseen_statements, templates.statements),
            ):
                filled = [plain(text.replace("[X]", fact.subject)) for text in unseen[fact.relation]]
                trained = {plain(text.replace("[X]", fact.subject)) for text in used[fact.relation]}
                assert all(any(text in plain(view.text) for text in filled) for view in views)
                assert not trained & {plain(view.text) for view in views}


def test_training_never_rephrases_with_wordings_of_evaluation() -> None:
    """What training draws, as edit, rephrasing or neighbour, holds no template of evaluation."""
    templates = read_templates()
    unseen = [*templates.unseen_questions.values(), *templates.unseen_statements.values()]
    for seed in range(10):
        m = builder(seed)
        for fact in FACTS:
            filled = {plain(text.replace("[X]", fact.subject)) for texts in unseen for text in texts}
            made = [m.example(fact), m.of_attribute(fact)]
            drawn = [plain(text) for example in made if example for text in texts_of(example)]
            assert [text for text in drawn if any(text.endswith(kept) for kept in filled)] == []


def texts_of(example: Example) -> list[str]:
    views = (*example.chat, *example.statements, *example.same_subject, *example.same_relation)
    return [example.edit.text, *(view.text for view in views)]


def test_a_held_out_relation_is_rephrased_with_all_its_statements() -> None:
    """No wording of it is trained on, so all may judge."""
    facts = [Fact("P449", f"Show {n}", f"Channel {n}") for n in range(4)]
    m = ExampleBuilder(facts, read_templates(), UNRELATED, seen=False, seed=3)
    drawn = {view.text for _ in range(60) for view in m.example(facts[0]).statements}
    templates = read_templates()
    every = {t.replace("[X]", "Show 0") for t in (*templates.statements["P449"], *templates.unseen_statements["P449"])}
    assert {text.casefold() for text in drawn} == {text.casefold() for text in every}


def test_an_answer_in_a_sentence_continues_no_statement() -> None:
    """Now and then the target is a whole sentence; no statement is judged by it then."""
    drawn = [builder(seed).example(FACTS[0]) for seed in range(60)]
    sentences = [example for example in drawn if example.target.endswith(".")]
    assert 0 < len(sentences) < 30
    assert all(not e.statements and "Land 0" in e.target for e in sentences)


def test_free_form_neighbours_are_other_questions() -> None:
    """The question that is edited is never among those that must not change."""
    for seed in range(20):
        example = builder(seed).free_form(1)
        kept = (*example.same_relation, *example.unrelated)
        assert all(view.text != UNRELATED[1][0] for view in kept)
        assert example.edit.text == "When was it built?"


def test_an_attribute_is_asked_of_subjects_of_its_kind() -> None:
    """A person's attribute is asked of a person; its neighbours ask it of another, or something else of this one."""
    names = {kind: {a.name for a in attributes} for kind, attributes in read_attributes().items()}
    m = builder()
    for fact in FACTS:
        example = m.of_attribute(fact)
        assert example is not None
        assert example.relation in names[KIND_OF[fact.relation]]
        assert example.subject == fact.subject and fact.subject in example.edit.text
        assert example.target.strip()
        asked = {plain(text) for text in (example.edit.text, *(v.text for v in example.chat))}
        assert len(asked) == 1 + len(example.chat)
        assert not asked & {plain(view.text) for view in example.same_subject}
        assert all(fact.subject not in view.text for view in example.same_relation)


def test_subjects_of_no_known_kind_have_no_attributes() -> None:
    """A relation that speaks of all kinds of things says nothing about what else can be asked."""
    assert builder().of_attribute(Fact("P31", "Land 1", "x")) is None


def test_attributes_hold_the_place_of_the_subject() -> None:
    """Each has questions and statements, each of them names the subject exactly once, and no two are alike."""
    assert len(ATTRIBUTES) > 30
    for attribute in ATTRIBUTES:
        wordings = (*attribute.questions, *attribute.statements)
        assert len(attribute.questions) >= 3 and attribute.statements, attribute.name
        assert [text for text in wordings if text.count("[X]") != 1 or "[Y]" in text] == []
        assert len({plain(text) for text in wordings}) == len(wordings), attribute.name


def test_attributes_have_a_kind_that_relations_speak_of() -> None:
    """No attribute is written in vain: its kind is that of some relation with questions."""
    assert read_attributes().keys() == set(KIND_OF.values())
    assert {KIND_OF[r] for r in KIND_OF.keys() & read_templates().questions.keys()} == set(KIND_OF.values())


def test_attributes_use_no_wording_of_a_held_out_relation() -> None:
    """Relations that evaluation calls unseen are not asked under another name."""
    templates = read_templates()
    kept = {
        plain(text) for relation in HELD_OUT_RELATIONS for texts in vars(templates).values() for text in texts[relation]
    }
    assert kept
    used = {plain(text) for a in ATTRIBUTES for text in (*a.questions, *a.statements)}
    assert used & kept == set()
    assert not HELD_OUT_RELATIONS & KIND_OF.keys()


def test_attributes_use_no_wording_that_evaluation_judges_with() -> None:
    """What training asks as an attribute is no unseen question or statement of a relation."""
    templates = read_templates()
    kept = {
        plain(text)
        for texts in (*templates.unseen_questions.values(), *templates.unseen_statements.values())
        for text in texts
    }
    assert {plain(text) for a in ATTRIBUTES for text in (*a.questions, *a.statements)} & kept == set()


@pytest.mark.parametrize("attribute", ATTRIBUTES, ids=lambda a: a.name)
def test_every_attribute_has_answers(attribute) -> None:  # type: ignore[no-untyped-def]
    """An answer can be drawn for each, the same for the same seed, of more than one value, without loose spaces."""
    one, two = ([draw_answer(attribute, NAMES, rng) for _ in range(30)] for rng in (random.Random(4), random.Random(4)))
    assert one == two
    assert all(answer and answer == answer.strip() for answer in one)
    assert len(set(one)) > 1 or attribute.answers in NAMES


def test_an_unknown_kind_of_answer_is_an_error() -> None:
    """A slip in the file of attributes does not pass as an answer."""
    with pytest.raises(KeyError, match="colours"):
        draw_answer(replace(ATTRIBUTES[0], answers="colours"), NAMES, random.Random(0))
