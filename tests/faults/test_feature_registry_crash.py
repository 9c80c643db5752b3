"""A process that is killed while it registers features: nothing registered is lost, and no one waits for the dead."""

# Feast is only partly typed.
# pyright: basic

import random
import signal
from pathlib import Path
from time import sleep

import feature_registry_process
import pytest
from feature_registry_process import names

from resources.feature_store.feast import session as feast_session
from resources.feature_store.feast.store import FeastStoreConfig
from tests.fork_server import PROCESSES


@pytest.mark.parametrize("registry", ["sqlite", "postgres"])
def test_a_killed_process_leaves_a_registry_that_works(
    tmp_path: Path, registry: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feast_session, "_LOCK_SECONDS", 30)
    url = "" if registry == "sqlite" else request.getfixturevalue("postgres_database").url
    config = FeastStoreConfig(path=str(tmp_path), registry=url, definitions="feature_registry_process")
    expected: set[str] = set()
    for prefix in ("first", "second", "third"):
        *registered, torn = _said_by_a_killed_process(config, prefix, tmp_path / prefix)
        names[:] = [torn]
        services = config.open().apply()  # a repeated night does the same again
        expected |= {f"of_{name}" for name in (*registered, torn)}
        assert set(services) == expected


def _said_by_a_killed_process(config: FeastStoreConfig, prefix: str, said: Path) -> list[str]:
    process = PROCESSES.Process(target=feature_registry_process.register_forever, args=(config, prefix, said))
    process.start()
    try:
        while not said.exists() or len(said.read_text().split()) < 3:
            assert process.is_alive()
            sleep(0.01)
        sleep(random.uniform(0, 0.3))  # noqa: S311
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    return said.read_text().split()
