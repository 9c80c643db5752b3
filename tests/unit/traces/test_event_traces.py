"""Events as spans: the trace that published one goes on where it is processed, and in the alert that it raises."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from assets.fraud.stream import processor
from assets.stages.event_batches import BatchWork, next_batch
from models.alerts import Alert
from models.events import Event
from models.observability import TraceSettings
from models.tracing import current_traceparent, span, trace_id_of
from resources.events.port import Delivered, Events
from resources.events.sqlite_events import SqliteEventsConfig
from resources.traces.port import SpanRecord, recorded, traces_of_home

T = datetime(2026, 11, 29, tzinfo=UTC)


@dataclass
class Seen:
    events: int = 0
    offset: int = 0

    def add(self, other: "Seen") -> None:
        self.events += other.events
        self.offset = max(self.offset, other.offset)


def event(number: int) -> Event:
    data = {"transaction_id": number, "customer_id": "u00001633"}
    return Event(id=str(number), source="/test", type="payment", time=T, subject="u00001633", data=data)


@pytest.fixture
def queue(tmp_path: Path) -> Events:
    return SqliteEventsConfig(path=str(tmp_path / "events.db")).open()


def process(queue: Events) -> Sequence[Delivered]:
    seen: list[Delivered] = []

    def processed(delivered: Sequence[Delivered]) -> Seen:
        seen.extend(delivered)
        alert = Alert("a", "fraud", date(2026, 11, 29), "u00001633", ("2",), T, 0.9, 0.9, "7", {})
        processor._trace_alerts(delivered, [alert])  # pyright: ignore[reportPrivateUsage]
        return Seen(len(delivered), delivered[-1].offset)

    work = BatchWork(processed, Seen, lambda one, error: Seen(), lambda error: False)
    next_batch(queue, "fraud", work, Seen(), limit=10)
    return seen


def spans(home: Path, traceparent: str) -> dict[str, SpanRecord]:
    return {one.name: one for one in traces_of_home(home, TraceSettings()).trace(trace_id_of(traceparent))}


def test_the_trace_that_published_events_has_a_span_of_their_batch_and_of_the_alert(
    tmp_path: Path, queue: Events
) -> None:
    with recorded(tmp_path, TraceSettings()):
        with span("POST /v1/fraud/label"):
            one = current_traceparent()
            queue.publish([event(1)])
        with span("publish events"):
            many = current_traceparent()
            queue.publish([event(number) for number in (2, 3, 4)])
        process(queue)
    first, second = spans(tmp_path, one), spans(tmp_path, many)
    assert set(first) == {"POST /v1/fraud/label", "process events of fraud"}
    assert set(second) == {"publish events", "process events of fraud", "alert"}
    processing = second["process events of fraud"]
    assert (processing.kind, processing.attributes["tessera.events"]) == ("consumer", 3)
    assert processing.parent_id == second["alert"].parent_id == second["publish events"].span_id
    assert second["alert"].attributes == {"tessera.app": "fraud", "tessera.model_version": "7"}
    batch = spans(tmp_path, processing.links[0])["batch of fraud"]
    assert batch.attributes == {"tessera.events": 4}
    assert {trace_id_of(link) for link in batch.links} == {trace_id_of(one), trace_id_of(many)}
    written = b"".join(file.read_bytes() for file in (tmp_path / "traces").iterdir())
    assert b"u00001633" not in written


def test_a_producers_own_trace_is_kept_and_a_malformed_one_left_out(tmp_path: Path, queue: Events) -> None:
    own = f"00-{'4bf92f35' * 4}-{'00f067aa' * 2}-01"
    line = '{"id": "%s", "source": "/s", "type": "t", "time": "2026-11-29T00:00:00Z", "subject": "s", "data": {}%s}'
    ends = (f', "traceparent": "{own}"', ', "traceparent": 7')
    given = [Event.from_json(line % (number, end)) for number, end in enumerate(ends)]
    with recorded(tmp_path, TraceSettings()), span("publish events"):
        queue.publish(given)
        here = current_traceparent()
    assert [one.event.traceparent for one in process(queue)] == [own, here]
    assert Event.from_json(given[0].to_json()) == given[0]
    assert given[0].digest() == given[0].model_copy(update={"traceparent": ""}).digest()
