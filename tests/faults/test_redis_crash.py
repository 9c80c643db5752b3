"""Writers of the Redis online store that are killed, that race, and that come too late; each one a process."""

# Feast is only partly typed.
# pyright: basic

import random
import select
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep

import pytest
import redis_process
from feast.protos.feast.types.Value_pb2 import Value
from redis import ConnectionError
from redis_process import FEATURES, KEYS, WIDE, rows

from resources.feature_store.online.redis import MonotonicRedisOnlineStore
from tests.fork_server import PROCESSES
from tests.unit.feature_store.redis_views import config


def _rows_found(url: str) -> list[int | None]:
    """The one number that all features and the event time of each row say; None where there is no row."""
    found = MonotonicRedisOnlineStore().read_rows(config(url), WIDE, KEYS, FEATURES)
    numbers: list[int | None] = []
    for cells, event in zip(zip(*found.features.values(), strict=True), found.event_timestamps, strict=True):
        (cell,) = set(cells)
        assert event == (None if cell is None else Value.FromString(cell).int64_val)
        numbers.append(event)
    return numbers


@contextmanager
def _writing_forever(url: str, first: int) -> Iterator[None]:
    """Inside, the process writes; afterwards it is dead, wherever it was. Not before its first row was stored."""
    process = PROCESSES.Process(target=redis_process.write_forever, args=(url, first))
    process.start()
    try:
        store, settings = MonotonicRedisOnlineStore(), config(url)
        while (store.read_rows(settings, WIDE, KEYS[:1], []).event_timestamps[0] or 0) < first:
            assert process.is_alive()
            sleep(0.001)
        yield
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL


def test_a_killed_writer_leaves_every_row_whole_and_the_next_one_completes_them(fresh_redis: str) -> None:
    store, settings = MonotonicRedisOnlineStore(), config(fresh_redis)
    torn = 0
    for first in (100, 10_000):
        with _writing_forever(fresh_redis, first):
            sleep(random.uniform(0, 0.1))  # noqa: S311
        found = _rows_found(fresh_redis)
        torn += len(set(found)) > 1
        newest = max(number or 0 for number in found)
        assert newest >= first
        store.write_rows(settings, WIDE, rows(newest + 1))
        assert set(_rows_found(fresh_redis)) == {newest + 1}
    assert torn  # else no writer died between two rows, and nothing was shown


def test_two_writers_at_once_leave_the_newest_row_of_each_entity(fresh_redis: str) -> None:
    numbers = list(range(1, 17))
    shuffled = random.Random(7).sample(numbers, len(numbers))  # noqa: S311
    start = PROCESSES.Event()
    processes = [
        PROCESSES.Process(target=redis_process.write, args=(fresh_redis, part, start))
        for part in (shuffled[::2], shuffled[1::2])
    ]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert set(_rows_found(fresh_redis)) == {16}


def test_a_forgotten_entity_stays_away_from_a_writer_that_runs_meanwhile(fresh_redis: str) -> None:
    store, settings = MonotonicRedisOnlineStore(), config(fresh_redis)
    with _writing_forever(fresh_redis, 1):
        assert store.forget_rows(settings, [WIDE], KEYS[:50]) > 0
        before = _newest(fresh_redis)
        while _newest(fresh_redis) < before + 3:
            assert set(_rows_found(fresh_redis)[:50]) == {None}
    found = _rows_found(fresh_redis)
    assert set(found[:50]) == {None}
    assert None not in found[50:]


def _newest(url: str) -> int:
    found = MonotonicRedisOnlineStore().read_rows(config(url), WIDE, KEYS[-1:], [])
    return found.event_timestamps[0] or 0


@contextmanager
def _line_that_breaks(port: int, after_bytes: int) -> Iterator[str]:
    """A way to the Redis at `port` that carries so many bytes there, and is gone then."""

    def carry() -> None:
        with listener, listener.accept()[0] as writer, socket.create_connection(("127.0.0.1", port)) as redis:
            left = after_bytes
            while left:
                for ready in select.select([writer, redis], [], [])[0]:
                    if ready is redis:
                        writer.sendall(redis.recv(1 << 16))
                        continue
                    part = writer.recv(min(left, 1 << 16))
                    redis.sendall(part)
                    left -= len(part)

    listener = socket.create_server(("127.0.0.1", 0))
    url = f"127.0.0.1:{listener.getsockname()[1]}"
    carrier = threading.Thread(target=carry)
    carrier.start()
    yield url
    carrier.join()


@pytest.mark.parametrize("after_bytes", [5_000, 60_000, 200_001, 600_001])
def test_a_lost_connection_is_an_error_and_no_row_is_half_written(
    fresh_redis: str, redis_port: int, after_bytes: int
) -> None:
    store, settings = MonotonicRedisOnlineStore(), config(fresh_redis)
    store.write_rows(settings, WIDE, rows(1))
    with _line_that_breaks(redis_port, after_bytes) as url, pytest.raises(ConnectionError):
        MonotonicRedisOnlineStore().write_rows(config(f"{url},retry=null"), WIDE, rows(2))
    found = _rows_found(fresh_redis)
    assert 1 in found
    assert (2 in found) == (after_bytes > 50_000)
    assert store.write_rows(settings, WIDE, rows(2)) == len(KEYS)
    assert set(_rows_found(fresh_redis)) == {2}
