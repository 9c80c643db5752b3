"""Spans to a collector by OTLP over HTTP (protobuf): needs the extra `otlp`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from typing_extensions import override

from models.errors import TesseraError
from resources.masking import remember
from resources.traces.port import SpanRecord, SpansLost, Traces

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
_SECONDS = 5


class OtlpTraces(Traces):
    """Sends spans to one address.

    Args:
        endpoint: e.g. `http://127.0.0.1:4318/v1/traces`.

    Raises:
        TesseraError: the extra is not installed.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._exporter = _exporter(endpoint)

    @override
    def write(self, spans: Sequence[SpanRecord]) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        if self._exporter.export([_readable(span) for span in spans]) is not SpanExportResult.SUCCESS:
            raise SpansLost(f"{self._endpoint} did not take them", is_final=True)  # the exporter has tried again

    @override
    def write_dropped(self, number: int) -> None:
        """Collectors keep no counts."""

    @override
    def close(self) -> None:
        self._exporter.shutdown()


def _exporter(endpoint: str) -> Any:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # pyright: ignore[reportMissingImports]
            OTLPSpanExporter,
        )
    except ImportError:
        raise TesseraError(
            "`settings.traces.otlp_endpoint` is set, and the OTLP exporter is not installed.",
            expected="the extra `otlp`",
            todo="Install requirements/otlp.lock into .venv, or leave `otlp_endpoint` empty.",
        ) from None
    for header in os.environ.get(_HEADERS, "").split(","):
        for secret in unquote(header.partition("=")[2]).split():  # `Bearer KEY`: the scheme is no secret
            remember(_HEADERS, secret)
    return OTLPSpanExporter(endpoint=endpoint, timeout=_SECONDS)  # reads the headers from the environment


def _readable(span: SpanRecord) -> ReadableSpan:
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

    def context(trace_id: str, span_id: str) -> trace.SpanContext:
        return trace.SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=trace.TraceFlags(1))

    return ReadableSpan(
        span.name,
        context=context(span.trace_id, span.span_id),
        parent=context(span.trace_id, span.parent_id) if span.parent_id else None,
        resource=Resource({"service.name": "tessera"}),
        attributes=span.attributes,
        kind=trace.SpanKind[span.kind.upper()],
        links=[trace.Link(context(*link.split("-")[1:3])) for link in span.links],
        status=trace.Status(trace.StatusCode.ERROR if span.failed else trace.StatusCode.UNSET),
        start_time=span.start_ns,
        end_time=span.start_ns + span.duration_ns,
    )
