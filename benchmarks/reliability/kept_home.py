"""Homes that several calls of the benchmark share: made once, and whole or not there at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Home = TypeVar("Home")


def kept_home(folder: Path, opened: Callable[[Path], Home], make: Callable[[Path], object]) -> Home:
    """Return the home in a folder; if it is not there, it is made beside it first and then renamed.

    A call that is killed while it makes one leaves no home that the next call would take for a whole one.

    Args:
        folder: of the home.
        opened: opens the home in a folder.
        make: makes a home in a folder that does not exist.
    """
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        make(unfinished)
        unfinished.rename(folder)
    return opened(folder)
