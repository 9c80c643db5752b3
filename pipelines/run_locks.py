"""A lock for each run, held by the process that executes it for as long as that process lives.

The kernel releases the lock at the end of the process, however that ends. So a free lock is proof where a process id is
not: ids are used again, and those of another container mean nothing here.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import dagster as dg
from filelock import FileLock, Timeout

if TYPE_CHECKING:
    import psutil

#: `unknown`: the process ran on another machine, whose locks may not be visible here.
Holder = Literal["none known", "alive", "gone", "unknown"]
#: Locks of this process, released when it ends.
_HELD: list[FileLock] = []
#: Difference of two clocks that means nothing.
_CLOCK_SECONDS = 5


@contextmanager
def held(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Mark the run as alive until the block ends, or the process does.

    The record stays if the block raises: whatever the run's own log says then, no process executes it any more.
    """
    lock = _hold(instance, run_id)
    try:
        yield
        _remove(_folder(instance), run_id)
    finally:
        lock.release()


def hold_until_exit(instance: dg.DagsterInstance, run_id: str) -> None:
    """Mark the run as alive until this process ends; for a process that executes nothing else."""
    _HELD.append(_hold(instance, run_id))


@contextmanager
def holder(instance: dg.DagsterInstance, run_id: str) -> Iterator[Holder]:
    """Yield the state of the process that executes the run; no other caller sees a dead one within the block."""
    folder = _folder(instance)
    record = _record(folder, run_id)
    if not record.exists():
        yield "none known"
        return
    lock = _lock(folder, run_id)
    try:
        lock.acquire()
    except Timeout:
        yield "alive"
        return
    try:
        yield "gone" if _was_here(record) else "unknown"
    finally:
        lock.release()


def process_of(instance: dg.DagsterInstance, run_id: str) -> psutil.Process | None:
    """Return the process that executes the run on this machine and in this container; None if there is none."""
    import psutil

    with holder(instance, run_id) as state:
        if state != "alive":
            return None
    try:
        says = json.loads(_record(_folder(instance), run_id).read_text())
        if {name: says.get(name) for name in _here()} != _here():
            return None
        process = psutil.Process(int(says["process"]))
        is_it = process.create_time() <= datetime.fromisoformat(says["since"]).timestamp() + _CLOCK_SECONDS
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return process if is_it else None


def remove_records(instance: dg.DagsterInstance) -> None:
    """Remove the records of runs that have ended: a process of a single run keeps its lock to the last."""
    folder = _folder(instance)
    for file in folder.glob("*.json"):
        run = instance.get_run_by_id(file.stem)
        if run is None or run.is_finished:
            with suppress(Timeout), _lock(folder, file.stem):
                _remove(folder, file.stem)


def _hold(instance: dg.DagsterInstance, run_id: str) -> FileLock:
    folder = _folder(instance)
    folder.mkdir(parents=True, exist_ok=True)
    lock = _lock(folder, run_id)
    lock.acquire()
    # Not before: a record beside a free lock means that the process is gone.
    says = {**_here(), "process": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    _record(folder, run_id).write_text(json.dumps(says))
    return lock


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.root_directory) / "run_locks"


def _record(folder: Path, run_id: str) -> Path:
    return folder / f"{run_id}.json"


def _lock(folder: Path, run_id: str) -> FileLock:
    return FileLock(folder / f"{run_id}.lock", timeout=0, mode=0o600)


def _remove(folder: Path, run_id: str) -> None:
    """Remove the record first: without it, the lock means nothing."""
    _record(folder, run_id).unlink(missing_ok=True)
    (folder / f"{run_id}.lock").unlink(missing_ok=True)


def _was_here(record: Path) -> bool:
    """Return True if the process ran on this machine: before a restart of it, too."""
    try:
        says = json.loads(record.read_text())
    except (OSError, ValueError):  # cut off with the power
        return True
    return any(says.get(name) == value for name, value in _here().items() if value)


@cache
def _here() -> dict[str, str]:
    """Return the running kernel, and the machine.

    Containers of one machine share the kernel and its locks, but have names of their own. On a network file system the
    lock of another machine may look free: there only its own processes can tell.
    """
    boot, machine = _text("/proc/sys/kernel/random/boot_id"), _text("/etc/machine-id")
    return {"boot": boot, "machine": f"{platform.node()} {machine}"}


def _text(file: str) -> str:
    try:
        return Path(file).read_text().strip()
    except OSError:
        return ""
