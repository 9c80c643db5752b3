"""Point-in-time joins and windows with expected results that other projects wrote (polars, DuckDB, OpenMLDB)."""

import operator
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore

from models.features.churn import churn_features
from resources.feature_store.offline.pinned_files import pinned
from tests.conformance.pit_cases import (
    NOT_OUR_WINDOWS,
    all_cases,
    join_cases,
    name_of,
    records,
    selected,
    window_cases,
)
from tests.conformance.pit_definitions import definitions
from tests.conformance.pit_windows import window_rows
from tests.unit.feature_store.asof_feast import feast
from tests.unit.features.orders import FIRST_DAY, bought, cutoffs_table, engine, orders_table

pytestmark = pytest.mark.real

US_UTC = pa.timestamp("us", "UTC")
LONG_AFTER = datetime(2100, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
OPERATORS = {"=": operator.eq, "<=": operator.le}


@pytest.fixture(scope="module")
def store(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("feast")
    return feast(folder, *definitions(folder))


def joined(store: FeatureStore, case: dict[str, Any], rows: pa.Table, file: Path, entities: pa.Table) -> pa.Table:
    """What the offline store gives for `entities` when the case's view is `rows`."""
    pq.write_table(rows, file)
    view = store.get_feature_view(name_of(case))
    features = [f"{view.name}:{feature.name}" for feature in view.features]
    with pinned({view.name: [str(file)]}):
        return store.get_historical_features(entities, features, filter_by_created_timestamp=True).to_arrow()


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in join_cases()])
def test_point_in_time_joins(case: dict[str, Any], store: FeatureStore, tmp_path: Path) -> None:
    at = case["on"] if "by" in case else case["pick_row_with_max"]
    left = records(case["left"])
    right = list(_keyed(case, left, records(case["right"])))
    moments = pa.array([_moment(row[at]) for _, row in right], US_UTC)
    kinds = dict(case["right"]["columns"])
    columns = {f"right_{name}": _column([row[name] for _, row in right], kinds[name]) for name in selected(case)}
    keys = [key for key, _ in right]
    rows = pa.table({"key": keys, "event_timestamp": moments, "created_timestamp": moments, **columns})
    # A last join has no moment of its own: it asks for the newest of all.
    asked = [_moment(row[at]) if "by" in case else LONG_AFTER for row in left]
    entities = pa.table(
        {"key": [_key(row, _names(case, "left")) for row in left], "event_timestamp": pa.array(asked, US_UTC)}
    )
    found = joined(store, case, rows, tmp_path / "rows.parquet", entities).to_pylist()
    assert [_as_expected(case, ours, theirs) for ours, theirs in zip(left, found, strict=True)] == _expected(case)


def _keyed(
    case: dict[str, Any], left: Sequence[dict[str, Any]], right: Sequence[dict[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of the right side with the key under which the left side finds them.

    A join on an inequality of values is a join on equality after each right row is repeated for every left value that
    it goes with: as one prepares such a view for a feature store.
    """
    conditions = [(on["left"], OPERATORS[on["op"]], on["right"]) for on in case.get("on", ()) if "by" not in case]
    if all(holds is operator.eq for _, holds, _ in conditions):
        yield from ((_key(row, _names(case, "right")), row) for row in right)
        return
    ours = {_key(row, _names(case, "left")): row for row in left}
    for key, one in ours.items():
        yield from ((key, row) for row in right if all(holds(one[a], row[b]) for a, holds, b in conditions))


def _names(case: dict[str, Any], side: str) -> list[str]:
    return case["by"] if "by" in case else [on[side] for on in case["on"]]


def _key(row: dict[str, Any], names: Sequence[str]) -> str:
    return "|".join(str(row[name]) for name in names)


def _moment(value: int | str) -> datetime:
    """A case gives milliseconds since 1970, or ISO text."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=value)


def _column(values: list[Any], kind: str) -> pa.Array:
    if kind == "timestamp":
        return pa.array([_moment(value) for value in values], US_UTC)
    return pa.array(values, {"string": pa.string(), "double": pa.float64()}.get(kind, pa.int64()))


def _as_expected(case: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> list[Any]:
    def right(name: str) -> Any:
        value = theirs[f"right_{name}"]
        return int(value.timestamp() * 1000) if isinstance(value, datetime) else value

    if "by" in case:
        return [*ours.values(), *(right(name) for name in case["select_right"])]
    return [ours[item["column"]] if item["from"] == "left" else right(item["column"]) for item in case["select"]]


def _expected(case: dict[str, Any]) -> list[list[Any]]:
    return case["expect"] if "by" in case else case["expect"]["rows"]


#: The window of `orders_30` and `spend_30`.
WINDOW_DAYS = 30


#: The others need what no feature of ours has; why, `NOT_OUR_WINDOWS` tells.
OUR_WINDOWS = [case for case in window_cases() if case["id"] not in NOT_OUR_WINDOWS]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in OUR_WINDOWS])
@pytest.mark.slow
def test_windows_of_time(case: dict[str, Any], shared_data: Path, tmp_path: Path) -> None:
    """Each row becomes an order worth the summed column and a cut-off on its day; milliseconds become days so that
    what lies in the case's window lies in ours, and what lies outside lies outside.
    """
    frame, order = case["frame"], case["order_by"]
    rows = records(case["table"])
    times = sorted({row[order] for row in rows})
    step = min((b - a for a, b in pairwise(times)), default=1)
    steps = frame["start_preceding"] // step
    scale = (WINDOW_DAYS - 1) // steps
    assert steps * scale < WINDOW_DAYS <= (steps + 1) * scale
    days = [FIRST_DAY + timedelta(days=(row[order] - times[0]) // step * scale) for row in rows]
    customers = [_key(row, case["partition_by"]) for row in rows]
    lines = [
        bought(customer, day)._replace(order=f"{number}", price_cents=100 * row["c4"])
        for number, (customer, day, row) in enumerate(zip(customers, days, rows, strict=True))
    ]
    tables = {"orders": orders_table(lines), "cutoffs": cutoffs_table(sorted(set(days)))}
    found = engine(tmp_path).query(churn_features, tables, population_days=180).read_all().to_pylist()
    at: dict[tuple[str, date], dict[str, Any]] = {(row["customer_id"], row["feature_date"]): row for row in found}
    feature = {"count": "orders_30", "sum": "spend_30"}
    plain = [name for name in case["select"] if name]
    mine = [
        [row[name] for name in plain] + [int(at[customer, day][feature[one["fn"]]]) for one in case["aggregates"]]
        for row, customer, day in zip(rows, customers, days, strict=True)
    ]
    assert sorted(mine) == sorted(case["expect"]["rows"])


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in window_cases()])
def test_windows_are_joined_at_each_rows_own_moment(case: dict[str, Any], store: FeatureStore, tmp_path: Path) -> None:
    """The aggregates are DuckDB's; that each row gets its own, among rows 1 µs away, is the store's."""
    windows = window_rows(case)
    moments = windows["at_us"].cast(pa.timestamp("us")).cast(US_UTC)
    aggregates = [one["as"] for one in case["aggregates"]]
    keys = {"key": windows["key"], "event_timestamp": moments}
    values = {name: windows[name].cast(pa.float64()) for name in aggregates}
    view = pa.table({**keys, "created_timestamp": moments, **values})
    found = joined(store, case, view, tmp_path / "rows.parquet", pa.table(keys)).select(aggregates).to_pylist()
    plain = [name for name in case["select"] if name]
    mine = [
        [*(row[name] for name in plain), *theirs.values()]
        for row, theirs in zip(records(case["table"]), found, strict=True)
    ]
    assert sorted(mine, key=str) == sorted(_floats(case), key=str)


def _floats(case: dict[str, Any]) -> list[list[Any]]:
    """The expected rows, aggregates as floats: what the view holds."""
    number = len([name for name in case["select"] if name])
    return [
        [*row[:number], *(None if value is None else float(value) for value in row[number:])]
        for row in case["expect"]["rows"]
    ]


def test_every_case_is_run() -> None:
    run = {case["id"] for case in (*join_cases(), *window_cases())}
    assert run == {case["id"] for case in all_cases()}
    assert {case["id"] for case in OUR_WINDOWS} == {case["id"] for case in window_cases()} - NOT_OUR_WINDOWS.keys()


def test_there_are_37_cases(shared_data: Path) -> None:
    assert (len(join_cases()), len(window_cases()), len(OUR_WINDOWS)) == (13, 24, 8)
