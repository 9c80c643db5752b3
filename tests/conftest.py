"""What all tests share: where real data lies, and when a test may skip for want of it."""

import gc
import os
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from hypothesis import settings

from pipelines.storage_speed import read_migrations_once
from resources import masking
from resources.feature_store.feast.session import without_type_checks
from tests.forked_workers import fork_workers
from tests.once import Once
from tests.worker_seconds import WorkerSeconds

# How long an example takes says how busy the machine is, nothing about the code.
settings.register_profile("tessera", deadline=None, max_examples=25)
#: `pytest --hypothesis-profile=thorough`: for a property that was written or whose code was changed.
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile("tessera")

pytest_plugins = ["tests.servers.redis_server", "tests.servers.postgres_server"]

#: What is imported and collected stays; looking through it for garbage again and again takes a tenth of a run.
gc.disable()


#: Test modules import Feast at their top: as quickly as the product does, here and in every worker. The name keeps the
#: context from being collected, which would leave it.
_UNCHECKED = without_type_checks()
_UNCHECKED.__enter__()


def pytest_configure(config: pytest.Config) -> None:
    """Tell at the end what each directory cost; workers are forks of one process."""
    config.pluginmanager.register(WorkerSeconds())
    if config.getoption("tx", None):
        fork_workers(config.args)


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores for `-n auto`: a part of a worker's time is waiting for other processes."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.fixture(autouse=True)
def _secrets_of_its_own() -> Iterator[None]:
    """A secret that one test looks up masks no word of the tests after it."""
    known = cast(dict[str, Any], vars(masking))
    names, pattern = dict(known["_names"]), known["_pattern"]
    yield
    known["_names"].clear()
    known["_names"].update(names)
    known["_pattern"] = pattern


#: One for each test of this process, see `tmp_path`.
_FOLDERS = count()


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """A folder whose path no other test of this process has.

    pytest gives the path of a removed folder again, and MLflow keeps what it opened by the path of the database.
    """
    folder = tmp_path / str(next(_FOLDERS))
    folder.mkdir()
    return folder


#: Slow tests of `resources.conformance`, which has no marks of ours: a third party's pytest would not know them.
_SLOW = {
    "test_a_forked_process_begins_without_a_connection",
    "test_a_question_without_documents_is_answered",
    "test_a_text_has_the_same_vector_alone_in_any_order_and_in_another_process",
    "test_all_rows_of_an_index_may_be_erased",
    "test_an_erased_subject_leaves_every_version_and_does_not_come_back",
    "test_another_opening_gives_the_same_rows",
    "test_collections_do_not_see_each_other",
    "test_days_one_by_one_are_the_range",
    "test_filters_fit_the_rows_that_they_fit_in_plain_python",
    "test_labels_of_entities_that_can_be_recognised_are_not_learnt",
    "test_many_days_are_one_commit",
    "test_readers_are_never_disturbed",
    "test_reading_again_gives_the_same_rows_in_the_same_order",
    "test_rows_are_read_back_as_they_were_written",
    "test_the_pointer_moves_at_once_and_back_and_readers_keep_their_version",
    "test_versions_that_no_one_needs_are_removed_and_their_numbers_never_come_back",
    "test_what_is_served_equals_the_join_at_the_same_moment",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that need a server, by what they are given or their parameter is called.

    Tests that share a fixture or a cached function of their module, or a fixture of their class, run on one worker, so
    that it is made once.
    """
    for item in items:
        if not item.get_closest_marker("xdist_group") and (place := _shared_place(item)):
            item.add_marker(pytest.mark.xdist_group(place))
        asked = {*getattr(item, "fixturenames", ()), item.name.rpartition("[")[2]}
        for server in ("redis", "postgres"):
            if any(server in name for name in asked):
                item.add_marker(server)
        if getattr(item, "originalname", "") in _SLOW:
            item.add_marker("slow")


def _shared_place(item: pytest.Item) -> str:
    """Return the module or class whose tests share something with this one, "" if none does."""
    info: Any = getattr(item, "_fixtureinfo", None)
    scopes = {each.scope for fixtures in (info.name2fixturedefs.values() if info else ()) for each in fixtures}
    parts = item.nodeid.split("::")
    if "module" in scopes or _caches(getattr(item, "module", None)):
        return parts[0]
    return "::".join(parts[:2]) if "class" in scopes else ""


@cache
def _caches(module: ModuleType | None) -> bool:
    values = vars(module).values() if module else ()
    return any(hasattr(value, "cache_info") and value.__module__ == module.__name__ for value in values if module)


def pytest_collection_finish() -> None:
    """Look for garbage only in what tests make from here on, and rarely in what is old."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 20, 50)
    gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let everything be collected: extensions report what is alive at the end as leaks. Workers end without that."""
    if not hasattr(config, "workerinput"):
        gc.unfreeze()


SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real data sets; the test skips without it, but never in CI."""
    if not SHARED_DATA.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{SHARED_DATA} is missing in CI")
        pytest.skip(f"real data sets are not at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session", autouse=True)
def one_script_directory() -> None:
    """Read Alembic's migrations once, as the product does, also for the databases that tests open without it."""
    read_migrations_once()


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Once:
    """Makes folders that all workers share; tests copy them."""
    place = tmp_path_factory.getbasetemp()
    return Once(place if worker_id == "master" else place.parent)


@pytest.fixture(scope="session")
def mlflow_database(once: Once) -> Path:
    """An MLflow database with its tables and nothing else: making them takes seconds."""
    from resources.registry.mlflow_registry import MLflowRegistryConfig

    def fill(folder: Path) -> None:
        assert MLflowRegistryConfig(path=str(folder)).open().check().ok

    return once.folder("mlflow", fill) / "mlflow.db"
