"""Histories larger than memory, and processes that are killed while they write."""

import time
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

from models.errors import TesseraError
from tests.fork_server import PROCESSES
from tests.unit.feature_store.asof_feast import T, asked, feast, rows_file, view_of

pytestmark = pytest.mark.slow

CUSTOMERS, EVENTS = 40_000, 60


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.4 million rows; what is sorted of them (key, event, tie-breaker, place) is 96 MB, and as much again follows."""
    path = tmp_path_factory.mktemp("history") / "rows.parquet"
    rows = f"""
        SELECT range % {CUSTOMERS} AS customer_id,
            make_timestamptz(range // {CUSTOMERS} * 3600000000) AS event_timestamp,
            event_timestamp + INTERVAL 1 MINUTE AS created, range::DOUBLE AS value
        FROM range({CUSTOMERS * EVENTS})"""  # noqa: S608
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET memory_limit = '500MB'")
        connection.execute(f"COPY ({rows}) TO '{path}' (FORMAT parquet)")
    return path


#: One row per customer and hour, half an hour after a feature: 1.2 million rows, 30 hours.
ASKED = f"""
    SELECT range % {CUSTOMERS} AS customer_id, make_timestamptz((range // {CUSTOMERS} * 2 * 3600 + 1800) * 1000000)
        AS event_timestamp, range AS number
    FROM range({CUSTOMERS * EVENTS // 2})"""  # noqa: S608


@pytest.mark.parametrize("known_only", [False, True])
@pytest.mark.slow
def test_a_join_several_times_the_memory(tmp_path: Path, history: Path, known_only: bool) -> None:
    spilled = tmp_path / "spilled"
    store = feast(tmp_path, view_of(history), memory_limit_mb=70, threads=1, temp_directory=str(spilled))
    job = store.get_historical_features(ASKED, ["view:value"], filter_by_created_timestamp=known_only)
    rows, largest = 0, 0
    for batch in job.to_batches():
        number = batch["number"].to_numpy()
        assert number[0] == rows
        expected = number // CUSTOMERS * 2 * CUSTOMERS + number % CUSTOMERS
        assert (batch["value"].to_numpy() == expected).all()
        rows += batch.num_rows
        if rows == batch.num_rows:
            largest = sum(file.stat().st_size for file in spilled.rglob("*") if file.is_file())
    assert rows == CUSTOMERS * EVENTS // 2
    assert largest > 0, "nothing was spilled: the limit was not felt"
    assert list(spilled.iterdir()) == []


def test_too_little_memory_is_said_so(tmp_path: Path, history: Path) -> None:
    store = feast(tmp_path, view_of(history), memory_limit_mb=50, threads=8)
    job = store.get_historical_features(ASKED, ["view:value"])
    with pytest.raises(TesseraError, match=r"does not fit into 50 MB.*memory_limit_mb"):
        job.to_arrow()


@pytest.mark.slow
def test_a_killed_process_leaves_the_old_file(tmp_path: Path, history: Path) -> None:
    """Killed as soon as its unfinished file has bytes."""
    target = tmp_path / "saved" / "result.parquet"
    store = feast(tmp_path, view_of(rows_file(tmp_path / "few.parquet", [(1, T, T, 1.0)])))
    store.get_historical_features(asked((1, T)), ["view:value"]).persist(SavedDatasetFileStorage(path=str(target)))
    before = target.read_bytes()
    process = PROCESSES.Process(target=_save, args=(tmp_path, history, target))
    process.start()
    try:
        while not any(part.stat().st_size for part in target.parent.glob("*.part")):
            assert process.is_alive(), "it ended before it could be killed"
            time.sleep(0.005)
    finally:
        process.kill()
        process.join()
    assert target.read_bytes() == before
    assert pq.read_table(target)["value"].to_pylist() == [1.0]
    assert len(list(target.parent.glob("*.part"))) == 1


def _save(folder: Path, history: Path, target: Path) -> None:
    """Save a large join over a file that is there."""
    job = feast(folder, view_of(history)).get_historical_features(ASKED, ["view:value"])
    job.persist(SavedDatasetFileStorage(path=str(target)), allow_overwrite=True)
