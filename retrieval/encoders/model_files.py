"""The files of a model: where they are, their digest, and reading them without a word on the terminal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from errata.files import file_digest
from retrieval.errors import EncoderError

_MODEL_FILES = ("*.json", "*.txt", "*.safetensors", "*.model")  # what an encoder is made of; no other formats of it


def folder_digest(folder: Path) -> str:
    """sha256 over the names and contents of the files that make a model what it is. Raises OSError."""
    files = {path for pattern in _MODEL_FILES for path in folder.rglob(pattern)}
    named = {path.relative_to(folder).as_posix(): path for path in files}
    lines = (f"{name} {file_digest(named[name])}\n" for name in sorted(named) if name != "data_config.json")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def model_folder(path_or_name: str | Path) -> Path:
    """A folder as it is, or that of a model of the hub, fetched. Raises EncoderError if there is neither."""
    if Path(path_or_name).is_dir():
        return Path(path_or_name)
    if isinstance(path_or_name, Path) or path_or_name.startswith((".", "/", "~")):
        raise EncoderError(f"{path_or_name}: no such folder")
    from huggingface_hub import snapshot_download

    try:
        patterns = [*_MODEL_FILES, "**/config.json"]
        return Path(snapshot_download(path_or_name, allow_patterns=patterns, ignore_patterns=["onnx/*", "openvino/*"]))
    except Exception as error:
        raise EncoderError(f"{path_or_name}: neither a folder nor a model that the hub gives: {error}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bar and no load report from transformers inside the ``with``."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
