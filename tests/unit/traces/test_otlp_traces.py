"""Spans to a collector: what it gets, and what its refusal costs."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from models.observability import TraceSettings
from models.tracing import current_traceparent, link_to, span, trace_id_of
from resources.masking import masked
from resources.traces.port import dropped_here, recorded, traces_of_home
from tests.servers.http_thread import served


@dataclass
class Collector:
    """What a collector was sent."""

    status: int = 200
    requests: list[tuple[str, str, bytes]] = field(default_factory=list[tuple[str, str, bytes]])
    address: str = ""


@pytest.fixture
def collector() -> Iterator[Collector]:
    state = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.requests.append((self.path, self.headers.get("Authorization", ""), body))
            self.send_response(state.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with served(Handler) as address:
        state.address = f"{address}/v1/traces"
        yield state


def test_a_collector_gets_every_span_with_the_headers_of_the_environment(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20canary-of-otlp")
    with recorded(tmp_path, TraceSettings(otlp_endpoint=collector.address)), span("request", {"tessera.rows": 3}):
        at = current_traceparent()
        link_to(f"00-{'1' * 32}-{'2' * 16}-01")
        with pytest.raises(KeyError), span("inside"):
            raise KeyError("u00001633")
    ((path, authorization, body),) = collector.requests
    assert (path, authorization) == ("/v1/traces", "Bearer canary-of-otlp")
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    inside, request = resource.scope_spans[0].spans
    assert (request.trace_id.hex(), request.name, inside.name) == (trace_id_of(at), "request", "inside")
    assert inside.parent_span_id == request.span_id
    assert inside.status.code == 2
    assert [(one.key, one.value.int_value) for one in request.attributes] == [("tessera.rows", 3)]
    assert request.links[0].trace_id.hex() == "1" * 32
    assert b"u00001633" not in body
    assert len(traces_of_home(tmp_path, TraceSettings()).trace(trace_id_of(at))) == 2
    assert "canary-of-otlp" not in masked("Bearer canary-of-otlp")


def test_what_a_collector_refuses_is_counted_and_kept_at_home(
    collector: Collector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = 400
    with caplog.at_level(logging.WARNING), recorded(tmp_path, TraceSettings(otlp_endpoint=collector.address)) as found:
        with span("request"):
            at = current_traceparent()
        found.flush()
        assert dropped_here() == 1
    assert len(traces_of_home(tmp_path, TraceSettings()).trace(trace_id_of(at))) == 1
    assert "did not take them" in caplog.text
