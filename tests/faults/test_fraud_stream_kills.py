"""The stream's worker is killed again and again: every payment has its effect exactly once."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.events import Event
from tests.faults.fraud_stream_process import opened, work
from tests.unit.features.handbook import replayed

KILLS = 50
EVENTS = 12_000


@pytest.mark.real
def test_a_worker_killed_at_any_moment_loses_and_doubles_nothing(shared_data: Path, tmp_path: Path) -> None:
    given = replayed(shared_data, EVENTS, terminals=150)
    once, killed = tmp_path / "once", tmp_path / "killed"
    for folder in (once, killed):
        published(folder, given)
    work(once, 100)
    draw = random.Random(11)  # noqa: S311 - not for secrets
    with workers() as start:
        kills = 0
        while kills < KILLS:
            pid, ended = start(killed, 20)
            moved_from = position(killed)
            while position(killed) == moved_from:
                time.sleep(0.0005)
            time.sleep(draw.random() * 0.01)
            os.kill(pid, signal.SIGKILL)
            kills += ended() == -signal.SIGKILL
            assert position(killed) < len(given), "the replay is too short for so many kills"
    work(killed, 20)
    assert contents(killed) == contents(once)
    assert opened(killed)[0].backlog("fraud") == 0
    assert len(contents(once)["alert"]) > 100


@contextmanager
def workers() -> Iterator[Callable[[Path, int], tuple[int, Callable[[], int]]]]:
    """Starts a worker: its process id, and what waits for its exit code."""
    command = [sys.executable, "-m", "tests.faults.fraud_stream_process"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as server:

        def line() -> int:
            return int(server.stdout.readline())

        def start(folder: Path, limit: int) -> tuple[int, Callable[[], int]]:
            server.stdin.write(f"{folder} {limit}\n")
            server.stdin.flush()
            return line(), line

        yield start
        server.stdin.close()


def published(folder: Path, events: list[Event]) -> None:
    queue = opened(folder)[0]
    assert queue.publish(events) == len(events)


def position(folder: Path) -> int:
    return opened(folder)[1].position()[0]


def contents(folder: Path) -> dict[str, list[tuple]]:
    """All that the stream says. (Which old rows its windows still hold depends on where batches end.)"""
    with sqlite3.connect(folder / "stream.db") as connection:
        tables = ("payment", "scored", "alert", "progress")
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables}  # noqa: S608
