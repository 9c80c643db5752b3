"""Whoever writes the registry waits for others that do, and says so when it waited too long; nobody waits to read."""

from pathlib import Path

import pyarrow as pa
import pytest
from filelock import FileLock

from models.errors import TesseraError
from resources.feature_store import feast_store

ENTITIES = pa.table({"customer_id": ["a"]})


def test_a_new_folder_is_made_by_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feast_store, "_LOCK_SECONDS", 0.2)
    store = feast_store.FeastStoreConfig(path=str(tmp_path)).open()
    with FileLock(tmp_path / "feast.lock"):
        for use in (store.apply, lambda: store.historical("churn_v1", pa.table({}), files={})):
            with pytest.raises(TesseraError, match="Another process has been writing the registry"):
                use()
        assert not store.check().ok
        assert not (tmp_path / "registry.db").exists()
    assert list(store.apply()) == ["churn_v1"]


def test_reads_do_not_wait_for_writers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feast_store, "_LOCK_SECONDS", 0.2)
    feast_store.FeastStoreConfig(path=str(tmp_path)).open().apply()
    store = feast_store.FeastStoreConfig(path=str(tmp_path)).open()
    with FileLock(tmp_path / "feast.lock"):
        assert store.online("churn_v1", ENTITIES)["churn_customer__status"].to_pylist() == ["NOT_FOUND"]
        assert store.check().ok
        with pytest.raises(TesseraError, match="Another process has been writing the registry"):
            store.apply()
