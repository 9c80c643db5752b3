"""Dagster's own records, for tests of runs that no process of a job makes."""

from collections.abc import Iterator

import dagster as dg
import pytest

from pipelines import run_locks


@pytest.fixture(scope="module")
def _records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance:
        yield instance


@pytest.fixture
def instance(_records: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    """Dagster's own records, without a run; making them anew takes seconds."""
    yield _records
    _records.wipe()
    run_locks.remove_records(_records)
