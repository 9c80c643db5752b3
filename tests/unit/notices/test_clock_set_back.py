"""A clock that was days ahead and is set back: what it wrote holds up no notice, hides no fault and keeps no label."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.stages.alerts import labels_since, moment_of_label
from models.alerts import Alert
from models.event_types import PAYMENT
from models.events import Event
from pipelines import fraud
from pipelines.overdue import Deadline, report
from pipelines.stream_conditions import stream_conditions
from pipelines.stuck_runs import Idle, end_stuck_runs
from resources.heartbeat import beat
from resources.home import only_one
from resources.outbox import Outbox
from resources.sink.delta_sink import DeltaSink
from resources.stack.loader import Stack
from resources.stack.ports import Ports
from tests.unit.notices.test_outbox import Clock, Receiver
from tests.unit.test_stuck_runs import CODE_SERVER, waiting

AHEAD = timedelta(days=30)
NOW = datetime.now(UTC)


def test_notices_that_waited_are_sent_by_the_new_clock(tmp_path: Path) -> None:
    receiver, clock = Receiver(is_down=True), Clock(NOW + AHEAD)
    outbox = Outbox(tmp_path / "notices.db", receiver, clock)
    outbox.notify("error", "of the clock that was ahead", "", {})
    clock.now, receiver.is_down = NOW, False
    outbox.deliver()
    clock.now += timedelta(minutes=1)
    outbox.notify("error", "of the clock as it is", "", {})
    assert receiver.taken == ["of the clock that was ahead", "of the clock as it is"]


def test_a_receiver_that_stays_down_is_not_asked_all_the_time(tmp_path: Path) -> None:
    receiver, clock = Receiver(is_down=True), Clock(NOW + AHEAD)
    outbox = Outbox(tmp_path / "notices.db", receiver, clock)
    outbox.notify("error", "a", "", {})
    clock.now = NOW
    for _ in range(5):
        outbox.deliver()
    assert receiver.tries == 1, "the failure counts as one of just now"


def test_a_beat_from_ahead_is_no_sign_of_life(stack: Stack) -> None:
    queue = Ports(stack).events
    with only_one(stack, "stream_support", "`tessera stream support`"):
        beat(stack.home, "stream_support", {})
        (hangs,) = stream_conditions(queue, stack, NOW - AHEAD)
    assert hangs.subject == "support: the stream's worker hangs"


def test_events_from_ahead_wait(stack: Stack) -> None:
    queue = Ports(stack).events
    queue.read("fraud", limit=1)
    queue.publish([Event(id="e", source="t", type=PAYMENT, time=NOW, subject="c", data={"customer_id": "c"})])
    assert [one.subject for one in stream_conditions(queue, stack, NOW - AHEAD)] == ["fraud: events wait too long"]


@pytest.mark.slow
def test_a_run_that_was_seen_ahead_is_found_stuck_after_the_usual_time(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    outbox, limit = Outbox(tmp_path / "notices.db", Receiver()), timedelta(minutes=15)
    with waiting(instance, **{CODE_SERVER: "{}"}) as run_id:
        seen, ended = end_stuck_runs(instance, outbox, {run_id: Idle(cpu_seconds=1e9, since=NOW + AHEAD)}, NOW, limit)
        assert (seen[run_id].since, ended) == (NOW, [])


def test_nights_after_the_last_one_that_was_settled_ahead_are_reported(tmp_path: Path) -> None:
    sink, outbox, deadline = (
        DeltaSink(str(tmp_path)),
        Outbox(tmp_path / "n.db", Receiver()),
        Deadline("churn", AHEAD * 0),
    )
    settled = date(2026, 3, 30)
    found = report(sink, outbox, deadline, datetime(2026, 3, 3, 1, tzinfo=UTC), settled)
    assert (found.through, found.days) == (date(2026, 3, 2), ())
    found = report(sink, outbox, deadline, datetime(2026, 3, 4, 1, tzinfo=UTC), found.through)
    assert found.days == (date(2026, 3, 3),)


@pytest.mark.parametrize(("ahead", "waits"), [(timedelta(), True), (AHEAD, False), (-AHEAD, False)])
def test_failures_from_ahead_do_not_keep_events_waiting(ahead: timedelta, waits: bool) -> None:
    class Record:
        dagster_run = dg.DagsterRun(job_name="fraud_catch_up", status=dg.DagsterRunStatus.FAILURE)
        create_timestamp = NOW + ahead

    class Context:
        class instance:
            get_run_records = staticmethod(lambda *given, **how: [Record()] * 3)

    context: Any = Context()
    assert fraud._fails(context) == waits


def test_a_correction_counts_although_the_first_label_was_given_ahead(stack: Stack) -> None:
    store, day = Ports(stack).alert_store, NOW.date()
    alert = Alert("fraud-1-c1", "fraud", day, "c1", ("7",), NOW, 0.9, 0.9, "1", {})
    store.add_alerts([alert])
    store.answer("fraud-1-c1", "fraud", who="ana", at=NOW + AHEAD)
    store.answer("fraud-1-c1", "genuine", who="ana", at=moment_of_label(store, alert, NOW))
    assert [one.label for one in labels_since(store, alert.app, day)] == ["fraud", "genuine"]
