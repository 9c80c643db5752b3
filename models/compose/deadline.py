"""The deadline of a request, for everything that is done on its behalf: steps, and calls to models outside of steps.

Set where a request comes in; threads that are started in its context have it, too.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from models.compose.budget import Budget, Clock, Spending
from models.errors import TesseraError

_ENDS: ContextVar[tuple[float, Clock] | None] = ContextVar("deadline", default=None)


class DeadlinePassed(TesseraError):
    """The deadline of a request has passed, or leaves too little time for what it asks for."""

    def __init__(self, what: str) -> None:
        super().__init__(
            what, expected="an answer within the deadline of the request", todo="Allow more time, or ask for less."
        )


@contextmanager
def deadline(seconds: float, clock: Clock = time.monotonic) -> Iterator[None]:
    """Let what is done in the block end within so many seconds."""
    before = _ENDS.set((clock() + seconds, clock))
    try:
        yield
    finally:
        _ENDS.reset(before)


@contextmanager
def without_deadline() -> Iterator[None]:
    """Let what is opened in the block, for later requests as well, take the time that it takes."""
    before = _ENDS.set(None)
    try:
        yield
    finally:
        _ENDS.reset(before)


def remaining_ms() -> float | None:
    """Return the wall time left, ms; negative if the deadline has passed, None without one."""
    found = _ENDS.get()
    return None if found is None else (found[0] - found[1]()) * 1000


def check_deadline() -> None:
    """Refuse to begin work whose answer would be too late.

    Raises:
        DeadlinePassed: the deadline has passed.
    """
    left = remaining_ms()
    if left is not None and left <= 0:
        raise DeadlinePassed("The deadline of the request had passed before its work began.")


def within_deadline(budget: Budget) -> Budget:
    """Return the budget, with no more time than the deadline leaves."""
    left = remaining_ms()
    if left is None:
        return budget
    limits = [limit for limit in (budget.latency_ms, max(left, 0.0)) if limit is not None]
    return replace(budget, latency_ms=min(limits))


def spending_of_request() -> Spending | None:
    """Return a budget that has the deadline alone; None without one."""
    return None if remaining_ms() is None else within_deadline(Budget()).start()
