"""Work in a thread of its own that is given up when it is late."""

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Generic, TypeVar

from models.gates.closing import failure_of

T = TypeVar("T")


class Background(Generic[T]):
    """A call in a thread of its own, in the context of its caller.

    A thread cannot be ended: one that is late goes on, and its result is dropped.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._results: list[T] = []
        self._errors: list[Exception] = []
        context = copy_context()
        self._thread = threading.Thread(target=lambda: context.run(self._run, work), daemon=True)
        self._thread.start()

    def result(self, patience_seconds: float | None) -> T:
        """Return the result, waiting at most so long; None: for ever.

        Raises:
            TimeoutError: it was not ready.
            Exception: as raised by the call.
        """
        self._thread.join(None if patience_seconds is None else max(0.0, patience_seconds))
        if self._errors:
            raise self._errors[0]
        if not self._results:
            raise TimeoutError(f"it was not ready after {1000 * (patience_seconds or 0):.0f} ms")
        return self._results[0]

    def _run(self, work: Callable[[], T]) -> None:
        error = failure_of(lambda: self._results.append(work()))
        if error is not None:
            self._errors.append(error)
