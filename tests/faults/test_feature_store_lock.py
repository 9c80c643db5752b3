"""Whoever writes the registry waits for others that do, and says so when it waited too long; no one waits to read."""

import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from models.errors import TesseraError
from resources.feature_store.feast import session as feast_session
from resources.feature_store.feast import store as feast_store
from tests.faults.applying_process import DAYS, FIRST, SHARED, VIEWS, main
from tests.fork_server import PROCESSES
from tests.servers.postgres_server import PostgresDatabase

# pyright: basic

ENTITIES = pa.table({"customer_id": ["a"]})
WORKERS = 3


def test_a_new_folder_is_made_by_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feast_session, "_LOCK_SECONDS", 0.2)
    store = feast_store.FeastStoreConfig(path=str(tmp_path)).open()
    with FileLock(tmp_path / "feast.lock"):
        for use in (store.apply, lambda: store.historical("churn_v1", pa.table({}), files={})):
            with pytest.raises(TesseraError, match="Another process has been writing the registry"):
                use()
        assert not store.check().ok
        assert not (tmp_path / "registry.db").exists()
    assert "churn_v1" in store.apply()


def test_reads_do_not_wait_for_writers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feast_session, "_LOCK_SECONDS", 0.2)
    feast_store.FeastStoreConfig(path=str(tmp_path)).open().apply()
    store = feast_store.FeastStoreConfig(path=str(tmp_path)).open()
    with FileLock(tmp_path / "feast.lock"):
        assert store.online("churn_v1", ENTITIES)["churn_customer__status"].to_pylist() == ["NOT_FOUND"]
        assert store.check().ok
        with pytest.raises(TesseraError, match="Another process has been writing the registry"):
            store.apply()


def test_processes_that_register_at_once_lose_nothing(tmp_path: Path) -> None:
    """From an empty folder on: the first of them makes the tables."""
    folder = tmp_path / "feast"
    register([folder] * WORKERS, "", tmp_path)
    check_registered(feast_store.FeastStoreConfig(path=str(folder)))


def test_machines_that_register_at_once_in_postgres_lose_nothing(
    tmp_path: Path, postgres_database: PostgresDatabase
) -> None:
    """Each has a folder, and so a lock, of its own."""
    url = postgres_database.url.replace("postgresql://", "postgresql+psycopg://")
    folders = [tmp_path / f"machine_{worker}" for worker in range(WORKERS)]
    register(folders, url, tmp_path)
    check_registered(feast_store.FeastStoreConfig(path=str(folders[0]), registry=url))


def register(folders: Sequence[Path], registry: str, tmp_path: Path) -> None:
    """Processes that all start to register at the same moment, to their ends."""
    go, file = tmp_path / "go", tmp_path / "shared.parquet"
    moments = pa.array([FIRST], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"customer_id": ["a"], "event_timestamp": moments, "shared_value": [1.0]}), file)
    started = [
        PROCESSES.Process(target=main, args=(str(folder), registry, str(worker), str(go), str(file)))
        for worker, folder in enumerate(folders)
    ]
    for process in started:
        process.start()
    try:
        while not all(Path(f"{go}.{worker}").exists() for worker in range(len(folders))):
            assert not any(process.exitcode for process in started)
            time.sleep(0.02)
        go.touch()
        for process in started:
            process.join(timeout=300)
        assert [process.exitcode for process in started] == [0] * len(started)
    finally:
        for process in started:
            process.kill()
            process.join()


def check_registered(config: feast_store.FeastStoreConfig) -> None:
    store = config.open()
    feast = store._session.feast
    expected = {SHARED, *(f"of_{worker}_{number}" for worker in range(WORKERS) for number in range(VIEWS))}
    assert {view.name for view in feast.list_batch_feature_views()} == expected
    assert {service.name for service in feast.list_feature_services()} == expected
    assert len(feast.get_feature_view(SHARED).materialization_intervals) == WORKERS * DAYS
