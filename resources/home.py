"""The home: the folder of a profile's data, and the locks of processes that work in it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from models.errors import TesseraError
from resources.layout import check_layout
from resources.privacy import close_to_others


class Homed(Protocol):
    """A stack, or anything else that knows the folder of a profile."""

    @property
    def home(self) -> Path:
        """The folder that holds everything the profile makes."""
        ...


def writable_home(stack: Homed) -> Path:
    """Return the profile's home, existing, writable, and closed to other users.

    Raises:
        TesseraError: it cannot be made or written, or is of another layout.
    """
    try:
        stack.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _locked(stack.home, str(error)) from None
    close_to_others(stack.home)
    if not os.access(stack.home, os.W_OK):
        is_read_only = os.statvfs(stack.home).f_flag & os.ST_RDONLY
        cause = OSError(errno.EROFS, os.strerror(errno.EROFS)) if is_read_only else None
        raise _locked(stack.home, "its file system is read-only" if cause else "no write permission") from cause
    check_layout(stack.home)
    return stack.home


@contextmanager
def only_one(stack: Homed, name: str, doing: str) -> Iterator[None]:
    """No other process does `name` in this home meanwhile.

    Raises:
        TesseraError: another process does; says which.
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


def doing_now(stack: Homed, name: str) -> str | None:
    """Describe the holder of the lock `name` in this home, or None; locks of killed processes count as free."""
    folder = stack.home / "locks"
    try:
        who = (folder / f"{name}.holder").read_text()
    except FileNotFoundError:  # written by the holder of the lock, so there is no need to touch it
        return None
    try:
        with FileLock(folder / f"{name}.lock", timeout=0):
            return None
    except Timeout:
        return who


def _locked(home: Path, why: str) -> TesseraError:
    return TesseraError(
        f"The home {home} cannot be written: {why}.",
        expected="a folder that this user may write",
        todo="Correct its permissions, or use another home: TESSERA_HOME=/another/folder.",
    )
