"""Fields that several requests have: texts that can be written as UTF-8, edit ids, revisions, integers in queries."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

INT64 = 2**63 - 1
MAX_IDS = 1000
MAX_ID = 200  # characters of an edit's id


def storable(text: str) -> str:
    """Refuses lone surrogates, which no tokenizer and no disk takes, and NUL, which PostgreSQL refuses."""
    if "\0" in text:
        raise ValueError("must not contain the character U+0000")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("must not contain lone surrogates (an unpaired \\ud800 … \\udfff escape)")
    return text


def not_blank(text: str) -> str:
    """Refuses texts of nothing but white space."""
    if not text.strip():
        raise ValueError("must not be empty or white space only")
    return text


def digits(text: Any) -> Any:
    """Integers in query strings are written in digits; "" counts as not given."""
    if isinstance(text, str) and not (text.isascii() and text.isdigit()):
        raise ValueError("must be an integer written in digits")
    return text


def edit_choice(value: Any) -> Any:
    """One message for the whole field instead of one for each branch of the union."""
    if isinstance(value, list):
        if len(value) > MAX_IDS:
            raise ValueError(f"must name at most {MAX_IDS} edits")
        if all(isinstance(item, str) and item.strip() and len(item) <= MAX_ID for item in value):
            return [storable(item) for item in value]
    elif value in ("active", "none"):
        return value
    raise ValueError('must be "active", "none" or a list of edit ids')


Text = Annotated[str, AfterValidator(storable)]


NonBlankText = Annotated[Text, AfterValidator(not_blank)]


Name = Annotated[Text, Field(max_length=2000)]


EditId = Annotated[NonBlankText, Field(max_length=MAX_ID, examples=["ed_7f3k2m9qx1ab"])]


Digits = Annotated[int, BeforeValidator(digits)]


Choice = Annotated[
    Literal["active", "none"] | list[str],
    BeforeValidator(edit_choice),
    Field(
        description="Which edits act: `active` (in force and in scope), `none`, or a list of edit ids: exactly these.",
        examples=["active", "none", ["ed_7f3k2m9qx1ab"]],
    ),
]


Revision = Annotated[
    int, Field(ge=0, le=INT64, description="Answer as of this revision (0 = the base model); null = now.", examples=[3])
]


Reason = Annotated[Text, Field(max_length=2000, description="Kept in the log.", examples=["ticket 4711"])]


Question = "What is the capital of Australia?"
