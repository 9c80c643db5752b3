"""Dagster's own records in Postgres: jobs run, runs are listed and ended, and no SQLite file is made."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from models.errors import TesseraError
from pipelines import run_locks
from pipelines.definitions import build_definitions
from pipelines.home import dagster_home, dagster_instance
from pipelines.lost_runs import end_lost_runs
from resources.notifier.log import LogNotifier
from resources.stack.loader import Stack, load_stack
from tests.servers.ports import free_port
from tests.servers.postgres_server import PostgresDatabase

SHOP = {"kind": "simulated", "customers": 20, "first_day": "2026-01-01"}
SERVER = {"postgres_db": {"username": "u", "password": {"env": "DAGSTER_PASSWORD"}, "hostname": "h", "db_name": "d"}}


def stack_with(folder: Path, storage: Any) -> Stack:
    profile = {
        "apps": ["churn"],
        "calendar": {"first_day": "2026-01-01"},
        "ports": {"source": SHOP},
        "dagster_storage": storage,
    }
    (folder / "stack.yaml").write_text(yaml.safe_dump({"profiles": {"team": profile}}))
    return load_stack(folder / "stack.yaml", None, None, {})


def storage_in(home: Path) -> Any:
    return yaml.safe_load((home / "dagster.yaml").read_text())["storage"]


def test_a_night_runs_and_lost_runs_end_on_postgres(
    tmp_path: Path, postgres_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = postgres_database
    monkeypatch.setenv("DAGSTER_PASSWORD", server.password)
    where = {"username": server.user, "hostname": server.host, "port": server.port, "db_name": server.database}
    stack = stack_with(tmp_path, {"postgres": {"postgres_db": {**where, "password": {"env": "DAGSTER_PASSWORD"}}}})
    job = dg.define_asset_job("once", selection=["shop/products"])
    defs = dg.Definitions.merge(build_definitions(stack), dg.Definitions(jobs=[job]))
    monkeypatch.setenv("DAGSTER_HOME", "")
    with dagster_instance(stack) as instance:
        ready = defs.resolve_job_def("once")
        done = ready.execute_in_process(partition_key="2026-01-05", instance=instance)
        lost = instance.create_run_for_job(ready, status=dg.DagsterRunStatus.STARTED)
        with run_locks.held(instance, lost.run_id), pytest.raises(RuntimeError):
            raise RuntimeError("the process is gone")
        end_lost_runs(instance, LogNotifier(tmp_path / "notices.jsonl"), serving=False)
        statuses = {run.run_id: run.status for run in instance.get_runs()}
    assert statuses[done.run_id] == dg.DagsterRunStatus.SUCCESS
    assert set(statuses) == {done.run_id, lost.run_id}
    assert not list((stack.home / "dagster").rglob("*.db"))
    assert server.password not in (stack.home / "dagster" / "dagster.yaml").read_text()
    with dagster_instance(stack) as again:
        assert {run.run_id for run in again.get_runs()} == set(statuses)


def test_without_its_client_postgres_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.home.find_spec", lambda _: None)
    with pytest.raises(TesseraError, match="dagster-postgres is not installed") as raised:
        dagster_home(stack_with(tmp_path, {"postgres": SERVER}))
    assert "requirements/postgres.lock" in raised.value.todo


def test_sqlite_lies_in_the_home_whatever_else_is_said(tmp_path: Path) -> None:
    home = dagster_home(stack_with(tmp_path, {"sqlite": {"base_dir": "elsewhere"}}))
    assert storage_in(home) == {"sqlite": {"base_dir": str(home)}}


def test_postgres_is_asked_through_the_client_that_dagster_has(tmp_path: Path) -> None:
    home = dagster_home(stack_with(tmp_path, {"postgres": SERVER}))
    assert storage_in(home)["postgres"]["postgres_db"]["scheme"] == "postgresql+psycopg2"
    assert storage_in(home)["postgres"]["postgres_db"]["password"] == {"env": "DAGSTER_PASSWORD"}


def test_a_url_for_another_client_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = stack_with(tmp_path, {"postgres": {"postgres_url": {"env": "DAGSTER_URL"}}})
    monkeypatch.setenv("DAGSTER_URL", "postgresql://u:s3cr3t@h/d")
    with pytest.raises(TesseraError, match=r"DAGSTER_URL, does not begin with postgresql\+psycopg2") as raised:
        dagster_home(stack)
    assert "s3cr3t" not in str(raised.value)
    monkeypatch.setenv("DAGSTER_URL", "postgresql+psycopg2://u:s3cr3t@h/d")
    assert storage_in(dagster_home(stack)) == {"postgres": {"postgres_url": {"env": "DAGSTER_URL"}}}


@pytest.mark.parametrize("storage", ["postgres", {"postgers": {}}, {"sqlite": {}, "postgres": {}}, {"postgres": 5}, []])
def test_what_is_no_storage_is_refused_with_file_and_line(tmp_path: Path, storage: Any) -> None:
    with pytest.raises(TesseraError, match=r"stack.yaml:\d+: `team.dagster_storage"):
        stack_with(tmp_path, storage)


def test_a_server_that_does_not_answer_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("DAGSTER_PASSWORD", "s3cr3t")
    nobody = {**SERVER["postgres_db"], "hostname": "127.0.0.1", "port": free_port()}
    stack = stack_with(tmp_path, {"postgres": {"postgres_db": nobody}})
    monkeypatch.setattr("time.sleep", lambda _: None)  # between Dagster's attempts
    with (
        pytest.raises(TesseraError, match=r"Dagster's storage does not work.*refused") as raised,
        dagster_instance(stack),
    ):
        pass
    assert "s3cr3t" not in str(raised.value)
