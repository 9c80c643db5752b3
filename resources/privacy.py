"""Files that only this user can read: a home holds customers' e-mail addresses."""

import os
import stat
from contextlib import suppress
from pathlib import Path

_PRIVATE = 0o077
_users_umask = [0o022]


def create_privately() -> None:
    """Make this process, and those that it starts, create folders as 0700 and files as 0600."""
    before = os.umask(_PRIVATE)
    if before != _PRIVATE:
        _users_umask[0] = before


def share_as_usual(file: Path) -> None:
    """Give a file that a user asked for outside the home (`--out`) the permissions that the user's umask gives."""
    file.chmod(0o666 & ~_users_umask[0])


def close_to_others(home: Path) -> None:
    """Make an existing home 0700, if it is this user's and not shared like /tmp; what cannot be changed stays."""
    with suppress(OSError):
        found = home.stat()
        is_shared = found.st_mode & stat.S_ISVTX or home.resolve() == Path(home.anchor)
        if found.st_uid == os.geteuid() and found.st_mode & _PRIVATE and not is_shared:
            home.chmod(0o700)
