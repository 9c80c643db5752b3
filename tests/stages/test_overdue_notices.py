"""One notice for each day that was not published in time, whenever the daemon runs."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.apps import APPS
from models.errors import TesseraError
from pipelines.definitions import build_definitions
from pipelines.overdue import Deadline, Reported, report
from resources.conformance.score_sets import APP, DAY, audit_and_publish, publication, reader, score_rows
from resources.notifier.log import LogNotifier, LogNotifierConfig
from resources.notifier.port import Notifier
from resources.sink.delta import DeltaSinkConfig
from resources.sink.delta_sink import DeltaSink
from resources.sink.port import Sink
from resources.source.simulated import SimulatedSourceConfig
from resources.stack.ports import NotifierResource, SinkResource, SourceResource
from tests.stages.test_publication_deadline import PUBLISHING, stack_with, starts
from tests.stages.test_publication_deadline import publication as of_graph


class Scores(SinkResource):
    backend: DeltaSinkConfig


class Notices(NotifierResource):
    backend: LogNotifierConfig


class Shop(SourceResource):
    backend: SimulatedSourceConfig


DUE = Deadline(APP, timedelta(hours=4))


def at(days: int, hours: float = 5) -> datetime:
    """A time of the night that follows DAY by `days`."""
    return datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC) + timedelta(days=1 + days, hours=hours)


def day(number: int) -> date:
    return DAY + timedelta(days=number)


@pytest.fixture
def sink(tmp_path: Path) -> DeltaSink:
    """DAY is published."""
    sink = DeltaSink(str(tmp_path / "scores"))
    publish(sink, DAY)
    return sink


def publish(sink: Sink, day: date) -> None:
    rows = score_rows([0.1, 0.2])
    sink.write_attempt(APP, day, "a1", reader(rows))
    audit_and_publish(sink, publication("a1", rows, day=day))


def notices(tmp_path: Path) -> list[tuple[str, str]]:
    file = tmp_path / "notices.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(one["context"]["day"], one["level"]) for one in map(json.loads, lines)]


def test_each_late_day_has_one_notice_also_after_the_daemon_was_down(sink: DeltaSink, tmp_path: Path) -> None:
    told = LogNotifier(tmp_path / "notices.jsonl")
    assert report(sink, told, DUE, at(1, 3.9), None) == Reported(DAY), "before the deadline"
    assert report(sink, told, DUE, at(1, 4), DAY) == Reported(day(1), (day(1),))
    assert report(sink, told, DUE, at(1, 9), day(1)) == Reported(day(1)), "no second notice"
    publish(sink, day(3))
    sink.unpublish(APP, day(3), why="wrong", who="ana")
    publish(sink, day(5))
    found = report(sink, told, DUE, at(6), day(1))
    assert found == Reported(day(6), (day(2), day(4), day(6)))
    assert notices(tmp_path) == [(day(number).isoformat(), "error") for number in (1, 2, 4, 6)]
    body = json.loads((tmp_path / "notices.jsonl").read_text().splitlines()[0])["body"]
    assert f"Run: tessera run {APP}_nightly --date {day(1)}" in body
    assert f"by {at(1, 4):%Y-%m-%d %H:%M} UTC" in body


def test_a_home_that_never_published_is_watched_from_its_next_night_on(tmp_path: Path) -> None:
    sink, told = DeltaSink(str(tmp_path / "scores")), LogNotifier(tmp_path / "notices.jsonl")
    assert report(sink, told, DUE, at(0), None) == Reported(DAY)
    assert report(sink, told, DUE, at(1), DAY).days == (day(1),)


class Unreachable(Notifier):
    """Delivers the first notices only."""

    def __init__(self, after: int) -> None:
        self.left, self.sent = after, list[str]()

    def notify(self, level: object, subject: str, body: object, context: object) -> None:
        if not self.left:
            raise TesseraError("the receiver does not answer", expected="an answer", todo="")
        self.left -= 1
        self.sent.append(subject)

    check = NotImplemented


@given(failures=st.lists(st.integers(0, 3), max_size=4), late=st.integers(1, 30))
def test_a_notice_that_was_not_delivered_comes_later_and_none_twice(failures: list[int], late: int) -> None:
    sink, settled, sent = Unpublished(), DAY, list[str]()
    for receiver in [*map(Unreachable, failures), Unreachable(99), Unreachable(99), Unreachable(99)]:
        found = report(sink, receiver, DUE, at(late), settled)
        assert ("is sent again" in found.says()) == bool(found.error)
        settled, sent = found.through, sent + receiver.sent
    assert sent == [f"{APP} {day(number)}: the publication is overdue" for number in range(1, late + 1)]


class Unpublished(type("Bare", (Sink,), dict.fromkeys(Sink.__abstractmethods__))):
    """A sink without publications."""

    def history(self, app: str, day: date) -> list[object]:
        return []

    def published_days(self, app: str) -> list[date]:
        return []


@pytest.mark.parametrize("app", PUBLISHING)
def test_every_publishing_application_has_the_sensor_with_the_deadline_of_its_asset(app: str, tmp_path: Path) -> None:
    stack = stack_with(tmp_path, nightly_at="23:40", publish_within_hours=1)
    sensor = build_definitions(stack).resolve_sensor_def(f"{app}_overdue")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    asked = {
        "sink": Scores(backend=DeltaSinkConfig(path=str(tmp_path / "scores"))),
        "notifier": Notices(backend=LogNotifierConfig(path=str(tmp_path / "notices.jsonl"))),
        "source": Shop(backend=SimulatedSourceConfig(customers=20, first_day="2026-01-01")),
    }
    today = datetime.now(UTC).date()
    before = today - timedelta(days=4)
    with dg.build_sensor_context(cursor=before.isoformat(), resources=asked) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    needed, delivered = next(one.made_from for one in APPS if one.name == app), asked["source"].open().tables()
    if missing := [table for table in needed if table not in delivered]:
        assert f"delivers no {missing[0]}" in str(result.skip_reason)
        return
    (body, *_) = [json.loads(line)["body"] for line in (tmp_path / "notices.jsonl").read_text().splitlines()]
    deadline = of_graph(stack, app).freshness_policy_or_from_metadata.deadline_cron
    due = datetime.combine(before + timedelta(days=2), starts(stack, app), UTC) + timedelta(hours=1)
    due += timedelta(days=int(starts(stack, app).hour < 12))
    assert f"{due.minute} {due.hour} * * *" == deadline
    assert f"by {due:%Y-%m-%d %H:%M} UTC" in body
    assert date.fromisoformat(str(result.cursor)) >= today - timedelta(days=3)
