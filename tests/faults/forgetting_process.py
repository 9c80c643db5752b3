"""Processes that forget a customer, and that can be told to die right before the n-th thing they do to the disk.

For each line `FOLDER STEP` on its input it starts a process of its own that forgets `forgetting_home.ID` in the home
FOLDER and kills itself with SIGKILL right before its STEP-th change (STEP -1: never). The answer is one line: its exit
code as `subprocess` gives it, and what it did, one word for each change.

Processes are forked, because importing everything takes seconds; nothing here has started a thread by then.
"""

import functools
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pandas as pd  # noqa: F401 - pyarrow imports it on first use, in each process anew
from forgetting_home import ID, OnlineFile, opened

from assets.maintenance.erasure import forget
from assets.maintenance.erasure_journal import ErasureJournal
from assets.stages.ingestion import completeness_log as ingestion_record
from resources.events.sqlite_events import SqliteEvents
from resources.lake import removal, transactions
from resources.lake.delta import DeltaLake
from resources.notifier.log import LogNotifier
from resources.sink.delta_sink import DeltaSink
from resources.sink.publication_log import PublicationLog
from resources.sink.score_table import ScoreTable
from resources.state_store.sqlite_state_store import SqliteStateStore
from resources.tombstones import TombstoneFolder


class Steps:
    """Counts changes, and ends the process at one of them."""

    def __init__(self, last: int) -> None:
        self.done: list[str] = []
        self._last = last

    def watch(self, owner: Any, name: str) -> None:
        """Count calls of `owner.name`."""
        real, place = getattr(owner, name), f"{owner.__name__.rpartition('.')[2]}.{name}"

        @functools.wraps(real)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.step(place)
            return real(*args, **kwargs)

        setattr(owner, name, counted)

    def step(self, name: str) -> None:
        """One change is about to happen."""
        if len(self.done) == self._last:
            os.kill(os.getpid(), signal.SIGKILL)
        self.done.append(name)


def watched(last: int) -> Steps:
    """Every way in which forgetting changes the disk, wrapped."""
    steps = Steps(last)
    places: list[tuple[Any, str]] = [
        (TombstoneFolder, "_write"),
        (ErasureJournal, "_write"),
        (OnlineFile, "forget"),
        (removal, "write_part"),
        (transactions, "_transact"),
        (DeltaLake, "vacuum"),
        (ingestion_record, "_write"),
        (DeltaSink, "_write_files"),
        (ScoreTable, "commit"),
        (PublicationLog, "append"),
        (ScoreTable, "remove"),
        (ScoreTable, "remove_unreferenced"),
        (SqliteEvents, "_forget_letters"),
        (SqliteEvents, "_scrub"),
        (SqliteStateStore, "erase"),
        (LogNotifier, "forget"),
        (Path, "unlink"),
    ]
    for owner, name in places:
        steps.watch(owner, name)
    return steps


def forked(folder: Path, last: int) -> tuple[int, str]:
    """Exit code (negative: the signal that ended it) and the changes that were made."""
    read, write = os.pipe()
    process = os.fork()
    if not process:
        steps = watched(last)
        forget(opened(folder), folder, "customer", ID, why="asked for it", who="ana")
        steps.step("end")
        os.write(write, " ".join(steps.done).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        changes = answer.read()
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status), changes


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        folder, last = line.split()
        code, changes = forked(Path(folder), int(last))
        sys.stdout.write(f"{code} {changes}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
