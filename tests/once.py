"""Folders that all workers of a run share: made by whichever test comes first, then copied by the others."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock


@dataclass(frozen=True)
class Once:
    """Makes each folder once, below a place that is common to all workers."""

    place: Path

    def folder(self, name: str, fill: Callable[[Path], object]) -> Path:
        """Return the folder of that name; whoever comes first fills it, the others wait for that."""
        folder, done = self.place / name, self.place / f"{name}.done"
        with FileLock(self.place / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder
