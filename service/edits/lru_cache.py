"""A cache of a fixed number of values, from which single ones can be erased."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LruCache(Generic[T]):
    """The ``size`` values that were used last, by name. Safe for threads."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: OrderedDict[str, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str, make: Callable[[str], T]) -> T:
        """The value of this name, made where it is not there. Raises whatever ``make`` raises."""
        with self._lock:
            if name in self._values:
                self._values.move_to_end(name)
                return self._values[name]
        made = make(name)  # outside the lock: it may read a disk
        with self._lock:
            self._values[name] = made
            while len(self._values) > self.size:
                self._values.popitem(last=False)
        return made

    def erase(self, name: str) -> None:
        """Forget a value; one that is not there is no error."""
        with self._lock:
            self._values.pop(name, None)
