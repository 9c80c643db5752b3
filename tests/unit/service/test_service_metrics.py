"""`GET /metrics`: the service, its home, runs and workers in one exposition; a part that fails costs its own lines."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from service_world import ServiceWorld

from models.events import Event
from models.metrics import METRICS, sample
from resources.account import Account
from resources.cost_ledger import FILE, CostLedger
from resources.metric_files import write_samples
from resources.stack.ports import Ports


def event(number: int) -> Event:
    at = datetime(2026, 11, 29, tzinfo=UTC)
    return Event(id=str(number), source="/test", type="payment", time=at, subject="u00001633", data={})


def exposed(world: ServiceWorld) -> dict[str, dict[tuple[str, ...], float]]:
    """Name -> values of the labels in the order of the registry -> value."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(world.ask("/metrics").text):
        for one in family.samples:
            if one.name in METRICS:
                labels = tuple(one.labels[name] for name in METRICS[one.name].labels)
                assert labels not in found.setdefault(one.name, {}), "two series are the same"
                found[one.name][labels] = one.value
            else:
                assert one.name.startswith("tessera_request_seconds_")
    return found


def test_the_home_is_looked_at_when_it_is_scraped(world: ServiceWorld) -> None:
    world.publish()
    ports = Ports(world.stack)
    ports.events.publish([event(1), event(2)])
    ports.events.acknowledge("fraud", [one.offset for one in ports.events.read("fraud", limit=1)])
    ports.notifier.notify("error", "churn: no scores", "u00001633", {"app": "churn"})
    ledger = CostLedger(world.home / FILE)
    number = ledger.begin(Account("support", ""), "a-model", "chat", 0.5, None)
    ledger.end(number, input_tokens=100, output_tokens=20, money_eur=0.25)
    ledger.begin(Account("support", ""), "a-model", "chat", None, None)
    write_samples(world.home, "run_churn_nightly", [sample("tessera_run_succeeded", 0, job="churn_nightly")])
    found = exposed(world)
    assert found["tessera_published_rows"] == {("churn",): 40}
    assert found["tessera_queue_waiting_events"] == {("fraud",): 1}
    assert 0 < found["tessera_queue_lag_seconds"]["fraud",] < 60
    assert found["tessera_dead_letters"] == {(): 0}
    assert found["tessera_notices_open"] == {("warning",): 0, ("error",): 1}
    assert found["tessera_external_calls_total"] == {("a-model", "answered"): 2, ("a-model", "failed"): 0}
    assert found["tessera_external_tokens_total"] == {("a-model", "input"): 100, ("a-model", "output"): 20}
    assert found["tessera_external_cost_eur_total"] == {("a-model",): 0.25}
    assert found["tessera_external_unpriced_calls_total"] == {("a-model",): 1}
    assert found["tessera_run_succeeded"] == {("churn_nightly",): 0}
    assert found["tessera_spans_dropped_total"] == {(): 0}
    assert "u00001633" not in world.ask("/metrics").text


def test_a_queue_that_does_not_answer_costs_its_own_lines(
    world: ServiceWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world.publish()
    queue = Path(world.home / "events.db")
    queue.write_bytes(b"no database " * 100)
    found = exposed(world)
    assert "tessera_queue_waiting_events" not in found
    assert found["tessera_published_rows"] == {("churn",): 40}
    assert "metrics: " in caplog.text
