"""Late, doubled, unordered and wrong rows of experiments, by the source and as events, and an erased customer."""

import tempfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.stages.experiments.impressions import TABLE, label_impressions
from assets.stages.experiments.log import experiment_log, rows_of
from assets.stages.experiments.logged_events import store_events
from assets.stages.ingestion.completeness_log import complete_days, logged_table
from assets.stages.reading import quarantined
from models.contracts import DELIVERED_ON
from models.events import Event
from models.experiments.config import ExperimentsConfig, ExperimentSettings
from models.experiments.evaluation import evaluate
from models.experiments.impressions import labelled
from resources.events.sqlite_events import SqliteEvents
from resources.lake.delta import DeltaLake

FIRST = date(2025, 3, 1)
LABEL_DAYS, DAYS = 3, 4
CONFIG = ExperimentsConfig(label_days=LABEL_DAYS)
END = FIRST + timedelta(days=DAYS + 2 * LABEL_DAYS + 2)
NOW = datetime.combine(END, datetime.min.time(), UTC)
TRIAL = ExperimentSettings.model_validate(
    {
        "part": "ranker",
        "variants": [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5}],
        "primary": {"kind": "click", "measure": "count"},
        "first_day": FIRST,
        "last_day": FIRST + timedelta(days=DAYS - 1),
        "window_days": 2,
    }
)


class Delivery(NamedTuple):
    """A list and its click: day on which it was shown, days until it is delivered, by which ways, and how often."""

    day: int
    late: int
    as_event: bool
    from_source: bool
    twice: bool
    variant: str


DELIVERIES = st.lists(
    st.builds(
        Delivery,
        st.integers(0, DAYS - 1),
        st.integers(0, LABEL_DAYS + 2),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["a", "b", "c"]),
    ),
    min_size=1,
    max_size=8,
)
_HOMES = count()


def list_event(number: int, one: Delivery, **changed: Any) -> Event:
    at = datetime(2025, 3, 1, 9, number, tzinfo=UTC) + timedelta(days=one.day)
    data = {
        "list_id": f"l{number}",
        "experiment": "trial",
        "variant": one.variant,
        "customer_id": f"c{number}",
        "products": ["p1", "p2"],
        "propensities": [1.0, 0.5],
        "shown_at": at.isoformat(),
    }
    return Event(id=f"l{number}", source="/p", type="exposure.shown", time=at, subject="c", data={**data, **changed})


def click_event(number: int, one: Delivery) -> Event:
    at = datetime(2025, 3, 1, 10, number, tzinfo=UTC) + timedelta(days=one.day)
    data = {
        "outcome_id": f"o{number}",
        "kind": "click",
        "exposure_id": f"l{number}-2",
        "customer_id": f"c{number}",
        "product_id": "p2",
        "happened_at": at.isoformat(),
    }
    return Event(id=f"o{number}", source="/p", type="outcome.happened", time=at, subject="c", data=data)


def queue_in(folder: Path) -> SqliteEvents:
    return SqliteEvents(folder / f"events{next(_HOMES)}.db", lease_seconds=60, max_backlog=1000)


def source_rows(lake: DeltaLake, folder: Path, day: date, events: Sequence[Event]) -> None:
    """Put rows into the tables of the source: those that a queue of their own brings, with other copies left out."""
    other, queue = DeltaLake(str(folder / f"other{next(_HOMES)}")), queue_in(folder)
    queue.publish(events)
    store_events(queue, other, day, now=NOW)
    for table in ("exposures", "outcomes"):
        if other.exists(logged_table(table)):
            lake.append(table, other.scan(logged_table(table)).to_table(), by=DELIVERED_ON)


def delivered(lake: DeltaLake, folder: Path, deliveries: Sequence[Delivery]) -> SqliteEvents:
    """Run the nights: every list and click comes on its day, some late, doubled, or both ways."""
    queue = queue_in(folder)
    for night in range(DAYS + LABEL_DAYS + 3):
        day = FIRST + timedelta(days=night)
        due = [(n, one) for n, one in reversed([*enumerate(deliveries)]) if one.day + one.late == night]
        source_rows(lake, folder, day, [e for n, one in due if one.from_source for e in both(n, one)])
        queue.publish([e for n, one in due if one.as_event or not one.from_source for e in both(n, one)])
        store_events(queue, lake, day, now=NOW, batch=3)
        if night == DAYS:
            label_impressions(lake, CONFIG, day)
    return queue


def both(number: int, one: Delivery) -> list[Event]:
    twice = 2 if one.twice else 1
    return [click_event(number, one), list_event(number, one)] * twice


@settings(max_examples=3, deadline=None)
@given(deliveries=DELIVERIES)
def test_every_list_that_comes_in_time_is_labelled_once_and_every_unit_counts_once(
    deliveries: list[Delivery],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lake = DeltaLake(str(folder / "lake"))
        delivered(lake, folder, deliveries)
        label_impressions(lake, CONFIG, END)
        rows = pl.DataFrame(lake.scan(TABLE).to_table()) if lake.exists(TABLE) else pl.DataFrame()
        in_time = {f"l{n}" for n, one in enumerate(deliveries) if one.late <= LABEL_DAYS}
        ids = rows["exposure_id"].to_list() if len(rows) else []
        assert sorted(ids) == sorted(f"{name}-{slot}" for name in in_time for slot in (1, 2))
        for shown_on in sorted({FIRST + timedelta(days=one.day) for one in deliveries}):
            of_day = [rows.filter(pl.col("shown_on") == shown_on)] if len(rows) else []
            for each in of_day:
                assert each.drop("shown_on").equals(clean(lake, shown_on))
        log = experiment_log(lake, "trial", TRIAL, END)
        found = evaluate("trial", TRIAL, log.exposures, log.outcomes, log.named, log.lines, END)
        known = [one for one in deliveries if one.variant != "c"]
        assert sum(found.units.values()) == len(known)
        assert found.faults.unknown_variant == 2 * (len(deliveries) - len(known))
        assert (found.faults.duplicates, found.faults.unknown_exposure, found.faults.before_exposure) == (0, 0, 0)
        assert [one.mean for one in found.effects] == [float(any(one.variant == "b" for one in known))]


def clean(lake: DeltaLake, shown_on: date) -> pl.DataFrame:
    """Return the labels of a day from rows as they came in time, each once."""
    last = shown_on + timedelta(days=LABEL_DAYS)
    shown, happened = (rows_of(lake, table, FIRST, last) for table in ("exposures", "outcomes"))
    once = (shown.unique("exposure_id"), happened.unique("outcome_id"))
    return labelled(*once, shown_on, LABEL_DAYS)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"shown_at": "2099-01-01T00:00:00Z"}, "shown_at 2099-01-01 00:00:00 UTC is after its delivery"),
    ({"products": ["p1", " "]}, "product_id is missing"),
    ({"propensities": [1.0, 0.0]}, "propensity 0.0 is not > 0"),
    ({"variant": "v" * 200}, "variant has more than 128 characters"),
]


@pytest.mark.parametrize(("changed", "reason"), WRONG)
def test_rows_of_events_that_break_the_contract_are_quarantined_with_reason_and_original(
    tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    lake, queue = DeltaLake(str(tmp_path)), queue_in(tmp_path)
    event = list_event(0, Delivery(0, 0, True, False, False, "a"), **changed)
    queue.publish([event])
    found = store_events(queue, lake, FIRST, now=NOW, run_id="r1")
    assert (found.refused, found.quarantined + found.rows["exposures"]) == (0, 2)
    rows = quarantined(lake, "exposures").to_pylist()
    assert reason[:18] in rows[0]["reasons"][0]
    assert f'"list_id": "{event.id}"' in rows[0]["original"]
    assert (rows[0][DELIVERED_ON], rows[0]["run_id"]) == (FIRST, "r1")
    counted = complete_days(lake, logged_table("exposures"))[FIRST]
    assert (counted.kept, counted.quarantined) == (found.rows["exposures"], found.quarantined)
    queue.replay("experiments", first=1)
    assert store_events(queue, lake, FIRST, now=NOW).quarantined == 0


def test_nothing_of_an_erased_customer_comes_back_not_even_a_refused_row(tmp_path: Path) -> None:
    lake, queue = DeltaLake(str(tmp_path)), queue_in(tmp_path)
    lake.leave_tombstone("customer", "c0", day=FIRST, why="asked")
    one = Delivery(0, 0, True, False, False, "a")
    queue.publish([list_event(0, one, products=["p1", ""]), click_event(0, one), list_event(1, one)])
    found = store_events(queue, lake, FIRST, now=NOW)
    assert (found.rows, found.quarantined, found.known) == ({"outcomes": 0, "exposures": 2}, 0, 0)
    held = [lake.scan(name).to_table().to_pylist() for name in lake.tables()]
    assert "c0" not in str(held)


def test_a_day_takes_each_batch_as_a_part_of_its_own(tmp_path: Path) -> None:
    lake, queue = DeltaLake(str(tmp_path)), queue_in(tmp_path)
    queue.publish([list_event(n, Delivery(0, 0, True, False, False, "a")) for n in range(6)])
    store_events(queue, lake, FIRST, now=NOW, batch=2)
    assert len(lake.files(logged_table("exposures"))) == 3
    assert lake.scan(logged_table("exposures")).count_rows() == 12
