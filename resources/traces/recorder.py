"""The recorder of a process: spans of the OpenTelemetry API become records in the home, and at a collector.

The API has one provider per process, which cannot be replaced: ours is set once, and hands spans to the recorder that
is started at the time. A share of traces is kept as a whole; of the others, those in which something failed, which is
known when their first span in this process ends.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult, TraceIdRatioBased
from typing_extensions import override

from models.tracing import KEYS
from resources.masking import masked
from resources.traces.port import SpanRecord, Traces
from resources.traces.queue import SpanQueue

_SCOPE = "tessera"
#: Spans of traces outside of the share that wait for their end, in one process.
_HELD = 8_192
_LONGEST = 200


class Recorder:
    """Decides which spans are kept, and queues them for each store.

    Args:
        stores: of the spans.
        share: of traces that are kept, 0..1.
    """

    def __init__(self, stores: Sequence[Traces], share: float) -> None:
        self.queues: list[SpanQueue[ReadableSpan]] = [SpanQueue(store, _record) for store in stores]
        self._below = TraceIdRatioBased.get_bound_for_rate(share)
        self._held: OrderedDict[int, list[ReadableSpan]] = OrderedDict()
        self._number_held = 0

    def is_sampled(self, parent: trace.SpanContext, trace_id: int) -> bool:
        """Return True if the caller samples the trace, or it is of the share."""
        if parent.is_valid and parent.trace_flags.sampled:
            return True
        return trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < self._below

    def ended(self, span: ReadableSpan) -> None:
        """Queue a finished span, or hold it until its trace ends."""
        context: Any = span.context
        if context.trace_flags.sampled:
            self._put([span])
            return
        self._held.setdefault(context.trace_id, []).append(span)
        self._number_held += 1
        if span.parent is None or span.parent.is_remote:
            spans = self._let_go(context.trace_id)
            if any(one.status.status_code is trace.StatusCode.ERROR for one in spans):
                self._put(spans)
        while self._number_held > _HELD:
            self._let_go(next(iter(self._held)))

    def _let_go(self, trace_id: int) -> list[ReadableSpan]:
        spans = self._held.pop(trace_id, [])
        self._number_held -= len(spans)
        return spans

    def _put(self, spans: Sequence[ReadableSpan]) -> None:
        for queue in self.queues:
            for span in spans:
                queue.put(span)


class _Switch(SpanProcessor, Sampler):
    """Hands everything to the recorder that is started, if any."""

    def __init__(self) -> None:
        self.recorder: Recorder | None = None

    @override
    def should_sample(self, parent_context: Any, trace_id: int, *given: Any, **named: Any) -> SamplingResult:
        recorder = self.recorder
        if recorder is None:
            return SamplingResult(Decision.DROP)
        parent = trace.get_current_span(parent_context).get_span_context()
        sampled = recorder.is_sampled(parent, trace_id)
        attributes = given[2] if len(given) > 2 else named.get("attributes")
        return SamplingResult(Decision.RECORD_AND_SAMPLE if sampled else Decision.RECORD_ONLY, attributes)

    @override
    def get_description(self) -> str:
        return "tessera: a share of traces, and all with errors"

    @override
    def on_end(self, span: ReadableSpan) -> None:
        scope = span.instrumentation_scope
        if self.recorder is not None and scope is not None and scope.name == _SCOPE:
            self.recorder.ended(span)


_switch = _Switch()


def start(recorder: Recorder) -> None:
    """Hand spans to a recorder from now on."""
    if not isinstance(trace.get_tracer_provider(), _Provider):
        provider = _Provider(sampler=_switch, resource=Resource({"service.name": _SCOPE}), shutdown_on_exit=False)
        provider.add_span_processor(_switch)
        trace.set_tracer_provider(provider)
    _switch.recorder = recorder


def stop() -> None:
    """Record nothing from now on."""
    _switch.recorder = None


# The thread that writes is not in a fork, and a span there would wait for ever.
os.register_at_fork(after_in_child=stop)


class _Provider(TracerProvider):
    """Ours, told from the provider of a library."""


def _record(span: ReadableSpan) -> SpanRecord:
    """Return what is kept of a span: known attributes, masked; no events, no descriptions."""
    context: Any = span.context
    start, end = span.start_time or 0, span.end_time or 0
    return SpanRecord(
        trace.format_trace_id(context.trace_id),
        trace.format_span_id(context.span_id),
        "" if span.parent is None else trace.format_span_id(span.parent.span_id),
        span.name,
        span.kind.name.lower(),  # pyright: ignore[reportArgumentType] - the names of the API
        start,
        end - start,
        span.status.status_code is trace.StatusCode.ERROR,
        {key: _value(value) for key, value in (span.attributes or {}).items() if key in KEYS},
        tuple(_traceparent(link.context) for link in span.links),
    )


def _value(value: Any) -> str | int | float | bool:
    return value if isinstance(value, int | float) else masked(str(value))[:_LONGEST]


def _traceparent(context: trace.SpanContext) -> str:
    ids = f"{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}"
    return f"00-{ids}-{context.trace_flags:02x}"
