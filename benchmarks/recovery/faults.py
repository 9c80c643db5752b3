"""Faults of the machine and damaged files, each with the way back that docs/recovery.md names."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks.recovery.damage import Fault
from benchmarks.recovery.home import DAY, Home, says

ONLINE = ("run", "churn_online", "--date", str(DAY))
_BALLAST = "ballast"


def _halved(*names: str) -> Callable[[Home], None]:
    """Cut files of the home to half of their bytes."""

    def strike(home: Home) -> None:
        for name in names:
            for file in home.folder.glob(name):
                os.truncate(file, file.stat().st_size // 2)

    return strike


def _without(*names: str) -> Callable[[Home], None]:
    """Delete files and folders of the home."""

    def mend(home: Home) -> None:
        for name in names:
            for path in list(home.folder.glob(name)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    return mend


@contextmanager
def _full_disk(home: Home) -> Iterator[None]:
    """The home is on a file system of its own that has no room left."""
    kept = home.folder.with_name(f"{home.folder.name}-kept")
    home.folder.rename(kept)
    home.folder.mkdir()
    size = 2 * sum(file.stat().st_blocks * 512 for file in kept.rglob("*")) + 2**24
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", home.folder], check=True)
    try:
        shutil.copytree(kept, home.folder, dirs_exist_ok=True)
        free = shutil.disk_usage(home.folder).free
        (home.folder / _BALLAST).write_bytes(b"\0" * max(free - 200_000, 0))
        yield
        (home.folder / _BALLAST).unlink(missing_ok=True)
        shutil.rmtree(kept)
        shutil.copytree(home.folder, kept)
    finally:
        subprocess.run(["umount", home.folder], check=True)
        home.folder.rmdir()
        kept.rename(home.folder)


def _read_only(name: str) -> Callable[[Home], AbstractContextManager[None]]:
    """Mount a part of the home so that it can only be read."""

    @contextmanager
    def during(home: Home) -> Iterator[None]:
        part = home.folder / name
        subprocess.run(["mount", "--bind", part, part], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", part], check=True)
            yield
        finally:
            subprocess.run(["umount", part], check=True)

    return during


def _empty_wal(home: Home) -> None:
    """Leave half of a write-ahead log beside each database, as a machine that lost power does."""
    for file in home.folder.rglob("*.db"):
        Path(f"{file}-wal").write_bytes(b"\x37\x7f\x06\x82" + b"\0" * 500)


def _from_backup(name: str) -> tuple[Callable[[Home], None], Callable[[Home], None]]:
    """Strike a file after a copy of it was made, and put the copy back."""

    def strike(home: Home) -> None:
        shutil.copy2(home.folder / name, home.folder.with_name(f"{home.folder.name}.backup"))
        _halved(name)(home)

    def mend(home: Home) -> None:
        shutil.move(home.folder.with_name(f"{home.folder.name}.backup"), home.folder / name)

    return strike, mend


_MODELS = _from_backup("mlflow/mlflow.db")

FAULTS: tuple[Fault, ...] = (
    Fault("disk full", "free some space, run again", during=_full_disk),
    Fault("lake read-only", "mount it for writing, run again", during=_read_only("lake")),
    Fault("scores read-only", "mount it for writing, run again", during=_read_only("scores")),
    Fault("models read-only", "mount it for writing, run again", during=_read_only("mlflow")),
    Fault(
        "Dagster's storage truncated",
        "delete `dagster/history` and `dagster/schedules` of the home, run again",
        "the list of earlier runs, and when each schedule ran last",
        _halved("dagster/history/runs.db", "dagster/history/runs/*.db", "dagster/schedules/*.db"),
        mend=_without("dagster/history", "dagster/schedules"),
    ),
    Fault(
        "model registry truncated",
        "put `mlflow/mlflow.db` back from a backup, run again",
        "versions registered after the backup; train again",
        _MODELS[0],
        mend=_MODELS[1],
    ),
    Fault(
        "outbox of notices truncated",
        "delete `notices.db` of the home, run again",
        "notices that wait or are open; what was delivered is in `notices.jsonl`",
        _halved("notices.db"),
        mend=_without("notices.db"),
    ),
    Fault(
        "Feast's registry truncated",
        "delete `feast/registry.db` of the home, run again",
        strike=_halved("feast/registry.db"),
        mend=_without("feast/registry.db"),
        command=ONLINE,
    ),
    Fault(
        "online store truncated",
        "delete `feast/online.db` of the home, run churn_online again",
        strike=lambda home: (says(home, ONLINE), _halved("feast/online.db")(home)),
        mend=_without("feast/online.db*"),
        command=ONLINE,
    ),
    Fault("half a write-ahead log beside each database", "none is needed", strike=_empty_wal),
    Fault("temporary folders deleted", "none is needed", strike=_without("tmp", "feast/spilled", "cache", "locks")),
    Fault("packages of the registry's cache deleted", "none is needed", strike=_without("mlflow/cache/*")),
)
