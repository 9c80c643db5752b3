"""A writer that is killed at any moment leaves the version before or the version after, and readers never notice."""

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pyarrow as pa
import pytest

from resources.lake import table_log
from resources.lake.delta import DeltaLake
from tests.fork_server import PROCESSES

ROWS, DAY, OTHER = 60_000, date(2024, 5, 1), date(2024, 5, 2)
#: Seconds after the first commit; a write takes about 0.03 s, so each falls at another moment of one.
KILL_AFTER_S = (0.05, 0.173, 0.311, 0.478)


def write_generations(folder: Path, said: Connection, first: int = 1) -> None:
    """Write numbered generations of one day over and over, and report each one that is committed."""
    lake = DeltaLake(str(folder))
    for generation in itertools.count(first):
        rows = pa.table({"generation": [generation] * ROWS, "n": list(range(ROWS)), "day": pa.array([DAY] * ROWS)})
        lake.replace("t", rows.to_reader(max_chunksize=5000), by="day", first=DAY, last=DAY)
        said.send(generation)


def die_before_the_first_commit(folder: Path, said: Connection) -> None:
    table_log.create_table_with_add_actions = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    write_generations(folder, said)


def started(does: Callable[[Path, Connection], None], folder: Path) -> tuple[BaseProcess, Connection]:
    """A process, and what it reports."""
    reports, said = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=does, args=(folder, said), daemon=True)
    process.start()
    said.close()
    return process, reports


def all_of(reports: Connection) -> Iterator[int]:
    with suppress(EOFError):
        while True:
            yield reports.recv()


def generation_seen(lake: DeltaLake) -> int:
    """The only generation a reader finds; anything but one whole generation fails the test."""
    found = lake.scan("t", first=DAY, last=DAY).to_table(columns=["generation", "n"])
    assert found.num_rows == ROWS
    assert len(set(found["n"].to_pylist())) == ROWS
    (generation,) = set(found["generation"].to_pylist())
    return generation


@pytest.mark.parametrize("kill_after_s", KILL_AFTER_S)
def test_killed_writer_leaves_a_whole_version(tmp_path: Path, kill_after_s: float) -> None:
    lake = DeltaLake(str(tmp_path))
    other = pa.table({"generation": [0], "n": [0], "day": [OTHER]})
    lake.replace("t", other, by="day", first=OTHER, last=OTHER)
    writer, reports = started(write_generations, tmp_path)
    assert reports.recv() == 1, "no write was completed before the kill"
    seen = [generation_seen(lake)]
    until = time.monotonic() + kill_after_s
    while time.monotonic() < until:
        seen.append(generation_seen(lake))
    writer.kill()
    writer.join()
    committed = [1, *all_of(reports)]

    left = generation_seen(lake)
    assert seen == sorted(seen)
    assert left in (committed[-1], committed[-1] + 1)
    assert lake.scan("t", first=OTHER, last=OTHER).to_table().equals(other)

    # The same write again, by a writer that lives, repairs everything there is to repair.
    rows = pa.table({"generation": [99] * ROWS, "n": list(range(ROWS)), "day": pa.array([DAY] * ROWS)})
    lake.replace("t", rows, by="day", first=DAY, last=DAY)
    assert generation_seen(lake) == 99
    lake.vacuum("t", keep_hours=0)
    assert len(list(tmp_path.glob("t/day=*/*"))) == len(lake.files("t")) == 2


def test_killed_first_write_leaves_no_table(tmp_path: Path) -> None:
    """Killed after its file is written and before the commit: no one sees a table, and the next writer makes it."""
    process, _ = started(die_before_the_first_commit, tmp_path)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert list(tmp_path.glob("t/day=*/*.parquet"))
    lake = DeltaLake(str(tmp_path))
    assert not lake.exists("t")
    rows = pa.table({"generation": [2], "n": [0], "day": pa.array([DAY])})
    assert lake.replace("t", rows, by="day", first=DAY, last=DAY) == 0
    assert lake.scan("t").to_table().equals(rows)
    assert lake.vacuum("t", keep_hours=0) == 1
