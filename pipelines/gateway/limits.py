"""Limits per holder of a key: a token bucket for requests per second, and a number of requests at one time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

_MOST_BUCKETS = 10_000


@dataclass
class _Bucket:
    tokens: float
    filled_at: float
    in_flight: int = 0


class Limits:
    """Buckets of this process, one per holder; used by one thread, that of the event loop.

    Args:
        per_second: requests that are added to a bucket each second.
        burst: requests that a full bucket holds.
        in_flight: requests of one holder that are answered at one time.
        clock: monotonic, seconds.
    """

    def __init__(
        self, per_second: float, burst: int, in_flight: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second, self._burst, self._in_flight, self._clock = per_second, burst, in_flight, clock
        self._buckets: dict[str, _Bucket] = {}

    def __len__(self) -> int:
        """Return the number of holders that are remembered."""
        return len(self._buckets)

    def wait_seconds(self, holder: str) -> float:
        """Take a request from the bucket and return 0, or the seconds after which there is one."""
        now, bucket = self._clock(), self._bucket(holder)
        filled = bucket.tokens + (now - bucket.filled_at) * self._per_second
        bucket.tokens, bucket.filled_at = min(self._burst, filled), now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self._per_second
        bucket.tokens -= 1
        return 0.0

    def begin(self, holder: str) -> bool:
        """Return True if the holder may have one more request answered; `end` follows then."""
        bucket = self._bucket(holder)
        if bucket.in_flight >= self._in_flight:
            return False
        bucket.in_flight += 1
        return True

    def end(self, holder: str) -> None:
        """Say that a request that began is answered."""
        self._buckets[holder].in_flight -= 1

    def _bucket(self, holder: str) -> _Bucket:
        if holder not in self._buckets:
            if len(self._buckets) >= _MOST_BUCKETS:
                self._drop_idle()
            self._buckets[holder] = _Bucket(self._burst, self._clock())
        return self._buckets[holder]

    def _drop_idle(self) -> None:
        """Forget holders whose bucket is full again and who wait for nothing: memory does not grow with addresses."""
        now, seconds = self._clock(), self._burst / self._per_second
        kept = {name: one for name, one in self._buckets.items() if one.in_flight or now - one.filled_at < seconds}
        self._buckets = kept
