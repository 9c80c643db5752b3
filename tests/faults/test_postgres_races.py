"""Writers of the Postgres online store that race, that are killed, and that come too late: each a real connection."""

# Feast is only partly typed.
# pyright: basic

import random
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

import postgres_process
import psycopg
import pytest
from feast.protos.feast.types.Value_pb2 import Value
from postgres_process import FEATURES, KEYS, WIDE, rows

from resources.feature_store.online.postgres import MonotonicPostgresOnlineStore
from tests.fork_server import PROCESSES
from tests.servers.postgres_server import PostgresDatabase
from tests.unit.feature_store.postgres_views import LOYALTY, apply, config, encoded, execute, key, table, view

_PATIENCE_SECONDS = 60


def _points(*names: str) -> dict[str, dict[str, Value]]:
    return {name: {"points": Value(int64_val=1)} for name in names}


def _until(happens: Callable[[], bool], what: str) -> None:
    deadline = monotonic() + _PATIENCE_SECONDS
    while not happens():
        assert monotonic() < deadline, what
        sleep(0.01)


class _Watched:
    """A database whose connections can be held up, and counted."""

    def __init__(self, database: PostgresDatabase) -> None:
        self.database = database
        self.place = config(database)

    @contextmanager
    def holding(self, entity_key: bytes, table: str) -> Iterator[None]:
        """Inside, whoever changes the rows of this key waits."""
        with psycopg.connect(self.database.url) as connection:
            held = connection.execute(f"SELECT FROM {table} WHERE entity_key = %s FOR UPDATE".encode(), [entity_key])
            assert held.rowcount
            yield
            connection.rollback()

    def until_waiting(self, number: int) -> None:
        _until(lambda: self._connections("wait_event_type = 'Lock'") == number, f"{number} connections wait for a lock")

    def until_gone(self) -> None:
        _until(lambda: self._connections("TRUE") == 0, "nobody is connected")

    def _connections(self, condition: str) -> int:
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        with psycopg.connect(self.database.url) as connection:
            found = connection.execute(f"SELECT FROM pg_stat_activity WHERE {others} AND {condition}".encode())
            return found.rowcount


@pytest.fixture
def watched(postgres_database: PostgresDatabase) -> _Watched:
    watched = _Watched(postgres_database)
    apply(MonotonicPostgresOnlineStore(), watched.place, LOYALTY, WIDE)
    return watched


@pytest.fixture
def beside() -> Iterator[Callable[..., Future[int]]]:
    """Calls a method of a store of its own in a thread of its own."""
    with ThreadPoolExecutor(4) as threads:

        def called(method: str, *arguments: Any) -> Future[int]:
            return threads.submit(getattr(MonotonicPostgresOnlineStore(), method), *arguments)

        yield called


def test_a_forget_waits_for_rows_that_are_being_written(watched: _Watched, beside: Callable[..., Future[int]]) -> None:
    MonotonicPostgresOnlineStore().write_rows(watched.place, LOYALTY, encoded(_points("zoe"), 1))
    with watched.holding(key("zoe"), "shop_loyalty"):
        written = beside("write_rows", watched.place, LOYALTY, encoded(_points("ann", "bob", "zoe"), 2))
        watched.until_waiting(1)
        forgotten = beside("forget_rows", watched.place, [LOYALTY], [key("bob")])
        watched.until_waiting(2)
    assert written.result() == 3
    assert forgotten.result() == 1
    assert [row[0] for row in table(watched.database, "shop_loyalty")] == [key("ann"), key("zoe")]


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_a_writer_waits_for_a_forget_and_sees_it(
    watched: _Watched, beside: Callable[..., Future[int]], isolation: str
) -> None:
    # A server's default may be another one; the writer's transaction must not see the database as it was before.
    name = watched.database.database
    execute(watched.database, f"ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'")
    MonotonicPostgresOnlineStore().write_rows(watched.place, LOYALTY, encoded(_points("ann"), 1))
    with watched.holding(key("ann"), "shop_loyalty"):
        forgotten = beside("forget_rows", watched.place, [LOYALTY], [key("ann")])
        watched.until_waiting(1)
        written = beside("write_rows", watched.place, LOYALTY, encoded(_points("ann", "bob"), 2))
        watched.until_waiting(2)
    assert forgotten.result() == 1
    assert written.result() == 1
    assert [row[0] for row in table(watched.database, "shop_loyalty")] == [key("bob")]


def test_writers_of_the_same_entities_do_not_wait_in_a_circle(
    watched: _Watched, beside: Callable[..., Future[int]]
) -> None:
    MonotonicPostgresOnlineStore().write_rows(watched.place, LOYALTY, encoded(_points("ann", "mia", "zoe"), 1))
    with watched.holding(key("mia"), "shop_loyalty"):
        # In the given order each would hold one end and then want the other.
        up = beside("write_rows", watched.place, LOYALTY, encoded(_points("ann", "mia", "zoe"), 3))
        down = beside("write_rows", watched.place, LOYALTY, encoded(_points("zoe", "mia", "ann"), 2))
        watched.until_waiting(2)
    assert up.result() == 3
    assert down.result() in (0, 3)
    assert {row[5].microsecond for row in table(watched.database, "shop_loyalty")} == {3}


def test_a_late_writer_does_not_replace_what_a_faster_one_wrote_meanwhile(
    watched: _Watched, beside: Callable[..., Future[int]]
) -> None:
    MonotonicPostgresOnlineStore().write_rows(watched.place, LOYALTY, encoded(_points("zoe"), 1))
    with watched.holding(key("zoe"), "shop_loyalty"):
        newer = beside("write_rows", watched.place, LOYALTY, encoded(_points("ann", "zoe"), 3))
        watched.until_waiting(1)
        # It has compared with what stood there before, and now waits for the newer one's row of ann.
        older = beside("write_rows", watched.place, LOYALTY, encoded(_points("ann", "zoe"), 2))
        watched.until_waiting(2)
    assert (newer.result(), older.result()) == (2, 0)
    assert {row[5].microsecond for row in table(watched.database, "shop_loyalty")} == {3}


def test_applying_at_once_makes_every_table_once(
    postgres_database: PostgresDatabase, beside: Callable[..., Future[int]]
) -> None:
    views = [view(f"view_{number}", points=LOYALTY.features[0].dtype) for number in range(5)]
    place = config(postgres_database, db_schema="made_by_the_first")
    for applied in [beside("update", place, [], views, [], [], False) for _ in range(4)]:
        applied.result()
    with psycopg.connect(postgres_database.url) as connection:
        made = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'made_by_the_first'").fetchall()
    assert {name for (name,) in made} == {"_shop_forgotten", *(f"shop_view_{number}" for number in range(5))}


def _numbers_found(place: Any) -> list[int | None]:
    """The one number that all features and the event time of each row say; None where there is no row."""
    found = MonotonicPostgresOnlineStore().read_rows(place, WIDE, KEYS, FEATURES)
    numbers: list[int | None] = []
    for cells, event in zip(zip(*found.features.values(), strict=True), found.event_timestamps, strict=True):
        (cell,) = set(cells)
        assert event == (None if cell is None else Value.FromString(cell).int64_val)
        numbers.append(event)
    return numbers


def test_a_killed_writer_leaves_every_row_whole_and_the_next_one_completes_them(watched: _Watched) -> None:
    store, start = MonotonicPostgresOnlineStore(), PROCESSES.Event()
    store.write_rows(watched.place, WIDE, rows(1))
    with watched.holding(KEYS[-1], "shop_wide"):
        process = PROCESSES.Process(target=postgres_process.write, args=(watched.place, [2], start))
        process.start()
        start.set()
        watched.until_waiting(1)
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    assert store._connections is not None
    store._connections.close()
    watched.until_gone()
    numbers = _numbers_found(watched.place)
    written = numbers.count(2)
    assert 0 < written < len(KEYS)
    assert numbers == [2] * written + [1] * (len(KEYS) - written)  # whole transactions, in the order of the keys
    assert store.write_rows(watched.place, WIDE, rows(2)) == len(KEYS)
    assert set(_numbers_found(watched.place)) == {2}
    assert store.forget_rows(watched.place, [WIDE], KEYS[:1]) == 1  # it left no lock behind, either


def test_processes_that_write_at_once_leave_the_newest_row_of_each_entity(watched: _Watched) -> None:
    numbers = list(range(1, 10))
    shuffled = random.Random(7).sample(numbers, len(numbers))  # noqa: S311
    start = PROCESSES.Event()
    processes = [
        PROCESSES.Process(target=postgres_process.write, args=(watched.place, shuffled[part::2], start))
        for part in range(2)
    ]
    for process in processes:
        process.start()
    start.set()
    while any(process.is_alive() for process in processes):
        _numbers_found(watched.place)
    assert [process.exitcode for process in processes] == [0, 0]
    assert set(_numbers_found(watched.place)) == {9}
