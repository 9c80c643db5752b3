"""What the point-in-time join gives, on rows made by hand."""

from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import DeltaFormat
from feast.types import Float64, Int64, String

from models.errors import TesseraError
from resources.feature_store.offline.pinned_files import pinned
from tests.unit.feature_store.asof_feast import (
    DAY,
    HOUR,
    MICROSECOND,
    US_UTC,
    Row,
    T,
    asked,
    customer,
    feast,
    rows_file,
    values,
    view_of,
)


def joined(
    folder: Path, rows: list[Row], entities: Any, *, ttl: timedelta = timedelta(0), known_only: bool = False
) -> list[Any]:
    store = feast(folder, view_of(rows_file(folder / "rows.parquet", rows), ttl=ttl))
    return values(store, entities, known_only=known_only)


def test_the_newest_row_that_is_not_from_the_future(tmp_path: Path) -> None:
    rows: list[Row] = [(1, T - DAY, T, 1.0), (1, T, T, 2.0), (1, T + MICROSECOND, T, 3.0), (2, T, T, 9.0)]
    entities = asked((1, T), (1, T - MICROSECOND), (1, T - DAY - MICROSECOND), (3, T))
    assert joined(tmp_path, rows, entities) == [2.0, 1.0, None, None]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_of_equal_moments_the_row_created_last(tmp_path: Path, order: tuple[int, ...]) -> None:
    rows: list[Row] = [(1, T, T, 1.0), (1, T, T + 2 * DAY, 3.0), (1, T, T + DAY, 2.0)]
    assert joined(tmp_path, [rows[at] for at in order], asked((1, T + DAY))) == [3.0]


def test_a_row_created_nobody_knows_when_is_older_than_any_that_was(tmp_path: Path) -> None:
    rows: list[Row] = [(1, T, None, 1.0), (1, T, T - 30_000 * DAY, 2.0), (2, T, None, 3.0), (2, T - DAY, T, 4.0)]
    assert joined(tmp_path, rows, asked((1, T), (2, T))) == [2.0, 3.0]


def test_a_row_of_the_next_microsecond_created_nobody_knows_when_is_of_the_future(tmp_path: Path) -> None:
    assert joined(tmp_path, [(1, T + MICROSECOND, None, 1.0)], asked((1, T), (1, T + MICROSECOND))) == [None, 1.0]


def test_age_equal_to_ttl_is_still_served(tmp_path: Path) -> None:
    entities = asked((1, T + 5 * DAY), (1, T + 5 * DAY + MICROSECOND), (1, T))
    assert joined(tmp_path, [(1, T, T, 1.0)], entities, ttl=5 * DAY) == [1.0, None, 1.0]


def test_no_ttl_serves_rows_of_any_age(tmp_path: Path) -> None:
    entities = asked((1, datetime(9998, 1, 1, tzinfo=T.tzinfo)))
    assert joined(tmp_path, [(1, datetime(1901, 1, 1, tzinfo=T.tzinfo), T, 1.0)], entities) == [1.0]


def test_an_expired_newest_row_does_not_bring_back_an_older_one(tmp_path: Path) -> None:
    rows: list[Row] = [(1, T, T, 1.0), (1, T - DAY, T + DAY, 2.0)]
    assert joined(tmp_path, rows, asked((1, T + 6 * DAY)), ttl=5 * DAY) == [None]


def test_rows_their_order_and_duplicates_are_kept(tmp_path: Path) -> None:
    entities = asked((2, T), (1, T), (1, T), (7, T), (2, T)).append_column("label", pa.array([4, 3, 2, 1, 0]))
    rows: list[Row] = [(1, T, T, 1.0), (2, T, T, 2.0)]
    store = feast(tmp_path, view_of(rows_file(tmp_path / "rows.parquet", rows)))
    found = store.get_historical_features(entities, ["view:value"]).to_arrow()
    assert found.drop_columns("value").equals(entities)
    assert found["value"].to_pylist() == [2.0, 1.0, 1.0, None, 2.0]


def test_a_row_without_key_or_moment_is_kept_and_knows_nothing(tmp_path: Path) -> None:
    rows: list[Row] = [(1, T, T, 1.0), (None, T, T, 2.0), (1, None, T, 3.0), (5, None, None, 4.0)]
    entities = asked((None, T), (1, None), (None, None), (1, T), (5, T))
    assert joined(tmp_path, rows, entities) == [None, None, None, 1.0, None]


def test_entity_rows_that_all_lack_a_moment(tmp_path: Path) -> None:
    assert joined(tmp_path, [(1, T, T, 1.0)], asked((1, None), (None, None))) == [None, None]


def test_no_entity_rows_and_no_feature_rows(tmp_path: Path) -> None:
    assert joined(tmp_path / "a", [(1, T, T, 1.0)], asked()) == []
    assert joined(tmp_path / "b", [], asked((1, T))) == [None]


def test_a_null_in_the_newest_row_stays_null(tmp_path: Path) -> None:
    assert joined(tmp_path, [(1, T - DAY, T, 1.0), (1, T, T, None)], asked((1, T))) == [None]


class TestWhatWasKnown:
    """`filter_by_created_timestamp`: rows created after an entity row's moment are not there yet."""

    ROWS: ClassVar[list[Row]] = [(1, T - DAY, T - DAY, 1.0), (1, T, T + HOUR, 2.0)]

    def test_a_late_row_is_not_joined(self, tmp_path: Path) -> None:
        entities = asked((1, T), (1, T + HOUR - MICROSECOND), (1, T + HOUR))
        assert joined(tmp_path / "a", self.ROWS, entities, known_only=True) == [1.0, 1.0, 2.0]
        assert joined(tmp_path / "b", self.ROWS, entities) == [2.0, 2.0, 2.0]

    def test_a_row_created_ahead_of_its_event_waits_for_the_event(self, tmp_path: Path) -> None:
        rows: list[Row] = [(1, T, T - 9 * DAY, 1.0), (1, T - DAY, T - DAY, 2.0)]
        assert joined(tmp_path, rows, asked((1, T - MICROSECOND), (1, T)), known_only=True) == [2.0, 1.0]

    def test_a_backfill_of_an_old_event_never_replaces_a_newer_event(self, tmp_path: Path) -> None:
        rows: list[Row] = [(1, T, T, 2.0), (1, T - DAY, T + DAY, 1.0), (1, T + HOUR, T + 5 * DAY, 3.0)]
        entities = asked((1, T), (1, T + DAY), (1, T + 5 * DAY))
        assert joined(tmp_path, rows, entities, known_only=True) == [2.0, 2.0, 3.0]

    def test_a_correction_counts_from_its_creation_on(self, tmp_path: Path) -> None:
        rows: list[Row] = [(1, T, T, 1.0), (1, T, T + DAY, 2.0), (1, T, T + 2 * DAY, 3.0)]
        entities = asked((1, T), (1, T + DAY), (1, T + 2 * DAY - MICROSECOND), (1, T + 2 * DAY))
        assert joined(tmp_path, rows, entities, known_only=True) == [1.0, 2.0, 2.0, 3.0]

    def test_corrections_created_before_their_event(self, tmp_path: Path) -> None:
        rows: list[Row] = [(1, T, T - HOUR, 2.0), (1, T, T - DAY, 1.0), (1, T - DAY, T - DAY, 0.0)]
        assert joined(tmp_path, rows, asked((1, T), (1, T - HOUR)), known_only=True) == [2.0, 0.0]

    def test_a_row_created_nobody_knows_when_is_not_joined(self, tmp_path: Path) -> None:
        rows: list[Row] = [(1, T, None, 2.0), (1, T - DAY, T - DAY, 1.0)]
        assert joined(tmp_path, rows, asked((1, T)), known_only=True) == [1.0]

    @pytest.mark.parametrize("late", [DAY, DAY - MICROSECOND, DAY + MICROSECOND])
    def test_a_day_created_as_late_as_the_next_day(self, tmp_path: Path, late: timedelta) -> None:
        """Days lie on a grid of one day: lags that differ by less keep their order, by as much they do not."""
        day = datetime(2024, 3, 1, tzinfo=T.tzinfo)
        rows: list[Row] = []
        for who in range(20):
            pair: list[Row] = [(who, day, day + late, 0.0), (who, day + DAY, day + DAY, 1.0)]
            rows += pair[:: 1 if who % 2 else -1]
        entities = asked(*((who, day + moment) for who in range(20) for moment in (late - MICROSECOND, late, 2 * DAY)))
        expected = {
            DAY: [None, 1.0, 1.0],
            DAY - MICROSECOND: [None, 0.0, 1.0],
            DAY + MICROSECOND: [1.0, 1.0, 1.0],
        }[late]
        assert joined(tmp_path, rows, entities, known_only=True) == expected * 20

    def test_age_counts_from_the_event_not_from_the_creation(self, tmp_path: Path) -> None:
        entities = asked((1, T + DAY), (1, T + DAY + MICROSECOND))
        assert joined(tmp_path, self.ROWS[1:], entities, ttl=DAY, known_only=True) == [2.0, None]

    def test_a_view_that_does_not_know_creations_is_joined_as_without(self, tmp_path: Path) -> None:
        path = rows_file(tmp_path / "rows.parquet", self.ROWS)
        store = feast(tmp_path, view_of(path, created_timestamp_column=""))
        assert values(store, asked((1, T)), known_only=True) == [2.0]


class TestMoments:
    """Zones, resolutions, dates."""

    @pytest.mark.slow
    @pytest.mark.parametrize("zone", [None, "Asia/Kathmandu"])
    @pytest.mark.parametrize("unit", ["us", "ns"])
    @pytest.mark.parametrize("side", ["entities", "source"])
    def test_the_same_moment_in_other_zones_and_resolutions(
        self, tmp_path: Path, zone: str | None, unit: str, side: str
    ) -> None:
        there = pa.timestamp(unit, zone) if zone else pa.timestamp(unit)
        rows: list[Row] = [(1, T - DAY, T, 1.0), (1, T, T - HOUR, 2.0)]
        at = there if side == "source" else US_UTC
        path = rows_file(tmp_path / "rows.parquet", rows, at=at if zone else pa.timestamp(unit))
        entities = asked((1, T), (1, T - MICROSECOND))
        if side == "entities":
            entities = entities.set_column(1, "event_timestamp", entities["event_timestamp"].cast(there))
        store = feast(tmp_path, view_of(path, ttl=2 * DAY))
        assert values(store, entities) == [2.0, 1.0]
        found = store.get_historical_features(entities, ["view:value"]).to_arrow()["event_timestamp"]
        assert (found.type, found.to_pylist()) == (US_UTC, [T, T - MICROSECOND])

    @pytest.mark.parametrize("unit", ["s", "ms"])
    def test_coarse_moments(self, tmp_path: Path, unit: str) -> None:
        at = T.replace(microsecond=0)
        path = rows_file(tmp_path / "rows.parquet", [(1, at, at, 1.0)], at=pa.timestamp(unit, "UTC"))
        assert values(feast(tmp_path, view_of(path)), asked((1, at), (1, at - MICROSECOND))) == [1.0, None]

    def test_finer_moments_are_cut_off_not_rounded_into_the_future(self, tmp_path: Path) -> None:
        fine = pa.array([int(T.timestamp()) * 10**9 + 999_999_999], pa.timestamp("ns", "UTC"))
        path = rows_file(tmp_path / "rows.parquet", [(1, T, T, 1.0), (1, T + MICROSECOND, T, 2.0)])
        entities = pa.table({"customer_id": pa.array([1], pa.int64()), "event_timestamp": fine})
        assert values(feast(tmp_path, view_of(path)), entities) == [1.0]

    def test_finer_moments_before_1970_are_cut_off_backwards(self, tmp_path: Path) -> None:
        before = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=T.tzinfo)
        path = rows_file(tmp_path / "rows.parquet", [(1, before, T, 1.0), (1, before + MICROSECOND, T, 2.0)])
        fine = pa.array([-1], pa.timestamp("ns", "UTC"))
        entities = pa.table({"customer_id": pa.array([1], pa.int64()), "event_timestamp": fine})
        assert values(feast(tmp_path, view_of(path)), entities) == [1.0]

    def test_parquet_as_pandas_writes_it(self, tmp_path: Path) -> None:
        moments = pd.to_datetime([T - DAY, T], utc=True).as_unit("ns")
        frame = pd.DataFrame(
            {"customer_id": [1, 1], "event_timestamp": moments, "created": moments, "value": [1.0, 2.0]}
        )
        frame.to_parquet(tmp_path / "rows.parquet")
        assert pq.read_schema(tmp_path / "rows.parquet").field("event_timestamp").type == pa.timestamp("ns", "UTC")
        store = feast(tmp_path, view_of(tmp_path / "rows.parquet", ttl=DAY))
        entities = pd.DataFrame({"customer_id": [1, 1], "event_timestamp": moments - pd.Timedelta(1, "us")})
        assert values(store, entities) == [None, 1.0]
        assert values(store, entities, known_only=True) == [None, 1.0]

    def test_dates_are_the_beginning_of_their_day(self, tmp_path: Path) -> None:
        table = pa.table(
            {"customer_id": [1, 1], "event_timestamp": [date(2024, 3, 1), date(2024, 3, 2)], "value": [1.0, 2.0]}
        )
        pq.write_table(table, tmp_path / "rows.parquet")
        store = feast(tmp_path, view_of(tmp_path / "rows.parquet", ttl=3 * DAY, created_timestamp_column=""))
        midnight = datetime(2024, 3, 2, tzinfo=T.tzinfo)
        assert values(store, asked((1, midnight), (1, midnight - MICROSECOND), (1, midnight + 3 * DAY))) == [
            2.0,
            1.0,
            2.0,
        ]

    def test_the_process_time_zone_does_not_matter(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TZ", "America/New_York")
        rows = rows_file(tmp_path / "rows.parquet", [(1, T, T, 1.0)], at=pa.timestamp("us"))
        entities = pd.DataFrame({"customer_id": [1, 1], "event_timestamp": [T, T - MICROSECOND]})
        entities["event_timestamp"] = entities["event_timestamp"].dt.tz_localize(None)
        assert values(feast(tmp_path, view_of(rows)), entities) == [1.0, None]

    def test_rows_of_several_zones_in_one_frame(self, tmp_path: Path) -> None:
        east, west = timezone(timedelta(hours=9)), timezone(timedelta(hours=-7))
        moments = pd.Series([T.astimezone(east), T.astimezone(west), (T - MICROSECOND).astimezone(east)], dtype=object)
        store = feast(tmp_path, view_of(rows_file(tmp_path / "rows.parquet", [(1, T, T, 1.0)])))
        assert values(store, pd.DataFrame({"customer_id": [1, 1, 1], "event_timestamp": moments})) == [1.0, 1.0, None]

    def test_infinitely_late_rows_never_match(self, tmp_path: Path) -> None:
        rows = rows_file(tmp_path / "rows.parquet", [(1, T, T, 1.0)])
        store = feast(tmp_path, view_of(rows))
        moments = f"(VALUES (1::BIGINT, 'infinity'::TIMESTAMPTZ), (1, TIMESTAMPTZ '{T}'))"
        given = f"SELECT * FROM {moments} rows(customer_id, event_timestamp)"  # noqa: S608
        assert values(store, given) == [None, 1.0]


class TestViews:
    """Keys, mappings, aliases, several views at once."""

    def test_several_views_and_full_names(self, tmp_path: Path) -> None:
        first = view_of(rows_file(tmp_path / "a.parquet", [(1, T, T, 1.0)]), name="a", ttl=DAY)
        second = view_of(rows_file(tmp_path / "b.parquet", [(1, T - DAY, T, 2.0)]), name="b", ttl=DAY)
        store = feast(tmp_path, first, second)
        entities = asked((1, T), (1, T + DAY), (1, T - HOUR))
        found = store.get_historical_features(entities, ["b:value", "a:value"], full_feature_names=True).to_arrow()
        assert found.column_names == ["customer_id", "event_timestamp", "b__value", "a__value"]
        assert found["a__value"].to_pylist() == [1.0, 1.0, None]
        assert found["b__value"].to_pylist() == [2.0, None, 2.0]

    def test_several_keys_and_one_view_asked_under_two_names(self, tmp_path: Path) -> None:
        product = Entity(name="product", join_keys=["product_id"], value_type=ValueType.STRING)
        table = pa.table(
            {"who": [1, 1, 2], "what": ["x", "y", "x"], "at": pa.array([T, T, T], US_UTC), "price": [1.0, 2.0, 3.0]}
        )
        pq.write_table(table, tmp_path / "rows.parquet")
        source = FileSource(
            name="prices", path=str(tmp_path / "rows.parquet"), timestamp_field="at",
            field_mapping={"who": "customer_id", "what": "product_id", "price": "value"},
        )  # fmt: skip
        view = FeatureView(
            name="prices", entities=[customer, product], source=source,
            schema=[
                Field(name="customer_id", dtype=Int64), Field(name="product_id", dtype=String),
                Field(name="value", dtype=Float64),
            ],
        )  # fmt: skip
        both = FeatureService(
            name="both",
            features=[view.with_name("own"), view.with_name("others").with_join_key_map({"customer_id": "other_id"})],
        )
        store = feast(tmp_path, product, view, both)
        entities = pa.table(
            {
                "customer_id": [1, 2, 2],
                "product_id": ["x", "x", "y"],
                "other_id": [2, 1, 1],
                "event_timestamp": pa.array([T] * 3, US_UTC),
            }
        )
        assert values(store, entities, ref="prices:value") == [1.0, 3.0, None]
        found = store.get_historical_features(entities, both, full_feature_names=True).to_arrow()
        assert found["own__value"].to_pylist() == [1.0, 3.0, None]
        assert found["others__value"].to_pylist() == [3.0, 1.0, 2.0]

    def test_a_view_without_entities_is_one_row_for_all(self, tmp_path: Path) -> None:
        table = pa.table(
            {
                "event_timestamp": pa.array([T, T - DAY, T - DAY], US_UTC),
                "created": pa.array([T, T, T + DAY], US_UTC),
                "rate": [2.0, 1.0, 1.5],
            }
        )
        pq.write_table(table, tmp_path / "rows.parquet")
        source = FileSource(
            name="rates",
            path=str(tmp_path / "rows.parquet"),
            timestamp_field="event_timestamp",
            created_timestamp_column="created",
        )
        view = FeatureView(name="rates", entities=[], schema=[Field(name="rate", dtype=Float64)], source=source)
        store = feast(tmp_path, view)
        entities = pa.table({"event_timestamp": pa.array([T, T - DAY, None, T - HOUR, T - 9 * DAY], US_UTC)})
        assert values(store, entities, ref="rates:rate") == [2.0, 1.5, None, 1.5, None]
        assert values(store, entities, ref="rates:rate", known_only=True) == [2.0, None, None, None, None]

    def test_integer_keys_of_other_sizes(self, tmp_path: Path) -> None:
        store = feast(tmp_path, view_of(rows_file(tmp_path / "rows.parquet", [(1, T, T, 1.0)])))
        for type_ in (pa.int8(), pa.uint64(), pa.int32()):
            entities = asked((1, T), (2, T))
            assert values(store, entities.set_column(0, "customer_id", entities["customer_id"].cast(type_))) == [
                1.0,
                None,
            ]

    def test_columns_of_any_name_and_type_are_carried(self, tmp_path: Path) -> None:
        store = feast(tmp_path, view_of(rows_file(tmp_path / "rows.parquet", [(1, T, T, 1.0)])))
        entities = asked((1, T), (1, T)).append_column('a "b"', pa.array([[1.0], None]))
        entities = entities.append_column("order", pa.array([{"x": 1}, {"x": 2}])).append_column("n", pa.array([1, 2]))
        found = store.get_historical_features(entities, ["view:value"]).to_arrow()
        assert found.drop_columns("value").to_pylist() == entities.to_pylist()

    def test_few_rows_and_many_rows_are_joined_alike(self, tmp_path: Path) -> None:
        """Other entities' rows are left out before a join of few rows."""
        rng = np.random.default_rng(1)
        rows: list[Row] = [
            (int(who), T + int(at) * HOUR, T + int(at) * HOUR, float(n))
            for n, (who, at) in enumerate(zip(rng.integers(0, 50, 2000), rng.integers(0, 500, 2000), strict=True))
        ]
        store = feast(tmp_path, view_of(rows_file(tmp_path / "rows.parquet", rows), ttl=DAY))
        many = asked(
            *(
                (int(who), T + int(at) * HOUR)
                for who, at in zip(rng.integers(0, 55, 3000), rng.integers(0, 500, 3000), strict=True)
            )
        )
        found = values(store, many)
        assert [values(store, many.slice(at, 100)) for at in range(0, 3000, 1000)] == [
            found[at : at + 100] for at in range(0, 3000, 1000)
        ]


class TestSources:
    """Files, folders, Delta tables."""

    def test_pinned_files_are_read_and_no_others(self, tmp_path: Path) -> None:
        old, new = (
            rows_file(tmp_path / name / "part.parquet", [(1, T, T, value)]) for name, value in (("a", 1.0), ("b", 2.0))
        )
        store = feast(tmp_path, view_of(tmp_path / "nowhere.parquet"))
        with pinned({"view": [str(old)]}):
            job = store.get_historical_features(asked((1, T)), ["view:value"])
        with pinned({"view": [str(new)]}):
            assert values(store, asked((1, T))) == [2.0]
            assert job.to_arrow()["value"].to_pylist() == [1.0]

    def test_a_folder_a_pattern_and_a_path_relative_to_the_repository(self, tmp_path: Path) -> None:
        for number in range(3):
            rows_file(tmp_path / "rows" / f"{number}.parquet", [(number, T, T, float(number))])
        for number, path in enumerate([tmp_path / "rows", tmp_path / "rows" / "*.parquet", "rows/*.parquet"]):
            store = feast(tmp_path, view_of(path, name=f"view{number}"))
            assert values(store, asked((0, T), (2, T), (3, T)), ref=f"view{number}:value") == [0.0, 2.0, None]

    def test_files_with_other_columns_are_matched_by_name(self, tmp_path: Path) -> None:
        rows_file(tmp_path / "rows" / "a.parquet", [(1, T - DAY, T, 1.0)], name="older")
        rows_file(tmp_path / "rows" / "b.parquet", [(1, T, T, 2.0)])
        store = feast(tmp_path, view_of(tmp_path / "rows"))
        assert values(store, asked((1, T), (1, T - DAY))) == [2.0, None]

    def test_the_current_version_of_a_delta_table(self, tmp_path: Path) -> None:
        from deltalake import write_deltalake

        first = pq.read_table(rows_file(tmp_path / "a.parquet", [(1, T, T, 1.0), (2, T, T, 5.0)]))
        second = pq.read_table(rows_file(tmp_path / "b.parquet", [(1, T, T, 2.0)]))
        write_deltalake(tmp_path / "table", first)
        store = feast(tmp_path, view_of(tmp_path / "table", file_format=DeltaFormat()))
        assert values(store, asked((1, T), (2, T))) == [1.0, 5.0]
        write_deltalake(tmp_path / "table", second, mode="overwrite")
        assert values(store, asked((1, T), (2, T))) == [2.0, None]

    def test_a_delta_table_whose_moment_is_in_its_folders(self, tmp_path: Path) -> None:
        from deltalake import write_deltalake

        days = [date(2024, 3, 1), date(2024, 3, 2)]
        table = pa.table({"customer_id": [1, 1], "event_timestamp": days, "created": days, "value": [1.0, 2.0]})
        write_deltalake(tmp_path / "table", table, partition_by=["event_timestamp"])
        store = feast(tmp_path, view_of(tmp_path / "table", file_format=DeltaFormat(), created_timestamp_column=""))
        midnight = datetime(2024, 3, 2, tzinfo=T.tzinfo)
        assert values(store, asked((1, midnight), (1, midnight - MICROSECOND))) == [2.0, 1.0]

    def test_a_delta_table_whose_files_do_not_say_which_rows_are_deleted_is_refused(self, tmp_path: Path) -> None:
        from deltalake import write_deltalake

        rows = pq.read_table(rows_file(tmp_path / "a.parquet", [(1, T, T, 1.0)]))
        for name, setting in {
            "deletionVectors": "enableDeletionVectors",
            "columnMapping": "columnMapping.mode",
        }.items():
            value = "true" if name == "deletionVectors" else "name"
            write_deltalake(tmp_path / name, rows, configuration={f"delta.{setting}": value})
            store = feast(tmp_path, view_of(tmp_path / name, file_format=DeltaFormat()))
            with pytest.raises(TesseraError, match=f"uses {name}"):
                values(store, asked((1, T)))
