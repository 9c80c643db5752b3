"""Trace spans by the OpenTelemetry API: where no recorder is started, nothing is recorded.

Attributes are a closed set of keys, none of which can hold the id of a person: spans outlive erasure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import Token
from functools import wraps
from typing import ParamSpec, TypeVar

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

#: Keys of attributes that are kept; what else a library sets is left out.
KEYS = frozenset(
    {
        "error.type",
        "gen_ai.operation.name",
        "gen_ai.request.model",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "tessera.alerts",
        "tessera.app",
        "tessera.cached",
        "tessera.calls",
        "tessera.day",
        "tessera.degradation",
        "tessera.events",
        "tessera.failed",
        "tessera.job",
        "tessera.model_version",
        "tessera.money_eur",
        "tessera.read_ms",
        "tessera.records",
        "tessera.refused",
        "tessera.request_id",
        "tessera.rows",
        "tessera.run_id",
        "tessera.score_ms",
    }
)
Value = str | int | float | bool
P = ParamSpec("P")
R = TypeVar("R")
_TRACER = trace.get_tracer("tessera")
_W3C = TraceContextTextMapPropagator()
_HEADER = "traceparent"


class span:
    """Record a block as a span, in the current one or in that of a `traceparent`.

    An exception makes it an error and gives its type; its message is left out: it may quote an id.

    Args:
        name: with few values: of an operation, never of an entity.
        attributes: by key of `KEYS`.
        kind: what it is in a chain of services.
        parent: `traceparent` of the span that caused it; "": the current span.
        links: `traceparent` of each span of another trace that it is about.
        start_ns: when it began, ns since 1970; None: now.
    """

    __slots__ = ("_span", "_token")

    def __init__(
        self,
        name: str,
        attributes: Mapping[str, Value] | None = None,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: str = "",
        links: Sequence[str] = (),
        start_ns: int | None = None,
    ) -> None:
        context = context_of(parent) if parent else None
        pointers = [Link(found) for one in links if (found := _pointer(one)) is not None]
        self._span = _TRACER.start_span(name, context, kind, attributes, pointers, start_ns)
        self._token: Token[Context] | None = None

    def __enter__(self) -> Span:
        self._token = attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._token is not None:
            detach(self._token)
        if error is not None:
            fail(self._span, error)
        self._span.end()


def fail(made: Span, error: BaseException) -> None:
    """Mark a span as failed by an error."""
    made.set_attribute("error.type", type(error).__name__)
    made.set_status(trace.StatusCode.ERROR)


def note_error(error: BaseException) -> None:
    """Name, in the current span, the error that what it is about ended with: an answer says so to the caller."""
    trace.get_current_span().set_attribute("error.type", type(error).__name__)


def traced(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function: each call is a span of this name."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def called(*given: P.args, **named: P.kwargs) -> R:
            with span(name):
                return function(*given, **named)

        return called

    return decorate


def note(**attributes: Value) -> None:
    """Add attributes to the current span: `note(rows=7)` sets `tessera.rows`."""
    trace.get_current_span().set_attributes({f"tessera.{name}": value for name, value in attributes.items()})


def link_to(traceparent: str) -> None:
    """Link the current span to one of another trace, e.g. to the run that made what is read."""
    if (found := _pointer(traceparent)) is not None:
        trace.get_current_span().add_link(found)


def current_traceparent() -> str:
    """Return the current span as W3C writes it (`00-<trace id>-<span id>-<flags>`); "" where nothing is recorded."""
    current = trace.get_current_span()
    return traceparent_of(current.get_span_context()) if current.is_recording() else ""


def traceparent_of(context: trace.SpanContext) -> str:
    """Return the ids of a span as W3C writes them."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def context_of(traceparent: str) -> Context:
    """Return the context whose current span is that of a `traceparent`; of one that is malformed, an empty one."""
    return _W3C.extract({_HEADER: traceparent}, context=Context())


def trace_id_of(traceparent: str) -> str:
    """Return the trace id of a `traceparent` (32 hexadecimal digits), or ""."""
    found = _pointer(traceparent)
    return "" if found is None else trace.format_trace_id(found.trace_id)


def _pointer(traceparent: str) -> trace.SpanContext | None:
    found = trace.get_current_span(context_of(traceparent)).get_span_context()
    return found if found.is_valid else None
