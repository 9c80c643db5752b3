"""Point-in-time joins and windows with expected results that other projects wrote (polars, DuckDB, OpenMLDB)."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.features.churn import churn_features
from resources.feature_store.feast_store import FeastStoreConfig
from resources.feature_store.port import FeatureStore
from tests.conformance.pit_cases import (
    NOT_OUR_JOINS,
    NOT_OUR_WINDOWS,
    all_cases,
    join_cases,
    name_of,
    selected,
    window_cases,
)
from tests.unit.features.orders import FIRST_DAY, bought, cutoffs_table, engine, orders_table

pytestmark = pytest.mark.real

US_UTC = pa.timestamp("us", "UTC")
LONG_AFTER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("feast")
    opened = FeastStoreConfig(path=str(folder), definitions="tests.conformance.pit_definitions").open()
    opened.apply()
    return opened


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in join_cases()])
def test_point_in_time_joins(case: dict[str, Any], store: FeatureStore, tmp_path: Path) -> None:
    keys = [(key, key) for key in case["by"]] if "by" in case else [(on["left"], on["right"]) for on in case["on"]]
    at = case["on"] if "by" in case else case["pick_row_with_max"]
    right = _records(case["right"])
    file = tmp_path / "rows.parquet"
    moments = pa.array([_moment(row[at]) for row in right], US_UTC)
    kinds = dict(case["right"]["columns"])
    columns = {f"right_{name}": _column([row[name] for row in right], kinds[name]) for name in selected(case)}
    text = [_key(row, [theirs for _, theirs in keys]) for row in right]
    pq.write_table(pa.table({"key": text, "event_timestamp": moments, "created_timestamp": moments, **columns}), file)
    left = _records(case["left"])
    # A last join has no moment of its own: it asks for the newest of all.
    asked = [_moment(row[at]) if "by" in case else LONG_AFTER for row in left]
    entities = pa.table(
        {"key": [_key(row, [ours for ours, _ in keys]) for row in left], "event_timestamp": pa.array(asked, US_UTC)}
    )
    found = store.historical(name_of(case), entities, files={name_of(case): [str(file)]}).to_pylist()
    assert [_as_expected(case, ours, theirs) for ours, theirs in zip(left, found, strict=True)] == _expected(case)


def _records(side: dict[str, Any]) -> list[dict[str, Any]]:
    names = [name for name, _ in side["columns"]]
    return [dict(zip(names, row, strict=True)) for row in side["rows"]]


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


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in window_cases()])
def test_windows_of_time(case: dict[str, Any], shared_data: Path, tmp_path: Path) -> None:
    """Each row becomes an order worth the summed column and a cut-off on its day; milliseconds become days so that
    what lies in the case's window lies in ours, and what lies outside lies outside.
    """
    frame, order = case["frame"], case["order_by"]
    rows = _records(case["table"])
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


def test_every_case_is_run_or_declared(shared_data: Path) -> None:
    run = {case["id"] for case in (*join_cases(), *window_cases())}
    declared = NOT_OUR_JOINS.keys() | NOT_OUR_WINDOWS.keys()
    assert (run | declared, run & declared) == ({case["id"] for case in all_cases()}, set())
    assert len(run) == 19
