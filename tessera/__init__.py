"""A profile's data in a notebook or script, as pandas DataFrames: `shop = tessera.open("local")`.

Importing this package imports nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import TesseraError

if TYPE_CHECKING:
    from tessera.profile import Profile

__all__ = ["TesseraError", "open"]


def open(profile: str | None = None, *, home: str | Path | None = None, stack: str | Path | None = None) -> Profile:
    """Return the data of a profile, to be read: nothing is made or locked, and a job may run meanwhile.

    Args:
        profile: of the stack file; default: TESSERA_PROFILE, else the file's default profile.
        home: folder of the data; default: TESSERA_HOME, else the profile's own.
        stack: the stack file; default: TESSERA_STACK, else the project's `stack.yaml`.

    Raises:
        TesseraError: no such profile, a wrong setting, or a home in which no job has run.
    """
    from resources.stack.loader import chosen_stack
    from tessera.profile import Profile

    return Profile(chosen_stack(profile, home, stack))
