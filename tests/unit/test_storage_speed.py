"""What Dagster's storage and Alembic make once per process instead of once per event or database."""

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


@pytest.mark.slow
def test_a_run_uses_one_engine_per_database(tmp_path: Path) -> None:
    used: list[Engine] = []  # holds them, so that no id is given twice

    def connected(connection: Any) -> None:
        used.append(connection.engine)

    event.listen(Engine, "engine_connect", connected)
    try:
        with dagster_instance(stack_in(tmp_path)) as instance:
            used.clear()  # opening makes the tables
            assert counting.execute_in_process(instance=instance).success
    finally:
        event.remove(Engine, "engine_connect", connected)
    databases = {str(engine.url) for engine in used}
    assert len(used) > 20
    assert len({id(engine) for engine in used}) == len(databases)


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
