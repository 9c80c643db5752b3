"""The SQLite online store against Feast's own, and what Feast's own does not: newer rows stay, rows are forgotten."""

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from feast import FeatureStore, FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from resources.feature_store.online.bulk_store import EncodedRows
from resources.feature_store.online.sqlite import MonotonicSqliteOnlineStore
from tests.unit.feature_store.materialized import CUSTOMER, served, store, view

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def activity(tmp_path: Path) -> FeatureView:
    return view(tmp_path / "none.parquet", ["amount", "orders", "city"])


@pytest.fixture
def feast(tmp_path: Path, activity: FeatureView) -> FeatureStore:
    feast = store(tmp_path / "ours")
    feast.apply([CUSTOMER, activity])
    return feast


def customer(name: str) -> EntityKey:
    return EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val=name)])


def key(name: str) -> bytes:
    return serialize_entity_key(customer(name), 3)


def row(name: str, orders: int | None, event: datetime, created: datetime | None = None, **values: Value) -> Any:
    """As Feast pushes it."""
    features = {"amount": Value(double_val=0.5), "orders": Value(), "city": Value(string_val="Bern"), **values}
    if orders is not None:
        features["orders"] = Value(int64_val=orders)
    return customer(name), features, event, created


def push(feast: FeatureStore, activity: FeatureView, *rows: Any) -> None:
    feast.provider.online_write_batch(feast.config, activity, list(rows), None)


def columns(
    names: list[str], orders: list[int], moments: list[datetime], created: datetime | None = None
) -> EncodedRows:
    created_us = None if created is None else us(created)
    values = {"orders": [Value(int64_val=value).SerializeToString() for value in orders]}
    return EncodedRows([key(name) for name in names], [us(at) for at in moments], [created_us] * len(names), values)


def us(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def online(feast: FeatureStore) -> MonotonicSqliteOnlineStore:
    found = feast.provider.online_store
    assert isinstance(found, MonotonicSqliteOnlineStore)
    return found


def orders(feast: FeatureStore, activity: FeatureView, *names: str) -> list[int | None]:
    return served(feast, activity, names, "orders")["orders"]


def content(feast: FeatureStore, activity: FeatureView) -> list[tuple[Any, ...]]:
    """Feast's table, raw."""
    with sqlite3.connect(feast.config.online_store.path) as file:
        table = f"{feast.project}_{activity.name}"
        return file.execute(f'SELECT * FROM "{table}" ORDER BY entity_key, feature_name').fetchall()  # noqa: S608


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.integers(0, 3).map(lambda n: NOON + n * SECOND // 2),
        st.none() | st.integers(0, 2).map(lambda n: NOON + n * MICROSECOND),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, cuts=st.lists(st.integers(0, 12), max_size=3), bulk=st.booleans())
def test_the_newest_row_of_each_entity_stays_in_whatever_portions_rows_come(
    feast: FeatureStore, activity: FeatureView, rows: list[Any], cuts: list[int], bulk: bool
) -> None:
    example = secrets.token_hex(4)
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(rows)], strict=True):
        if not bulk:
            push(
                feast,
                activity,
                *(row(example + rows[at][0], at, *rows[at][1:]) for at in range(start, min(end, len(rows)))),
            )
            continue
        for at, (name, event, created) in enumerate(rows[start:end], start):
            online(feast).write_rows(feast.config, activity, columns([example + name], [at], [event], created))
    wanted = {"a": None, "b": None}
    ages = [(event, created or datetime.min.replace(tzinfo=UTC)) for _, event, created in rows]
    for at, (name, _, _) in enumerate(rows):
        if wanted[name] is None or ages[at] >= ages[wanted[name]]:
            wanted[name] = at
    assert orders(feast, activity, example + "a", example + "b") == list(wanted.values())


def test_a_correction_with_the_same_event_time_wins_and_its_retry_changes_nothing(
    feast: FeatureStore, activity: FeatureView
) -> None:
    push(feast, activity, row("a", 1, NOON, NOON))
    push(feast, activity, row("a", 2, NOON, NOON + MICROSECOND))
    push(feast, activity, row("a", 1, NOON, NOON), row("a", 0, NOON))
    assert orders(feast, activity, "a") == [2]
    before = content(feast, activity)
    push(feast, activity, row("a", 2, NOON, NOON + MICROSECOND))
    assert content(feast, activity) == before


def test_null_replaces_an_old_value(feast: FeatureStore, activity: FeatureView) -> None:
    push(feast, activity, row("a", 1, NOON))
    push(feast, activity, row("a", None, NOON + SECOND))
    assert orders(feast, activity, "a") == [None]


def test_numbers_of_stored_rows(feast: FeatureStore, activity: FeatureView) -> None:
    first = columns(["a", "b"], [1, 1], [NOON, NOON + SECOND])
    assert online(feast).write_rows(feast.config, activity, first) == 2
    assert online(feast).write_rows(feast.config, activity, columns(["a", "b", "c"], [2, 2, 2], [NOON] * 3)) == 2
    assert orders(feast, activity, "a", "b", "c") == [2, 1, 2]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
def test_tables_are_as_feasts_own_store_writes_them(
    tmp_path: Path, activity: FeatureView, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Feast takes UTC for local time: two of these times New York skips, and has twice.
    rows = [
        row("a", 1, NOON + 999_999 * MICROSECOND, NOON),
        row("b", None, datetime(2026, 3, 8, 2, 30, tzinfo=UTC), amount=Value(double_val=-0.0)),
        row("c", -(2**63), datetime(1969, 12, 31, 23, 59, 59, 500_000), city=Value(string_val="")),
        row("d", 7, datetime(1960, 1, 1, 0, 0, 0, 1), datetime(1960, 1, 1), amount=Value(double_val=1e22)),
        row("e", 7, datetime(2026, 11, 1, 1, 59, 59), city=Value(string_val="O'Hara ü\0")),
    ]
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        tables = []
        for feasts in (True, False):
            feast = store(tmp_path / f"feasts {feasts}", feasts=feasts)
            feast.apply([CUSTOMER, activity])
            push(feast, activity, *rows)
            tables.append(content(feast, activity))
        assert tables[0] == tables[1]
        assert len(tables[1]) == 15
        stored = online(feast).read_rows(feast.config, activity, [key(name) for name in "edcba"], ["orders"])
        exact = [us(event.replace(tzinfo=UTC)) for _, _, event, _ in reversed(rows)]
        assert stored.event_timestamps == exact
    finally:
        monkeypatch.undo()
        time.tzset()


def test_feasts_own_store_reads_what_this_one_wrote(tmp_path: Path, feast: FeatureStore, activity: FeatureView) -> None:
    push(feast, activity, row("a", 1, NOON), row("b", 2, NOON))
    feasts = store(tmp_path / "feasts", feasts=True, online={"path": feast.config.online_store.path})
    feasts.apply([CUSTOMER, activity])
    assert served(feasts, activity, ["a", "b", "c"]) == served(feast, activity, ["a", "b", "c"])
    assert orders(feasts, activity, "a", "b", "c") == [1, 2, None]


def test_a_file_of_feasts_own_store_is_taken_over(tmp_path: Path, activity: FeatureView) -> None:
    feasts = store(tmp_path / "feasts", feasts=True)
    feasts.apply([CUSTOMER, activity])
    push(feasts, activity, row("a", 1, NOON, NOON), row("b", 1, NOON - SECOND))
    ours = store(tmp_path / "feasts", online={"path": feasts.config.online_store.path})
    stored = online(ours).read_rows(ours.config, activity, [key("a"), key("b")], ["orders"])
    assert stored.event_timestamps == [us(NOON), us(NOON - SECOND)]
    push(ours, activity, row("a", 0, NOON - SECOND), row("b", 2, NOON))
    assert orders(ours, activity, "a", "b") == [1, 2]


def test_rows_are_read_in_the_order_of_the_keys_with_duplicates_and_unknown_ones(
    feast: FeatureStore, activity: FeatureView
) -> None:
    push(feast, activity, row("a", 1, NOON + MICROSECOND), row("b", 2, NOON))
    names = ["b", "?", "a", "b"]
    stored = online(feast).read_rows(feast.config, activity, [key(name) for name in names], ["city", "orders"])
    assert stored.event_timestamps == [us(NOON), None, us(NOON) + 1, us(NOON)]
    assert list(stored.features) == ["city", "orders"]
    two, one = (Value(int64_val=number).SerializeToString() for number in (2, 1))
    assert list(stored.features["orders"]) == [two, None, one, two]


@pytest.mark.slow
def test_more_keys_than_sqlite_has_variables(feast: FeatureStore, activity: FeatureView) -> None:
    names = [f"{at:06d}" for at in range(40_000)]
    assert online(feast).write_rows(feast.config, activity, columns(names, [1] * 40_000, [NOON] * 40_000)) == 40_000
    assert online(feast).write_rows(feast.config, activity, columns(names, [2] * 40_000, [EPOCH] * 40_000)) == 0
    stored = online(feast).read_rows(feast.config, activity, [key(name) for name in names], ["orders"])
    assert set(stored.features["orders"]) == {Value(int64_val=1).SerializeToString()}


def test_a_forgotten_entity_is_gone_from_the_file_and_never_comes_back(
    tmp_path: Path, feast: FeatureStore, activity: FeatureView
) -> None:
    other = view(tmp_path / "none.parquet", ["city"], name="places")
    feast.apply([CUSTOMER, activity, other])
    secret = Value(string_val="a very particular place")
    for name in ("a", "b"):
        push(feast, activity, row(name, 1, NOON, city=secret if name == "a" else Value(string_val="Bern")))
        feast.provider.online_write_batch(feast.config, other, [(customer(name), {"city": secret}, NOON, None)], None)
    assert online(feast).forget_rows(feast.config, [activity], [key("a"), key("?")]) == 1
    assert online(feast).forget_rows(feast.config, [activity, other], [key("a")]) == 1
    assert online(feast).forget_rows(feast.config, [other], [key("b")]) == 1
    push(feast, activity, row("a", 2, NOON + SECOND), row("c", 2, NOON))
    assert online(feast).write_rows(feast.config, activity, columns(["a"], [3], [NOON + SECOND])) == 0
    feast.apply([CUSTOMER, activity])
    push(feast, activity, row("a", 4, NOON + SECOND))
    assert orders(feast, activity, "a", "c") == [None, 2]
    files = list(Path(feast.config.online_store.path).parent.glob("online.db*"))
    assert len(files) == 3
    assert not any(b"a very particular place" in file.read_bytes() for file in files)
    assert not any(key("?") in file.read_bytes() for file in files)


def test_a_view_that_is_no_longer_registered_leaves_no_table(feast: FeatureStore, activity: FeatureView) -> None:
    push(feast, activity, row("a", 1, NOON))
    online(feast).forget_rows(feast.config, [activity], [key("b")])
    online(feast).update(feast.config, [activity], [], [], [], True)
    with sqlite3.connect(feast.config.online_store.path) as file:
        assert file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("_forgotten",)]
    with pytest.raises(TesseraError, match="no table of the feature view 'activity'"):
        push(feast, activity, row("a", 1, NOON))
    with pytest.raises(TesseraError, match="no table of the feature view 'activity'"):
        online(feast).read_rows(feast.config, activity, [key("a")], ["orders"])
    online(feast).update(feast.config, [], [activity], [], [], True)
    push(feast, activity, row("a", 2, EPOCH), row("b", 2, EPOCH))
    assert orders(feast, activity, "a", "b") == [2, None]


def test_teardown_leaves_no_file_and_a_new_one_can_be_made(feast: FeatureStore, activity: FeatureView) -> None:
    push(feast, activity, row("a", 1, NOON))
    online(feast).teardown(feast.config, [activity], [])
    folder = Path(feast.config.online_store.path).parent
    assert list(folder.glob("online.db*")) == []
    online(feast).update(feast.config, [], [activity], [], [], True)
    assert orders(feast, activity, "a") == [None]


def test_there_is_one_index(feast: FeatureStore, activity: FeatureView) -> None:
    """Feast makes a second one, which doubles the cost of writing; its own name for it must not come back."""
    with sqlite3.connect(feast.config.online_store.path) as file:
        found = file.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'shop_activity'"
        ).fetchall()
    assert found == [("sqlite_autoindex_shop_activity_1",)]


@pytest.mark.parametrize("setting", ["vector_enabled", "enable_openai_compatible_store"])
def test_searching_is_refused(tmp_path: Path, setting: str) -> None:
    with pytest.raises(TesseraError, match=setting):
        _ = store(tmp_path / "ours", online={setting: True}).config.online_store


@pytest.fixture
def writer(feast: FeatureStore, activity: FeatureView) -> Iterator[None]:
    """A thread that keeps writing rows that belong together."""
    stopped = threading.Event()
    names = [str(at) for at in range(200)]

    def write() -> None:
        number = 0
        while not stopped.is_set():
            number += 1
            rows = columns(names, [number] * 200, [NOON + number * SECOND] * 200)
            online(feast).write_rows(feast.config, activity, rows)

    thread = threading.Thread(target=write)
    thread.start()
    yield
    stopped.set()
    thread.join()


@pytest.mark.slow
@pytest.mark.usefixtures("writer")
def test_threads_read_whole_writes_while_another_one_writes(feast: FeatureStore, activity: FeatureView) -> None:
    keys = [key(str(at)) for at in range(200)]
    seen: set[int | None] = set()
    torn: list[Any] = []

    def read() -> None:
        while len(seen) < 20 and not torn:
            stored = online(feast).read_rows(feast.config, activity, keys, ["orders"])
            values = set(zip(stored.event_timestamps, stored.features["orders"], strict=True))
            seen.update(event for event, _ in values)
            if len(values) > 1:
                torn.append(values)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert not torn
    assert len(seen) >= 20
