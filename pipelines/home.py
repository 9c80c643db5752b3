"""The folder that holds everything a profile makes, and Dagster's own part of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import yaml
from filelock import FileLock, Timeout

from models.errors import TesseraError
from resources.stack import ROOT, Stack


def writable_home(stack: Stack) -> Path:
    """The profile's home, existing and writable.

    Raises:
        TesseraError: it cannot be made or written.
    """
    try:
        stack.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _locked(stack.home, str(error)) from None
    if not os.access(stack.home, os.W_OK):
        raise _locked(stack.home, "no write permission")
    return stack.home


def dagster_home(stack: Stack) -> Path:
    """A DAGSTER_HOME inside the profile's home: the project's dagster.yaml with absolute folders.

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


@contextmanager
def only_one(stack: Stack, name: str, doing: str) -> Iterator[None]:
    """Nobody else does `name` in this home meanwhile.

    Raises:
        TesseraError: somebody does; says who.
    """
    folder = writable_home(stack) / "locks"
    folder.mkdir(exist_ok=True)
    holder = folder / f"{name}.holder"
    lock = FileLock(folder / f"{name}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        who = holder.read_text() if holder.exists() else "another process"
        raise TesseraError(
            f"The home {stack.home} is locked: {who}.",
            expected="a home in which this does not run yet",
            todo="Wait until it has ended, or use another home: TESSERA_HOME=/another/folder.",
        ) from None
    try:
        holder.write_text(f"{doing}, process {os.getpid()}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _locked(home: Path, why: str) -> TesseraError:
    return TesseraError(
        f"The home {home} cannot be written: {why}.",
        expected="a folder that this user may write",
        todo="Correct its permissions, or use another home: TESSERA_HOME=/another/folder.",
    )
