"""The stream's state on a server: the same as in a file, with killed workers, lost connections and others at work."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from assets.fraud.stream.state import Batch
from models.errors import TesseraError
from models.events import Event
from models.features.fraud_online import Payment
from models.features.window_state import KeyHistory
from models.fraud.alerts import Scored, raised_by
from models.fraud.event_parsing import LABEL
from resources.state_store.port import Superseded
from resources.state_store.postgres_state_store import PostgresStateStoreConfig
from tests.faults import fraud_stream_process
from tests.faults.postgres_stream_process import opened, work
from tests.fraud_store import FraudStore
from tests.fraud_world import shuffled_and_doubled
from tests.servers.postgres_server import PostgresDatabase
from tests.unit.features.handbook import replayed

LIMIT = 17
FIRST, LAST = date(2018, 4, 1), date(2018, 7, 1)
Open = Callable[[], FraudStore]
PAID = Payment(1, "c1", "t1", 1_533_729_600_000_000, 2000)


@pytest.fixture
def url(postgres_database: PostgresDatabase) -> str:
    return postgres_database.url


@pytest.fixture
def open_store(url: str) -> Open:
    return lambda: FraudStore(PostgresStateStoreConfig(url=url).open())


@pytest.fixture
def store(open_store: Open) -> FraudStore:
    return open_store()


@pytest.mark.real
def test_a_stream_killed_once_knows_what_one_in_files_knows(shared_data: Path, tmp_path: Path, url: str) -> None:
    paid = replayed(shared_data, 400, terminals=20)
    given = shuffled_and_doubled([*paid, *map(called_fraud, paid[::9])])
    in_files, (events, store) = fraud_stream_process.opened(tmp_path), opened(url)
    for queue in (in_files[0], events):
        queue.publish(given)
    work(*in_files, LIMIT)
    command = [sys.executable, "-m", "tests.faults.postgres_stream_process", url, str(LIMIT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        for _ in range(9):
            worker.stdout.readline()
        time.sleep(random.random() * 0.02)  # noqa: S311 - anywhere in a batch
        worker.kill()
    assert worker.returncode == -signal.SIGKILL
    assert 0 < store.position()[0] < len(given)
    work(events, store, LIMIT)
    known = known_of(in_files[1], given)
    assert known_of(store, given) == known
    assert events.backlog("fraud") == 0
    assert len(known["alerts"]) > 10 < sum(one["terminal_risk_30d"] > 0 for one in known["scored"])


def called_fraud(paid: Event) -> Event:
    """What is known of it a week later."""
    said = {"transaction_id": paid.data["transaction_id"], "is_fraud": True}
    return Event(
        id=paid.id, source="/analysts", type=LABEL, time=paid.time + timedelta(days=7), subject=paid.subject, data=said
    )


def known_of(store: FraudStore, given: list[Event]) -> dict[str, Any]:
    payments = store.payments([one.data["transaction_id"] for one in given])
    keys = sorted({(kind, getattr(one, kind)) for one in payments.values() for kind in ("customer_id", "terminal_id")})
    histories = store.histories(keys)
    return {
        "position": store.position(),
        "payments": payments,
        "histories": {key: histories[key].to_bytes() for key in keys},
        "scored": store.scored(FIRST, LAST).to_pylist(),
        "alerts": store.find("fraud", FIRST, LAST),
    }


class TestLostConnections:
    def test_between_calls_one_call_fails_and_says_so(self, url: str, store: FraudStore) -> None:
        store.commit(Batch(position=3, newest=PAID.micros, payments=[PAID]))
        disconnect(url)
        with pytest.raises(TesseraError) as lost:
            store.position()
        assert "The Postgres of the stream's state does not work" in lost.value.what
        assert "tessera_stream" in lost.value.expected
        assert "state_store in stack.yaml" in lost.value.todo
        assert (store.position(), store.payments([1])) == ((3, PAID.micros), {1: PAID})

    def test_in_a_seed_nothing_of_it_is_stored(self, url: str, store: FraudStore) -> None:
        """And nothing that comes after it is stored through another connection."""
        names = ("transaction_id", "customer_id", "terminal_id", "micros", "cents")
        known = pa.RecordBatch.from_pydict({name: [getattr(PAID, name)] for name in names})

        def seeded() -> None:
            with store.seeding([known], []):
                disconnect(url)
                for _ in range(2):
                    with suppress(TesseraError):
                        store.commit(Batch(position=1, newest=1))

        with pytest.raises(TesseraError, match="does not work"):
            seeded()
        assert (store.position(), store.payments([1])) == ((0, 0), {})

    def test_in_the_middle_of_a_batch_nothing_of_it_is_stored(self, url: str, store: FraudStore) -> None:
        store.position()
        with psycopg.connect(url) as blocking, ThreadPoolExecutor(1) as pool:
            blocking.execute("LOCK TABLE tessera_stream.fraud_payment")
            storing = pool.submit(store.commit, Batch(position=1, newest=1, payments=[PAID]))
            until_waiting(url)
            disconnect(url)
            with pytest.raises(TesseraError, match="does not work"):
                storing.result()
        assert (store.position(), store.payments([1])) == ((0, 0), {})


class TestOthers:
    def test_whoever_waits_for_an_erasure_notices_it(self, url: str, store: FraudStore) -> None:
        loaded = store.generation()
        with psycopg.connect(url) as forgetting, ThreadPoolExecutor(1) as pool:
            forgetting.execute("UPDATE tessera_stream.progress SET generation = generation + 1")
            storing = pool.submit(store.commit, Batch(position=1, newest=1, payments=[PAID], generation=loaded))
            until_waiting(url)
            forgetting.commit()
            with pytest.raises(Superseded):
                storing.result()
        assert store.payments([1]) == {}

    def test_of_two_workers_one_ends(self, store: FraudStore, open_store: Open) -> None:
        other = open_store()
        assert store.generation() == other.generation() == 0
        store.commit(Batch(position=1, newest=1, payments=[PAID]))
        with pytest.raises(TesseraError, match="Another worker has stored a batch"):
            other.commit(Batch(position=1, newest=1, payments=[PAID]))
        store.commit(Batch(position=2, newest=1))
        other.generation()  # begun anew
        other.commit(Batch(position=3, newest=1))
        assert store.position() == (3, 1)

    def test_many_begin_at_once(self, open_store: Open) -> None:
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(lambda _: open_store().check(), range(6)))
        assert [one.says for one in found if not one.ok] == []

    def test_streams_of_one_database_are_apart(self, url: str, store: FraudStore) -> None:
        store.commit(Batch(position=1, newest=1, payments=[PAID]))
        other = FraudStore(PostgresStateStoreConfig(url=url, schema_name="another").open())
        assert (other.position(), other.payments([1])) == ((0, 0), {})

    def test_a_schema_with_tables_of_others_is_left_alone(self, url: str, store: FraudStore) -> None:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE SCHEMA tessera_stream CREATE TABLE alert (x INTEGER)")
        with pytest.raises(TesseraError, match='"alert" already exists'):
            store.position()
        with psycopg.connect(url) as connection:
            assert connection.execute(
                "SELECT count(*) FROM pg_tables WHERE schemaname = 'tessera_stream'"
            ).fetchone() == (1,)

    def test_an_analyst_reads_alerts_in_sql(self, url: str, store: FraudStore) -> None:
        at = datetime(2018, 8, 8, 12, tzinfo=UTC)
        alert = raised_by(Scored(PAID, [], 0.9, "7"), {"terminal_risk_30d": 1.5, "amount": 0.25})
        store.add_alerts([alert])
        store.answer(alert.alert_id, "fraud", who="ann", at=at)
        query = """SELECT day, entity_id, evidence[1], raised_for, alert.label, labelled_at, who,
            (SELECT key FROM json_each_text(reasons) LIMIT 1), (reasons ->> 'amount')::float8
            FROM tessera_stream.alert JOIN tessera_stream.feedback USING (alert_id, entity_id)"""
        with psycopg.connect(url) as connection:
            assert connection.execute(query).fetchall() == [
                (at.date(), "c1", "1", at, "fraud", at, "ann", "terminal_risk_30d", 0.25)
            ]

    def test_files_hold_nothing_of_whom_was_forgotten(self, url: str, store: FraudStore) -> None:
        paid = [Payment(n, f"c{n % 2}-secret", "t1", PAID.micros + n, n) for n in range(1, 400)]
        batch = Batch(position=1, newest=1, payments=paid, histories={("customer_id", "c1-secret"): KeyHistory()})
        batch.histories["customer_id", "c1-secret"].insert(PAID.micros, 1, 1)
        store.commit(batch)
        assert b"c1-secret" in files_of(url)
        assert store.erase("c1-secret") == 200 + 1
        assert b"c1-secret" not in files_of(url)
        assert b"c0-secret" in files_of(url)


def test_the_lock_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(TesseraError, match=r"'state_store' of kind 'postgres'.*requirements/postgres\.lock"):
        PostgresStateStoreConfig().open()


def files_of(url: str) -> bytes:
    """Tables, their indexes, and what the planner knows of them, as they are on disk."""
    query = """SELECT pg_read_binary_file(pg_relation_filepath(oid)) FROM pg_class
        WHERE relkind IN ('r', 'i') AND (relnamespace = 'tessera_stream'::regnamespace)"""
    with psycopg.connect(url) as connection:
        connection.execute("CHECKPOINT")
        return b"".join(row[0] for row in connection.execute(query, binary=True))


def disconnect(url: str) -> None:
    """Ends the stores' connections."""
    others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'tessera'"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(others)


def until_waiting(url: str) -> None:
    """Until a store waits for a lock that another has."""
    waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'tessera' AND wait_event_type = 'Lock'"
    with psycopg.connect(url, autocommit=True) as connection:
        while not connection.execute(waiting).fetchone():
            time.sleep(0.005)
