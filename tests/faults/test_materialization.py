"""Materializations at once and killed ones, on one SQLite file: the newest rows stand, whole, in the end."""

import random
import signal
import sqlite3
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from tests.faults.materializing_process import WINDOW, materialize_days, opened
from tests.fork_server import PROCESSES
from tests.unit.feature_store.materialized import CUSTOMER, FIRST, view, write

DAYS, CUSTOMERS = 6, 600
FEATURES = ["amount", "orders", "city"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with a registered view: each customer has a row on each day, whose features all tell the day."""
    rows = [
        {"customer_id": f"customer {at}", "at": FIRST + day * WINDOW + WINDOW / 2, "made": FIRST}
        | {"amount": float(day), "orders": day, "city": str(day)}
        for day in range(DAYS)
        for at in range(CUSTOMERS)
    ]
    file = write(tmp_path / "a.parquet", rows)
    opened(tmp_path).apply([CUSTOMER, view(file, FEATURES)])
    return tmp_path


def started(folder: Path, days: list[int], **options: bool) -> BaseProcess:
    process: Any = PROCESSES.Process(target=materialize_days, args=(folder, days), kwargs=options, daemon=True)  # pyright: ignore
    process.start()
    return process


def content(folder: Path) -> dict[bytes, set[str]]:
    """The days of which each entity has features."""
    found: dict[bytes, set[str]] = {}
    with sqlite3.connect(folder / "online.db") as file:
        for key, text in file.execute("SELECT entity_key, value_text FROM shop_activity"):
            found.setdefault(key, set()).add(str(int(float(text))))
    return found


def newest(folder: Path) -> int:
    """The newest day of which any entity has features."""
    return max(int(day) for days in content(folder).values() for day in days)


def test_several_materializations_at_once_leave_the_newest_rows(folder: Path) -> None:
    opened(folder).provider.teardown_infra("shop", [], [])
    assert not list(folder.glob("online.db*"))
    random.seed(7)
    backfills = [random.sample(range(DAYS), DAYS) for _ in range(3)]
    workers = [started(folder, days, new_file=True) for days in backfills]
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(content(folder)) == CUSTOMERS
    assert set(map(frozenset, content(folder).values())) == {frozenset({str(DAYS - 1)})}


@pytest.mark.parametrize("day", [1, 2, 3])
def test_a_killed_materialization_leaves_whole_rows_and_the_next_one_completes_it(folder: Path, day: int) -> None:
    materialize_days(folder, [0])
    worker = started(folder, [1, 2, 3] * 1000)
    while newest(folder) < day:  # or later: on a busy machine, a day may be over between two looks
        assert worker.is_alive()
    worker.kill()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    left = content(folder)
    assert len(left) == CUSTOMERS
    assert all(len(days) == 1 for days in left.values())
    materialize_days(folder, [1, 2, 3])
    assert set(map(frozenset, content(folder).values())) == {frozenset({"3"})}
