"""What Dagster loads: light, complete, and the same graph as ever."""

import json
import os
import subprocess
import sys
from collections.abc import Collection
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from syrupy.assertion import SnapshotAssertion

from assets.apps import APPS
from pipelines.definitions import build_definitions, defs
from resources.source.fake import FakeSource
from resources.source.port import Source
from resources.stack.loader import ROOT, load_stack
from resources.stack.ports import SourceResource
from tests.fork_server import PROCESSES
from tests.unit.import_watch import import_all

HEAVY = {
    *("feast", "mlflow", "xgboost", "sklearn", "scipy", "pandas", "ibis", "polars", "pandera", "matplotlib", "torch"),
    *("duckdb", "psutil", "qdrant_client", "qdrant_edge", "fastapi", "starlette", "uvicorn", "prometheus_client"),
}
SERVERS = {"redis", "psycopg"}
#: Prints the modules of a process that loaded the definitions, and how often it collected garbage meanwhile.
LOADED = """
import dagster, gc, json, sys
collected = []
gc.callbacks.append(lambda phase, info: collected.append(phase))
import pipelines.definitions
print(json.dumps([sorted(sys.modules), len(collected), gc.isenabled(), gc.get_freeze_count()]))
"""
NODES = [defs.resolve_asset_graph().get(key) for key in defs.resolve_asset_graph().toposorted_asset_keys]
#: Name -> when it ticks on a Monday.
SCHEDULES = {
    "churn_nightly_schedule": time(2),
    "fraud_nightly": time(2, 30),
    "support_nightly": time(2, 45),
    "personalization_nightly": time(3),
    "churn_online": time(3),
    "experiments_nightly": time(3, 15),
    "churn_training": time(4),
    "fraud_training": time(4, 30),
    "storage_weekly": time(5),
    "support_training": time(5, 15),
    "personalization_training": time(5, 30),
}
#: Applications whose graph is in the snapshot; one that `tessera new` wrote has tests of its own.
SHIPPED = {"churn", "fraud", "demand", "support", "personalization"}
ADDED = {app.name for app in APPS} - SHIPPED
#: Assets that have no days: they take in what a sensor finds.
WITHOUT_DAYS = {"fraud/stream_catch_up"}


class Delivering(SourceResource):
    names: list[str]

    def open(self) -> Source:
        return FakeSource(dict.fromkeys(self.names, pa.table({})), first_day=date(2026, 1, 1))


def python(*arguments: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    command, env = [sys.executable, *arguments], os.environ | environment
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_loading_brings_no_heavy_package() -> None:
    modules, collections, is_enabled, frozen = json.loads(python("-c", LOADED).splitlines()[-1])
    assert (HEAVY | SERVERS) & {name.split(".")[0] for name in modules} == set()
    assert (collections, is_enabled) == (0, True), "the collector walks a million living objects while they are made"
    assert frozen > 100_000, "it would walk them again with each new table"


def test_what_a_service_has_opened_is_left_alone_by_the_collector_until_it_ends() -> None:
    both = "import gc\nfrom pipelines.garbage import kept_once_opened\nwith kept_once_opened() as opened:\n  opened()\n"
    code = f"{both}  kept = gc.get_freeze_count()\nprint(kept > 1000, gc.get_freeze_count())"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "True 0\n"


def test_duckdb_does_not_complain_about_what_is_kept_from_the_collector() -> None:
    both = "import duckdb\nfrom pipelines.garbage import not_collected\nwith not_collected(): duckdb.connect().close()"
    command = [sys.executable, "-c", both]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr == ""


@pytest.mark.slow
def test_importing_any_module_writes_nothing(tmp_path: Path) -> None:
    process = PROCESSES.Process(target=import_all, args=(tmp_path / "home", tmp_path / "answer"))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    count, touched = json.loads((tmp_path / "answer").read_text())
    assert count > 80
    assert touched == []
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.key.to_user_string())
def test_every_asset_says_what_and_whose_it_is(node: Any) -> None:
    assert len(node.description or "") > 20
    assert node.group_name != "default"
    assert node.owners
    assert node.kinds
    assert (node.partitions_def is None) == (node.key.to_user_string() in WITHOUT_DAYS)


def test_the_graph_is_the_known_one(snapshot: SnapshotAssertion) -> None:
    checks = {check.name for node in NODES for check in node.check_keys}
    assert {"audit", "drift", "gate", "labels_arrived", "quarantined_share", "skew"} <= checks
    assets = {
        node.key.to_user_string(): {
            "reads": sorted(parent.to_user_string() for parent in node.parent_keys),
            "checks": sorted(check.name for check in node.check_keys),
        }
        for node in NODES
        if node.group_name not in ADDED
    }
    jobs = {
        job.name: sorted(key.to_user_string() for key in job.asset_layer.selected_asset_keys)
        for job in defs.resolve_all_job_defs()
        if not job.name.startswith("__") and job.tags.get("tessera/app") not in ADDED
    }
    schedules = {
        name: {"job": found.job_name, "cron": found.cron_schedule, "zone": found.execution_timezone}
        for name in SCHEDULES
        for found in [defs.resolve_schedule_def(name)]
    }
    assert {"assets": assets, "jobs": jobs, "schedules": schedules} == snapshot


# Dagster's own builder of schedules calls what Dagster deprecates.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Function `JobDefinition.run_request_for_partition`:DeprecationWarning")
@pytest.mark.parametrize("name", SCHEDULES)
def test_each_schedule_asks_for_the_day_that_just_ended(name: str, of_a_home: dg.Definitions) -> None:
    minute, hour, *_ = str(defs.resolve_schedule_def(name).cron_schedule).split()
    assert (int(hour), int(minute)) == (SCHEDULES[name].hour, SCHEDULES[name].minute)
    delivered = {"orders", "payments", "payment_labels", "tickets", "ticket_labels", "articles"}
    delivered |= {"exposures", "outcomes"}
    requests = ticked(of_a_home, name, delivered).run_requests
    assert requests is not None
    assert [request.partition_key for request in requests] == ["2026-03-01"]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(SCHEDULES) - {"storage_weekly"}))
def test_nothing_is_asked_of_a_source_without_what_the_application_is_made_from(
    name: str, of_a_home: dg.Definitions
) -> None:
    missing = {"fraud": "payments", "support": "tickets", "experiments": "exposures"}.get(name.split("_")[0], "orders")
    delivered = {"orders", "payments"} - {missing}
    found = ticked(of_a_home, name, delivered)
    assert not found.run_requests
    assert f"delivers no {missing}" in str(found.skip_message)


@pytest.fixture(scope="module")
def of_a_home(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    """Definitions whose ticks are traced in a home of their own."""
    return build_definitions(load_stack(ROOT / "stack.yaml", "local", str(tmp_path_factory.mktemp("home")), {}))


def ticked(loaded: dg.Definitions, name: str, tables: Collection[str]) -> Any:
    """What the schedule asks for on a Monday, where the source has these tables."""
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime.combine(date(2026, 3, 2), SCHEDULES[name], UTC),
        repository_def=loaded.get_repository_def(),
        instance=dg.DagsterInstance.ephemeral(),
        resources={"source": Delivering(names=sorted(tables))},
    )
    return loaded.resolve_schedule_def(name).evaluate_tick(context)


class TestSensor:
    def _asked(self, **tags: str) -> Any:
        @dg.op
        def fail() -> None:
            raise RuntimeError("the night went wrong")

        @dg.job(name="churn_nightly")
        def nightly() -> None:
            fail()

        with dg.DagsterInstance.ephemeral() as instance:
            result = nightly.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
            context = dg.build_run_status_sensor_context(
                "churn_fallback", result.get_run_failure_event(), instance, result.dagster_run
            ).for_run_failure()
            return defs.resolve_sensor_def("churn_fallback")(context)

    def test_a_failed_night_asks_for_its_fallback(self) -> None:
        asked = self._asked(**{"dagster/partition": "2026-03-01"})
        assert isinstance(asked, dg.RunRequest)
        assert asked.partition_key == "2026-03-01"

    def test_a_run_without_a_day_asks_for_nothing(self) -> None:
        assert isinstance(self._asked(), dg.SkipReason)
