"""A server process of its own for a benchmark, on a home of its choice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

START_LIMIT = 600.0  # seconds


@dataclass
class Server:
    """A server process, and how long it took to start."""

    process: subprocess.Popen[bytes]
    url: str
    generates_s: float = 0.0
    ready_s: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    def wait(self) -> None:
        """Until it has started; the two times are kept."""
        self.generates_s = self._until("/healthz")
        self.ready_s = self._until("/readyz")

    def memory(self) -> dict[str, int]:
        """Resident memory now and at its highest, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        lines = dict(line.split(":", 1) for line in status.splitlines())
        return {name: int(lines[key].split()[0]) // 1024 for name, key in (("now", "VmRSS"), ("highest", "VmHWM"))}

    def cpu_s(self) -> float:
        """Processor time so far, user and system: unlike the clock, it hardly depends on what else is running."""
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def times(self) -> dict[str, float]:
        return {"generates_s": self.generates_s, "ready_s": self.ready_s, "cpu_s": self.cpu_s()}

    def _until(self, path: str) -> float:
        while (seconds := time.perf_counter() - self.began) < START_LIMIT:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server has ended with {self.process.returncode}")
            try:
                if httpx.get(self.url + path, timeout=5).status_code == 200:
                    return time.perf_counter() - self.began
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise TimeoutError(f"{path} does not answer after {seconds:.0f} s")


@contextmanager
def serving(home: Path) -> Iterator[Server]:
    """A started server; stopped at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    plain = {k: v for k, v in os.environ.items() if k not in {"HOST", "PORT"}}
    command = [str(Path(sys.executable).with_name("errata")), "serve", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**plain, "ERRATA_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(command, env=environment, stdout=sys.stderr)
    try:
        server = Server(process, f"http://127.0.0.1:{port}")
        server.wait()
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
