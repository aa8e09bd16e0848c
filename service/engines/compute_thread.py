"""One thread that does all heavy arithmetic, first come, first served.

PyTorch keeps a pool of workers for every thread that calls it; sixteen request threads would bring sixteen pools on two
cores. Work is handed over in small pieces (one token, one edit), so long answers and short ones take turns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class ComputeThread:
    """Runs functions one after the other in a thread of its own.

    Args:
        threads: size of PyTorch's pool; None leaves it as it is.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._ident = self._pool.submit(threading.get_ident).result()
        if threads is not None:
            self.run(_set_threads, threads)

    @property
    def here(self) -> bool:
        """Whether the caller is the compute thread itself."""
        return threading.get_ident() == self._ident

    def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of ``work``, computed in the compute thread; from within it, at once."""
        if self.here:
            return work(*args, **kwargs)
        return self.later(work, *args, **kwargs).result()

    def later(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Put ``work`` at the end of the queue; cancelled if the thread is closed before its turn.

        Raises:
            RuntimeError: the thread is closed.
        """
        return self._pool.submit(work, *args, **kwargs)

    def close(self) -> None:
        """Finish the piece at hand, drop what waits."""
        self._pool.shutdown(cancel_futures=True)


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
