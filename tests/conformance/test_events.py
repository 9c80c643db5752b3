"""The queues of events: the port's promises, what several processes see of them, and what only one of them does."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any

import psycopg
import pytest
import redis

from models.errors import TesseraError
from models.events import MAX_EVENT_BYTES, Event
from resources.conformance import EventsConformance
from resources.conformance.events import event, numbers, of_two
from resources.events.port import Events
from resources.events.postgres_events import PostgresEventsConfig
from resources.events.redis_events import RedisEventsConfig
from resources.events.sqlite_events import SqliteEventsConfig
from tests.faults.events_process import KINDS, noted

T = datetime(2018, 7, 25, 12, 0, 0, 123456, tzinfo=UTC)
#: Opens the same queue again, as another process would; keyword arguments are settings.
Open = Callable[..., Events]
Start = Callable[..., tuple[list[int], Callable[[], list[int]]]]


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """An empty queue: its kind and where it is."""
    if request.param == "sqlite":
        return "sqlite", {"path": str(tmp_path / "events.db")}
    if request.param == "redis":
        return "redis", {"url": f"redis://{request.getfixturevalue('fresh_redis')}/0"}
    return "postgres", {"url": request.getfixturevalue("postgres_database").url}


@pytest.fixture
def opened(place: tuple[str, dict[str, Any]]) -> Open:
    def opening(**settings: Any) -> Events:
        config: Any = KINDS[place[0]](**place[1], **settings)
        return config.open()

    return opening


@pytest.fixture
def events(opened: Open) -> Events:
    return opened(lease_seconds=600)


class TestSqliteEvents(EventsConformance):
    config = SqliteEventsConfig

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Open:
        return partial(_opened, "sqlite", path=str(tmp_path / "events.db"))


class TestRedisEvents(EventsConformance):
    config = RedisEventsConfig

    @pytest.fixture
    def opened(self, fresh_redis: str) -> Open:
        return partial(_opened, "redis", url=f"redis://{fresh_redis}/0")


class TestPostgresEvents(EventsConformance):
    config = PostgresEventsConfig

    @pytest.fixture
    def opened(self, postgres_database: Any) -> Open:
        return partial(_opened, "postgres", url=postgres_database.url)


def _opened(kind: str, **settings: Any) -> Events:
    config: Any = KINDS[kind](**settings)
    return config.open()


def _until_waiting(url: str, count: int) -> None:
    """Until that many connections wait for a lock."""
    with psycopg.connect(url, autocommit=True) as asking:
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while asking.execute(query).fetchone() != (count,):
            time.sleep(0.005)


class TestErasure:
    """What one store does when a subject is erased."""

    @pytest.mark.parametrize("place", ["postgres"], indirect=True)
    def test_a_group_that_begins_at_that_moment_is_left_nothing_of_it(
        self, place: tuple[str, dict[str, Any]], opened: Open
    ) -> None:
        """Its first member has found the events, and has not said so yet, when they are removed."""
        opened().publish(of_two(4))
        with psycopg.connect(place[1]["url"]) as blocking, ThreadPoolExecutor(2) as pool:
            blocking.execute("LOCK TABLE tessera_events.ahead IN SHARE MODE")
            reading = pool.submit(lambda: numbers(opened(lease_seconds=600), "new"))
            _until_waiting(place[1]["url"], 1)
            forgetting = pool.submit(lambda: opened().forget("a"))
            _until_waiting(place[1]["url"], 2)
            blocking.commit()
            assert (reading.result(), forgetting.result()) == ([0, 1, 2, 3], 2)
        assert opened().backlog("new") == 2

    @pytest.mark.parametrize("place", ["sqlite"], indirect=True)
    def test_sqlite_keeps_no_byte_while_others_use_the_file(
        self, place: tuple[str, dict[str, Any]], opened: Open
    ) -> None:
        """Many events, so that pages were divided; and a log that another connection wrote."""
        other, events, file = opened(), opened(), Path(place[1]["path"])
        for start in range(0, 600, 100):
            made = [event(n, "secret" if n % 3 else f"s{n}") for n in range(start, start + 100)]
            other.publish([one.model_copy(update={"id": f"{one.subject}-{one.id}"}) for one in made])
            held = other.read("g", limit=90)
            other.acknowledge("g", [one.offset for one in held[::2]])
        other.reject("g", held[3], "refused")
        assert other.backlog("g") > 300
        assert b"secret" in file.read_bytes() + Path(f"{file}-wal").read_bytes()
        assert events.forget("secret") >= 400
        assert b"secret" not in b"".join(one.read_bytes() for one in file.parent.iterdir())
        assert other.reclaim("g") == other.backlog("g") == len(numbers(other, limit=1000)) > 0

    @pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)
    def test_a_queue_of_an_earlier_version_can_forget(self, place: tuple[str, dict[str, Any]], opened: Open) -> None:
        opened().publish(of_two(4))
        if place[0] == "sqlite":
            with closing(sqlite3.connect(place[1]["path"])) as old:
                old.executescript(
                    "DROP TABLE hole; ALTER TABLE event DROP COLUMN traceparent; PRAGMA user_version = 1;"
                )
        else:
            with psycopg.connect(place[1]["url"]) as old:
                old.execute("DROP TABLE tessera_events.hole")
                old.execute("ALTER TABLE tessera_events.event DROP COLUMN traceparent")
        events = opened()
        assert (events.forget("a"), events.newest_offset(), numbers(events)) == (2, 4, [1, 3])


class TestProcesses:
    """Publishers and consumers of their own, forked from one that uses the same queue."""

    @pytest.mark.slow
    def test_a_killed_consumer_loses_nothing(self, opened: Open, start: Start, out: Path) -> None:
        events = opened(lease_seconds=0.01)
        events.publish([event(n, f"card-{n % 3}") for n in range(9)])
        pids, ended = start([{"do": "hold", "group": "g", "limit": 6, "settled": 2, "out": str(out)}], 0.2)
        while not noted(out):
            time.sleep(0.001)
        assert events.backlog("g") == 7
        os.kill(pids[0], signal.SIGKILL)
        assert ended() == [-signal.SIGKILL]
        time.sleep(0.2)
        found = events.read("g", limit=100)
        assert [(one.event.data["number"], one.attempt) for one in found] == [
            *((n, 2) for n in range(2, 6)),
            *((n, 1) for n in range(6, 9)),
        ]

    @pytest.mark.parametrize("place", ["sqlite"], indirect=True)
    def test_a_forked_process_begins_without_a_connection(
        self, place: tuple[str, dict[str, Any]], start: Start
    ) -> None:
        """SQLite's locks belong to the process that took them."""
        _, ended = start([{"do": "inherit_nothing", "path": place[1]["path"]}])
        assert ended() == [0]

    @pytest.mark.slow
    @pytest.mark.parametrize("place", ["sqlite"], indirect=True)
    def test_many_processes_may_make_the_same_file(self, start: Start, tmp_path: Path) -> None:
        """Two that switch a new file to WAL at once: SQLite lets neither wait."""
        work = {"do": "open_at_once", "folder": str(tmp_path), "start": time.time() + 0.2, "rounds": 60}
        _, ended = start([work] * 8)
        assert ended() == [0] * 8
        assert {SqliteEventsConfig(path=str(tmp_path / f"{n}.db")).open().newest_offset() for n in range(60)} == {1}

    @pytest.mark.slow
    def test_publishers_and_consumers_at_once_lose_double_and_reorder_nothing(
        self, opened: Open, start: Start, out: Path
    ) -> None:
        count, subjects = 60, 7
        publishers = [
            {"do": "publish", "who": who, "count": count, "batch": batch, "subjects": subjects}
            for who, batch in (("a", 1), ("b", 7), ("c", 40))
        ]
        consumer = {"do": "consume", "group": "g", "until": 4 * count, "members": 2, "out": str(out)}
        _, ended = start([*publishers, {**consumer, "limit": 1}, {**consumer, "limit": 11}])
        assert ended() == [0] * 5
        handled = noted(out)
        assert sorted(row[0] for row in handled) == list(range(1, 4 * count + 1))
        assert {row[2] for row in handled} == {f"{who}-{n}" for who in ("a", "b", "c", "all") for n in range(count)}
        assert len({row[3] for row in handled}) == 2
        for subject in range(subjects):
            offsets = [row[0] for row in handled if row[1] == f"s{subject}"]
            assert offsets == sorted(offsets)
        stored = [one.event for one in opened().read("other", limit=1000)]
        for who in "abc":
            assert [one.data["number"] for one in stored if one.data["who"] == who] == list(range(count))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "handled.jsonl"


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    """One for all: importing everything takes seconds."""
    command = [sys.executable, "-m", "tests.faults.events_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        yield running
        running.stdin.close()
    assert running.returncode == 0


@pytest.fixture
def start(place: tuple[str, dict[str, Any]], server: subprocess.Popen[str]) -> Start:
    """Starts works as processes; gives their ids, and what waits for their exit codes."""

    def answer() -> list[int]:
        return json.loads(server.stdout.readline())

    def starting(works: list[dict[str, Any]], lease_seconds: float = 600) -> tuple[list[int], Callable[[], list[int]]]:
        kind, settings = place
        server.stdin.write(json.dumps([kind, {**settings, "lease_seconds": lease_seconds}, works]) + "\n")
        server.stdin.flush()
        return answer(), answer

    return starting


class TestServers:
    """What can only happen to a queue on a server."""

    @pytest.mark.parametrize("place", ["redis", "postgres"], indirect=True)
    def test_a_lost_connection_is_opened_again(self, place: tuple[str, dict[str, Any]], opened: Open) -> None:
        events = opened()
        events.publish([event(1)])
        if place[0] == "redis":
            with redis.Redis.from_url(place[1]["url"]) as other:
                other.client_kill_filter(_type="normal", skipme=True)
        else:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tessera'"
            with psycopg.connect(place[1]["url"]) as other:
                other.execute(others)
        with suppress(TesseraError):  # the call that finds it lost may fail, the next one may not
            events.publish([event(2)])
        events.publish([event(2)])
        assert numbers(events) == [1, 2]

    @pytest.mark.parametrize("place", ["redis", "postgres"], indirect=True)
    def test_queues_of_one_server_are_apart(self, place: tuple[str, dict[str, Any]], opened: Open) -> None:
        name = {"redis": "prefix", "postgres": "schema_name"}[place[0]]
        one, other = opened(), opened(**{name: "another"})
        one.publish([event(1)])
        assert other.publish([event(1), event(2)]) == 2
        assert (one.newest_offset(), other.newest_offset()) == (1, 2)

    @pytest.mark.parametrize("kind", ["redis", "postgres"])
    def test_one_that_is_not_there_is_not_well(self, kind: str) -> None:
        with socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            scheme = {"redis": "redis", "postgres": "postgresql"}[kind]
            config: Any = KINDS[kind](url=f"{scheme}://u:s3cr3t@127.0.0.1:{nobody.getsockname()[1]}/0")
            health = config.open().check()
        assert not health.ok
        assert "does not work" in health.says
        assert "s3cr3t" not in health.says + health.todo


class TestMissingClient:
    @pytest.mark.parametrize("kind", ["redis", "postgres"])
    def test_the_lock_to_install_is_named(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, {"redis": "redis", "postgres": "psycopg"}[kind], None)
        config: Any = KINDS[kind]()
        with pytest.raises(TesseraError, match=f"requirements/{kind}.lock"):
            config.open()


class TestEvent:
    def test_json_and_back(self) -> None:
        line = event(1).to_json()
        assert json.loads(line)["specversion"] == "1.0"
        assert Event.from_json(line) == event(1)
        assert Event.from_json(json.dumps({**json.loads(line), "datacontenttype": "application/json"})) == event(1)

    def test_what_is_wide_is_not_deep(self) -> None:
        wide = event(1).model_copy(update={"data": {"number": 1, "of": [{"a": []}] * 500}})
        assert Event.from_json(wide.to_json()) == wide

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("{", "no JSON object"),
            ("[1]", "no JSON object"),
            (event(1).to_json().replace('"time": "', '"time": "on '), "`time`: input .* as in RFC 3339, such as 2018-"),
            ("7", "no JSON object"),
            (b"\xff\xfe", "no JSON object"),
            ('{"id": "1"}', "wrong `source`"),
            (event(1).to_json().replace("Z", ""), "wrong `time`"),
            (event(1).to_json().replace('"2018-07-25T12:00:00.123456Z"', "1532520000"), "wrong `time`"),
            (event(1).to_json().replace("2018-07-25T12:00:00.123456Z", "0001-01-01T00:00:00+14:00"), "wrong `time`"),
            (event(1).to_json().replace("1.0", "0.3"), "wrong `specversion`"),
            (event(1).to_json().replace("card-1", "a\\u0000"), "wrong `subject`"),
            (event(1).to_json().replace("card-1", "\\ud800"), "wrong `subject`"),
            (event(1).to_json().replace("card-1", "s" * 257), "wrong `subject`"),
            (event(1).to_json().replace('{"number": 1}', '{"number": "\\ud800"}'), "wrong `data`"),
            (event(1).to_json().replace('{"number": 1}', '{"number": NaN}'), "wrong `data`"),
            (event(1).to_json().replace('{"number": 1}', '{"number": 1e999}'), "wrong `data`"),
            (event(1).to_json().replace('{"number": 1}', "[]"), "wrong `data`"),
            (
                event(1).to_json().replace('{"number": 1}', f'{{"number": {"[" * 100}{"]" * 100}}}'),
                "nested at most 100",
            ),
            ("[" * 60_000, "no JSON object"),
            ("9" * 60_000, "no JSON object"),
            ("x" * (MAX_EVENT_BYTES + 1), "bytes"),
        ],
    )
    def test_what_is_no_event_is_refused(self, line: str | bytes, says: str) -> None:
        with pytest.raises(TesseraError, match=says):
            Event.from_json(line)
