"""What is MLflow's own in the registry: what its UI shows, what it leaves alone, what it says when it fails."""

import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from models.errors import TesseraError
from resources.registry.mlflow_registry import MLflowRegistryConfig
from resources.registry.port import Registry

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow_database: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow").mkdir()
    shutil.copy(mlflow_database, tmp_path / "mlflow")
    return tmp_path / "mlflow"


@pytest.fixture
def registry(home: Path) -> Registry:
    return MLflowRegistryConfig(path=str(home)).open()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A real booster of three matrix columns."""
    import xgboost as xgb

    folder = tmp_path / "package"
    folder.mkdir()
    rows = np.random.default_rng(0).random((300, 3), dtype=np.float32)
    labels = (rows[:, 0] > 0.5).astype(np.int8)
    xgb.train({"max_depth": 2, "nthread": 1}, xgb.DMatrix(rows, labels), 5).save_model(folder / "model.ubj")
    encoder = {"numeric": ["recency", "frequency"], "categories": {"country": ["DE"]}}
    manifest = {"kind": "xgboost", "encoder": encoder, "libraries": {"xgboost": xgb.__version__, "numpy": "2.2.0"}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def _register(registry: Registry, package: Path, report: str = "# Gate") -> str:
    return registry.register(
        "churn",
        package,
        parameters={f"p{n}": str(n) for n in range(130)},
        metrics={"auc": 0.75},
        tags={"kind": "xgboost", "gate": "passed"},
        report=report,
    )


@pytest.fixture
def client(home: Path) -> Iterator[object]:
    from mlflow import MlflowClient

    uri = f"sqlite:///{home / 'mlflow.db'}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


class TestMLflow:
    def test_the_version_loads_as_an_xgboost_model_with_its_signature(
        self, registry: Registry, package: Path, home: Path
    ) -> None:
        import mlflow
        import xgboost as xgb
        from mlflow.models import get_model_info

        version = _register(registry, package)
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(f"sqlite:///{home / 'mlflow.db'}")
        try:
            booster = mlflow.xgboost.load_model(f"models:/churn/{version}")
            info = get_model_info(f"models:/churn/{version}")
        finally:
            mlflow.set_tracking_uri(before)
        rows = np.random.default_rng(1).random((50, 3), dtype=np.float32)
        expected = xgb.Booster(model_file=package / "model.ubj").inplace_predict(rows)
        np.testing.assert_array_equal(booster.inplace_predict(rows), expected)
        assert set(info.flavors) == {"xgboost", "tessera"}
        assert info.signature is not None
        assert info.signature.inputs.input_names() == ["recency", "frequency", "country=DE"]

    def test_the_run_holds_parameters_metrics_report_and_requirements(
        self, registry: Registry, package: Path, client: object, home: Path
    ) -> None:
        _register(registry, package, report="# Gate\n\n" + "long " * 2000)
        (version,) = client.search_model_versions("name = 'churn'")
        run = client.get_run(version.run_id)
        assert run.info.status == "FINISHED"
        assert len(run.data.params) == 130
        assert run.data.metrics == {"auc": 0.75}
        assert [file.path for file in client.list_artifacts(version.run_id)] == ["report.md"]
        assert "report.md" in version.description
        model = client.get_logged_model(version.tags["tessera.model_id"])
        assert str(model.status) == "READY"
        assert [metric.value for metric in model.metrics] == [0.75]
        assert model.artifact_location.startswith(home.as_uri())
        (requirements,) = home.rglob("requirements.txt")
        assert requirements.read_text().splitlines()[0] == "numpy==2.2.0"

    def test_the_alias_follows_the_ledger_and_is_put_back_when_moved_by_hand(
        self, registry: Registry, package: Path, client: object, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(2):
            _register(registry, package)
        _promote(registry, "1")
        assert str(client.get_model_version_by_alias("churn", "champion").version) == "1"
        client.set_registered_model_alias("churn", "champion", "2")
        assert [info.champion for info in registry.versions("churn")] == [False, True]
        assert str(client.get_model_version_by_alias("churn", "champion").version) == "1"
        assert "moved by hand to 2" in caplog.text
        _promote(registry, None, "retire")
        assert client.get_registered_model("churn").aliases == {}

    def test_a_champion_deleted_in_mlflow_is_reported_and_can_be_replaced(
        self, registry: Registry, package: Path, client: object
    ) -> None:
        for _ in range(2):
            _register(registry, package)
        _promote(registry, "1")
        client.delete_model_version("churn", "1")
        health = registry.check()
        assert not health.ok
        assert "no version '1'" in health.says
        with pytest.raises(TesseraError, match="has no version '1'"):
            registry.fetch_anew("churn", "1")
        _promote(registry, "2")
        assert registry.check().ok

    def test_changed_sums_are_refused_for_what_was_champion(
        self, registry: Registry, package: Path, client: object
    ) -> None:
        _register(registry, package)
        _promote(registry, "1")
        client.set_model_version_tag("churn", "1", "tessera.sha256/model.ubj", "0" * 64)
        with pytest.raises(TesseraError, match="tags of version 1 of churn were changed"):
            registry.fetch_anew("churn", "1")

    def test_it_is_quiet_and_leaves_the_process_as_it_was(
        self, registry: Registry, package: Path, home: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        import mlflow

        addresses = (mlflow.get_tracking_uri(), mlflow.get_registry_uri())
        disabled = [name for name, log in logging.root.manager.loggerDict.items() if getattr(log, "disabled", False)]
        capfd.readouterr()
        registry.fetch("churn", _register(registry, package))
        _promote(registry, "1")
        registry.versions("churn")
        assert capfd.readouterr() == ("", "")
        assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == addresses
        assert mlflow.active_run() is None
        loggers = logging.root.manager.loggerDict.items()
        assert [name for name, log in loggers if getattr(log, "disabled", False)] == disabled
        assert sorted(path.name for path in home.parent.iterdir()) == ["mlflow", "package"]
        assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"

    def test_a_moved_folder_says_so(self, registry: Registry, package: Path, home: Path) -> None:
        _register(registry, package)
        moved = home.rename(home.with_name("moved"))
        with pytest.raises(TesseraError, match=r"keeps its artifacts in .*/mlflow/artifacts/churn"):
            _register(MLflowRegistryConfig(path=str(moved)).open(), package)

    def test_a_lost_database_is_not_begun_anew_beside_an_old_ledger(
        self, registry: Registry, package: Path, client: object
    ) -> None:
        _register(registry, package)
        _promote(registry, "1")
        client.delete_registered_model("churn")
        with pytest.raises(TesseraError, match="do not belong together"):
            _register(registry, package)

    def test_a_fresh_folder_gets_its_database(self, tmp_path: Path, package: Path) -> None:
        fresh = tmp_path / "fresh"
        assert _register(MLflowRegistryConfig(path=str(fresh)).open(), package) == "1"
        assert sorted(path.name for path in fresh.iterdir()) == ["artifacts", "locks", "mlflow.db"]

    @pytest.mark.parametrize("content", [b"this is no database at all" * 10, None])
    def test_an_unusable_database_is_named_at_once(self, home: Path, content: bytes | None) -> None:
        database = home / "mlflow.db"
        database.unlink()
        database.mkdir() if content is None else database.write_bytes(content)
        health = MLflowRegistryConfig(path=str(home)).open().check()
        assert not health.ok
        assert str(database) in health.says

    def test_a_database_that_was_cut_off_is_told_without_mlflow(self, home: Path) -> None:
        registry = MLflowRegistryConfig(path=str(home)).open()
        assert registry.damage() == ""
        os.truncate(home / "mlflow.db", 8192)
        assert "mlflow.db cannot be used" in registry.damage()
        (home / "mlflow.db").unlink()
        assert registry.damage() == "", "one that is not there yet is made"

    def test_a_database_of_another_mlflow_says_what_to_do(self, home: Path) -> None:
        with closing(sqlite3.connect(home / "mlflow.db")) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = 'older'")
        with pytest.raises(TesseraError, match="out-of-date database schema"):
            MLflowRegistryConfig(path=str(home)).open().versions("churn")

    def test_invalid_names_of_metrics_are_one_sentence(self, registry: Registry, package: Path, client: object) -> None:
        with pytest.raises(TesseraError, match=r"did not register a version of churn: .*Invalid value"):
            registry.register(
                "churn", package, parameters={}, metrics={"lift§": 1.0}, tags={"gate": "passed"}, report=""
            )
        assert list(registry.versions("churn")) == []
        (run,) = client.search_runs([client.get_experiment_by_name("churn").experiment_id])
        assert run.info.status == "FAILED"


class TestServer:
    def test_nobody_answers(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        registry = MLflowRegistryConfig(path=str(home), tracking_uri="http://user:secret@127.0.0.1:9").open()
        health = registry.check()
        assert not health.ok
        assert "MLflow at http://127.0.0.1:9 did not answer" in health.says
        assert "secret" not in health.says

    def test_a_database_without_a_place_for_artifacts_is_refused(self, home: Path) -> None:
        with pytest.raises(TesseraError, match="artifact_location"):
            MLflowRegistryConfig(path=str(home), tracking_uri="postgresql://h/db").open()


def test_neither_loading_the_module_nor_asking_for_a_cached_champion_imports_mlflow(
    registry: Registry, package: Path, home: Path
) -> None:
    _promote(registry, _register(registry, package))
    fetched = registry.fetch("churn", "1")
    code = f"""
import sys
from resources.registry.mlflow_registry import MLflowRegistryConfig
registry = MLflowRegistryConfig(path={str(home)!r}).open()
print(registry.fetch("churn", registry.champion("churn")))
print(sorted({{"mlflow", "pandas", "polars", "xgboost", "sklearn"}} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(fetched), "[]"]


def _promote(registry: Registry, version: str | None, action: str = "promote") -> None:
    registry.set_champion("churn", version, action=action, why="w", who="ann", run_id="", metrics={})
