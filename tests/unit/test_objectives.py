"""Objectives are measured of publications and of requests; an error budget is what failures leave of the promise."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from models.objectives import Objectives, Promise
from models.settings import ChurnSettings, Settings
from pipelines.objectives import measured
from pipelines.overdue import Deadline
from resources.conformance import score_sets
from resources.sink.delta_sink import DeltaSink
from resources.traces.port import SpanRecord
from resources.traces.sqlite_traces import SqliteTraces

DAY = score_sets.DAY
#: Deadlines are 4:00 UTC of the next day.
DEADLINE = Deadline("churn", timedelta(hours=4))
NOW = datetime.combine(DAY + timedelta(days=3), datetime.min.time(), UTC) + timedelta(hours=5)


def promises(sink: Any, traces: SqliteTraces, *, sampled_share: float = 1.0, **wanted: Any) -> dict[str, Promise]:
    churn = ChurnSettings(objectives=Objectives(**wanted), owner="team:shop")
    settings = Settings(churn=churn).model_copy(
        update={"traces": Settings().traces.model_copy(update={"sampled_share": sampled_share})}
    )
    found = measured(settings, "churn", sink, traces, DEADLINE, NOW)
    assert found.owner == "team:shop"
    return {one.name: one for one in found.promises}


@pytest.fixture
def traces(tmp_path: Path) -> SqliteTraces:
    return SqliteTraces(tmp_path / "traces", keep_days=14, max_bytes_per_day=10**8)


@pytest.fixture
def sink(tmp_path: Path) -> DeltaSink:
    return DeltaSink(str(tmp_path / "scores"))


def publish(sink: DeltaSink, day: date, hour: int, degradation: str = "fresh") -> None:
    rows = score_sets.some_rows(3)
    attempt = score_sets.digest(rows)[:16]
    sink.write_attempt("churn", day, attempt, score_sets.reader(rows))
    at = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC) + timedelta(hours=hour)
    record = score_sets.publication(attempt, rows, day=day)
    score_sets.audit_and_publish(sink, record.model_copy(update={"published_at": at, "degradation": degradation}))


def requests(traces: SqliteTraces, *answered: tuple[str, float, bool]) -> None:
    start = int(datetime.now(UTC).timestamp() * 1e9)
    traces.write(
        [
            SpanRecord(f"{place:032x}", f"{place:016x}", "", name, "server", start, int(ms * 1e6), failed)
            for place, (name, ms, failed) in enumerate(answered, 1)
        ]
    )


def test_nights_count_from_the_first_published_day_to_the_newest_due(sink: DeltaSink, traces: SqliteTraces) -> None:
    publish(sink, DAY, 3)
    publish(sink, DAY + timedelta(days=1), 7)  # late
    publish(sink, DAY + timedelta(days=2), 3, "last_good_scores")
    found = promises(sink, traces)
    assert (found["nights_in_time"].kept, found["nights_in_time"].counted) == (2, 3)
    assert (found["nights_fresh"].kept, found["nights_fresh"].counted) == (2, 3)
    assert not found["nights_in_time"].is_kept
    newest = promises(sink, traces, days=1)
    assert (newest["nights_in_time"].kept, newest["nights_in_time"].counted) == (1, 1)


def test_a_night_that_published_nothing_is_not_in_time(sink: DeltaSink, traces: SqliteTraces) -> None:
    publish(sink, DAY, 3)
    found = promises(sink, traces)
    assert (found["nights_in_time"].kept, found["nights_in_time"].counted) == (1, 3)


def test_days_before_the_first_publication_of_the_home_do_not_count(sink: DeltaSink, traces: SqliteTraces) -> None:
    """The first run by hand, and nights that are made up for, had no chance to be in time."""
    publish(sink, DAY, 9)
    publish(sink, DAY - timedelta(days=5), 24 * 5 + 10)
    publish(sink, DAY + timedelta(days=1), 3)
    found = promises(sink, traces)
    assert (found["nights_in_time"].kept, found["nights_in_time"].counted) == (1, 2)
    assert (found["nights_fresh"].kept, found["nights_fresh"].counted) == (3, 3)


def test_requests_to_other_applications_and_to_the_service_do_not_count(sink: DeltaSink, traces: SqliteTraces) -> None:
    requests(
        traces,
        ("POST /v1/churn/score", 10, False),
        ("GET /v1/churn/scores/{entity}", 900, False),
        ("POST /v1/churn/score", 10, True),
        ("POST /v1/fraud/score", 10, True),
        ("GET /metrics", 10, True),
    )
    found = promises(sink, traces)
    assert (found["requests_answered"].kept, found["requests_answered"].counted) == (2, 3)
    assert (found["requests_in_time"].kept, found["requests_in_time"].counted) == (1, 3)


def test_sampled_requests_stand_for_the_others_and_failures_for_themselves(
    sink: DeltaSink, traces: SqliteTraces
) -> None:
    requests(traces, ("POST /v1/churn/score", 10, False), ("POST /v1/churn/score", 10, True))
    found = promises(sink, traces, sampled_share=0.01)
    assert (found["requests_answered"].kept, found["requests_answered"].counted) == (100, 101)


def test_nothing_measured_keeps_every_promise(sink: DeltaSink, traces: SqliteTraces) -> None:
    found = promises(sink, traces)
    assert {(one.share, one.budget_left, one.is_kept) for one in found.values()} == {(None, None, True)}


@pytest.mark.parametrize(("kept", "left"), [(100, 1.0), (99, 0.5), (98, 0.0), (96, -1.0)])
def test_the_budget_is_what_failures_leave(kept: int, left: float) -> None:
    assert Promise("nights_in_time", 0.98, kept, 100).budget_left == pytest.approx(left)
