"""Two processes on one feature store: the second waits, and says so when it waited too long."""

from pathlib import Path

import pyarrow as pa
import pytest
from filelock import FileLock

from models.errors import TesseraError
from resources.feature_store import feast_store


def test_nothing_is_read_or_written_while_another_process_uses_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feast_store, "_LOCK_SECONDS", 0.2)
    store = feast_store.FeastStoreConfig(path=str(tmp_path)).open()
    with FileLock(tmp_path / "feast.lock"):
        for use in (store.apply, lambda: store.historical("churn_v1", pa.table({}), files={})):
            with pytest.raises(TesseraError, match="Another process has been using"):
                use()
        assert not store.check().ok
        assert not (tmp_path / "registry.db").exists()
    assert list(store.apply()) == ["churn_v1"]
