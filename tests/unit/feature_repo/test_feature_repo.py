"""What is registered, and that the `feast` command and the code register the same."""

import os
import sys
from datetime import UTC, date, datetime
from importlib.metadata import entry_points
from multiprocessing.connection import Connection
from pathlib import Path
from shutil import copytree

import pyarrow as pa
import pytest
import yaml
from click.testing import CliRunner

from models.features.churn_definitions import FEATURES
from resources.feature_store.feast.settings import feast_settings
from resources.feature_store.feast.store import FeastStore, FeastStoreConfig
from resources.lake.delta import DeltaLakeConfig
from tests.fork_server import PROCESSES

ROOT = Path(__file__).resolve().parents[3]


def test_the_yaml_and_the_code_agree() -> None:
    written = yaml.safe_load((ROOT / "feature_repo" / "feature_store.yaml").read_text())
    assert written == feast_settings("../var/feast", tables="../var/lake")


def test_the_features_of_version_1_stand() -> None:
    """A model in the registry was trained on exactly these. To change them, add `churn_v2`; leave this file."""
    from feature_repo.definitions import definitions

    services = [item for item in definitions(Path("/nowhere")) if type(item).__name__ == "FeatureService"]
    features = {
        service.name: [f.name for p in service.feature_view_projections for f in p.features] for service in services
    }
    assert features["churn_v1"] == (Path(__file__).parent / "churn_v1.txt").read_text().split()


def test_paths_of_the_sources_are_absolute(tmp_path: Path) -> None:
    """Feast resolves relative ones against different places."""
    from feature_repo.definitions import definitions

    paths = [item.batch_source.path for item in definitions(tmp_path) if type(item).__name__ == "FeatureView"]
    assert paths == [f"{tmp_path}/{table}" for table in ("churn_features", "personalization_features")]


def feast(*arguments: str, folder: Path, **environment: str) -> str:
    """Return what the command `feast` prints, run in a folder by a process that has not read the definitions yet."""
    said, asker = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_feast, args=(arguments, folder, environment, asker))
    process.start()
    asker.close()
    code, printed = said.recv()
    process.join()
    assert code == 0, printed
    return printed


def _feast(arguments: tuple[str, ...], folder: Path, environment: dict[str, str], asker: Connection) -> None:
    for name in [name for name in os.environ if name.startswith(("FEAST", "TESSERA"))]:
        del os.environ[name]
    os.environ |= environment
    for name in [name for name in sys.modules if name.partition(".")[0] == "feature_repo"]:
        del sys.modules[name]
    os.chdir(folder)
    entry = next(iter(entry_points(group="console_scripts", name="feast")))
    done = CliRunner().invoke(entry.load(), arguments)
    asker.send((done.exit_code, f"{done.output}{done.exception or ''}"))


@pytest.mark.slow
def test_the_feast_command_works_in_a_fresh_clone(tmp_path: Path) -> None:
    copytree(ROOT / "feature_repo", tmp_path / "clone" / "feature_repo")
    assert "churn_customer" in feast("apply", folder=tmp_path / "clone" / "feature_repo")
    assert (tmp_path / "clone" / "var" / "feast" / "registry.db").is_file()


@pytest.mark.slow
def test_the_feast_command_finds_the_rows_of_any_home(tmp_path: Path) -> None:
    day = date(2024, 3, 31)
    moment = datetime(2024, 3, 31, 23, 59, 59, 999999, tzinfo=UTC)
    moments = pa.array([moment], pa.timestamp("us", "UTC"))
    rows = pa.table({"customer_id": ["a"], "event_timestamp": moments, "created_timestamp": moments})
    for name in FEATURES:
        rows = rows.append_column(name, pa.array([7.0]))
    rows = rows.append_column("country", pa.array(["Norway"])).append_column("feature_date", pa.array([day]))
    DeltaLakeConfig(path=str(tmp_path / "lake")).open().replace(
        "churn_features", rows, by="feature_date", first=day, last=day
    )
    config = FeastStoreConfig(path=str(tmp_path / "feast"), tables=str(tmp_path / "lake"))
    store = FeastStore(config, clock=lambda: moment)
    assert list(store.apply()) == ["churn_v1", "personalization_v1"]

    home = {"FEAST_FS_YAML_FILE_PATH": str(tmp_path / "feast" / "feature_store.yaml")}
    span = ("2024-03-31T00:00:00", "2024-04-01T00:00:00")
    feast("materialize", "--views", "churn_customer", *span, folder=ROOT / "feature_repo", **home)
    served = store.online("churn_v1", pa.table({"customer_id": ["a"]})).to_pylist()[0]
    assert (served["recency_days"], served["country"], served["churn_customer__status"]) == (7.0, "Norway", "PRESENT")
    assert served["churn_customer__event_timestamp"] == moment
