"""Spans of the OpenTelemetry API as this process records them: what a store keeps of a span, and nothing else.

A span of the SDK takes several times the CPU, for locks, events, limits and a copy that no store here reads.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import time_ns
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from typing_extensions import override

_SAMPLED, _RANDOM = TraceFlags.SAMPLED, TraceFlags.RANDOM_TRACE_ID
_FLAGS = tuple(TraceFlags(value) for value in range((_SAMPLED | _RANDOM) + 1))


class RecordedSpan(trace.Span):
    """A span, from its begin until `ended` is given it.

    Events and descriptions of a status are not recorded: they may quote the id of a person. Attributes that come after
    its end are ignored.

    Args:
        name: of the operation.
        context: its ids.
        parent: of the span that caused it; None: it begins a trace.
        kind: its place in a chain of services.
        attributes: at its begin.
        links: to spans of other traces.
        start_ns: ns since 1970; None: now.
        ended: is given it once.
    """

    __slots__ = ("_ended", "attributes", "context", "end_ns", "kind", "links", "name", "parent", "start_ns", "status")

    def __init__(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Mapping[str, Any] | None,
        links: Sequence[Link] | None,
        start_ns: int | None,
        ended: Callable[[RecordedSpan], None],
    ) -> None:
        self.name, self.context, self.parent, self.kind = name, context, parent, kind
        self.attributes: dict[str, Any] = dict(attributes) if attributes else {}
        self.links = [link.context for link in links if link.context.is_valid] if links else []
        self.start_ns = time_ns() if start_ns is None else start_ns
        self.end_ns, self.status, self._ended = 0, StatusCode.UNSET, ended

    @override
    def get_span_context(self) -> SpanContext:
        return self.context

    @override
    def is_recording(self) -> bool:
        return not self.end_ns

    @override
    def set_attribute(self, key: str, value: Any) -> None:
        if not self.end_ns:
            self.attributes[key] = value

    @override
    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        if not self.end_ns:
            self.attributes.update(attributes)

    @override
    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        if not self.end_ns and context.is_valid:
            self.links.append(context)

    @override
    def update_name(self, name: str) -> None:
        if not self.end_ns:
            self.name = name

    @override
    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        code = status.status_code if isinstance(status, Status) else status
        if not self.end_ns and code is not StatusCode.UNSET and self.status is not StatusCode.OK:
            self.status = code

    @override
    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """Record nothing."""

    @override
    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        """Record nothing: `models.tracing.fail` keeps the type of an error."""

    @override
    def end(self, end_time: int | None = None) -> None:
        if not self.end_ns:
            self.end_ns = time_ns() if end_time is None else end_time
            self._ended(self)


class Spans(trace.Tracer):
    """Makes spans.

    Args:
        is_sampled: tells of the parent's context (invalid if there is none) and a trace id whether the trace is kept
            whatever happens in it; None if nothing is recorded now.
        ended: is given each span once.
    """

    def __init__(
        self, is_sampled: Callable[[SpanContext, int], bool | None], ended: Callable[[RecordedSpan], None]
    ) -> None:
        self._is_sampled, self._ended = is_sampled, ended

    @override
    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        caller = trace.get_current_span(context).get_span_context()
        is_inside = caller.is_valid
        trace_id = caller.trace_id if is_inside else random.getrandbits(128) or 1
        is_sampled = self._is_sampled(caller, trace_id)
        if is_sampled is None:
            return trace.NonRecordingSpan(caller)
        flags = (caller.trace_flags & _RANDOM if is_inside else _RANDOM) | (_SAMPLED if is_sampled else 0)
        own = SpanContext(trace_id, random.getrandbits(64) or 1, is_remote=False, trace_flags=_FLAGS[flags])
        parent = caller if is_inside else None
        return RecordedSpan(name, own, parent, kind, attributes, links, start_time, self._ended)

    @override
    @contextmanager
    def start_as_current_span(  # pyright: ignore[reportIncompatibleMethodOverride] - its type is private
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[trace.Span]:
        made = self.start_span(name, context, kind, attributes, links, start_time)
        with trace.use_span(made, end_on_exit, record_exception, set_status_on_exception):
            yield made
