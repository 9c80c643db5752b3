"""The materialization engine against Feast's own, on the same files, and what Feast's own gets wrong."""

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import BatchFeatureView, FeatureStore, FeatureView, Field, types
from feast.feature_view import DUMMY_ENTITY_ID
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore
from feast.transformation.pandas_transformation import PandasTransformation
from pydantic import ValidationError

from models.errors import TesseraError
from resources.feature_store.offline.pinned_files import pinned
from tests.unit.feature_store.materialized import (
    CUSTOMER,
    ENGINE,
    FEATURES,
    FIRST,
    LAST,
    SHOP,
    materialize,
    served,
    store,
    view,
    write,
)

#: ibis, which Feast reads with, uses a function that DuckDB deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
DAY, MICROSECOND = timedelta(days=1), timedelta(microseconds=1)
ORDERS = ["orders"]
#: Our store; a stock store of Feast's.
STORES: list[dict[str, Any]] = [{}, {"type": "sqlite"}]


def applied(feast: FeatureStore, *views: FeatureView) -> Any:
    feast.apply([CUSTOMER, SHOP, *views])
    found = [feast.get_feature_view(each.name) for each in views]
    return found[0] if len(found) == 1 else found


def row(customer: str, day: float, orders: int | None = 1, made: float | None = None) -> dict[str, Any]:
    created = FIRST + (day if made is None else made) * DAY
    return {"customer_id": customer, "at": FIRST + day * DAY, "made": created, "orders": orders}


def content(feast: FeatureStore, view: FeatureView) -> list[tuple[Any, ...]]:
    with sqlite3.connect(feast.config.online_store.path) as file:
        query = f'SELECT * FROM "shop_{view.name}" ORDER BY entity_key, feature_name'  # noqa: S608
        return file.execute(query).fetchall()


def random_rows(count: int, customers: int, seed: int = 7) -> pa.Table:
    """Rows of all types, with NULLs and ties, as a source has them."""
    random = np.random.default_rng(seed)
    seconds = random.integers(0, 40 * 86_400, count)
    known = {
        "customer_id": pa.array([f"customer {at}" for at in random.integers(0, customers, count)]),
        "shop_id": pa.array(random.integers(-5, 5, count)),
        "at": pa.array(FIRST.timestamp() * 1e6 + seconds * 1_000_000 // 3, pa.int64(), safe=False).cast(
            pa.timestamp("us", "UTC")
        ),
        "made": pa.array(FIRST.timestamp() * 1e6 + np.arange(count), pa.int64(), safe=False).cast(
            pa.timestamp("us", "UTC")
        ),
        "amount": random.normal(0, 10.0 ** random.integers(-20, 20, count), count),
        "share": random.random(count).astype(np.float32),
        # Where a column has NULLs, Feast sends integers through doubles: none here is too large for them.
        "orders": random.integers(-(2**53), 2**53, count),
        "level": random.integers(-(2**31), 2**31, count).astype(np.int32),
        "active": random.random(count) < 0.5,
        "city": np.array(["Bern", "", "Zürich", "O'Hara"])[random.integers(0, 4, count)],
        "token": pa.array([random.bytes(size) for size in random.integers(1, 200, count)], pa.binary()),
        "last_order": pa.array(random.integers(-(10**15), 10**15, count)).cast(pa.timestamp("us", "UTC")),
        "basket": pa.array([list(random.random(2)) for _ in range(count)], pa.list_(pa.float64())),
    }
    columns = {}
    for name, values in known.items():
        missing = random.random(count) < (0.1 if name in FEATURES else 0)
        array = values if isinstance(values, pa.Array) else pa.array(values)
        columns[name] = pa.array(array.to_pylist(), array.type, mask=missing)
    return pa.table(columns)


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize("created", ["made", ""])
@pytest.mark.slow
def test_tables_are_as_feasts_engine_and_store_write_them(tmp_path: Path, created: str, zone: str | None) -> None:
    rows = random_rows(3_000, 700)
    if not created:  # then ties have no winner
        rows = pa.table(rows.to_pandas().drop_duplicates(["customer_id", "shop_id", "at"]))
    if zone is None:
        rows = rows.set_column(rows.schema.get_field_index("at"), "at", rows["at"].cast(pa.timestamp("us")))
    pq.write_table(rows, tmp_path / "a.parquet", row_group_size=500)
    tables = []
    for feasts in (True, False):
        engine = {} if feasts else {"batch_engine": {"type": ENGINE, "batch_rows": 150}}
        feast = store(tmp_path / str(feasts), feasts=feasts, **engine)
        views = applied(
            feast,
            view(tmp_path / "a.parquet", created=created),
            view(tmp_path / "a.parquet", name="by_shop", entities=[SHOP, CUSTOMER], created=created),
        )
        for each in views:
            materialize(feast, each, FIRST + 5 * DAY, FIRST + 10 * DAY)
        tables.append([content(feast, each) for each in views])
    for feasts, ours in zip(*tables, strict=True):
        assert len(ours) > 700 * 0.5 * len(FEATURES)
        assert ours == feasts


@pytest.mark.parametrize("online", STORES)
def test_the_window_includes_both_ends_and_of_ties_the_one_created_last_wins(
    tmp_path: Path, online: dict[str, Any]
) -> None:
    rows = [
        row("a", 1, 1),
        row("a", 2, 3, made=9),
        row("a", 2, 2, made=8),
        row("b", 1, 1),
        row("b", 2.5, 2),
        row("c", 0.5),
    ]
    feast = store(tmp_path / "ours", online=online)
    activity = applied(feast, view(write(tmp_path / "a.parquet", rows), ORDERS))
    materialize(feast, activity, FIRST + DAY, FIRST + 2 * DAY)
    assert served(feast, activity, ["a", "b", "c"]) == {"orders": [3, 1, None]}
    materialize(feast, activity, FIRST + 2 * DAY + MICROSECOND, FIRST + 3 * DAY)
    assert served(feast, activity, ["a", "b", "c"]) == {"orders": [3, 2, None]}


@pytest.mark.slow
@pytest.mark.parametrize("online", STORES)
def test_an_older_window_replaces_nothing_newer_and_null_replaces_a_value(
    tmp_path: Path, online: dict[str, Any]
) -> None:
    rows = [row("a", 1, 1), row("a", 5, 5), row("b", 1, 1), row("b", 5, None), row("c", 1, 1)]
    feast = store(tmp_path / "ours", online=online)
    activity = applied(feast, view(write(tmp_path / "a.parquet", rows), ORDERS))
    for days in (4, 0, 4):
        materialize(feast, activity, FIRST + days * DAY, FIRST + (days + 3) * DAY)
        assert served(feast, activity, ["a", "b"]) == {"orders": [5, None]}
    assert served(feast, activity, ["c"]) == {"orders": [1]}


def test_a_late_correction_wins_and_its_origin_does_not_come_back(tmp_path: Path) -> None:
    feast = store(tmp_path / "ours")
    old, new = [row("a", 1, 1, made=2)], [row("a", 1, 2, made=3)]
    activity = applied(feast, view(write(tmp_path / "a.parquet", old), ORDERS))
    for rows, wanted in ((old, 1), (new, 2), (old, 2)):
        write(tmp_path / "a.parquet", rows)
        materialize(feast, activity)
        assert served(feast, activity, ["a"]) == {"orders": [wanted]}


def test_columns_are_mapped_to_features_keys_and_times(tmp_path: Path) -> None:
    renamed = {"kunde": "customer_id", "bestellungen": "orders", "wann": "at", "erfasst": "made"}
    rows = [
        {"kunde": "a", "wann": FIRST + day * DAY, "erfasst": FIRST, "bestellungen": day, "rest": 0} for day in (1, 2)
    ]
    stamp = pa.timestamp("us", "UTC")
    file = write(
        tmp_path / "a.parquet",
        rows,
        kunde=pa.string(),
        wann=stamp,
        erfasst=stamp,
        bestellungen=pa.int64(),
        rest=pa.int8(),
    )
    tables = []
    for feasts in (True, False):
        feast = store(tmp_path / str(feasts), feasts=feasts)
        activity = applied(feast, view(file, ORDERS, field_mapping=renamed))
        materialize(feast, activity)
        tables.append(content(feast, activity))
        assert served(feast, activity, ["a"]) == {"orders": [2]}
    assert tables[0] == tables[1]


def test_a_view_without_entities_has_one_row(tmp_path: Path) -> None:
    feast = store(tmp_path / "ours")
    file = write(tmp_path / "a.parquet", [row("a", 1, 1), row("b", 3, 3), row("c", 2, 2)])
    totals = applied(feast, view(file, ORDERS, entities=[]))
    materialize(feast, totals)
    found = feast.get_online_features(["activity:orders"], [{DUMMY_ENTITY_ID: ""}]).to_dict()
    assert found["orders"] == [3]


def test_chosen_files_stand_for_the_source(tmp_path: Path) -> None:
    feast = store(tmp_path / "ours")
    activity = applied(feast, view(write(tmp_path / "a.parquet", [row("a", 1, 1)]), ORDERS))
    files = [str(write(tmp_path / f"{day}.parquet", [row("a", day, day)])) for day in (2, 3)]
    with pinned({"activity": files}):
        materialize(feast, activity)
    assert served(feast, activity, ["a"]) == {"orders": [3]}
    feasts_offline = store(tmp_path / "other", offline_store={"type": "duckdb"})
    with pinned({"activity": files}), pytest.raises(TesseraError, match="DuckDBOfflineStore cannot read"):
        materialize(feasts_offline, applied(feasts_offline, activity))


@pytest.mark.slow
def test_any_offline_store_of_feasts_will_do(tmp_path: Path) -> None:
    pq.write_table(random_rows(2_000, 300), tmp_path / "a.parquet", row_group_size=300)
    tables = []
    for offline in ("duckdb", None):
        more = {"offline_store": {"type": offline}} if offline else {}
        feast = store(tmp_path / str(offline), batch_engine={"type": ENGINE, "batch_rows": 77}, **more)
        assert (feast.provider.offline_store.__class__ is DuckDBOfflineStore) == bool(offline)
        activity = applied(feast, view(tmp_path / "a.parquet"))
        materialize(feast, activity)
        tables.append(content(feast, activity))
    assert tables[0] == tables[1]
    assert len(tables[0]) == 299 * len(FEATURES)


@pytest.mark.slow
def test_any_online_store_of_feasts_will_do(tmp_path: Path) -> None:
    pq.write_table(random_rows(2_000, 300), tmp_path / "a.parquet")
    tables = []
    for feasts in (True, False):
        feast = store(tmp_path / str(feasts), feasts=feasts, online={"type": "sqlite"})
        assert type(feast.provider.online_store) is SqliteOnlineStore
        activity = applied(feast, view(tmp_path / "a.parquet"))
        materialize(feast, activity)
        tables.append(content(feast, activity))
    assert tables[0] == tables[1]


@pytest.mark.filterwarnings("ignore:Batch feature views are experimental:RuntimeWarning")
def test_a_computed_view_goes_through_feasts_local_engine(tmp_path: Path) -> None:
    feast = store(tmp_path / "ours")
    plain = view(write(tmp_path / "a.parquet", [row("a", 1), row("bcd", 2)]), ORDERS)
    lengths = BatchFeatureView(
        name="lengths",
        entities=[CUSTOMER],
        schema=[Field(name="customer_id", dtype=types.String), Field(name="length", dtype=types.Int64)],
        source=plain.batch_source,
        mode="pandas",
        feature_transformation=PandasTransformation(udf=_with_length, udf_string=""),
        online=True,
    )
    feast.apply([CUSTOMER, lengths])
    materialize(feast, lengths)
    assert served(feast, lengths, ["a", "bcd"], "length") == {"length": [1, 3]}


def _with_length(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(length=rows["customer_id"].str.len())


def test_no_row_in_the_window_is_no_error(tmp_path: Path) -> None:
    feast = store(tmp_path / "ours")
    activity = applied(feast, view(write(tmp_path / "a.parquet", [row("a", 1, 1)]), ORDERS))
    materialize(feast, activity, LAST, LAST + DAY)
    assert content(feast, activity) == []


def test_what_goes_wrong_is_raised_and_whole_batches_stay(tmp_path: Path) -> None:
    feast = store(tmp_path / "ours")
    rows = [{**row("a", 1), "level": 1}, {**row("b", 1), "level": 2**40}]
    activity = applied(feast, view(write(tmp_path / "a.parquet", rows, level=pa.int64()), ["level"]))
    with pytest.raises(TesseraError, match=str(2**40)):
        feast.materialize(FIRST, LAST)
    assert content(feast, activity) == []


def test_progress_counts_entities(tmp_path: Path) -> None:
    class Bar:
        def __init__(self, total: int) -> None:
            seen.append(total)

        def update(self, count: int) -> None:
            seen.append(count)

        def close(self) -> None:
            seen.append(-1)

    from feast.infra.common.materialization_job import MaterializationTask

    seen: list[int] = []
    feast = store(tmp_path / "ours", batch_engine={"type": ENGINE, "batch_rows": 2})
    activity = applied(feast, view(write(tmp_path / "a.parquet", [row(name, 1) for name in "abc"]), ORDERS))
    feast.provider.batch_engine.materialize(
        feast.registry, MaterializationTask("shop", activity, FIRST, LAST, tqdm_builder=Bar)
    )
    assert seen == [0, 2, 1, -1]


def test_unknown_settings_are_refused(tmp_path: Path) -> None:
    for settings in ({"batch_rows": 0}, {"rows": 5}):
        feast = store(tmp_path / "ours", batch_engine={"type": ENGINE, **settings})
        with pytest.raises(ValidationError):
            _ = feast.provider.batch_engine
