"""Verifies all edits in force again, by free generation through the path of a user's request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from editing.errors import EditingError
from editing.verify import match
from service.edits.registry import EditRegistry
from service.engines.protocol import OnText, SamplingParams
from service.errors import ClientGone, Overloaded, ServiceError
from service.jobs import CancellationToken, Failing
from service.prompt import PromptBuilder
from service.types.generation import Answer, GenerateQuery

GenerateMany = Callable[[Sequence[GenerateQuery], OnText], Sequence[Answer]]
TOGETHER = 16  # prompts decoded at once; other requests get their turn between two tokens


@dataclass(frozen=True)
class VerificationPrompt:
    """One prompt that an edit answers for. ``wanted``: its output, or of a locality prompt the answer recorded.

    Attributes:
        place: of its edit among those in force.
    """

    place: int
    edit_id: str
    what: Literal["input", "rephrase", "locality"]
    query: GenerateQuery
    wanted: str

    def case(self, answer: Answer | Exception) -> dict[str, Any] | None:
        """What is wrong with an answer to it, or None: it holds."""
        text = answer.text if isinstance(answer, Answer) else None
        how = "no" if text is None else match(text, self.wanted)
        if self.what == "locality":
            how = "exact" if text == self.wanted else "no"
        if how == "exact":
            return None
        asked = {"prompt": self.query.prompt, "what": self.what, "wanted": self.wanted}
        return {**asked, "answer": text, "match": how, "why": self._why(answer)}

    def _why(self, answer: Answer | Exception) -> str:
        if not isinstance(answer, Answer):
            return str(answer)
        if self.what == "locality":
            return "the same edits act on this prompt as when this one was made, but the answer is another"
        if self.edit_id not in answer.edits_used:
            others = ", ".join(answer.edits_used)
            return f"{others} answers this {self.what}" if others else f"the edit does not act on this {self.what}"
        return f"the edit acts on this {self.what}, but the answer is another"


class Reverification:
    """The task of a job: asks every edit in force at the revision at which it began.

    Input and rephrases must be answered with the output, the factor file must be whole. A locality prompt is compared
    with the answer recorded when the edit was made, if the same model answers it under the same edits as then; later
    edits may change it rightly. What fails in a batch is asked once more alone, as a user would ask it.

    Args:
        generate_many: the service's own, which users' requests take.
        model: digest of the served model.
        params: greedy, as long as answers may be when an edit is verified.
    """

    def __init__(
        self,
        registry: EditRegistry,
        prompts: PromptBuilder,
        generate_many: GenerateMany,
        model: str,
        params: SamplingParams,
    ) -> None:
        self.registry, self.prompts, self.generate_many = registry, prompts, generate_many
        self.model, self.params = model, params
        self.state = registry.refresh()
        self._cases: dict[str, list[dict[str, Any]]] = {}

    @property
    def revision(self) -> int:
        return self.state.revision

    @property
    def total(self) -> int:
        return len(self.state.active)

    def run(self, watch: CancellationToken) -> None:
        """Raises Cancelled. An edit that cannot be asked is a finding, not an error."""
        waiting: list[VerificationPrompt] = []
        for place, edit_id in enumerate(self.state.active):
            watch.check()
            waiting += self._questions(place, edit_id)
            while len(waiting) >= TOGETHER:
                batch, waiting = waiting[:TOGETHER], waiting[TOGETHER:]
                self._judge(batch, watch)
            watch.tell(waiting[0].place if waiting else place + 1, self.failing())
        if waiting:
            self._judge(waiting, watch)
        watch.tell(self.total, self.failing())

    def failing(self) -> list[Failing]:
        """Findings so far, one for each edit; edits that were rolled back meanwhile are none."""
        statuses = self.registry.refresh().statuses if self._cases else {}
        return [
            self._finding(edit_id, cases)
            for edit_id, cases in self._cases.items()
            if statuses.get(edit_id) != "rolled_back"
        ]

    def _finding(self, edit_id: str, cases: Sequence[dict[str, Any]]) -> Failing:
        request, first = self.registry.request(edit_id), cases[0]
        why = first["why"] if len(cases) == 1 else f"{first['why']}; and {len(cases) - 1} more prompts"
        if not _held(self.registry.event(edit_id).report or {}):
            why += "; it was recorded by force and did not hold then"
        found = {"answer": first["answer"], "match": first["match"], "why": why, "cases": list(cases)}
        return {"edit_id": edit_id, "input": request.input, "wanted": request.output, **found}

    def _questions(self, place: int, edit_id: str) -> Iterator[VerificationPrompt]:
        """What is to be asked of an edit; nothing where its factors are damaged, which is a finding by itself."""
        request = self.registry.request(edit_id, self.state)
        damage = self.registry.health.check(edit_id)
        if damage:
            case = {"prompt": request.input, "what": "input", "wanted": request.output, "answer": None, "match": "no"}
            self._cases[edit_id] = [{**case, "why": damage.why}]
            return
        query = GenerateQuery(self.params, request.input, raw=request.raw, revision=self.revision)
        yield VerificationPrompt(place, edit_id, "input", query, request.output)
        for text in request.rephrases:
            yield VerificationPrompt(place, edit_id, "rephrase", replace(query, prompt=text), request.output)
        for text, recorded in self._recorded(edit_id):
            asked = replace(query, prompt=text)
            if self._as_then(edit_id, asked):
                yield VerificationPrompt(place, edit_id, "locality", asked, recorded)

    def _recorded(self, edit_id: str) -> list[tuple[str, str]]:
        """Locality prompts and their answers when the edit was made, by this model."""
        event = self.registry.event(edit_id)
        cases = (event.report or {}).get("locality", {}).get("cases", [])
        if event.model != self.model:
            return []
        return [(case["prompt"], case["after"]) for case in cases]

    def _as_then(self, edit_id: str, query: GenerateQuery) -> bool:
        """Whether the same edits act on a prompt as when this edit was made."""
        about = self.prompts.of_query(query).about
        then = self.registry.state(self.registry.event(edit_id).seq)
        return self.registry.in_force(about, self.state) == self.registry.in_force(about, then)

    def _judge(self, questions: Sequence[VerificationPrompt], watch: CancellationToken) -> None:
        for question, answer in zip(questions, self._answers(questions, watch), strict=True):
            watch.check()
            if question.case(answer) is None:
                continue
            (alone,) = self._answers([question], watch) if len(questions) > 1 else (answer,)
            if case := question.case(alone):
                self._cases.setdefault(question.edit_id, []).append(case)

    def _answers(
        self, questions: Sequence[VerificationPrompt], watch: CancellationToken
    ) -> Sequence[Answer | Exception]:
        """Answers, or what prevented them: an error in a batch is that of one of its prompts."""
        while True:
            try:
                return self.generate_many([question.query for question in questions], watch.check)
            except Overloaded as error:  # users first
                watch.wait(error.retry_after)
            except ClientGone:
                raise
            except (ServiceError, EditingError) as error:
                if len(questions) == 1:
                    return [error]
                return [answer for question in questions for answer in self._answers([question], watch)]


def _held(report: Any) -> bool:
    """Whether everything was as wanted when the edit was made."""
    wide = report.get("generalization", {})
    return bool(report.get("efficacy")) and wide.get("passed") == wide.get("total")
