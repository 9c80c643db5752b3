"""Keeps the folder that Feast reads in step with the files of a table's current version."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path


def stage(folder: Path, files: Sequence[str]) -> None:
    """`folder` holds exactly `files`, as hard links, or as copies where the file system has no links between the two.

    The caller holds a lock: a reader of the folder must not see a mixture of two versions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {_staged_name(file): Path(file) for file in files}
    for standing in folder.iterdir():
        if standing.name not in wanted or not _is_same(standing, wanted[standing.name]):
            standing.unlink()
    for name, file in wanted.items():
        if not (folder / name).exists():
            _link(file, folder / name)


def _staged_name(file: str) -> str:
    """Two partitions may hold files of the same name; their paths differ."""
    return f"{hashlib.sha256(str(Path(file).resolve()).encode()).hexdigest()[:32]}.parquet"


def _is_same(standing: Path, file: Path) -> bool:
    mine, theirs = standing.stat(), file.stat()
    linked = (mine.st_dev, mine.st_ino) == (theirs.st_dev, theirs.st_ino)
    return linked or (mine.st_size, mine.st_mtime_ns) == (theirs.st_size, theirs.st_mtime_ns)


def _link(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except OSError:
        # Another device, or a file system without hard links. Readers glob `*.parquet`, so a torn copy stays unseen.
        part = target.with_suffix(".part")
        shutil.copy2(file, part)
        part.replace(target)
