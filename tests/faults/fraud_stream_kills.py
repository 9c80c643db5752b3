"""Workers of the fraud stream killed at moments of one's choice, and everything that a stream says, for comparison."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from assets.fraud.stream.early_labels import EARLY_LABELS
from models.events import Event
from models.features.fraud_online import CUSTOMER_REACH, TERMINAL_REACH
from models.features.window_state import KeyHistory
from models.features.windows import MICROS_PER_DAY
from models.fraud.event_parsing import PaymentLimits
from tests.faults.fraud_stream_process import KEPT_DAYS, opened

#: Starts a worker on a folder, with so many events a batch: its process id, and what waits for its exit code.
Start = Callable[[Path, int], tuple[int, Callable[[], int]]]


@contextmanager
def workers() -> Iterator[Start]:
    """Workers as processes of their own, that do `fraud_stream_process.work`."""
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


def killed(start: Start, folder: Path, limit: int, *, beyond: int, seconds: float) -> bool:
    """Whether a worker died of being killed, so long after it had committed an event that lies `beyond` an offset."""
    store = opened(folder)[1]
    moved_from = max(store.position()[0], beyond)
    pid, ended = start(folder, limit)
    while store.position()[0] <= moved_from:
        time.sleep(0.0005)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    return ended() == -signal.SIGKILL


def published(folder: Path, events: list[Event]) -> None:
    """The queue in that folder holds these events."""
    assert opened(folder)[0].publish(events) == len(events)


def contents(folder: Path) -> dict[str, list[tuple]]:
    """All that the stream says of the days that it keeps. (Which older rows are left depends on where batches end.)"""
    newest = opened(folder)[1].position()[1]
    of_days = f" WHERE micros >= {newest - KEPT_DAYS * MICROS_PER_DAY}"
    asked = {"fraud_payment": of_days, "fraud_scored": of_days, "alert": "", "progress": ""}
    with sqlite3.connect(folder / "stream.db") as connection:
        return {
            table: connection.execute(f"SELECT * FROM {table}{where} ORDER BY 1, 2").fetchall()  # noqa: S608
            for table, where in asked.items()
        }


def histories(folder: Path) -> dict[tuple[str, str], bytes]:
    """The state of each key, as far as a window of a payment that may still come sees it."""
    late = int(PaymentLimits().max_late_days * MICROS_PER_DAY)
    reach = {"customer_id": CUSTOMER_REACH, "terminal_id": TERMINAL_REACH, EARLY_LABELS: TERMINAL_REACH}
    newest, found = opened(folder)[1].position()[1], {}
    with sqlite3.connect(folder / "stream.db") as connection:
        for key, value, packed in connection.execute("SELECT key, value, packed FROM fraud_history"):
            history = KeyHistory.from_bytes(packed)
            history.drop_before(newest - reach[key] - late)
            if history.ids:
                found[key, value] = history.to_bytes()
    return found
