"""What every offline store does, asked through Feast: who wins, what expires, what comes out, what is refused.

Each test is a behaviour of `resources/conformance/feast_behaviours.py`; a declared gap must fail there.
"""

# Feast is only partly typed.
# pyright: basic

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Field, RequestSource
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import SavedDatasetPostgreSQLStorage
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64

from resources.conformance.feast_behaviours import OFFLINE_STORES
from tests.conformance.feast_stores.other_process import OtherProcess
from tests.conformance.feast_stores.rows import (
    CREATED,
    DAY,
    HOUR,
    KEY,
    MICROSECOND,
    MOMENT,
    US_UTC,
    T,
    asked,
    features,
    table,
    values,
)
from tests.conformance.feast_stores.stores import Repo, Servers, pandas, quiet, read_table

pytestmark = [pytest.mark.xdist_group("feast_stores"), pytest.mark.slow]

#: A whole second, which every resolution can hold.
SECOND = datetime(2024, 3, 31, 23, 30, tzinfo=UTC)


@pytest.fixture(scope="module", params=OFFLINE_STORES)
def repo(request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repo]:
    opened = Repo(tmp_path_factory.mktemp("repo"), servers, request.param, "sqlite")
    yield opened
    opened.close()


def joined(repo: Repo, rows: pa.Table, entities: Any, *, ttl: timedelta | None = None, **options: Any) -> list[Any]:
    """`x` of each entity row."""
    view = repo.view(rows, ttl=ttl)
    with quiet():
        return values(repo.historical(entities, view, **options).to_arrow())


class TestWhichRow:
    def test_the_newest_row_up_to_the_moment_is_joined(self, repo: Repo) -> None:
        rows = features(("a", T - DAY, T, 1.0), ("a", T, T, 2.0), ("a", T + MICROSECOND, T, 3.0), ("b", T, T, 9.0))
        entities = asked(("a", T), ("a", T - MICROSECOND), ("a", T + MICROSECOND), ("a", T - 2 * DAY))
        assert joined(repo, rows, entities) == [2.0, 1.0, 3.0, None]

    @pytest.mark.parametrize("ttl", [None, timedelta(0), 2 * DAY])
    def test_ties_go_to_the_newest_created(self, repo: Repo, ttl: timedelta | None) -> None:
        rows = features(("a", T, T + HOUR, 2.0), ("a", T, T + 2 * HOUR, 3.0), ("a", T, T, 1.0))
        assert joined(repo, rows, asked(("a", T + DAY)), ttl=ttl) == [3.0]

    def test_a_missing_created_is_the_oldest(self, repo: Repo) -> None:
        rows = features(("a", T, T, 1.0), ("a", T, None, 2.0), ("b", T, None, 3.0))
        assert joined(repo, rows, asked(("a", T), ("b", T))) == [1.0, 3.0]

    def test_ttl_includes_its_boundary(self, repo: Repo) -> None:
        entities = asked(("a", T + DAY), ("a", T + DAY + MICROSECOND))
        assert joined(repo, features(("a", T, T, 1.0)), entities, ttl=DAY) == [1.0, None]

    @pytest.mark.parametrize("ttl", [None, timedelta(0)])
    def test_without_ttl_nothing_expires(self, repo: Repo, ttl: timedelta | None) -> None:
        assert joined(repo, features(("a", T, T, 1.0)), asked(("a", T + 5000 * DAY)), ttl=ttl) == [1.0]

    def test_each_view_has_its_own_ttl(self, repo: Repo) -> None:
        short = repo.view(features(("a", T, T, 1.0)), ttl=HOUR)
        long = repo.view(features(("a", T, T, 2.0)).rename_columns({"x": "y"}), ttl=DAY)
        with quiet():
            found = repo.historical(asked(("a", T + HOUR), ("a", T + DAY)), short, long).to_arrow()
        assert (values(found), values(found, "y")) == ([1.0, None], [2.0, 2.0])

    def test_a_null_in_the_newest_row_stays_null(self, repo: Repo) -> None:
        rows = features(("a", T - DAY, T, 1.0), ("a", T, T, None))
        assert joined(repo, rows, asked(("a", T)), ttl=2 * DAY) == [None]

    def test_a_feature_row_without_moment_is_never_joined(self, repo: Repo) -> None:
        rows = features(("a", None, T, 9.0), ("a", T, T, 1.0), ("b", None, T, 9.0))
        assert joined(repo, rows, asked(("a", T), ("b", T))) == [1.0, None]

    def test_created_later_was_not_known_yet(self, repo: Repo) -> None:
        rows = features(("a", T - DAY, T - DAY, 1.0), ("a", T, T + DAY, 2.0))
        entities = asked(("a", T), ("a", T + DAY), ("a", T + DAY - MICROSECOND), ("a", T + 2 * DAY + MICROSECOND))
        assert joined(repo, rows, entities, ttl=2 * DAY, filter_by_created_timestamp=True) == [1.0, 2.0, 1.0, None]

    def test_a_view_without_created_needs_none(self, repo: Repo) -> None:
        rows = features(("a", T - DAY, T, 1.0), ("a", T, T, 2.0)).drop_columns([CREATED])
        for options in ({}, {"filter_by_created_timestamp": True}):
            assert joined(repo, rows, asked(("a", T), ("a", T - HOUR)), ttl=DAY, **options) == [2.0, 1.0]


class TestEntityRows:
    def test_duplicated_rows_are_kept(self, repo: Repo) -> None:
        entities = asked(("a", T), ("a", T), ("b", T), ("a", T)).append_column("label", pa.array([1, 1, 0, 0]))
        view = repo.view(features(("a", T, T, 1.0)))
        for given in (entities, entities.drop_columns(["row"])):
            with quiet():
                found = repo.historical(given, view).to_arrow()
            rows = sorted(zip(found[KEY].to_pylist(), found["label"].to_pylist(), found["x"].to_pylist(), strict=True))
            assert rows == [("a", 0, 1.0), ("a", 1, 1.0), ("a", 1, 1.0), ("b", 0, None)]

    def test_rows_without_a_match_are_kept(self, repo: Repo) -> None:
        entities = asked(("a", T + 2 * DAY), ("nobody", T), ("a", T - MICROSECOND), ("a", T))
        assert joined(repo, features(("a", T, T, 1.0)), entities, ttl=DAY) == [None, None, None, 1.0]

    def test_their_order_is_kept(self, repo: Repo) -> None:
        """So many rows that a store which works with several threads and promises no order loses it."""
        count, moment = 150_000, pa.scalar(T, US_UTC)
        view = repo.view(features(*((f"c{number}", T, T, float(number)) for number in range(1000))))
        keys = [number * 7919 % 1000 for number in range(count)]
        moments = pa.repeat(moment, count)
        entities = pa.table({KEY: [f"c{key}" for key in keys], MOMENT: moments, "row": range(count)})
        # Feast's Postgres store would upload a frame row by row, for half a minute.
        given = repo.entity_sql(entities) if repo.offline == "postgres" else entities
        for _ in range(2):
            with quiet():
                found = repo.historical(given, view).to_arrow()
            assert found["row"].to_pylist() == list(range(count))
            assert found["x"].to_pylist() == keys

    def test_a_null_key_joins_nothing(self, repo: Repo) -> None:
        rows = features(("a", T, T, 1.0), (None, T, T, 9.0))
        assert joined(repo, rows, asked((None, T), ("a", T))) == [None, 1.0]

    def test_a_null_moment_joins_nothing(self, repo: Repo) -> None:
        assert joined(repo, features(("a", T, T, 1.0)), asked(("a", None), ("a", T)), ttl=DAY) == [None, 1.0]

    def test_no_rows_give_no_rows(self, repo: Repo) -> None:
        view = repo.view(features(("a", T, T, 1.0)))
        with quiet():
            found = repo.historical(asked(("a", T)).slice(1), view).to_arrow()
        assert (found.num_rows, set(found.column_names)) == (0, {KEY, MOMENT, "row", "x"})

    def test_several_join_keys(self, repo: Repo) -> None:
        types = {"shop": pa.int64(), KEY: pa.string(), MOMENT: US_UTC, CREATED: US_UTC, "x": pa.float64()}
        rows = table(types, [(1, "a", T, T, 1.0), (2, "a", T, T, 2.0), (1, "b", T, T, 3.0)])
        view = repo.view(rows, keys=("shop", KEY))
        entities = table(
            {KEY: pa.string(), "shop": pa.int64(), MOMENT: US_UTC, "row": pa.int64()},
            [("a", 2, T, 0), ("a", 1, T, 1), ("b", 1, T, 2), ("b", 2, T, 3)],
        )
        with quiet():
            assert values(repo.historical(entities, view).to_arrow()) == [2.0, 1.0, 3.0, None]

    def test_one_view_under_two_names(self, repo: Repo) -> None:
        """E.g. the features of a transfer's sender and of its receiver."""
        view = repo.view(features(("a", T, T, 1.0), ("b", T, T, 2.0)))
        both: list[Any] = [view.with_name(key) for key in ("sender", "receiver")]
        both = [one.with_join_key_map({KEY: one.projection.name_to_use()}) for one in both]
        types = {"sender": pa.string(), "receiver": pa.string(), MOMENT: US_UTC, "row": pa.int64()}
        entities = table(types, [("a", "b", T, 0), ("b", "nobody", T, 1)])
        service = repo.service(*both)
        with quiet():
            found = repo.feast.get_historical_features(pandas(entities), service, full_feature_names=True).to_arrow()
        assert (values(found, "sender__x"), values(found, "receiver__x")) == ([1.0, 2.0], [2.0, None])


class TestMoments:
    @pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
    def test_other_zones_are_the_same_moments(self, repo: Repo, zone: str) -> None:
        there = pa.timestamp("us", zone)
        rows = cast_times(features(("a", T, T, 1.0)), there)
        entities = asked(("a", T), ("a", T - MICROSECOND))
        assert joined(repo, rows, cast_times(entities, there)) == [1.0, None]

    def test_naive_entity_moments_are_utc(self, repo: Repo) -> None:
        entities = cast_times(asked(("a", T), ("a", T - MICROSECOND)), pa.timestamp("us"))
        assert joined(repo, features(("a", T, T, 1.0)), entities) == [1.0, None]

    def test_naive_feature_moments_are_utc(self, repo: Repo) -> None:
        rows = cast_times(features(("a", T, T, 1.0), ("a", T, T + HOUR, 2.0)), pa.timestamp("us"))
        assert joined(repo, rows, asked(("a", T), ("a", T - MICROSECOND))) == [2.0, None]
        assert joined(repo, rows, asked(("a", T)), filter_by_created_timestamp=True) == [1.0]

    @pytest.mark.slow
    def test_the_time_zone_of_the_process_does_not_matter(self, repo: Repo, other_process: OtherProcess) -> None:
        """Asked in New York, of naive and other moments."""
        rows = features(("a", T, T, 1.0), ("a", T, T + HOUR, 2.0))
        entities = asked(("a", T), ("a", T - MICROSECOND), ("a", T + DAY), ("a", T + DAY + MICROSECOND))
        naive = pa.timestamp("us")
        for given in (rows, cast_times(rows, naive)):
            view = repo.view(given, ttl=DAY)
            for wanted in (entities, cast_times(entities, naive)):
                other_process.ask("historical", repo, view.name, wanted)
                assert other_process.answer() == [1.0, None, 2.0, None]

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    @pytest.mark.parametrize("zone", ["UTC", None])
    def test_entity_moments_of_any_resolution(self, repo: Repo, unit: str, zone: str | None) -> None:
        second = timedelta(seconds=1)
        entities = cast_times(asked(("a", SECOND), ("a", SECOND - second)), pa.timestamp(unit, zone))
        assert joined(repo, features(("a", SECOND, SECOND, 1.0)), entities) == [1.0, None]

    @pytest.mark.parametrize("unit", ["ms", "us", "ns"])
    @pytest.mark.parametrize("zone", ["UTC", None])
    def test_feature_moments_of_any_resolution(self, repo: Repo, unit: str, zone: str | None) -> None:
        rows = features(("a", SECOND, SECOND, 1.0), ("a", SECOND, SECOND + HOUR, 2.0))
        entities = asked(("a", SECOND), ("a", SECOND - MICROSECOND), ("a", SECOND + DAY + MICROSECOND))
        assert joined(repo, cast_times(rows, pa.timestamp(unit, zone)), entities, ttl=DAY) == [2.0, None, None]

    def test_a_nanosecond_too_early_sees_nothing(self, repo: Repo) -> None:
        at = pa.array([T, T], US_UTC).cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_pylist()
        moments = pa.array([at[0] - 1, at[1] + 1], pa.int64()).cast(pa.timestamp("ns", "UTC"))
        entities = pa.table({KEY: ["a", "a"], MOMENT: moments, "row": [0, 1]})
        assert joined(repo, features(("a", T, T, 1.0)), entities) == [None, 1.0]


def cast_times(rows: pa.Table, type_: pa.DataType) -> pa.Table:
    fields = [(field.name, type_ if pa.types.is_timestamp(field.type) else field.type) for field in rows.schema]
    return rows.cast(pa.schema(fields))


class TestWhatGoesIn:
    ROWS = features(("a", T, T, 1.0), ("b", T, T, 2.0))
    ENTITIES = asked(("b", T), ("a", T), ("a", T - HOUR))

    def given(self, repo: Repo, entities: Any) -> None:
        assert joined(repo, self.ROWS, entities) == [2.0, 1.0, None]

    def test_entity_rows_from_pandas(self, repo: Repo) -> None:
        self.given(repo, pandas(self.ENTITIES))

    def test_entity_rows_from_arrow(self, repo: Repo) -> None:
        view = repo.view(self.ROWS)
        features = [f"{view.name}:x"]
        with quiet():
            job: Any = repo.feast.get_historical_features(self.ENTITIES, features)  # pyright: ignore
            assert values(job.to_arrow()) == [2.0, 1.0, None]

    def test_entity_rows_from_a_parquet_file(self, repo: Repo) -> None:
        self.given(repo, str(repo.entity_file(self.ENTITIES)))

    def test_entity_rows_from_sql(self, repo: Repo) -> None:
        self.given(repo, repo.entity_sql(self.ENTITIES))

    def test_a_key_in_other_case_is_an_error(self, repo: Repo) -> None:
        with pytest.raises(Exception, match=KEY):
            joined(repo, self.ROWS, self.ENTITIES.rename_columns({KEY: "Customer_ID"}))

    def test_a_key_of_another_type_is_an_error(self, repo: Repo) -> None:
        types = {KEY: pa.int64(), MOMENT: US_UTC, "row": pa.int64()}
        with pytest.raises(Exception, match=r"(?i)customer_id|operator does not exist"):
            joined(repo, self.ROWS, table(types, [(1, T, 0)]))
        numbered = table({KEY: pa.int64(), MOMENT: US_UTC, CREATED: US_UTC, "x": pa.float64()}, [(1, T, T, 1.0)])
        with pytest.raises(Exception, match=r"(?i)customer_id|operator does not exist"):
            joined(repo, numbered, asked(("1", T)))

    def test_a_column_named_like_a_feature_is_an_error(self, repo: Repo) -> None:
        with pytest.raises(Exception, match=r"['\"]x['\"]"):
            joined(repo, self.ROWS, self.ENTITIES.append_column("x", pa.array([7.0, 8.0, 9.0])))


class TestWhatComesOut:
    ROWS = features(("a", T, T, 1.0), ("b", T, T, 2.0))
    ENTITIES = asked(("b", T), ("a", T), ("nobody", T))

    def test_scalar_types_and_values_are_the_sources(self, repo: Repo) -> None:
        types = {
            KEY: pa.string(),
            MOMENT: US_UTC,
            "i32": pa.int32(),
            "i64": pa.int64(),
            "f32": pa.float32(),
            "f64": pa.float64(),
            "flag": pa.bool_(),
            "text": pa.string(),
            "raw": pa.binary(),
        }
        row = ("a", T, -(2**31), 2**63 - 1, 0.5, 0.1, True, "naïve ☃", b"\x00\xff")
        view = repo.view(table(types, [row, ("b", T, *[None] * 7)]))
        with quiet():
            found = repo.historical(asked(("a", T), ("b", T)), view).to_arrow().sort_by("row")
        names = list(types)[2:]
        assert [found[name].to_pylist() for name in names] == [[value, None] for value in row[2:]]
        assert {name: found.schema.field(name).type for name in names} == {name: types[name] for name in names}

    def test_moments_as_features(self, repo: Repo) -> None:
        rows = table({KEY: pa.string(), MOMENT: US_UTC, "seen": US_UTC}, [("a", T, T - HOUR), ("b", T, None)])
        with quiet():
            found = values(repo.historical(asked(("a", T), ("b", T)), repo.view(rows)).to_arrow(), "seen")
        assert found == [T - HOUR, None]

    def test_pandas_and_arrow_agree(self, repo: Repo) -> None:
        job = repo.historical(self.ENTITIES, repo.view(self.ROWS))
        with quiet():
            frame, arrow = job.to_df().sort_values("row"), job.to_arrow().sort_by("row")
        assert list(frame.columns) == arrow.column_names
        assert frame["x"].fillna(-1).tolist() == [2.0, 1.0, -1.0]
        assert pd.to_datetime(frame[MOMENT], utc=True).tolist() == [T, T, T]

    def test_batches(self, repo: Repo) -> None:
        job: Any = repo.historical(self.ENTITIES, repo.view(self.ROWS))
        with quiet():
            batches = job.to_batches()
            assert values(pa.Table.from_batches(batches)) == [2.0, 1.0, None]

    def test_persisted_rows_are_those_of_arrow(self, repo: Repo, tmp_path: Path) -> None:
        job = repo.historical(self.ENTITIES, repo.view(self.ROWS))
        assert values(persisted(repo, job, tmp_path)) == [2.0, 1.0, None]

    def test_persisting_replaces_only_when_told(self, repo: Repo, tmp_path: Path) -> None:
        job = repo.historical(self.ENTITIES, repo.view(self.ROWS))
        persisted(repo, job, tmp_path)
        with pytest.raises(Exception, match=r"(?i)already|exist"):
            persisted(repo, job, tmp_path)
        assert values(persisted(repo, job, tmp_path, allow_overwrite=True)) == [2.0, 1.0, None]

    def test_full_feature_names(self, repo: Repo) -> None:
        one, other = repo.view(self.ROWS), repo.view(features(("a", T, T, 5.0)))
        with quiet():
            found = repo.historical(self.ENTITIES, one, other, full_feature_names=True).to_arrow()
        assert set(found.column_names) == {KEY, MOMENT, "row", f"{one.name}__x", f"{other.name}__x"}
        assert values(found, f"{one.name}__x") == [2.0, 1.0, None]
        assert values(found, f"{other.name}__x") == [None, 5.0, None]

    @pytest.mark.parametrize("mode", ["pandas", "python"])
    def test_on_demand_features(self, repo: Repo, mode: str) -> None:
        names, entities = on_demand(repo, mode), with_offer(self.ENTITIES)
        with quiet():
            found = repo.historical(entities, names=names).to_arrow()
        assert values(found, "ratio") == [5.0, 20.0, None]

    def test_on_demand_features_are_persisted(self, repo: Repo, tmp_path: Path) -> None:
        job = repo.historical(with_offer(self.ENTITIES), names=on_demand(repo, "pandas"))
        assert values(persisted(repo, job, tmp_path), "ratio") == [5.0, 20.0, None]


def with_offer(entities: pa.Table) -> pa.Table:
    return entities.append_column("offer", pa.array([10.0, 20.0, 30.0]))


def on_demand(repo: Repo, mode: str) -> list[str]:
    """Registers `ratio` = `offer` (of the request) / `x`; the features to ask for."""

    # Feast moves a decorated function to another module, so each registration takes a new one.
    def ratio_frame(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"ratio": inputs["offer"] / inputs["x"]})

    def ratio_rows(inputs: dict[str, Any]) -> dict[str, Any]:
        pairs = zip(inputs["offer"], inputs["x"], strict=True)
        return {"ratio": [None if x is None or x != x else offer / x for offer, x in pairs]}

    view = repo.view(TestWhatComesOut.ROWS)
    decorate = on_demand_feature_view(
        sources=[view, RequestSource(name=f"offer_{view.name}", schema=[Field(name="offer", dtype=Float64)])],
        schema=[Field(name="ratio", dtype=Float64)],
        mode=mode,
        name=f"ratio_{view.name}",
    )
    with quiet():
        repo.apply([decorate(ratio_frame if mode == "pandas" else ratio_rows)])
    return [f"{view.name}:x", f"ratio_{view.name}:ratio"]


def persisted(repo: Repo, job: Any, folder: Path, *, allow_overwrite: bool = False) -> pa.Table:
    """What stands in the file or the table after `persist`."""
    with quiet():
        if repo.offline == "postgres":
            name = f"{repo.project}_saved_{folder.name}"
            job.persist(SavedDatasetPostgreSQLStorage(table_ref=name), allow_overwrite=allow_overwrite)
            return read_table(repo.servers.postgres, name)
        file = folder / "saved.parquet"
        job.persist(SavedDatasetFileStorage(path=str(file)), allow_overwrite=allow_overwrite)
    return pq.read_table(file)


class TestWhatIsMaterialized:
    def served(self, repo: Repo, rows: pa.Table, start: datetime = T - DAY, end: datetime = T) -> list[Any]:
        view = repo.view(rows)
        repo.materialize(view, start, end)
        return repo.online(view, ["a", "b"]).values["x"]

    def test_the_newest_row_of_the_window_is_pulled(self, repo: Repo) -> None:
        rows = features(
            ("a", T - DAY - MICROSECOND, T, 9.0), ("a", T - DAY, T, 1.0), ("a", T, T, 2.0), ("a", T, T + HOUR, 3.0),
            ("a", T + MICROSECOND, T, 9.0), ("b", T - DAY, T, 4.0), ("b", None, T, 9.0),
        )  # fmt: skip
        assert self.served(repo, rows) == [3.0, 4.0]

    def test_moments_in_nanoseconds_are_pulled(self, repo: Repo) -> None:
        """As pandas writes them."""
        rows = cast_times(features(("a", T - HOUR, T, 1.0), ("a", T, T, 2.0)), pa.timestamp("ns", "UTC"))
        assert self.served(repo, rows) == [2.0, None]
