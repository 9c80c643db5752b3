"""Metrics of a stream's worker, in a file of the home that the service exposes."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from models.metrics import sample
from resources.metric_files import write_samples


@dataclass
class StreamMetrics:
    """Counts of one worker since it began, written at most every `seconds`.

    Attributes:
        home: of the profile.
        app: whose events it processes.
        seconds: between two writes.
    """

    home: Path
    app: str
    seconds: float = 5.0
    _events: Counter[str] = field(default_factory=Counter[str], repr=False)
    _alerts: int = 0
    _batches: int = 0
    _busy_seconds: float = 0.0
    _last: float = field(default=float("-inf"), repr=False)

    def add(self, seconds: float, *, alerts: int = 0, **events: int) -> None:
        """Count a batch that took so long; `events` by their outcome."""
        self._events.update(events)
        self._alerts += alerts
        self._batches += 1
        self._busy_seconds += seconds

    def write(self, *, now: bool = False) -> None:
        """Write the file, unless it was written just now."""
        if not now and time.monotonic() - self._last < self.seconds:
            return
        self._last, app = time.monotonic(), self.app
        samples = [
            *(sample("tessera_stream_events_total", n, app=app, outcome=name) for name, n in self._events.items()),
            sample("tessera_stream_alerts_total", self._alerts, app=app),
            sample("tessera_stream_batches_total", self._batches, app=app),
            sample("tessera_stream_busy_seconds_total", self._busy_seconds, app=app),
            sample("tessera_stream_last_look_timestamp_seconds", time.time(), app=app),
        ]
        write_samples(self.home, f"stream_{app}", samples)
