"""Vectors of texts on disk: a cache that several processes append to, and that may be lost or damaged at any time.

A record is magic (8), digest of the text (16), CRC-32 (4), and the vector (d) in float16. The magic names the format
and the encoder, so vectors of another one are never taken for these. Nothing is rewritten. What a crash or a full disk
left half written is stepped over: reading goes on at the next magic.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
import zlib
from pathlib import Path

import numpy as np

from editing.scope.wording_index import Floats
from errata.files import sync

FORMAT = 2
HEAD = struct.Struct("<8s16sI")
BLOCK = 1 << 24  # bytes read at once


class VectorCache:
    """Texts to vectors. Safe for threads; each process opens its own.

    Args:
        directory: where the file is, one for each encoder; made if it is missing.
        encoder: digest of the encoder.
        dim: d of its vectors.

    Raises:
        OSError: by every method; the caller can do without.
    """

    def __init__(self, directory: Path, encoder: str, dim: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / f"{encoder[:16]}-{FORMAT}.vectors"
        self.magic = hashlib.blake2b(f"errata scope {FORMAT} {encoder} {dim}".encode(), digest_size=8).digest()
        self.dim = dim
        self.length = HEAD.size + 2 * dim  # of a record, in bytes
        self._places: dict[bytes, int] = {}  # digest → offset of its record
        self._read_to = 0
        self._lock = threading.Lock()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            self._file = os.open(self.path, flags, 0o644)
        except PermissionError:
            self._file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)  # read what is there all the same
        self.catch_up()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, text: str) -> bool:
        return text_digest(text) in self._places

    def close(self) -> None:
        os.close(self._file)

    def catch_up(self) -> None:
        """Learn what was appended since, by whatever process."""
        with self._lock:
            while block := os.pread(self._file, BLOCK, self._read_to):
                done = self._take_in(block)
                self._read_to += done
                if not done:  # torn, or still being written
                    return

    def load(self, text: str) -> Floats | None:
        """The vector (d,) of a text; None where there is none, or it was damaged."""
        digest = text_digest(text)
        at = self._places.get(digest)
        if at is None:
            return None
        record = os.pread(self._file, self.length, at)
        if not self._is_record(record, digest):
            with self._lock:
                self._places.pop(digest, None)
            return None
        return np.frombuffer(record, np.float16, offset=HEAD.size).astype(np.float32)

    def append(self, text: str, vector: Floats) -> None:
        """Writes one record, unless the text is there."""
        digest = text_digest(text)
        if digest in self._places:
            return
        body = vector.astype(np.float16).tobytes()
        record = HEAD.pack(self.magic, digest, self._sum(digest, body)) + body
        with self._lock:
            written = os.write(self._file, record)
            if written != len(record):
                raise OSError("the disk took only a part of it")
            self._places[digest] = os.lseek(self._file, 0, os.SEEK_CUR) - written  # others may append in between

    def erase(self, text: str) -> None:
        """Overwrites every record of a text with zeros."""
        digest = text_digest(text)
        self.catch_up()
        with self._lock:
            with self.path.open("r+b") as file:
                for at in self._all(digest):
                    file.seek(at)
                    file.write(bytes(self.length))
            sync(self.path)
            self._places.pop(digest, None)

    def _all(self, digest: bytes) -> list[int]:
        """Offsets of all records of a text; two processes may both have appended it."""
        found, start, mark = [], 0, self.magic + digest
        while len(block := os.pread(self._file, BLOCK, start)) >= HEAD.size:
            at = -1
            while (at := block.find(mark, at + 1)) >= 0:
                found.append(start + at)
            start += len(block) - HEAD.size + 1
        return [at for at in dict.fromkeys(found) if at + HEAD.size <= os.fstat(self._file).st_size]

    def _take_in(self, block: bytes) -> int:
        """Finds the records of a block; how many bytes of it are done with."""
        at = 0
        while (at := block.find(self.magic, at)) >= 0:
            end = at + self.length
            if end > len(block) and block.find(self.magic, at + 1) < 0:
                return at  # goes on in the next block, or is torn
            digest = block[at + 8 : at + 24]
            if end <= len(block) and self._is_record(block[at:end], digest):
                self._places[digest] = self._read_to + at
                at = end
            else:
                at += 1
        return max(len(block) - len(self.magic) + 1, 0)

    def _is_record(self, record: bytes, digest: bytes) -> bool:
        if len(record) != self.length:
            return False
        magic, named, checksum = HEAD.unpack_from(record)
        right = magic == self.magic and named == digest
        return bool(right and checksum == self._sum(digest, memoryview(record)[HEAD.size :]))

    @staticmethod
    def _sum(digest: bytes, body: bytes | memoryview) -> int:
        return zlib.crc32(body, zlib.crc32(digest))


def text_digest(text: str) -> bytes:
    """16 bytes that stand for exactly this text."""
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
