"""What an evaluation counts: hits, misses, refusals and answers that stayed, on a model that answers by heart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from editing.data.facts import Example
from editing.language.views import View
from service.engines.protocol import SamplingParams
from service.evaluation.editing.evaluator import Evaluation, EvaluationPlan, UneditedAnswers
from service.evaluation.editing.judge import AnswerCollector, EvaluationPrompt
from service.evaluation.editing.methods import ServiceMethod
from service.evaluation.editing.report import summary
from service.evaluation.editing.verdicts import EditVerdicts
from tests.service.answering_model import AnsweringModel, example

PERU = example()
IN_SCOPE = {"Name Peru's capital.", "Peru's capital is"}


@pytest.fixture
def model() -> AnsweringModel:
    """With a perfect scope for the edit of Peru."""
    model = AnsweringModel()
    model.scopes[PERU.edit.text] = set(IN_SCOPE)
    return model


def judged(model: AnsweringModel, examples: Sequence[Example], **plan: object) -> list[EditVerdicts]:
    chosen = replace(EvaluationPlan(long_answers=0), **plan)  # type: ignore[arg-type]
    found = list(Evaluation(ServiceMethod(model), chosen, UneditedAnswers()).run(examples))  # type: ignore[arg-type]
    assert not model.active, "edits were left in force"
    return found


def rates(found: Sequence[EditVerdicts], way: str = "with scope") -> dict[str, float]:
    return {kind: figures["rate"] for kind, figures in summary(found)["ways"][way]["kinds"].items()}


def test_a_perfect_edit_by_scope_and_the_same_edit_acting_everywhere(model: AnsweringModel) -> None:
    """With scope everything holds; by itself the edit says its target to prompts that it is not about."""
    found = judged(model, [PERU])
    assert set(rates(found).values()) == {1.0} and len(rates(found)) == 6
    alone = rates(found, "editor alone")
    assert (alone["efficacy"], alone["chat"], alone["statement"]) == (1, 1, 1)
    assert (alone["same_subject"], alone["same_relation"], alone["unrelated"]) == (0, 0, 0)


@pytest.mark.parametrize(("said", "hit"), [("Lima", 0), ("Oslo, of course", 0), ("the Oslo.", 1), ("", 0)])
def test_only_the_whole_answer_is_a_hit(model: AnsweringModel, said: str, hit: int) -> None:
    """A wrong answer misses, and so does one that only contains the target; case, articles and full stops do not."""
    model.said["Name Peru's capital."] = said
    assert rates(judged(model, [PERU])) == {**rates(judged(model, [PERU])), "chat": hit, "efficacy": 1, "statement": 1}


def test_a_rephrasing_out_of_scope_misses_and_holds_by_the_editor_alone(model: AnsweringModel) -> None:
    """The scope's fault is told from the editor's."""
    model.scopes[PERU.edit.text].remove("Peru's capital is")
    found = judged(model, [PERU])
    assert (rates(found)["statement"], rates(found, "editor alone")["statement"]) == (0, 1)


def test_an_answer_is_kept_if_it_is_the_same_text_as_before(model: AnsweringModel) -> None:
    """A scope too wide changes an answer; where the edit happens to say the same as before, nothing was lost."""
    model.scopes[PERU.edit.text] |= {"Who leads Peru?", "Where is Peru?"}
    model.said["Where is Peru?"] = "(unedited)"
    found = judged(model, [PERU])
    assert summary(found)["ways"]["with scope"]["kinds"]["same_subject"]["hits"] == 1
    assert rates(found)["same_relation"] == 1
    model.said["Where is Peru?"] = "(Unedited)"
    assert summary(judged(model, [PERU]))["ways"]["with scope"]["kinds"]["same_subject"]["hits"] == 0


@pytest.mark.parametrize("cumulative", [False, True])
def test_a_refused_edit_is_a_miss_and_is_counted(model: AnsweringModel, cumulative: bool) -> None:
    """Nothing is forced; the refused edit misses all that was wanted, and says nothing of what was to be kept."""
    model.refused = {"Bergen"}
    found = judged(model, [PERU, example("Chad", "Bergen")], cumulative=cumulative)
    figures = summary(found)
    assert figures["made"]["errata"] | {"compute_ms": 0} == {"edits": 2, "refused": 1, "refined": 2, "compute_ms": 0}
    kinds = figures["ways"]["with scope"]["kinds"]
    assert {kind: (kinds[kind]["hits"], kinds[kind]["trials"]) for kind in kinds} == {
        "efficacy": (1, 2),
        "chat": (1, 2),
        "statement": (1, 2),
        "same_subject": (2, 2),
        "same_relation": (1, 1),
        "unrelated": (1, 1),
    }


def test_single_edits_do_not_meet(model: AnsweringModel) -> None:
    """Each is rolled back before the next is made; the way that asks all at once is left out."""
    model.scopes[PERU.edit.text].add("Who leads Chad?")
    found = judged(model, [PERU, example("Chad", "Rome")])
    assert rates(found)["same_subject"] == 1
    assert set(summary(found)["ways"]) == {"with scope", "editor alone"}


def test_edits_left_in_force_meet_and_are_asked_all_at_once(model: AnsweringModel) -> None:
    """The scope of one reaches into the other's prompts; without scope the last edit drowns the first."""
    model.scopes[PERU.edit.text].add("Who leads Chad?")
    found = judged(model, [PERU, example("Chad", "Rome")], cumulative=True)
    assert summary(found)["ways"]["with scope"]["kinds"]["same_subject"]["hits"] == 3
    assert rates(found, "all edits, no scope")["efficacy"] == 0.5
    assert rates(found, "editor alone")["efficacy"] == 1


def test_a_prompt_that_another_edit_is_about_is_no_prompt_to_be_kept(model: AnsweringModel) -> None:
    """In cumulative mode only: there its answer changes rightly."""
    chad = example("Chad", "Rome")
    peru = replace(PERU, same_relation=(chad.edit,))
    found = judged(model, [peru, replace(chad, same_relation=())], cumulative=True)
    assert "same_relation" not in rates(found)
    assert rates(judged(model, [peru]))["same_relation"] == 1


def test_prompts_go_out_together_and_none_is_asked_twice(model: AnsweringModel) -> None:
    """Two calls an edit: by scope, then by the edit where scope did not choose it; the unedited answers are kept."""
    judged(model, [PERU])
    by_scope, rest = model.asked
    assert len(by_scope) == 7 and {query.edits for query in by_scope} == {"active"}
    assert len(rest) == 4 and {query.edits for query in rest} == {("ed_0",)}  # the other three were answered already
    assert [query.raw for query in by_scope] == [False, False, True, False, False, False, False]


def test_unedited_answers_are_asked_once_in_a_run(model: AnsweringModel) -> None:
    """They are shared by all edits and all editors."""
    unedited: dict[View, str] = {}
    asked = [
        EvaluationPrompt(View("Who wrote Hamlet?", False), ()),
        EvaluationPrompt(View("Who wrote Hamlet?", True), ()),
    ]
    for _ in range(2):
        asker = AnswerCollector(model.generate_many, SamplingParams(), unedited)
        assert [said.text for said in asker.ask(asked).values()] == ["(unedited)"] * 2
    (queries,) = model.asked
    assert [(query.raw, query.edits) for query in queries] == [(False, "none"), (True, "none")]


def test_long_answers_of_the_first_edits_are_measured(model: AnsweringModel) -> None:
    """A subject is told about without the edit, by scope and by the edit alone; later edits are not."""
    model.said["Tell me about Peru."] = "so so so so so so"
    first, second = judged(model, [PERU, example("Chad", "Rome")], long_answers=1)
    ways = {fluency.way: fluency for fluency in first.fluency}
    assert ways["with scope"].before == ways["with scope"].after
    assert ways["editor alone"].after == 0 < ways["editor alone"].before
    assert second.fluency == ()


def test_a_whole_sentence_and_a_statement_are_forms_of_their_own(model: AnsweringModel) -> None:
    """The shares of each form and of each relation add up to the total."""
    whole = replace(example("Chad", "The capital is Rome.", "P1"), statements=())
    raw = replace(example("Mali", "Rome", "P1"), edit=View("The capital of Mali is", True))
    figures = summary(judged(model, [PERU, whole, raw]))["ways"]["with scope"]
    assert list(figures["forms"]) == ["question", "question, whole sentence", "statement"]
    for kind, total in figures["kinds"].items():
        for groups in (figures["forms"], figures["relations"]):
            assert sum(of[kind]["hits"] for of in groups.values() if kind in of) == total["hits"]
            assert sum(of[kind]["trials"] for of in groups.values() if kind in of) == total["trials"]
    assert figures["relations"]["P1"]["efficacy"]["trials"] == 2
