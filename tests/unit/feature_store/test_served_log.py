"""The log of what was served: an unbiased sample, nothing lost or doubled, nothing kept that should be gone."""

import atexit
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from resources.feature_store.feast import served_log
from resources.feature_store.feast.served_log import ServedLog
from tests.fork_server import PROCESSES

T = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
FOREVER = timedelta(days=300)


def rows(*names: str | None) -> pa.Table:
    return pa.table({"customer_id": pa.array(names, pa.string())})


def answer(*values: float | None) -> dict[str, Any]:
    return {"spend": pa.array(values, pa.float64())}


def logged(log: ServedLog, first: datetime = T - FOREVER, last: datetime = T + FOREVER) -> list[tuple[Any, Any]]:
    found = log.read("churn", first, last)
    return (
        [] if found is None else list(zip(*(found[name].to_pylist() for name in ("customer_id", "spend")), strict=True))
    )


def test_all_rows_in_the_order_in_which_they_were_served(tmp_path: Path) -> None:
    log = ServedLog(tmp_path / "served.db", 1)
    log.add("churn", rows("a", None), answer(1.5, None), T + SECOND)
    assert logged(log) == [("a", 1.5), (None, None)]
    log.add("churn", rows("b"), answer(2.5), T)
    log.add("fraud", rows("c"), answer(3.5), T)
    assert logged(log) == [("b", 2.5), ("a", 1.5), (None, None)]
    assert logged(log, T, T + SECOND) == [("b", 2.5)]
    assert logged(log, T + SECOND, T + 2 * SECOND) == [("a", 1.5), (None, None)]
    assert logged(ServedLog(tmp_path / "served.db", 1)) == logged(log)


def test_nothing_is_written_where_nothing_is_logged(tmp_path: Path) -> None:
    log = ServedLog(tmp_path / "served.db", 0)
    log.add("churn", rows("a"), answer(1.0), T)
    assert logged(log) == []
    assert not (tmp_path / "served.db").exists()


@pytest.mark.parametrize("at_once", [1, 500])
def test_a_share_is_drawn_row_by_row(tmp_path: Path, at_once: int) -> None:
    """Whoever asks often, or for many at once, is not over-represented: 2,000 draws at 10 %, five deviations wide."""
    log = ServedLog(tmp_path / "served.db", 0.1, seed=7)
    for start in range(0, 2_000, at_once):
        names = [f"c{number}" for number in range(start, start + at_once)]
        log.add("churn", rows(*names), answer(*map(float, range(start, start + at_once))), T)
    found = logged(log)
    assert 200 - 5 * 13.4 < len(found) < 200 + 5 * 13.4
    assert all(name == f"c{int(value)}" for name, value in found)
    assert len({int(value) % 100 for _, value in found}) > 60


def test_old_rows_are_dropped_when_new_ones_come(tmp_path: Path) -> None:
    log = ServedLog(tmp_path / "served.db", 1)
    for days in (0, 10, 31):
        log.add("churn", rows("a"), answer(float(days)), T + timedelta(days=days))
        logged(log)  # writes what waits
    assert [value for _, value in logged(log)] == [10.0, 31.0]


def test_a_feature_that_came_later_is_null_before(tmp_path: Path) -> None:
    log = ServedLog(tmp_path / "served.db", 1)
    log.add("churn", rows("a"), answer(1.0), T)
    assert logged(log)
    log.add("churn", rows("a"), {**answer(2.0), "visits": pa.array([3])}, T + SECOND)
    found = log.read("churn", T, T + FOREVER)
    assert found is not None
    assert found["visits"].to_pylist() == [None, 3]


class TestForgetting:
    def test_an_entity_leaves_the_log_and_the_file(self, tmp_path: Path) -> None:
        log = ServedLog(tmp_path / "served.db", 1)
        name = "the customer who asked to be forgotten"
        log.add("churn", rows(name, "b", None, name), answer(1.0, 2.0, 3.0, 4.0), T)
        log.add("fraud", rows(name), answer(5.0), T)
        assert log.forget("customer_id", name) == 3
        assert logged(log) == [("b", 2.0), (None, 3.0)]
        assert log.forget("customer_id", name) == 0
        assert log.forget("product_id", "b") == 0
        assert name.encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())

    def test_rows_that_another_process_still_holds_do_not_come_back(self, tmp_path: Path) -> None:
        log, other = ServedLog(tmp_path / "served.db", 1), ServedLog(tmp_path / "served.db", 1)
        other.add("churn", rows("a", "b"), answer(1.0, 2.0), T)
        assert log.forget("customer_id", "a") == 0
        assert logged(other) == [("b", 2.0)]
        log.add("churn", rows("a"), answer(1.0), T)
        assert logged(log) == [("b", 2.0)]


def test_threads_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_log, "MAX_BUFFERED_ROWS", 7)
    log = ServedLog(tmp_path / "served.db", 1)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: log.add("churn", rows(f"c{n}"), answer(float(n)), T), range(300)))
    assert sorted(value for _, value in logged(log)) == [float(n) for n in range(300)]


def _serve(place: Path, name: str) -> None:
    log = ServedLog(place, 1)
    for number in range(100):
        log.add("churn", rows(name), answer(float(number)), T)
    atexit._run_exitfuncs()  # a fork of multiprocessing leaves them out


@pytest.mark.slow
def test_processes_write_what_waits_when_they_end(tmp_path: Path) -> None:
    started = [PROCESSES.Process(target=_serve, args=(tmp_path / "served.db", name)) for name in ("a", "b", "c")]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    assert [process.exitcode for process in started] == [0, 0, 0]
    found = logged(ServedLog(tmp_path / "served.db", 1))
    assert sorted(found) == [(name, float(number)) for name in ("a", "b", "c") for number in range(100)]


def test_rows_are_written_while_nobody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_log, "FLUSH_SECONDS", 0.01)
    log = ServedLog(tmp_path / "served.db", 1)
    log.add("churn", rows("a"), answer(1.0), T)
    timer = log._buffer._timer
    if timer is not None:
        timer.join()
    assert logged(ServedLog(tmp_path / "served.db", 1)) == [("a", 1.0)]
