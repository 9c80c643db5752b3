"""The registry when its process dies in the middle, and when several processes use it at once."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import registry_process

from models.errors import TesseraError
from resources.registry.mlflow_registry import MLflowRegistryConfig
from resources.registry.port import Registry
from tests.fork_server import PROCESSES


@pytest.fixture(autouse=True, scope="module")
def _quiet_server() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("MLFLOW_LOGGING_LEVEL", "WARNING")
        yield


def _start(does: Callable[..., None], *arguments: Any) -> BaseProcess:
    process = PROCESSES.Process(target=does, args=arguments)
    process.start()
    return process


def _killed(does: Callable[..., None], *arguments: Any) -> None:
    process = _start(does, *arguments)
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    return tmp_path / "mlflow"


@pytest.fixture
def home(fresh: Path, mlflow_database: Path) -> Path:
    fresh.mkdir()
    shutil.copy(mlflow_database, fresh)
    return fresh


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"kind": "linear"}))
    (folder / "model.skops").write_bytes(b"PK numbers")
    return folder


def _open(home: Path) -> Registry:
    return MLflowRegistryConfig(path=str(home)).open()


def _alias(home: Path) -> str | None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{home / 'mlflow.db'}"
    aliases = MlflowClient(tracking_uri=uri, registry_uri=uri).get_registered_model("churn").aliases
    return str(aliases["champion"]) if aliases else None


class TestTogether:
    def test_four_processes_on_a_fresh_folder_lose_nothing(self, fresh: Path, package: Path) -> None:
        """Without the lock, MLflow fails in three of four: each makes the tables of the fresh file."""
        outs = [fresh.with_name(f"out{writer}") for writer in range(4)]
        processes = [
            _start(registry_process.register_and_promote, fresh, package, writer, out)
            for writer, out in enumerate(outs)
        ]
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * 4
        numbers = [number for out in outs for number in out.read_text().split()]
        assert sorted(map(int, numbers)) == list(range(1, 9))
        registry = _open(fresh)
        versions = registry.versions("churn")
        assert [int(info.version) for info in versions] == list(range(8, 0, -1))
        written = {(info.metrics["writer"], info.metrics["number"]) for info in versions}
        assert written == {(float(writer), float(number)) for writer in range(4) for number in range(2)}
        ledger = registry.ledger("churn")  # its chain is checked
        assert sorted(int(entry.to_version or 0) for entry in ledger) == list(range(1, 9))
        assert [entry.from_version for entry in ledger] == [None, *(entry.to_version for entry in ledger[:-1])]
        assert sorted(entry.at for entry in ledger) == [entry.at for entry in ledger]
        assert [info.version for info in versions if info.champion] == [ledger[-1].to_version] == [_alias(fresh)]


class TestKilled:
    def test_between_ledger_and_alias_the_next_call_completes_it(self, home: Path, package: Path) -> None:
        _killed(registry_process.promote_twice_dying_after, home, package, "append")
        assert _alias(home) == "1"
        registry = _open(home)
        assert registry.champion("churn") == "2"
        assert [info.champion for info in registry.versions("churn")] == [True, False]
        assert _alias(home) == "2"
        registry.set_champion("churn", "1", action="rollback", why="w", who="ann", run_id="", metrics={})
        assert [entry.to_version for entry in registry.ledger("churn")] == ["1", "2", "1"]
        assert _alias(home) == "1"

    def test_between_alias_and_the_remembered_line(self, home: Path, package: Path) -> None:
        _killed(registry_process.promote_twice_dying_after, home, package, "set_registered_model_alias")
        registry = _open(home)
        registry.set_champion("churn", None, action="retire", why="w", who="ann", run_id="", metrics={})
        assert [entry.to_version for entry in registry.ledger("churn")] == ["1", "2", None]
        assert _alias(home) is None

    def test_while_the_ledger_line_is_written_nothing_is_in_charge(self, home: Path, package: Path) -> None:
        _killed(registry_process.die_in_the_ledger_line, home, package)
        registry = _open(home)
        assert (registry.champion("churn"), list(registry.ledger("churn"))) == (None, [])
        assert "churn.torn-" in registry.check().says
        registry.set_champion("churn", "1", action="promote", why="w", who="ann", run_id="", metrics={})
        assert _open(home).champion("churn") == _alias(home) == "1"

    @pytest.mark.parametrize(
        "step", ["create_registered_model", "create_run", "log_text", "log_model_artifacts", "finalize_logged_model"]
    )
    def test_while_registering_no_version_remains(self, home: Path, package: Path, step: str) -> None:
        _killed(registry_process.register_dying_after, home, package, step)
        registry = _open(home)
        assert (list(registry.versions("churn")), registry.champion("churn")) == ([], None)
        with pytest.raises(TesseraError, match="has no version '1'"):
            registry.fetch("churn", "1")
        version = registry.register(
            "churn", package, parameters={}, metrics={"auc": 1.0}, tags={"gate": "passed"}, report=""
        )
        assert version == "1"
        assert (registry.fetch("churn", version) / "model.skops").read_bytes() == b"PK numbers"
        assert _states(home) in (["FINISHED"], ["FINISHED", "KILLED"])

    def test_while_fetching_no_half_package_is_used(self, home: Path, package: Path) -> None:
        _killed(registry_process.die_while_fetching, home, package)
        fetched = _open(home).fetch("churn", "1")
        assert sorted(path.name for path in fetched.iterdir()) == ["manifest.json", "model.skops"]

    def test_a_dead_holder_frees_the_lock(self, home: Path, package: Path) -> None:
        _killed(registry_process.die_in_the_lock, home, package)
        impatient = MLflowRegistryConfig(path=str(home), lock_timeout_seconds=5).open()
        impatient.set_champion("churn", "1", action="promote", why="w", who="ann", run_id="", metrics={})

    def test_a_live_holder_is_named_after_the_timeout(self, home: Path, package: Path) -> None:
        held, free = PROCESSES.Event(), PROCESSES.Event()
        holder = _start(registry_process.hold_the_lock, home, package, held, free)
        assert held.wait(60)
        try:
            impatient = MLflowRegistryConfig(path=str(home), lock_timeout_seconds=0.2).open()
            with pytest.raises(TesseraError, match=r"Another process holds .*churn\.lock"), impatient.lock("churn"):
                pass
        finally:
            free.set()
            holder.join()


def _states(home: Path) -> list[str]:
    from mlflow import MlflowClient

    uri = f"sqlite:///{home / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.get_experiment_by_name("churn")
    assert experiment is not None
    return sorted(run.info.status for run in client.search_runs([experiment.experiment_id]))
