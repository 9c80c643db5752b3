"""A publisher killed at any boundary, or many at once: readers see all-old or all-new, and a re-run converges."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import publishing_race
import pyarrow.parquet as pq
import pytest
from publishing_process import act

from resources.conformance.score_sets import APP, DAY, SCORES_SCHEMA, some_rows
from resources.sink.delta_sink import DeltaSink
from tests.fork_server import PROCESSES

HERE = Path(__file__).resolve().parent
OLD, NEW = ("old", 1), ("new", 2)


class Publishers:
    """Starts processes that publish, and says how they ended."""

    def __init__(self) -> None:
        command = [sys.executable, str(HERE / "publishing_process.py")]
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=_environment()
        )

    def run(self, folder: Path, attempt: str, seed: int, step: int = -1) -> tuple[int, list[str]]:
        """Exit code (negative: the signal that ended it) and the changes of the disk."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(f"{folder} {attempt} {seed} {step}\n")
        code, *changes = self._server.stdout.readline().split()
        return int(code), changes

    def close(self) -> None:
        self._server.communicate()


@pytest.fixture(scope="module")
def publishers() -> Iterator[Publishers]:
    server = Publishers()
    yield server
    server.close()


def _environment() -> dict[str, str]:
    folders = [str(HERE.parents[1]), str(HERE.parent)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "OPENBLAS_NUM_THREADS": "1"}


def _sink(folder: Path) -> DeltaSink:
    return DeltaSink(str(folder), rows_per_file=11)


def _exported(folder: Path) -> bytes:
    """The bytes of the Parquet file that a user gets of the published rows."""
    out = folder.parent / "export.parquet"
    _, rows = _sink(folder).scores(APP, DAY)
    with pq.ParquetWriter(out, SCORES_SCHEMA) as writer:
        for batch in rows:
            writer.write_batch(batch)
    return out.read_bytes()


def _check_readable(folder: Path, allowed: list[tuple[str, int] | None]) -> None:
    """What is published is one of `allowed`, whole."""
    found = _sink(folder).published(APP, DAY)
    names = [each[0] if each else None for each in allowed]
    assert (found.attempt if found else None) in names
    if found:
        seed = dict(each for each in allowed if each)[found.attempt]
        assert _sink(folder).scores(APP, DAY)[1].read_all().equals(some_rows(seed, 20))


SCENARIOS: dict[str, tuple[list[tuple[str, int]], tuple[str, int], list[tuple[str, int] | None]]] = {
    "first publication ever": ([], NEW, [None, NEW]),
    "another attempt takes over": ([OLD], NEW, [OLD, NEW]),
    "the same attempt again": ([NEW], NEW, [NEW]),
    "unpublish": ([OLD], ("-", 0), [OLD, None]),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_every_boundary_a_rerun_converges(name: str, tmp_path: Path, publishers: Publishers) -> None:
    before, action, allowed = SCENARIOS[name]
    start, smooth = tmp_path / "start" / "scores", tmp_path / "smooth" / "scores"
    start.parent.mkdir()
    for attempt in before:
        assert publishers.run(start, *attempt)[0] == 0
    _copy(start, smooth)
    code, steps = publishers.run(smooth, *action)
    assert code == 0
    assert len(steps) >= (1 if action in before else 5), "there must be something to interrupt"
    _check_readable(smooth, allowed[-1:])
    smooth_end = _end(smooth)
    for step in _chosen(steps):
        folder = tmp_path / f"at-{step}" / "scores"
        _copy(start, folder)
        assert publishers.run(folder, *action, step=step)[0] == -signal.SIGKILL
        _check_readable(folder, allowed)
        act(_sink(folder), *action)
        assert _end(folder) == smooth_end, step


def _chosen(steps: list[str]) -> list[int]:
    """Right before the first, the middle and the last change of each kind (and half-way through it), and the end."""
    places = {name: [at for at, done in enumerate(steps) if done == name] for name in steps}
    return sorted({at for each in places.values() for at in (each[0], each[len(each) // 2], each[-1])})


def _end(folder: Path) -> tuple[object, ...]:
    """All that can be seen from outside, and after tidying: it must not tell whether anybody was ever killed."""
    sink = _sink(folder)
    history = [(record.action, record.attempt, record.run_id) for record in sink.history(APP, DAY)]
    published = sink.published(APP, DAY)
    exported = _exported(folder) if published else None
    sink.vacuum(APP, keep_hours=0)
    return history, published, exported, _data_files(folder)


def _data_files(folder: Path) -> int:
    return sum(1 for _ in folder.rglob("*.parquet") if "_delta_log" not in _.parts)


def _copy(start: Path, folder: Path) -> None:
    folder.parent.mkdir(exist_ok=True)
    if start.exists():
        shutil.copytree(start, folder)


def test_many_publishers_and_a_reader_of_one_day_and_of_several(tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    days = [DAY, DAY, DAY + timedelta(days=1)]
    files = [tmp_path / f"p{number}" for number in range(len(days))]
    publishers = [
        PROCESSES.Process(target=publishing_race.publish_in_turn, args=(folder, day, file, 12))
        for day, file in zip(days, files, strict=True)
    ]
    for publisher in publishers:
        publisher.start()
    reads = 0
    while any(publisher.is_alive() for publisher in publishers):
        for day in set(days):
            reads += _read_whole(folder, day)
        time.sleep(0.02)
    assert [publisher.exitcode for publisher in publishers] == [0, 0, 0]
    moved = [int(file.read_text()) for file in files]
    assert reads > 0
    histories = {day: list(_sink(folder).history(APP, day)) for day in set(days)}
    assert len(histories[DAY]) == moved[0] + moved[1]
    assert len(histories[days[2]]) == moved[2] == 12
    for history in histories.values():
        assert all(one.attempt != other.attempt for one, other in pairwise(history))


def _read_whole(folder: Path, day: date) -> int:
    """1 if something was published; it is then one whole set, the one that its record names."""
    if _sink(folder).published(APP, day) is None:
        return 0
    record, rows = _sink(folder).scores(APP, day)
    assert rows.read_all().equals(some_rows(int(record.attempt[1:]), 20))
    return 1
