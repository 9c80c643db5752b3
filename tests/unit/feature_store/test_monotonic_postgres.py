"""Our Postgres store beside Feast's own, on a real Postgres: the same rows; but monotonic, and it can forget."""

# Feast is only partly typed.
# pyright: basic

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from feast.infra.online_stores.postgres_online_store.postgres import PostgreSQLOnlineStore
from feast.protos.feast.types.Value_pb2 import (
    BoolList,
    DoubleList,
    Int64List,
    StringList,
    Value,
)
from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from resources.feature_store.online.bulk_store import EncodedRows
from resources.feature_store.online.postgres import MonotonicPostgresOnlineStore
from tests.servers.postgres_server import PostgresDatabase
from tests.unit.feature_store.postgres_views import (
    ACTIVITY,
    LOYALTY,
    activity,
    apply,
    config,
    customer,
    encoded,
    execute,
    key,
    moment,
    table,
    view,
)

JULY = 1_782_909_015_123_456
HOUR = 3_600_000_000
FEATURES = ["amount", "orders", "city"]
ROWS = {
    "ann": activity(1.5, 3, "Oslo"),
    "bob": activity(None, -(2**63), ""),
    "": activity(float("inf"), 0, "é" * 200),
    "c" * 300: activity(None, None, None),
}
#: A cell of every kind that Feast knows a text for, and of some that it does not.
KINDS = {
    "double": (Float64, [Value(double_val=number) for number in (0.1, -0.0, 1e300, 5e-324, float("nan"))]),
    "float": (Float32, [Value(float_val=number) for number in (0.1, 16777217.0, float("-inf"), 0.0, 3.4e38)]),
    "int32": (Int32, [Value(int32_val=number) for number in (0, -1, 2**31 - 1, -(2**31), 7)]),
    "int64": (Int64, [Value(int64_val=number) for number in (0, -1, 2**63 - 1, -(2**63), 300)]),
    "flag": (Bool, [Value(bool_val=True), Value(bool_val=False), Value(), Value(bool_val=True), Value()]),
    "text": (String, [Value(string_val=text) for text in ("", "a'b\\c\"d", "{NULL}", "名前", "x" * 9000)]),
    "raw": (Bytes, [Value(bytes_val=raw) for raw in (b"", b"\x00\xff", b"\\x41", b"a" * 9000, b"b")]),
    "at": (UnixTimestamp, [Value(unix_timestamp_val=second) for second in (0, -1, 10**10, 1, 2)]),
    "numbers": (Array(Float64), [Value(double_list_val=DoubleList(val=[0.5, count])) for count in range(5)]),
    "counts": (Array(Int64), [Value(int64_list_val=Int64List(val=[count])) for count in range(5)]),
    "names": (Array(String), [Value(string_list_val=StringList(val=["a", ""])) for _ in range(5)]),
    "flags": (Array(Bool), [Value(bool_list_val=BoolList(val=[True])), *[Value()] * 4]),
}


@pytest.fixture
def ours(postgres_database: PostgresDatabase) -> MonotonicPostgresOnlineStore:
    store = MonotonicPostgresOnlineStore()
    apply(store, config(postgres_database), ACTIVITY, LOYALTY)
    return store


@pytest.fixture
def feasts() -> Iterator[PostgreSQLOnlineStore]:
    store = PostgreSQLOnlineStore()
    yield store
    if store._conn:
        store._conn.close()


def test_tables_hold_what_feasts_own_store_writes(
    postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore, feasts: PostgreSQLOnlineStore
) -> None:
    kinds = view("kinds", **{name: dtype for name, (dtype, _) in KINDS.items()})
    rows = {f"customer {row}": {name: cells[row] for name, (_, cells) in KINDS.items()} for row in range(5)}
    data = [
        (customer(name), values, moment(JULY + row), None if row == 2 else moment(JULY + HOUR))
        for row, (name, values) in enumerate(rows.items())
    ]
    bulk = EncodedRows(
        [key(name) for name in rows],
        [JULY + row for row in range(5)],
        [None if row == 2 else JULY + HOUR for row in range(5)],
        {name: [cell.SerializeToString() for cell in cells] for name, (_, cells) in KINDS.items()},
    )
    stock = config(postgres_database, "postgres", project="feasts")
    apply(feasts, stock, kinds)
    feasts.online_write_batch(stock, kinds, data, None)
    for project in ("bulk", "batch"):
        apply(ours, config(postgres_database, project=project), kinds)
    assert ours.write_rows(config(postgres_database, project="bulk"), kinds, bulk) == 5
    told: list[int] = []
    ours.online_write_batch(config(postgres_database, project="batch"), kinds, data, told.append)
    assert told == [5]
    expected = table(postgres_database, "feasts_kinds")
    assert len(expected) == 5 * len(KINDS)
    assert table(postgres_database, "bulk_kinds") == expected
    assert table(postgres_database, "batch_kinds") == expected


def test_tables_are_feasts_own(
    postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore, feasts: PostgreSQLOnlineStore
) -> None:
    apply(feasts, config(postgres_database, "postgres", project="feasts"), ACTIVITY)
    columns = "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute WHERE attnum > 0"
    with psycopg.connect(postgres_database.url) as connection:
        mine, theirs = (
            connection.execute(f"{columns} AND attrelid = '{name}'::regclass ORDER BY attnum".encode()).fetchall()
            for name in ("shop_activity", "feasts_activity")
        )
    assert mine == theirs
    assert [name for name, _, _ in mine] == [
        "entity_key", "feature_name", "value", "value_text", "vector_value", "event_ts", "created_ts",
    ]  # fmt: skip


def test_feasts_own_client_reads_what_ours_wrote(
    postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore, feasts: PostgreSQLOnlineStore
) -> None:
    ours.write_rows(config(postgres_database), ACTIVITY, encoded(ROWS, JULY, JULY + HOUR))
    keys = [customer(name) for name in [*ROWS, "unknown"]]
    stock = config(postgres_database, "postgres")
    expected = [(moment(JULY), values) for values in ROWS.values()] + [(None, None)]
    assert feasts.online_read(stock, ACTIVITY, keys, FEATURES) == expected
    assert ours.online_read(config(postgres_database), ACTIVITY, keys, FEATURES) == expected


def test_ours_reads_what_feasts_own_client_wrote(
    postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore, feasts: PostgreSQLOnlineStore
) -> None:
    data: Any = [(customer(name), values, moment(JULY), None) for name, values in ROWS.items()]
    feasts.online_write_batch(config(postgres_database, "postgres"), ACTIVITY, data, None)
    names = ["unknown", *ROWS, "ann"]
    stored = ours.read_rows(config(postgres_database), ACTIVITY, [key(name) for name in names], FEATURES)
    rows = [None, *ROWS.values(), ROWS["ann"]]
    assert stored.event_timestamps == [None if row is None else JULY for row in rows]
    assert stored.features == {
        name: [None if row is None else row[name].SerializeToString() for row in rows] for name in FEATURES
    }


def test_only_what_was_asked_for_is_read(
    postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore
) -> None:
    ours.write_rows(config(postgres_database), ACTIVITY, encoded(ROWS, JULY))
    stored = ours.read_rows(config(postgres_database), ACTIVITY, [key("ann")], ["orders", "not stored yet"])
    assert stored.event_timestamps == [JULY]
    assert stored.features == {"orders": [Value(int64_val=3).SerializeToString()], "not stored yet": [None]}
    nothing = ours.read_rows(config(postgres_database), ACTIVITY, [], ["orders"])
    assert (nothing.event_timestamps, nothing.features) == ([], {"orders": []})


Write = tuple[str, int, int | None]
_times = st.sampled_from([-62_135_596_800_000_000, -1, 0, 1, JULY, JULY + 1, 253_402_300_799_999_999])
_writes = st.lists(st.tuples(st.sampled_from(["ann", "bob"]), _times, st.none() | _times), min_size=1, max_size=6)


@pytest.mark.parametrize("as_batch", [False, True], ids=["write_rows", "online_write_batch"])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=st.lists(_writes, min_size=1, max_size=4))
def test_newest_row_stays_in_whatever_order_rows_come(
    postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore, as_batch: bool, writes: list[list[Write]]
) -> None:
    place = config(postgres_database)
    execute(postgres_database, "TRUNCATE shop_loyalty")
    newest: dict[str, tuple[int, float, int]] = {}
    number = 0
    for batch in writes:
        rows = {}
        # What Feast's own protocol gives may hold a customer twice; columns may not.
        for name, event, created in batch if as_batch else {name: row for row in batch for name in row[:1]}.values():
            number += 1
            rows[number] = (name, event, created)
            age = (event, float("-inf") if created is None else created)
            if name not in newest or age >= newest[name][:2]:
                newest[name] = (*age, number)
        _written(ours, place, rows, as_batch)
    stored = ours.read_rows(place, LOYALTY, [key(name) for name in newest], ["points"])
    assert stored.event_timestamps == [event for event, _, _ in newest.values()]
    assert stored.features["points"] == [Value(int64_val=row).SerializeToString() for _, _, row in newest.values()]


def _written(store: MonotonicPostgresOnlineStore, place: Any, rows: dict[int, Write], as_batch: bool) -> None:
    points = {number: Value(int64_val=number) for number in rows}
    if as_batch:
        data = [
            (customer(name), {"points": points[number]}, moment(event), None if created is None else moment(created))
            for number, (name, event, created) in rows.items()
        ]
        store.online_write_batch(place, LOYALTY, data, None)
        return
    names, events, created = zip(*rows.values(), strict=True)
    cells = [value.SerializeToString() for value in points.values()]
    store.write_rows(place, LOYALTY, EncodedRows([key(name) for name in names], events, created, {"points": cells}))


@pytest.mark.parametrize(
    ("event", "created", "replaces"),
    [
        (JULY - 1, JULY + HOUR, False),
        (JULY, None, False),
        (JULY, JULY - 1, False),
        (JULY, JULY, True),
        (JULY, JULY + 1, True),
        (JULY + 1, None, True),
    ],
    ids=["older event", "no created", "older created", "retry", "correction", "newer event"],
)
def test_rows_stored_are_counted(
    postgres_database: PostgresDatabase,
    ours: MonotonicPostgresOnlineStore,
    event: int,
    created: int | None,
    replaces: bool,
) -> None:
    place = config(postgres_database)
    assert ours.write_rows(place, ACTIVITY, encoded({"ann": ROWS["ann"]}, JULY, JULY)) == 1
    after = activity(2.5, 4, "Rome")
    assert ours.write_rows(place, ACTIVITY, encoded({"ann": after, "eve": after}, event, created)) == 1 + replaces
    found = ours.online_read(place, ACTIVITY, [customer("ann"), customer("eve")], FEATURES)
    assert [values for _, values in found] == [after if replaces else ROWS["ann"], after]


def test_an_older_row_does_not_bring_a_new_feature(
    postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore
) -> None:
    place = config(postgres_database)
    ours.write_rows(place, ACTIVITY, encoded({"ann": {"orders": Value(int64_val=3)}}, JULY))
    assert ours.write_rows(place, ACTIVITY, encoded({"ann": activity(1.0, 1, "Oslo")}, JULY - 1)) == 0
    stored = ours.read_rows(place, ACTIVITY, [key("ann")], FEATURES)
    assert stored.features == {"amount": [None], "orders": [Value(int64_val=3).SerializeToString()], "city": [None]}


def test_a_row_of_nulls_clears_what_was_stored(
    postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore
) -> None:
    place = config(postgres_database)
    ours.write_rows(place, ACTIVITY, encoded({"ann": ROWS["ann"]}, JULY))
    ours.write_rows(place, ACTIVITY, encoded({"ann": activity(None, None, None)}, JULY + 1))
    assert ours.online_read(place, ACTIVITY, [customer("ann")], FEATURES) == [
        (moment(JULY + 1), activity(None, None, None))
    ]
    assert [row[3] for row in table(postgres_database, "shop_activity")] == [None] * 3


def test_times_are_exact_whatever_the_time_zone_of_the_server(postgres_database: PostgresDatabase) -> None:
    execute(postgres_database, f"ALTER DATABASE {postgres_database.database} SET timezone = 'Asia/Tokyo'")
    store, place = MonotonicPostgresOnlineStore(), config(postgres_database)
    apply(store, place, ACTIVITY)
    store.online_write_batch(
        place, ACTIVITY, [(customer("ann"), ROWS["ann"], datetime(2026, 7, 1, 12), datetime(2026, 7, 1, 13))], None
    )
    assert {row[5:] for row in table(postgres_database, "shop_activity")} == {
        (datetime(2026, 7, 1, 12, tzinfo=UTC), datetime(2026, 7, 1, 13, tzinfo=UTC))
    }
    assert store.online_read(place, ACTIVITY, [customer("ann")], ["city"])[0][0] == datetime(2026, 7, 1, 12, tzinfo=UTC)


def test_a_text_with_a_zero_is_stored_where_it_counts(
    postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore
) -> None:
    place, row = config(postgres_database), activity(1.0, 1, "a\0b")
    ours.write_rows(place, ACTIVITY, encoded({"ann": row}, JULY))
    assert ours.online_read(place, ACTIVITY, [customer("ann")], FEATURES)[0][1] == row


def test_views_of_more_features_than_a_statement_takes(
    postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore
) -> None:
    names = [f"f{number}" for number in range(1203)]
    wide, place = view("wide", **dict.fromkeys(names, Int64)), config(postgres_database)
    apply(ours, place, wide)
    rows = {name: {f: Value(int64_val=index) for index, f in enumerate(names)} for name in ("ann", "bob")}
    assert ours.write_rows(place, wide, encoded(rows, JULY)) == 2
    assert ours.write_rows(place, wide, encoded(rows, JULY - 1)) == 0
    stored = ours.read_rows(place, wide, [key("bob")], names)
    assert stored.features == {name: [cell.SerializeToString()] for name, cell in rows["bob"].items()}


def test_no_use_reads_a_whole_table_however_new_it_is(
    postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore
) -> None:
    place = config(postgres_database)
    for start in range(0, 6000, 500):
        names = [f"customer {number}" for number in range(start, start + 500)]
        cells = [Value(int64_val=1).SerializeToString()] * len(names)
        rows = EncodedRows([key(name) for name in names], [JULY] * 500, [None] * 500, {"points": cells})
        assert ours.write_rows(place, LOYALTY, rows) == 500
        assert ours.read_rows(place, LOYALTY, rows.entity_keys, ["points"]).event_timestamps == [JULY] * 500
    ours.forget_rows(place, [LOYALTY], [key("customer 1")])
    assert ours._connections is not None
    ours._connections.close()  # what it counted is published then
    with psycopg.connect(postgres_database.url, autocommit=True) as connection:
        scans = "SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'shop_loyalty'"
        by_table, by_index = 0, 0
        while not by_index:
            ((by_table, by_index),) = connection.execute(scans).fetchall()
    assert by_table == 1  # when its index was made


def test_nothing_to_write_is_nothing_written(
    postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore
) -> None:
    assert ours.write_rows(config(postgres_database), ACTIVITY, EncodedRows([], [], [], {"amount": []})) == 0
    ours.online_write_batch(config(postgres_database), ACTIVITY, [], None)
    assert table(postgres_database, "shop_activity") == []


def test_forgotten_rows_are_gone_and_stay_gone(
    postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore
) -> None:
    place = config(postgres_database)
    points = {name: {"points": Value(int64_val=1)} for name in ("ann", "eve")}
    ours.write_rows(place, ACTIVITY, encoded(ROWS, JULY))
    ours.write_rows(place, LOYALTY, encoded(points, JULY))
    before = [row for row in table(postgres_database, "shop_activity") if row[0] != key("ann")]
    assert ours.forget_rows(place, [ACTIVITY, LOYALTY], [key("ann"), key("nobody")]) == 2
    assert ours.forget_rows(place, [ACTIVITY, LOYALTY], [key("ann")]) == 0
    # Another store, an applied definition, both ways of writing, and a view that is new.
    again, new = MonotonicPostgresOnlineStore(), view("new", points=Int64)
    apply(again, place, ACTIVITY, LOYALTY, new)
    assert again.write_rows(place, ACTIVITY, encoded(ROWS, JULY + 1)) == 3
    again.online_write_batch(place, LOYALTY, [(customer("ann"), points["ann"], moment(JULY + 1), None)], None)
    assert again.write_rows(place, new, encoded(points, JULY)) == 1
    assert again.online_read(place, ACTIVITY, [customer("ann")], FEATURES) == [(None, None)]
    assert {row[0] for row in table(postgres_database, "shop_loyalty")} == {key("eve")}
    assert {row[0] for row in table(postgres_database, "shop_new")} == {key("eve")}
    assert [row[:5] for row in table(postgres_database, "shop_activity")] == [row[:5] for row in before]
    execute(postgres_database, "ALTER TABLE _shop_forgotten ADD COLUMN seen int")
    assert all(len(digest) == 32 for digest, _ in table(postgres_database, "_shop_forgotten"))


def test_a_project_forgets_for_itself(postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore) -> None:
    shop, mall = config(postgres_database), config(postgres_database, project="mall")
    apply(ours, mall, ACTIVITY)
    ours.forget_rows(shop, [ACTIVITY], [key("ann")])
    assert ours.write_rows(mall, ACTIVITY, encoded(ROWS, JULY)) == len(ROWS)


def test_every_version_of_a_view_forgets(postgres_database: PostgresDatabase) -> None:
    place, versioned = config(postgres_database, versions=True), view("activity", points=Int64)
    bystander = view("activity_vip", points=Int64)
    store, row = MonotonicPostgresOnlineStore(), {"ann": {"points": Value(int64_val=1)}}
    for version in (0, 2):
        versioned.current_version_number = version
        apply(store, place, versioned, bystander)
        store.write_rows(place, versioned, encoded(row, JULY))
    store.write_rows(place, bystander, encoded(row, JULY))
    assert store.forget_rows(place, [versioned], [key("ann")]) == 1
    assert not table(postgres_database, "shop_activity")
    assert not table(postgres_database, "shop_activity_v2")
    assert table(postgres_database, "shop_activity_vip")


def test_dropped_views_go_and_what_was_forgotten_stays_until_the_teardown(
    postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore
) -> None:
    place = config(postgres_database)
    ours.forget_rows(place, [ACTIVITY], [key("ann")])
    apply(ours, place, LOYALTY, dropped=[ACTIVITY])
    assert _tables(postgres_database) == {"shop_loyalty", "_shop_forgotten"}
    apply(ours, place, ACTIVITY, LOYALTY)
    assert ours.write_rows(place, ACTIVITY, encoded(ROWS, JULY)) == 3
    ours.teardown(place, [ACTIVITY, LOYALTY], [])
    assert _tables(postgres_database) == set()


def _tables(database: PostgresDatabase) -> set[str]:
    with psycopg.connect(database.url) as connection:
        return {name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


def test_a_schema_of_its_own(postgres_database: PostgresDatabase) -> None:
    store, place = MonotonicPostgresOnlineStore(), config(postgres_database, db_schema="online")
    apply(store, place, ACTIVITY)
    store.write_rows(place, ACTIVITY, encoded(ROWS, JULY))
    assert _tables(postgres_database) == set()
    assert store.forget_rows(place, [ACTIVITY], [key("ann")]) == 1
    assert len(table(postgres_database, 'online"."shop_activity')) == 9


def test_a_pool_of_connections(postgres_database: PostgresDatabase) -> None:
    store, place = MonotonicPostgresOnlineStore(), config(postgres_database, conn_type="pool", max_conn=2)
    apply(store, place, ACTIVITY)
    assert store.write_rows(place, ACTIVITY, encoded(ROWS, JULY)) == 4
    with pytest.raises(TesseraError, match="lacks a table"):
        store.write_rows(place, LOYALTY, encoded({"ann": {"points": Value(int64_val=1)}}, JULY))
    for _ in range(5):
        assert store.online_read(place, ACTIVITY, [customer("ann")], FEATURES) == [(moment(JULY), ROWS["ann"])]
    assert store._connections is not None
    store._connections.close()


def test_reading_asynchronously(postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore) -> None:
    place = config(postgres_database)
    ours.write_rows(place, ACTIVITY, encoded(ROWS, JULY))

    async def read() -> Any:
        found = await ours.online_read_async(place, ACTIVITY, [customer("ann")], FEATURES)
        assert ours._conn_async is not None
        await ours._conn_async.close()
        return found

    assert asyncio.run(read()) == [(moment(JULY), ROWS["ann"])]


def test_a_lost_connection_is_opened_again(
    postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore
) -> None:
    place = config(postgres_database)
    execute(
        postgres_database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname = current_database()",
    )
    with pytest.raises(psycopg.OperationalError):
        ours.online_read(place, ACTIVITY, [customer("ann")], FEATURES)
    assert ours.online_read(place, ACTIVITY, [customer("ann")], FEATURES) == [(None, None)]


def test_a_failed_write_leaves_nothing_behind(
    postgres_database: PostgresDatabase, ours: MonotonicPostgresOnlineStore
) -> None:
    place = config(postgres_database)
    execute(postgres_database, "ALTER TABLE shop_activity ADD CHECK (value_text <> '13')")
    bad = {"ann": activity(1.0, 12, "Oslo"), "bob": activity(1.0, 13, "Oslo")}
    with pytest.raises(psycopg.errors.CheckViolation):
        ours.write_rows(place, ACTIVITY, encoded(bad, JULY))
    assert table(postgres_database, "shop_activity") == []
    assert ours.write_rows(place, ACTIVITY, encoded({"ann": bad["ann"]}, JULY)) == 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"sslmode": "require"}, "does not support SSL.*`sslmode` is 'require'.*`sslmode: disable`"),
        ({"password": "wrong"}, "password authentication failed.*lets user 'tessera' in.*stack.yaml"),
        ({"database": "nowhere"}, '"nowhere" does not exist.*Check `host`'),
        ({"port": 1}, r"127\.0\.0\.1:1 does not open.*Connection refused"),
        ({"host": "no-such-host.invalid"}, r"at no-such-host\.invalid:[0-9]+ does not open"),
    ],
    ids=["no SSL", "password", "database", "port", "host"],
)
@pytest.mark.parametrize("conn_type", ["singleton", "pool"])
def test_a_server_that_refuses_is_explained(
    postgres_database: PostgresDatabase, wrong: dict[str, Any], says: str, conn_type: str
) -> None:
    place = config(postgres_database, conn_type=conn_type, **wrong)
    uses: list[Callable[[], Any]] = [
        lambda: MonotonicPostgresOnlineStore().read_rows(place, ACTIVITY, [key("ann")], FEATURES),
        lambda: apply(MonotonicPostgresOnlineStore(), place, ACTIVITY),
    ]
    for use in uses:
        with pytest.raises(TesseraError, match=says) as caught:
            use()
        assert postgres_database.password not in str(caught.value)


def test_a_view_that_was_not_applied_is_explained(postgres_database: PostgresDatabase) -> None:
    store, place = MonotonicPostgresOnlineStore(), config(postgres_database)
    uses: list[Callable[[], Any]] = [
        lambda: store.read_rows(place, ACTIVITY, [key("ann")], FEATURES),
        lambda: store.write_rows(place, ACTIVITY, encoded(ROWS, JULY)),
        lambda: store.forget_rows(place, [ACTIVITY], [key("ann")]),
    ]
    for use in uses:
        with pytest.raises(TesseraError, match=r"lacks a table: relation .* does not exist.*feast apply"):
            use()


def test_a_name_that_postgres_would_cut_is_refused(postgres_database: PostgresDatabase) -> None:
    store, place = MonotonicPostgresOnlineStore(), config(postgres_database)
    with pytest.raises(TesseraError, match="at most 63 bytes"):
        apply(store, place, view("v" * 59, points=Int64))
    apply(store, place, view("v" * 58, points=Int64))
    assert "shop_" + "v" * 58 in _tables(postgres_database)


@pytest.mark.parametrize("setting", ["vector_enabled", "enable_openai_compatible_store"])
def test_searching_is_left_to_feasts_own_store(postgres_database: PostgresDatabase, setting: str) -> None:
    place: Any = {setting: True}
    with pytest.raises(TesseraError, match=f"`{setting}: true`.*`type: feast.postgres`"):
        _ = config(postgres_database, **place).online_store
