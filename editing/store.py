"""Edits on disk: each one a LoRA adapter as PEFT and vLLM load it, in a directory named by the digest of its content.

``<root>/<first two>/<digest>/`` holds ``adapter_config.json`` and ``adapter_model.safetensors``; the digest is that of
``cat adapter_config.json adapter_model.safetensors | sha256sum``. A directory is written under ``<root>/.tmp``, synced
and then renamed, so that a name stands for the whole content or does not exist. Nothing that has a name is deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from errno import EEXIST, ENOTEMPTY
from pathlib import Path
from typing import Any
from uuid import uuid4

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from editing.edit import Deltas, LowRankDelta
from editing.errors import CorruptFactors, StorageError
from editing.factor_file import Signature, forget, is_whole, signature

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."  # what PEFT puts before a module's name
ABANDONED = 3600.0  # seconds after which a temporary directory belongs to no living writer


class EditStore:
    """Factors by digest. Any number of threads and processes may save and load at once.

    Raises:
        StorageError: by every method, when the disk does not take or give the bytes.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def save(self, deltas: Deltas, base_model: str = "") -> str:
        """Writes the factors of one edit, dtypes kept, and gives their digest; what is there already is left alone.

        Raises:
            ValueError: no deltas.
            StorageError: full or read-only disk; no half-written edit is left under a digest.
        """
        files = adapter_files(deltas, base_model)
        digest = _digest(files)
        with _disk("cannot be written"):
            if not self._path(digest).exists() or self._damaged(digest):
                self._put(digest, files)
            for directory in (self._path(digest).parent, self.root, self.root.parent):
                _sync(directory)
        return digest

    def load(self, digest: str) -> dict[str, LowRankDelta]:
        """The deltas by module name, on the CPU, as they were saved.

        Raises:
            CorruptFactors: missing, or changed since.
        """
        try:
            tensors = load_tensors(self._read(digest)[WEIGHTS])
            names = [key[len(PREFIX) : -len(".lora_A.weight")] for key in tensors if key.endswith(".lora_A.weight")]
            return {name: LowRankDelta(*(tensors[key] for key in _keys(name))) for name in names}
        except (SafetensorError, KeyError, ValueError) as error:
            raise CorruptFactors(digest, f"is no edit: {error}") from error

    def check(self, digest: str, leave_cached: bool = True) -> None:
        """Reads the whole content. Raises CorruptFactors if it is missing or does not match the digest.

        Args:
            leave_cached: false for a reader of everything, who would fill the page cache with what nobody wants.
        """
        try:
            self._read(digest)
        finally:
            if not leave_cached:
                forget(self._path(digest) / WEIGHTS)

    def glance(self, digest: str) -> None:
        """Looks for both files and at their lengths. Raises CorruptFactors if one is missing, cut short or too long."""
        with _disk("cannot be read"), _present(digest):
            path = self._path(digest)
            with (path / WEIGHTS).open("rb") as file:
                whole = is_whole(file)
            if not whole or not (path / CONFIG).stat().st_size:
                raise CorruptFactors(digest, "content does not match its digest: not as long as it was")

    def signature(self, digest: str) -> Signature:
        """Of an edit's files as they lie on disk. Raises CorruptFactors where there can be none: no digest."""
        return signature([self._path(digest) / name for name in (CONFIG, WEIGHTS)])

    def size(self, digest: str) -> int:
        """Bytes on disk. Raises CorruptFactors if it is missing."""
        with _disk("cannot be read"), _present(digest):
            return sum((self._path(digest) / name).stat().st_size for name in (CONFIG, WEIGHTS))

    def orphans(self, known: Collection[str]) -> list[str]:
        """Digests on disk that are not among the known ones: what a crash between file and ledger row leaves behind."""
        with _disk("cannot be read"):
            return sorted(path.name for path in self.root.glob("??/" + "?" * 64) if path.name not in known)

    def _path(self, digest: str) -> Path:
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise CorruptFactors(digest, "is not a digest")
        return self.root / digest[:2] / digest

    def _read(self, digest: str) -> dict[str, bytes]:
        with _disk("cannot be read"), _present(digest):
            files = {name: (self._path(digest) / name).read_bytes() for name in (CONFIG, WEIGHTS)}
        if _digest(files) != digest:
            raise CorruptFactors(digest, "content does not match its digest")
        return files

    def _damaged(self, digest: str) -> bool:
        if not self._path(digest).exists():
            return False
        try:
            self.check(digest)
        except CorruptFactors:
            return True
        return False

    def _put(self, digest: str, files: dict[str, bytes]) -> None:
        final, temporary = self._path(digest), self._temporary()
        damaged = temporary.with_suffix(".damaged")
        try:
            for name, content in files.items():
                _write(temporary / name, content)
            _sync(temporary)
            final.parent.mkdir(exist_ok=True)
            if self._damaged(digest):
                final.rename(damaged)
            temporary.rename(final)
        except OSError as error:
            if error.errno not in (ENOTEMPTY, EEXIST):
                raise
            self.check(digest)  # a writer of the same content was quicker
        finally:
            for path in (temporary, damaged):
                shutil.rmtree(path, ignore_errors=True)

    def _temporary(self) -> Path:
        """A new directory to write in; on the way, those of writers that died are removed."""
        home = self.root / ".tmp"
        home.mkdir(parents=True, exist_ok=True)
        for path in home.iterdir():
            if _age(path) > ABANDONED:
                shutil.rmtree(path, ignore_errors=True)
        temporary = home / uuid4().hex
        temporary.mkdir()
        return temporary


def adapter_files(deltas: Deltas, base_model: str = "") -> dict[str, bytes]:
    """The files of a LoRA adapter by name, as PEFT loads them; dtypes are kept. Raises ValueError: no deltas."""
    return {CONFIG: _config(deltas, base_model), WEIGHTS: _weights(deltas)}


def _config(deltas: Deltas, base_model: str) -> bytes:
    """PEFT's description of the adapter. ``lora_alpha = r`` makes its scale 1.

    ``fan_in_fan_out`` is about the base weight's layout; for GPT-2's ``Conv1D`` PEFT sets it itself when it loads.
    """
    if not deltas:
        raise ValueError("an edit changes at least one module")
    rank = max(delta.rank for delta in deltas.values())
    others = {name: delta.rank for name, delta in deltas.items() if delta.rank != rank}
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": others,
        "alpha_pattern": others,
        "target_modules": sorted(deltas),
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
    }
    return json.dumps(config, indent=1, sort_keys=True).encode()


def _weights(deltas: Deltas) -> bytes:
    tensors: dict[str, Tensor] = {}
    for name, delta in deltas.items():
        for key, tensor in zip(_keys(name), (delta.A, delta.B), strict=True):
            tensors[key] = tensor.detach().cpu().clone().contiguous()
    return save_tensors(tensors, metadata={"format": "pt"})


def _keys(name: str) -> tuple[str, str]:
    """PEFT's names of A (r, in) and B (out, r)."""
    return f"{PREFIX}{name}.lora_A.weight", f"{PREFIX}{name}.lora_B.weight"


def _digest(files: dict[str, bytes]) -> str:
    return hashlib.sha256(files[CONFIG] + files[WEIGHTS]).hexdigest()


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    """Makes names in a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:  # its writer is done
        return 0.0


@contextmanager
def _present(digest: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CorruptFactors(digest, "missing") from error


@contextmanager
def _disk(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"the edit {what}: {error.strerror or error}") from error
