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
from typing_extensions import override

from models.tracing import KEYS, traceparent_of
from resources.masking import masked
from resources.traces.port import Kind, SpanRecord, Traces
from resources.traces.queue import SpanQueue
from resources.traces.spans import RecordedSpan, Spans

_SCOPE = "tessera"
#: Spans of traces outside of the share that wait for their end, in one process.
_HELD = 8_192
_LONGEST = 200
#: A trace id has 128 random bits, of which these decide.
_SHARE_BITS = 64
_KINDS: dict[trace.SpanKind, Kind] = {
    trace.SpanKind.INTERNAL: "internal",
    trace.SpanKind.SERVER: "server",
    trace.SpanKind.CLIENT: "client",
    trace.SpanKind.PRODUCER: "producer",
    trace.SpanKind.CONSUMER: "consumer",
}


class Recorder:
    """Decides which spans are kept, and queues them for each store.

    Args:
        stores: of the spans.
        share: of traces that are kept, 0..1.
    """

    def __init__(self, stores: Sequence[Traces], share: float) -> None:
        self.queues: list[SpanQueue[RecordedSpan]] = [SpanQueue(store, _record) for store in stores]
        self._below = round(share * 2**_SHARE_BITS)
        self._held: OrderedDict[int, list[RecordedSpan]] = OrderedDict()
        self._number_held = 0

    def is_sampled(self, parent: trace.SpanContext, trace_id: int) -> bool:
        """Return True if the caller samples the trace, or it is of the share."""
        if parent.is_valid and parent.trace_flags.sampled:
            return True
        return trace_id % 2**_SHARE_BITS < self._below

    def ended(self, span: RecordedSpan) -> None:
        """Queue a finished span, or hold it until its trace ends."""
        context = span.context
        if context.trace_flags.sampled:
            self._put([span])
            return
        self._held.setdefault(context.trace_id, []).append(span)
        self._number_held += 1
        if span.parent is None or span.parent.is_remote:
            spans = self._let_go(context.trace_id)
            if any(one.status is trace.StatusCode.ERROR for one in spans):
                self._put(spans)
        while self._number_held > _HELD:
            self._let_go(next(iter(self._held)))

    def _let_go(self, trace_id: int) -> list[RecordedSpan]:
        spans = self._held.pop(trace_id, [])
        self._number_held -= len(spans)
        return spans

    def _put(self, spans: Sequence[RecordedSpan]) -> None:
        for queue in self.queues:
            for span in spans:
                queue.put(span)


class _Provider(trace.TracerProvider):
    """Hands everything to the recorder that is started, if any; spans of libraries are left out."""

    def __init__(self) -> None:
        self.recorder: Recorder | None = None

    @override
    def get_tracer(self, instrumenting_module_name: str, *given: Any, **named: Any) -> trace.Tracer:
        if instrumenting_module_name != _SCOPE:
            return trace.NoOpTracer()
        return Spans(self._is_sampled, self._ended)

    def _is_sampled(self, parent: trace.SpanContext, trace_id: int) -> bool | None:
        return None if self.recorder is None else self.recorder.is_sampled(parent, trace_id)

    def _ended(self, span: RecordedSpan) -> None:
        if self.recorder is not None:
            self.recorder.ended(span)


_provider = _Provider()


def start(recorder: Recorder) -> None:
    """Hand spans to a recorder from now on."""
    if trace.get_tracer_provider() is not _provider:
        trace.set_tracer_provider(_provider)
    _provider.recorder = recorder


def stop() -> None:
    """Record nothing from now on."""
    _provider.recorder = None


# The thread that writes is not in a fork, and a span there would wait for ever.
os.register_at_fork(after_in_child=stop)


def _record(span: RecordedSpan) -> SpanRecord:
    """Return what is kept of a span: known attributes, masked."""
    context, parent = span.context, span.parent
    return SpanRecord(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        "" if parent is None else f"{parent.span_id:016x}",
        span.name,
        _KINDS[span.kind],
        span.start_ns,
        span.end_ns - span.start_ns,
        span.status is trace.StatusCode.ERROR,
        {
            key: value if isinstance(value, (int, float)) else _text(value)
            for key, value in span.attributes.items()
            if key in KEYS
        },
        tuple(map(traceparent_of, span.links)) if span.links else (),
    )


def _text(value: Any) -> str:
    """Return a value as text that every store takes: masked, short, Unicode."""
    text = masked(str(value))[:_LONGEST]
    return text if text.isascii() else text.encode(errors="replace").decode()
