"""The description of the API: FastAPI's own, with problem documents where it would describe its own errors."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

DESCRIPTION = """A language model that can be corrected while it runs.

Every answer that came out of the model says at which `revision` it was made: the number of the last ledger event that
it rests on; 0 is the base model. Every error is a problem document (RFC 9457, `application/problem+json`): `type` is
stable, `detail` says what is wrong, `errors` names the fields.
"""
PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457). Some problems have further members: `report` (a failed check), "
    "`missing` (not ready), `revision` (the head that moved), `limit` (the size of a body).",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "Stable across releases.", "examples": ["/problems/edit-not-active"]},
        "title": {"type": "string", "examples": ["The edit is not active"]},
        "status": {"type": "integer", "examples": [409]},
        "detail": {"type": "string", "description": "What is wrong and, where one can, what to do."},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
    },
}
FIELD_ERROR: dict[str, Any] = {
    "title": "FieldError",
    "type": "object",
    "required": ["field", "in", "message", "type"],
    "properties": {
        "field": {"type": "string", "description": "Path to the value.", "examples": ["messages.0.role"]},
        "in": {"type": "string", "enum": ["body", "query", "path", "header"]},
        "message": {"type": "string", "examples": ["Input should be a valid integer"]},
        "type": {"type": "string", "examples": ["int_type"]},
    },
}


def describe(app: FastAPI) -> None:
    """Give ``app`` the description that ``/openapi.json`` and ``/docs`` show."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _schema(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _schema(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(title="Errata", version=app.version, description=DESCRIPTION, routes=app.routes)
    schemas: dict[str, Any] = schema.setdefault("components", {}).setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas.update(Problem=PROBLEM, FieldError=FIELD_ERROR)
    return schema
