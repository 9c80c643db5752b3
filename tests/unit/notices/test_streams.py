"""Findings on streams: events that wait too long, a worker that hangs, dead letters; and heartbeats of nights."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from models.event_types import PAYMENT, TICKET_OPENED
from models.events import Event
from pipelines.cli.watch import watch
from pipelines.heartbeats import night_succeeded
from pipelines.stream_conditions import Condition, stream_conditions
from resources.events.port import Events
from resources.heartbeat import Pulse, beat, last_beat
from resources.home import only_one
from resources.notifier.message import RUNBOOK, message, page
from resources.stack.loader import Stack
from resources.stack.ports import Ports

NOW = datetime.now(UTC)


def event(number: int, type: str = PAYMENT) -> Event:
    return Event(
        id=f"e{number}", source="tests", type=type, time=NOW, subject=f"c{number}", data={"customer_id": "c0000001"}
    )


@pytest.fixture
def queue(stack: Stack) -> Events:
    return Ports(stack).events


def found(queue: Events, stack: Stack, hours: float = 0.0) -> list[Condition]:
    return list(stream_conditions(queue, stack, datetime.now(UTC) + timedelta(hours=hours)))


def test_events_that_wait_longer_than_their_stream_may_are_named_with_the_command(queue: Events, stack: Stack) -> None:
    queue.read("fraud", limit=1)
    queue.publish([event(1), event(2)])
    assert found(queue, stack) == []
    (late,) = found(queue, stack, hours=1)
    assert (late.level, late.app, late.subject) == ("error", "fraud", "fraud: events wait too long")
    assert "2 events wait" in late.body
    assert "Run: tessera stream fraud" in late.body
    assert f"{RUNBOOK}#events-wait" in late.body
    for one in queue.read("fraud", limit=9):
        queue.acknowledge("fraud", [one.offset])
    assert found(queue, stack, hours=1) == []


def test_a_worker_that_lives_and_does_nothing_is_found(queue: Events, stack: Stack) -> None:
    with only_one(stack, "stream_support", "`tessera stream support`"):
        Pulse(stack.home, "stream_support").beat()
        assert found(queue, stack) == []
        (hangs,) = found(queue, stack, hours=1)
    assert (hangs.app, hangs.subject) == ("support", "support: the stream's worker hangs")
    assert found(queue, stack, hours=1) == [], "one that ended does not hang"


def test_a_run_that_catches_up_has_no_heartbeat_and_does_not_hang(queue: Events, stack: Stack) -> None:
    beat(stack.home, "stream", {})
    with only_one(stack, "stream", "run 1 of fraud_catch_up"):
        assert found(queue, stack, hours=1) == []


def test_dead_letters_are_one_notice_for_each_application_without_what_they_hold(queue: Events, stack: Stack) -> None:
    for number, type in enumerate([PAYMENT, PAYMENT, TICKET_OPENED]):
        queue.reject_body(event(number, type).to_json(), "no such customer")
    queue.reject_body("[broken", "no JSON")
    conditions = found(queue, stack)
    assert [(one.app, one.level, one.subject) for one in conditions] == [
        ("", "warning", "events: dead letters"),
        ("fraud", "warning", "fraud: dead letters"),
        ("support", "warning", "support: dead letters"),
    ]
    assert conditions[1].body.startswith("2 events")
    assert all("c0000001" not in one.body and f"{RUNBOOK}#dead-letters" in one.body for one in conditions)
    outbox = Ports(stack).notifier
    for _ in range(2):
        for one in conditions:
            one.send(outbox)
    assert [(notice.times, notice.context["owner"]) for notice in outbox.notices()] == [
        (1, "team:platform"),
        (1, "team:data-science"),
        (1, "team:data-science"),
    ]
    assert found(queue, stack, hours=25) == [], "letters of long ago were reported"


def test_watch_finds_late_streams_and_sends_the_notice(queue: Events, stack: Stack, monkeypatch: Any) -> None:
    queue.read("fraud", limit=1)
    queue.publish([event(1)])
    assert watch(expects=[], ping=None) == 0
    stream = stack.settings.fraud.stream.model_copy(update={"max_lag_minutes": 1e-9})
    fraud = stack.settings.fraud.model_copy(update={"stream": stream})
    monkeypatch.setattr(stack, "settings", stack.settings.model_copy(update={"fraud": fraud}))
    assert watch(expects=[], ping=None) == 1
    assert [notice.subject for notice in Ports(stack).notifier.notices()] == ["fraud: events wait too long"]


def test_a_night_that_succeeded_leaves_a_heartbeat_and_no_other_run_does(stack: Stack) -> None:
    def run(job: str, status: dg.DagsterRunStatus) -> dg.DagsterRun:
        return dg.DagsterRun(job_name=job, status=status, tags={"dagster/partition": "2026-03-01"})

    for job, status in (
        ("churn_training", dg.DagsterRunStatus.SUCCESS),
        ("churn_nightly", dg.DagsterRunStatus.FAILURE),
    ):
        assert night_succeeded(stack, run(job, status)) == ""
        assert last_beat(stack.home, job) is None
    assert night_succeeded(stack, run("churn_nightly", dg.DagsterRunStatus.SUCCESS)) == ""
    written = json.loads((stack.home / "heartbeats" / "churn_nightly.json").read_text())
    assert written["day"] == "2026-03-01"
    beaten = last_beat(stack.home, "churn_nightly")
    assert beaten is not None
    assert datetime.now(UTC) - beaten < timedelta(minutes=1)


def test_an_address_that_is_not_reached_is_said_without_its_path(stack: Stack, monkeypatch: Any) -> None:
    calendar = stack.calendar.model_copy(update={"heartbeat_url": "http://127.0.0.1:1/secret/{job}"})
    monkeypatch.setattr(stack, "calendar", calendar)
    says = night_succeeded(stack, dg.DagsterRun(job_name="churn_nightly", status=dg.DagsterRunStatus.SUCCESS))
    assert says.startswith("The ping did not arrive at http://127.0.0.1")
    assert "secret" not in says


def test_a_damaged_heartbeat_is_none(stack: Stack) -> None:
    beat(stack.home, "x", {})
    (stack.home / "heartbeats" / "x.json").write_text("{")
    assert last_beat(stack.home, "x") is None


def test_a_message_has_only_the_lines_that_say_something() -> None:
    assert message("It broke.") == "It broke."
    assert message("It broke.", command="x", section="A run failed").splitlines() == [
        "It broke.",
        "Run: x",
        "Runbook: docs/runbook.md#a-run-failed",
    ]
    assert page("drift") == "docs/runbook.md#drift"
