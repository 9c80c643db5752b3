"""One trace span per step, with its numbers, in the span of the request."""

import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from models.compose import tracing
from models.compose.cache import MemoryCache
from models.compose.call import new_call
from models.compose.fan_out import FanOut
from models.compose.merges import Vote
from tests.unit.compose.compose_steps import answering, answers, rows


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_TRACER", provider.get_tracer("tessera"))
    yield exporter
    provider.shutdown()


def test_each_step_has_a_span_with_its_numbers(spans: InMemorySpanExporter) -> None:
    call = new_call(cache=MemoryCache())
    step = answering("a", raises=lambda x: bool((x == 7).any()), cached=True, version="1")
    answers(step, 1, call=call)
    answers(step, 1, 7, call=call)
    (_, second) = spans.get_finished_spans()
    assert second.name == "step a"
    assert dict(second.attributes or {}) == {
        "tessera.records": 2,
        "tessera.failed": 1,
        "tessera.cached": 1,
        "tessera.calls": 0,
        "tessera.money_eur": 0,
    }
    assert not second.status.is_ok
    assert "a cannot take" in (second.status.description or "")


def test_branches_in_threads_are_in_the_span_of_their_request(spans: InMemorySpanExporter) -> None:
    both = FanOut("both", {"a": answering("a", waits=True), "b": answering("b", waits=True)}, Vote("answer"))
    with tracing._TRACER.start_as_current_span("request") as request:  # pyright: ignore[reportPrivateUsage]
        answers(both, 1)
    inside = [one for one in spans.get_finished_spans() if one.name.startswith("step ")]
    assert {one.name for one in inside} == {"step a", "step b"}
    assert {one.parent.span_id for one in inside if one.parent} == {request.get_span_context().span_id}


def test_a_step_costs_little_where_nothing_traces() -> None:
    step, batch, call = answering("a"), rows(1.0), new_call()
    taken: list[float] = []
    for _ in range(20):
        started = time.process_time()
        for _ in range(100):
            step.run(batch, call)
        taken.append((time.process_time() - started) / 100)
    assert min(taken) < 100e-6, "measured in benchmarks/composition.py; here only that it is no multiple of it"
