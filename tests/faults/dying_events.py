"""A queue whose process dies on its way to it, once: named in a stack file by its dotted path."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from typing_extensions import override

from models.events import Event
from resources.events.port import Published
from resources.events.sqlite_events import SqliteEvents, SqliteEventsConfig


class DyingEventsConfig(SqliteEventsConfig):
    """SQLite, behind a process that dies."""

    kind: Literal["tests.faults.dying_events.DyingEventsConfig"] = "tests.faults.dying_events.DyingEventsConfig"  # type: ignore[assignment]

    def open(self) -> SqliteEvents:
        """The queue; whoever publishes first is killed instead."""
        return _DyingEvents(Path(self.path).resolve(), self.lease_seconds, self.max_backlog)


class _DyingEvents(SqliteEvents):
    @override
    def publish(self, events: Sequence[Event], *, origins: Sequence[str] = ()) -> Published:
        marker = self._path.with_suffix(".died")
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().publish(events, origins=origins)
