"""The join against a plain loop, and against Feast's own DuckDB store."""

from datetime import datetime, timedelta
from itertools import pairwise, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from feast import FeatureStore, FeatureView
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.timestamps import to_datetime
from resources.feature_store.offline.pinned_files import pinned
from resources.feature_store.offline.time_ranges import DAY_US, wanted
from tests.unit.feature_store.asof_feast import DAY, HOUR, Row, T, asked, feast, rows_file, values, view_of

MINUTE = timedelta(minutes=1)
#: Events on grids of hours, minutes, seconds and none.
MIDNIGHT = T.replace(hour=0, minute=0, second=0, microsecond=0)
#: Of entity rows on days far apart, only the histories before those days are read.
HALF_DAY = timedelta(hours=12)
TTL_STEPS = 4
VIEWS = {MINUTE: ("ttl", TTL_STEPS), HALF_DAY: ("ttl_days", TTL_STEPS)}


class Known(NamedTuple):
    """A feature row: minutes after T, and its number."""

    who: int | None
    event: int | None
    created: int | None
    number: int


def by_hand(rows: list[Known], who: int | None, moment: int | None, ttl: int | None, known_only: bool) -> int | None:
    """The number of the row that a careful reader would choose."""
    best: Known | None = None
    for row in rows:
        if who is None or moment is None or row.who != who or row.event is None or row.event > moment:
            continue
        if known_only and (row.created is None or row.created > moment):
            continue
        if best is None or _order(row) > _order(best):
            best = row
    if best is None or best.event is None or moment is None:
        return None
    return None if ttl is not None and moment - best.event > ttl else best.number


def _order(row: Known) -> tuple[int, int]:
    return (row.event or 0, -(10**6) if row.created is None else row.created)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("properties")
    path = rows_file(folder / "rows.parquet", [])
    return feast(
        folder,
        view_of(path, name="forever"),
        view_of(path, name="ttl", ttl=TTL_STEPS * MINUTE),
        view_of(path, name="ttl_days", ttl=TTL_STEPS * HALF_DAY),
        view_of(path, name="plain", created_timestamp_column=""),
    )


def at(minutes: int | None, step: timedelta) -> datetime | None:
    return None if minutes is None else MIDNIGHT + minutes * step


#: Lags of nothing, of a constant, of less and of more than the distance of two events, and of unknown size.
LAGS = st.sampled_from(
    [
        st.just(0),
        st.just(3),
        st.integers(0, 1),
        st.integers(-2, 0),
        st.integers(-3, 12),
        st.one_of(st.none(), st.integers(-3, 12)),
    ]
)


@st.composite
def histories(draw: st.DrawFn) -> list[Known]:
    lags = draw(LAGS)
    spread = draw(st.sampled_from([1, 2, 5]))
    found: list[Known] = []
    for number in range(draw(st.integers(0, 20))):
        who = draw(st.sampled_from([1, 2, 2, None]))
        event = draw(st.one_of(st.none(), st.integers(0, 6)) if number % 5 == 4 else st.integers(0, 6))
        lag = draw(lags)
        event = None if event is None else event * spread
        created = None if lag is None else (event or 0) + lag
        found.append(Known(who, event, created, number))
    # Of rows with one key, event and creation any may win.
    return list({row[:3]: row for row in found}.values())


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=histories(),
    questions=st.lists(
        st.tuples(st.sampled_from([1, 2, 3, None]), st.one_of(st.none(), st.integers(-1, 40))), max_size=30
    ),
    step=st.sampled_from([MINUTE, HALF_DAY, timedelta(seconds=17), timedelta(microseconds=1)]),
)
@pytest.mark.slow
def test_joins_equal_a_plain_loop(
    store: FeatureStore, rows: list[Known], questions: list[tuple[int | None, int | None]], step: timedelta
) -> None:
    path = Path(store.config.repo_path or ".") / "history.parquet"
    made: list[Row] = [(row.who, at(row.event, step), at(row.created, step), float(row.number)) for row in rows]
    rows_file(path, made)
    entities = asked(*((who, at(moment, step)) for who, moment in questions))
    name, ttl = VIEWS.get(step, ("forever", None))
    with pinned({name: [str(path)]}):
        for known_only in (False, True):
            found = values(store, entities, known_only=known_only, ref=f"{name}:value")
            assert found == [by_hand(rows, who, moment, ttl, known_only) for who, moment in questions]


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(st.tuples(st.sampled_from([1, 2, None]), st.integers(0, 30)), max_size=20, unique=True),
    questions=st.lists(st.tuples(st.sampled_from([1, 2, 3, None]), st.integers(-1, 31)), min_size=1, max_size=20),
)
@pytest.mark.slow
def test_joins_of_a_view_without_creations_equal_a_plain_loop(
    store: FeatureStore, rows: list[tuple[int | None, int]], questions: list[tuple[int | None, int]]
) -> None:
    known = [Known(who, event, None, number) for number, (who, event) in enumerate(rows)]
    path = Path(store.config.repo_path or ".") / "history.parquet"
    rows_file(path, [(row.who, at(row.event, MINUTE), None, float(row.number)) for row in known])
    with pinned({"plain": [str(path)]}):
        found = values(store, asked(*((who, at(moment, MINUTE)) for who, moment in questions)), ref="plain:value")
    assert found == [by_hand(known, who, moment, None, False) for who, moment in questions]


def random_view(folder: Path, name: str, seed: int, ttl: timedelta) -> FeatureView:
    """4,000 rows of 60 customers: ties, late rows, backfills, gaps."""
    rng = np.random.default_rng(seed)
    events = T + rng.integers(0, 2000, 4000) * HOUR
    created = events + rng.choice([0, 1, 2, 500], 4000, p=[0.4, 0.3, 0.2, 0.1]) * HOUR
    # Creations of one customer and event differ, so that which row wins is no accident.
    rows: list[Row] = [
        (int(who), event, made + timedelta(microseconds=number), None if number % 17 == 0 else float(number))
        for number, (who, event, made) in enumerate(zip(rng.integers(0, 60, 4000), events, created, strict=True))
    ]
    return view_of(
        rows_file(folder / f"{name}.parquet", rows, name=f"of_{name}"), name=name, feature=f"of_{name}", ttl=ttl
    )


# ibis 12 reads DuckDB 2 results by a method that DuckDB has since renamed.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
@pytest.mark.parametrize("known_only", [False, True])
def test_equals_feasts_own_store(tmp_path: Path, known_only: bool) -> None:
    rng = np.random.default_rng(7)
    views = [
        random_view(tmp_path, "a", 1, 20 * DAY),
        random_view(tmp_path, "b", 2, timedelta(0)),
        random_view(tmp_path, "c", 3, HOUR),
    ]
    moments = T + rng.integers(-10, 2600, 3000) * HOUR + timedelta(seconds=1)
    entities = asked(*zip(rng.integers(0, 64, 3000).tolist(), moments.tolist(), strict=True))
    frame = entities.append_column("row", pa.array(range(3000))).to_pandas()
    refs = [f"{name}:of_{name}" for name in "abc"]
    ours = feast(tmp_path / "ours", *views).get_historical_features(frame, refs, filter_by_created_timestamp=known_only)
    other = feast(tmp_path / "theirs", *views, type="duckdb")
    theirs = (
        other.get_historical_features(frame, refs, filter_by_created_timestamp=known_only).to_arrow().sort_by("row")
    )
    names = [f"of_{name}" for name in "abc"]
    found = ours.to_arrow()
    assert found["row"].to_pylist() == list(range(3000))
    assert found.select(names).to_pylist() == theirs.select(names).to_pylist()
    assert 0 < found["of_c"].null_count < 3000


@given(
    asked_us=st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=60),
    ages_us=st.lists(st.integers(0, 10**11), min_size=1),
    max_age_us=st.one_of(st.none(), st.integers(0, 10**11)),
)
def test_what_may_match_is_wanted(asked_us: list[int], ages_us: list[int], max_age_us: int | None) -> None:
    ranges = wanted({us // DAY_US for us in asked_us}, max(asked_us), max_age_us)
    assert all(first is None or first <= last for first, last in ranges)
    assert all(one[1] < other[0] for one, other in pairwise(ranges) if other[0] is not None)
    for us, age_us in product(asked_us, ages_us):
        if max_age_us is None or age_us <= max_age_us:
            event = to_datetime(us - age_us)
            assert any((first is None or first <= event) and event <= last for first, last in ranges)
