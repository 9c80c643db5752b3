"""Finished spans on their way to a store: a bounded queue and one background thread.

Ending a span only appends to a list. A store that fails is asked again with the same spans; what the queue cannot
hold meanwhile is dropped and counted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from resources.traces.port import SpanRecord, SpansLost, Traces

S = TypeVar("S")
_LOGGER = logging.getLogger("tessera.traces")
_CAPACITY = 8_192
_BATCH = 512
_SECONDS = 1.0
#: Between two looks of a flush at what still waits.
_LOOK_SECONDS = 0.002


class SpanQueue(Generic[S]):
    """Spans that wait for one store.

    Args:
        store: written by the queue's thread only.
        record: makes a record of a span, in that thread.
        capacity: spans that may wait.
        seconds: between two writes.
    """

    def __init__(
        self,
        store: Traces,
        record: Callable[[S], SpanRecord],
        *,
        capacity: int = _CAPACITY,
        seconds: float = _SECONDS,
    ) -> None:
        self._store, self._record, self._capacity, self._seconds = store, record, capacity, seconds
        self._waiting: deque[S] = deque()
        self._wake, self._ending = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._why = ""
        self.dropped = 0
        self._unrecorded = 0

    def put(self, span: S) -> None:
        """Queue a span; never waits, never raises."""
        number = len(self._waiting)
        if number >= self._capacity:
            self._drop(1)
            return
        self._waiting.append(span)
        if self._thread is None:
            self._start()
        if number == _BATCH:
            self._wake.set()

    def flush(self, seconds: float) -> None:
        """Wait until every span is written or dropped, at most so long."""
        until = time.monotonic() + seconds
        while self._waiting and time.monotonic() < until:
            self._wake.set()
            time.sleep(_LOOK_SECONDS)

    def end(self, seconds: float) -> None:
        """Write what waits, give the store back; what is not written in time is dropped."""
        self.flush(seconds)
        self._ending.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)
        self._drop(len(self._waiting))
        self._waiting.clear()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tessera-traces", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._ending.is_set():
            self._wake.wait(self._seconds)
            self._wake.clear()
            while self._waiting and self._write():
                pass
        self._store.close()

    def _write(self) -> bool:
        """Write the oldest spans; False if the store does not take any now."""
        batch = [self._waiting[place] for place in range(min(len(self._waiting), _BATCH))]
        try:
            self._store.write([self._record(span) for span in batch])
            if self._unrecorded:
                self._store.write_dropped(number := self._unrecorded)
                self._unrecorded -= number
        except SpansLost as error:
            self._warn(str(error))
            if not error.is_final:
                return False
            self._drop(len(batch))
        for _ in batch:
            self._waiting.popleft()
        return True

    def _drop(self, number: int) -> None:
        self.dropped += number
        self._unrecorded += number
        if number and self.dropped == number:
            _LOGGER.warning("Trace spans are dropped: %s.", self._why or "more come than can be written")

    def _warn(self, why: str) -> None:
        if why != self._why:
            self._why = why
            _LOGGER.warning("Trace spans cannot be written: %s.", why)
