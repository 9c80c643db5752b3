"""Dagster's own part of the folder that holds everything a profile makes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import yaml

from resources.home import writable_home
from resources.stack.loader import ROOT, Stack

#: Dagster's tag of the code location whose jobs' pages list a run: a run launched in process lacks it.
CODE_LOCATION_TAGS = {".dagster/repository": "__repository__@tessera"}


def dagster_home(stack: Stack) -> Path:
    """Return a DAGSTER_HOME inside the profile's home: the project's dagster.yaml with absolute folders.

    For the default profile these are the folders that a bare `dagster dev` in the project uses too, so that runs
    of the command line, of the UI and of the schedule stand in one list.
    """
    folder = writable_home(stack) / "dagster"
    folder.mkdir(exist_ok=True)
    settings = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    settings["storage"]["sqlite"]["base_dir"] = str(folder)
    settings["local_artifact_storage"]["config"]["base_dir"] = str(folder)
    settings["compute_logs"]["config"]["base_dir"] = str(folder / "logs")
    text = "# Written from the project's dagster.yaml with absolute folders; edit that file instead.\n"
    text += yaml.safe_dump(settings, sort_keys=False)
    file = folder / "dagster.yaml"
    if not file.exists() or file.read_text() != text:
        beside = file.with_suffix(f".{os.getpid()}")
        beside.write_text(text)
        beside.replace(file)
    return folder


@contextmanager
def dagster_instance(stack: Stack) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance of the profile's home."""
    folder = dagster_home(stack)
    os.environ["DAGSTER_HOME"] = str(folder)
    with dg.DagsterInstance.get() as instance:
        yield instance
