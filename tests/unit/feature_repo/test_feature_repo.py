"""What is registered, and that the `feast` command and the code register the same."""

import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import yaml

from resources.feature_store.feast_settings import feast_settings
from resources.feature_store.feast_store import FeastStoreConfig

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
    assert paths == [f"{tmp_path}/churn_features"]


def feast(*arguments: str, folder: Path, **environment: str) -> str:
    command = [str(Path(sys.executable).parent / "feast"), *arguments]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FEAST", "TESSERA"))}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=clean | environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_feast_apply_works_in_the_folder_of_a_fresh_clone_and_for_any_home(tmp_path: Path) -> None:
    copytree(ROOT / "feature_repo", tmp_path / "clone" / "feature_repo")
    folder = tmp_path / "clone" / "feature_repo"
    assert "churn_customer" in feast("apply", folder=folder)
    assert (tmp_path / "clone" / "var" / "feast" / "registry.db").is_file()

    home = tmp_path / "home"
    store = FeastStoreConfig(path=str(home)).open()
    assert list(store.apply()) == ["churn_v1"]
    listed = feast("feature-services", "list", folder=folder, FEAST_FS_YAML_FILE_PATH=str(home / "feature_store.yaml"))
    assert "churn_v1" in listed
