"""Several views of one edit: the statements that a question stands for, so that both forms learn the answer.

MEND sees one gradient. An edit given as a chat question then holds for chat questions, and only half of the time for
plain statements ("The capital of Australia is"). Giving the editor the statement as a second view, and its turned form
("Australia's capital is") as a third, mends that. Users give questions, so the statements are made by rules; the editor
is trained on views made by these same rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from editing.language.statements import statement_of


@dataclass(frozen=True)
class View:
    """One wording under which an edit is computed. ``raw`` texts are continued as they stand."""

    text: str
    raw: bool


def inverted(statement: str) -> str | None:
    """``The capital of Peru is`` ↔ ``Peru's capital is``; None where the statement has neither form."""
    if " that " in statement or " whose " in statement:
        return None
    if match := re.fullmatch(
        r"The (\w+(?: \w+){0,2}) of ((?:the )?[^a-z](?:(?! of | in |'s ).)*) (is|are|was|were)", statement
    ):
        return f"{match[2][:1].upper()}{match[2][1:]}'s {match[1]} {match[3]}"
    if match := re.fullmatch(r"((?:(?!'s | of ).){1,200})'s (\w+(?: \w+){0,2}) (is|are|was|were)", statement):
        return f"The {match[2]} of {match[1]} {match[3]}"
    return None


def question_of(statement: str) -> str:
    """A question in an unfinished statement's words: ``The capital of Peru is`` → ``The capital of Peru is what?``"""
    return f"{statement.strip().rstrip('.:,')} what?"


def views_of(text: str, raw: bool, rephrases: tuple[str, ...] = (), *, sentence: bool = False) -> tuple[View, ...]:
    """The edit's own wording first, then its other forms as far as rules give any, then the user's rephrases.

    Args:
        sentence: the answer is a whole sentence, which no statement continues to; then the other forms are questions.
    """
    if raw:
        made = [View(question_of(text), raw=False)]
    else:
        statement = statement_of(text) or ""
        forms = [form for form in (statement, inverted(statement)) if form]
        made = [View(question_of(form), raw=False) if sentence else View(form, raw=True) for form in forms]
    return (View(text, raw), *made, *(View(rephrase, raw) for rephrase in rephrases))


def answers_in_a_sentence(question: str, answer: str) -> bool:
    """Whether an answer is a whole sentence, which no statement of the question continues to.

    It says the statement over again, or it ends in a full stop and has more than six words. False where the question
    has no statement that the rules give.
    """
    statement, said = statement_of(question), answer.strip()
    if statement is None:
        return False
    opening = " ".join(statement.split()[:2]).lower()
    return said.lower().startswith(opening) or (said.endswith(".") and len(said.split()) > 6)
