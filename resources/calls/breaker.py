"""Circuit breakers: a service that failed several times in a row is not asked again for a while.

States after Nygard, *Release It!* (2007): closed, open, half open (one trial call after the pause).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Literal

from resources.calls.failure import CallFailed

State = Literal["closed", "half_open", "open"]
_KNOWN: weakref.WeakSet[Breaker] = weakref.WeakSet()


def states_here() -> Mapping[str, State]:
    """Return the state of each breaker of this process by name; of several with one name the worst."""
    worst: dict[str, State] = {}
    for one in list(_KNOWN):
        if (state := one.state) != "closed" or one.name not in worst:
            worst[one.name] = state if worst.get(one.name) != "open" else "open"
    return worst


class Breaker:
    """The breaker of one service; safe to use from several threads.

    Args:
        name: of the service, in messages and metrics.
        failures: temporary failures in a row after which it opens; 0: never.
        seconds: that it stays open before the next trial call.
        clock: seconds.

    Attributes:
        failed_trials: trial calls that failed since it opened.
    """

    def __init__(self, name: str, *, failures: int, seconds: float, clock: Callable[[], float]) -> None:
        self.name, self._failures, self._seconds, self._clock = name, failures, seconds, clock
        self._in_a_row, self._opened_at = 0, float("-inf")
        self.failed_trials = 0
        self._lock = threading.Lock()
        _KNOWN.add(self)

    @property
    def state(self) -> State:
        """State at this moment."""
        if not self._is_open:
            return "closed"
        return "open" if self._left() > 0 else "half_open"

    def require(self) -> None:
        """Let a call pass; while it is open, one each `seconds`.

        Raises:
            CallFailed: it is open.
        """
        with self._lock:
            if not self._is_open:
                return
            if (left := self._left()) <= 0:
                self._opened_at = self._clock()
                return
        raise CallFailed(
            f"{self.name} is not asked: it failed {self._in_a_row} times in a row, and the next trial is due in "
            f"{left:.0f} s.",
            is_temporary=True,
            retry_after_seconds=max(left, 1.0),
        )

    def succeeded(self) -> None:
        """Count an answer: the breaker closes."""
        with self._lock:
            self._in_a_row = self.failed_trials = 0

    def failed(self) -> None:
        """Count a temporary failure: after enough of them in a row it opens, or stays open."""
        with self._lock:
            self.failed_trials += self._is_open
            self._in_a_row += 1
            if self._is_open:
                self._opened_at = self._clock()

    def seconds_to_trial(self) -> float:
        """Return the seconds until a call is let through; 0 if one is now."""
        return max(self._left(), 0.0) if self._is_open else 0.0

    @property
    def _is_open(self) -> bool:
        return 0 < self._failures <= self._in_a_row

    def _left(self) -> float:
        return self._opened_at + self._seconds - self._clock()
