"""The traces port: finished spans go to stores; one in the home can be read again."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from models.observability import TraceSettings

Kind = Literal["internal", "server", "client", "producer", "consumer"]
#: Characters that suffice of a run id or request id.
SHORTEST = 8
Value = str | int | float | bool


class SpanRecord(NamedTuple):
    """One finished span.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        parent_id: span id of the span that caused it; "": none.
        name: of the operation.
        kind: its place in a chain of services.
        start_ns: ns since 1970, UTC.
        duration_ns: wall time, ns.
        failed: it ended with an error.
        attributes: by key of `models.tracing.KEYS`.
        links: `traceparent` of each linked span.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: Kind
    start_ns: int
    duration_ns: int
    failed: bool = False
    attributes: Mapping[str, Value] = MappingProxyType({})
    links: tuple[str, ...] = ()


class SpansLost(Exception):
    """Spans could not be written now. `is_final`: they never can, so that keeping them for another try is no use."""

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        super().__init__(why)
        self.is_final = is_final


class Traces(ABC):
    """Takes finished spans."""

    @abstractmethod
    def write(self, spans: Sequence[SpanRecord]) -> None:
        """Write spans; one that is there already stays as it is.

        Raises:
            SpansLost: none of them was written.
        """

    @abstractmethod
    def write_dropped(self, number: int) -> None:
        """Record that so many spans were dropped; a store that keeps no counts ignores it.

        Raises:
            SpansLost: it was not recorded.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back connections."""


class ReadableTraces(Traces):
    """Keeps spans, and gives them back."""

    @abstractmethod
    def trace(self, trace_id: str) -> Sequence[SpanRecord]:
        """Return the spans of a trace, by the time at which they began; none if there is none.

        Raises:
            TesseraError: the store cannot be read.
        """

    @abstractmethod
    def traces_of(self, id: str) -> Sequence[str]:
        """Return the ids of traces with a span of that run id or request id, newest first.

        The first `SHORTEST` characters of an id, or more, stand for it.

        Raises:
            TesseraError: the store cannot be read.
        """

    @abstractmethod
    def requests(self, first: date) -> Iterator[tuple[str, int, bool]]:
        """Yield name, duration (ns) and failure of each request that was answered from a day on (UTC).

        Raises:
            TesseraError: the store cannot be read.
        """

    @abstractmethod
    def dropped(self) -> int:
        """Return the number of spans of the kept days that were dropped, as far as it is recorded.

        Raises:
            TesseraError: the store cannot be read.
        """

    @abstractmethod
    def prune(self, before: date) -> int:
        """Remove the spans of all days before one (UTC); return the number of days removed."""


class Recording:
    """The spans of a process on their way to its home: started once, asked for counts.

    Args:
        home: the folder of the profile.
        settings: of traces.

    Raises:
        TesseraError: spans go to a collector, too, and the extra `otlp` is not installed.
    """

    def __init__(self, home: Path, settings: TraceSettings) -> None:
        from resources.traces.recorder import Recorder

        self.home = home
        stores: list[Traces] = [traces_of_home(home, settings)]
        if settings.otlp_endpoint:
            from resources.traces.otlp import OtlpTraces

            stores.append(OtlpTraces(settings.otlp_endpoint))
        self._recorder = Recorder(stores, settings.sampled_share)

    def start(self) -> None:
        """Record the spans of this process from now on."""
        from resources.traces.recorder import start

        start(self._recorder)

    def flush(self, seconds: float = 2.0) -> None:
        """Write what waits, in at most so many seconds."""
        for queue in self._recorder.queues:
            queue.flush(seconds)

    def end(self, seconds: float = 2.0) -> None:
        """Record nothing more; write what waits, in at most so many seconds."""
        from resources.traces.recorder import stop

        stop()
        for queue in self._recorder.queues:
            queue.end(seconds)

    @property
    def dropped(self) -> int:
        """Spans of this process that some store did not get."""
        return sum(queue.dropped for queue in self._recorder.queues)


_recording: Recording | None = None


@contextmanager
def recorded(home: Path, settings: TraceSettings) -> Iterator[Recording]:
    """Record the spans of this process in a home, within the block; in a block of the same home, this changes nothing.

    Raises:
        TesseraError: as `Recording`.
    """
    global _recording
    if _recording is not None and _recording.home == home:
        try:
            yield _recording
        finally:
            _recording.flush()
        return
    outer, _recording = _recording, Recording(home, settings)
    mine = _recording
    mine.start()
    try:
        yield mine
    finally:
        mine.end()
        _recording = outer
        if outer is not None:
            outer.start()


def _forget() -> None:
    """Forget the recording of the process that this one is a fork of: its thread is not here."""
    global _recording
    _recording = None


os.register_at_fork(after_in_child=_forget)


def dropped_here() -> int:
    """Return the number of spans that this process dropped."""
    return 0 if _recording is None else _recording.dropped


def traces_of_home(home: Path, settings: TraceSettings) -> ReadableTraces:
    """Return the spans of a home, to read or prune; nothing is made."""
    from resources.traces.sqlite_traces import SqliteTraces

    megabyte = 1_000_000
    return SqliteTraces(
        home / "traces", keep_days=settings.keep_days, max_bytes_per_day=settings.max_mb_per_day * megabyte
    )
