"""A writer that is killed at any moment leaves the version before or the version after, and readers never notice."""

import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from resources.lake.delta import DeltaLake

ROWS, DAY, OTHER = 60_000, date(2024, 5, 1), date(2024, 5, 2)
#: Seconds after the first commit; a write takes about 0.03 s, so each falls at another moment of one.
KILL_AFTER_S = (0.05, 0.173, 0.311, 0.478)

# Writes numbered generations of one day over and over, and reports each one that is committed.
WRITER = f"""
import itertools, sys
from datetime import date
import pyarrow as pa
from resources.lake.delta import DeltaLake

lake = DeltaLake(sys.argv[1])
day = date.fromisoformat("{DAY}")
for generation in itertools.count(int(sys.argv[2])):
    rows = pa.table({{"generation": [generation] * {ROWS}, "n": list(range({ROWS})), "day": pa.array([day] * {ROWS})}})
    lake.replace("t", rows.to_reader(max_chunksize=5000), by="day", first=day, last=day)
    print(generation, flush=True)
"""


def start_writer(folder: Path, generation: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(generation)], stdout=subprocess.PIPE, text=True, env=environment
    )


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
    with start_writer(tmp_path, 1) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "1\n", "no write was completed before the kill"

        seen = [generation_seen(lake)]
        until = time.monotonic() + kill_after_s
        while time.monotonic() < until:
            seen.append(generation_seen(lake))
        writer.kill()
        committed = [1, *map(int, writer.stdout.read().split())]

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
    """Killed after its file is written and before the commit: nobody sees a table, and the next writer makes it."""
    script = WRITER.replace(
        "lake = DeltaLake",
        "import os, resources.lake.table_log as d\n"
        "d.create_table_with_add_actions = lambda *_, **__: os.kill(os.getpid(), 9)\nlake = DeltaLake",
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path), "1"], env=environment, check=False)
    assert killed.returncode == -9
    assert list(tmp_path.glob("t/day=*/*.parquet"))
    lake = DeltaLake(str(tmp_path))
    assert not lake.exists("t")
    rows = pa.table({"generation": [2], "n": [0], "day": pa.array([DAY])})
    assert lake.replace("t", rows, by="day", first=DAY, last=DAY) == 0
    assert lake.scan("t").to_table().equals(rows)
    assert lake.vacuum("t", keep_hours=0) == 1
