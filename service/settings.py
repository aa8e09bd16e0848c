"""Settings, each an environment variable ``ERRATA_<NAME>`` (``HOST`` and ``PORT`` without the prefix as well)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.errors import ServiceError

DEFAULT_MODEL = "smollm2-135m-instruct"
NO_READER = "none"
EditMode = Literal["auto", "weights", "context", "both", "output"]  # how an edit acts
S = TypeVar("S", bound="ServerAddress")


class InvalidSettings(ServiceError):
    """A variable or an option has a value that it cannot have."""


class ServerAddress(BaseSettings):
    """Where the server listens, and where its clients on the same machine find it."""

    model_config = SettingsConfigDict(env_prefix="ERRATA_", extra="ignore", populate_by_name=True)

    host: str = Field(default="127.0.0.1", validation_alias=AliasChoices("ERRATA_HOST", "HOST"))
    port: int = Field(default=8000, ge=0, le=65535, validation_alias=AliasChoices("ERRATA_PORT", "PORT"))

    @property
    def url(self) -> str:
        """For a client; a server that listens at every address is asked at the loopback address of its family."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


class Settings(ServerAddress):
    """What can be chosen when the service starts; the defaults work."""

    home: Path = Field(default=Path("~/.errata"), description="everything that lasts: model, ledger, factors, indexes")
    model: str = Field(default=DEFAULT_MODEL, description="the default model, a local directory, or a name on the hub")
    editor: Path | None = Field(
        default=None,
        description="an editor checkpoint, or `fine-tuning`; by default the one shipped for the model, if any",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="bfloat16 where the processor multiplies it natively, float32 elsewhere"
    )
    edit_mode: EditMode = Field(
        default="auto",
        description="how an edit acts: `auto` by the kind of request, or always by its `weights`, as `context` before "
        "the prompt, `both`, or with its `output` as it stands",
    )
    scope_model: Path | None = Field(
        default=None, description="a scope model that `errata train-scope` trained; by default the one shipped"
    )
    scope_margin: float = Field(
        default=0.0,
        allow_inf_nan=False,
        description="log-odds that a prompt must lie above the calibrated threshold; above 0 fewer are in scope",
    )
    threads: int = Field(
        default=0, ge=0, le=1024, description="threads of one matrix product; 0: one for each core, at most 8"
    )
    encoder: str | None = Field(
        default=None, description="a sentence-transformers directory; without it, all-MiniLM-L6-v2"
    )
    device: str = Field(
        default="auto", description="where `errata index` embeds passages: auto (a GPU if there is one), cpu, cuda, …"
    )
    question_encoder: Path | None = Field(
        default=None, description="a question encoder that `errata train-rag` trained beside the encoder, for retrieval"
    )
    reader: str | None = Field(
        default=None,
        description="a reader's directory, or `none` to answer without; by default the one shipped for the model",
    )
    reranker: str | None = Field(
        default=None, description="a cross-encoder's directory, or its name on the hub, for searches with `rerank`"
    )
    passage_tokens: int = Field(default=2048, ge=1, description="tokens of passages that are read for one answer")
    max_body_bytes: int = Field(default=1 << 20, ge=1024, description="largest request body")
    max_waiting: int = Field(
        default=256, ge=1, description="requests that may wait for the model before new ones get 503"
    )
    batch: int = Field(
        default=16, ge=1, le=256, description="answers decoded together at most; 1: they take turns token by token"
    )
    verify_tokens: int = Field(default=64, ge=8, description="longest answer when an edit is verified")

    @property
    def directory(self) -> Path:
        """``home`` as an absolute path."""
        return self.home.expanduser().absolute()

    @property
    def compute_threads(self) -> int:
        return self.threads or min(8, len(os.sched_getaffinity(0)))


def load_settings(**given: Any) -> Settings:
    """The settings of a command: its own options where they are given (not None), the environment otherwise.

    Raises:
        InvalidSettings: names each variable or option whose value is not valid.
    """
    return _validated(Settings, {name: value for name, value in given.items() if value is not None})


def server_url() -> str:
    """The address that ``ERRATA_HOST``, ``ERRATA_PORT``, ``HOST`` and ``PORT`` give. Raises InvalidSettings."""
    return _validated(ServerAddress, {}).url


def _validated(kind: type[S], given: dict[str, Any]) -> S:
    try:
        return kind(**given)
    except ValidationError as error:
        wrong = [f"{_variable(str(one['loc'][0]))}: {one['msg']}" for one in error.errors() if one["loc"]]
        raise InvalidSettings("; ".join(wrong) or str(error)) from error


def _variable(field: str) -> str:
    """``batch`` → ``ERRATA_BATCH``; ``port`` → ``ERRATA_PORT (or PORT)``."""
    name = field.upper().removeprefix("ERRATA_")
    return f"ERRATA_{name} (or {name})" if name in ("HOST", "PORT") else f"ERRATA_{name}"
