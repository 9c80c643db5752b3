"""The stream's worker is killed again and again: every payment has its effect exactly once, and labels stay."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.alerts import Verdict
from models.events import Event
from models.features.windows import MICROS_PER_DAY
from tests.faults.fraud_stream_process import KEPT_DAYS, opened, work
from tests.unit.features.handbook import replayed

KILLS = 50
NOW = datetime(2018, 8, 20, 12, tzinfo=UTC)
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
        kills, labelled = 0, dict[str, Verdict]()
        while kills < KILLS:
            pid, ended = start(killed, 20)
            moved_from = position(killed)
            while position(killed) == moved_from:
                time.sleep(0.0005)
            time.sleep(draw.random() * 0.01)
            os.kill(pid, signal.SIGKILL)
            kills += ended() == -signal.SIGKILL
            labelled |= answered(killed, "fraud" if kills % 2 else "ok")
            assert position(killed) < len(given), "the replay is too short for so many kills"
    work(killed, 20)
    for name, label in labelled.items():
        opened(once)[1].answer(name, label, who="ann", at=NOW)
    assert len(labelled) > KILLS / 2
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


def answered(folder: Path, label: Verdict) -> dict[str, Verdict]:
    """What was said of the newest alert, while the worker may still join payments to it; nothing if it is known."""
    store = opened(folder)[1]
    alerts = [one for day in store.alert_days()[-1:] for one in store.find(day, day) if one.label is None]
    for one in alerts[-1:]:
        store.answer(one.alert_id, label, who="ann", at=NOW)
    return {one.alert_id: label for one in alerts[-1:]}


def contents(folder: Path) -> dict[str, list[tuple]]:
    """All that the stream says of the days that it keeps. (Which older rows are left depends on where batches end.)"""
    newest = opened(folder)[1].position()[1]
    of_days = f" WHERE micros >= {newest - KEPT_DAYS * MICROS_PER_DAY}"
    asked = {"payment": of_days, "scored": of_days, "alert": "", "progress": ""}
    with sqlite3.connect(folder / "stream.db") as connection:
        return {
            table: connection.execute(f"SELECT * FROM {table}{where} ORDER BY 1, 2").fetchall()  # noqa: S608
            for table, where in asked.items()
        }
