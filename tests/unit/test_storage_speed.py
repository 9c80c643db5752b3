"""What Dagster's storage and Alembic make once per process instead of once per event or database."""

import os
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, event

from pipelines.home import dagster_instance
from pipelines.storage_speed import read_migrations_once
from resources.stack.loader import ROOT, Stack, load_stack


def stack_in(home: Path) -> Stack:
    return load_stack(ROOT / "stack.yaml", "local", str(home), {})


@dg.op
def count() -> int:
    return 1


@dg.job(executor_def=dg.in_process_executor)
def counting() -> None:
    for number in range(3):
        count.alias(f"count_{number}")()


def databases_open() -> set[str]:
    """Files of databases that this process has open."""
    links = [Path(link).resolve() for link in Path("/proc/self/fd").iterdir()]
    return {file.name for file in links if file.suffix == ".db" and "dagster" in file.parts}


@pytest.mark.slow
def test_a_run_uses_one_engine_and_one_connection_per_database(tmp_path: Path) -> None:
    used: list[Engine] = []  # holds them, so that no id is given twice
    opened: list[object] = []

    def connected(connection: Any) -> None:
        used.append(connection.engine)

    def opens(connection: Any, _: object) -> None:
        opened.append(connection)

    event.listen(Engine, "engine_connect", connected)
    event.listen(Engine, "connect", opens)
    try:
        with dagster_instance(stack_in(tmp_path)) as instance:
            used.clear()  # opening makes the tables
            opened.clear()
            assert counting.execute_in_process(instance=instance).success
            assert databases_open()
    finally:
        event.remove(Engine, "engine_connect", connected)
        event.remove(Engine, "connect", opens)
    databases = {str(engine.url) for engine in used}
    assert len(used) > 20
    assert len({id(engine) for engine in used}) == len(databases)
    assert len(opened) <= len(databases) + 2, "a connection is made beside the kept one while that is in use"
    assert not databases_open(), "nothing stays open when the home is closed"


@pytest.mark.slow
def test_a_storage_that_was_wiped_is_written_anew(tmp_path: Path) -> None:
    with dagster_instance(stack_in(tmp_path)) as instance:
        assert counting.execute_in_process(instance=instance).success
        instance.wipe()
        run = counting.execute_in_process(instance=instance).run_id
        assert [found.run_id for found in instance.get_runs()] == [run]
    with dagster_instance(stack_in(tmp_path)) as instance:
        assert len(instance.all_logs(run, dg.DagsterEventType.STEP_SUCCESS)) == 3


@pytest.mark.slow
def test_a_fork_opens_its_own_connections(tmp_path: Path) -> None:
    with dagster_instance(stack_in(tmp_path)) as instance:
        counting.execute_in_process(instance=instance)
        before = databases_open()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = int(not counting.execute_in_process(instance=instance).success)
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert databases_open() == before
        assert counting.execute_in_process(instance=instance).success
        assert len(instance.get_runs()) == 3


@pytest.mark.slow
def test_a_run_in_another_home_is_recorded_there(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with dagster_instance(stack_in(tmp_path / name)) as instance:
            assert instance.get_runs() == []
            run = counting.execute_in_process(instance=instance).run_id
            assert [found.run_id for found in instance.get_runs()] == [run]
            assert len(instance.all_logs(run, dg.DagsterEventType.STEP_SUCCESS)) == 3


def test_a_folder_of_migrations_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    def from_config(config: Config) -> object:
        asked.append(config.get_main_option("script_location"))
        return object()

    monkeypatch.setattr(ScriptDirectory, "from_config", from_config)
    read_migrations_once()
    read_migrations_once()
    found = []
    for place in ("one", "two", "one", "two"):
        config = Config()
        config.set_main_option("script_location", place)
        found.append(ScriptDirectory.from_config(config))
    assert asked == ["one", "two"]
    assert found[0] is found[2] is not found[1] is found[3]
