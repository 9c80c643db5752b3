"""The ledger as a file: appended and synced to disk, read with its chain checked, torn lines quarantined."""

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from models.errors import TesseraError
from models.ledger import NOTHING_BEFORE, LedgerEntry, entry_line, line_digest, read_chain

_LOGGER = logging.getLogger(__name__)


class LedgerFile:
    """One application's ledger. A line counts once its line end is on disk; `lock` keeps writers apart."""

    def __init__(self, path: Path, lock: Callable[[], AbstractContextManager[None]]) -> None:
        self._path = path
        self._lock = lock

    def entries(self) -> list[LedgerEntry]:
        """All entries, oldest first.

        Raises:
            TesseraError: a line was changed, removed or inserted.
        """
        return read_chain(self._lines(), str(self._path))

    def head(self) -> str:
        """Return the sha256 of the last line; empty when there is none."""
        lines = self._lines()
        return line_digest(lines[-1]) if lines else NOTHING_BEFORE

    def append(self, entry: LedgerEntry) -> None:
        """`entry` is the last line, on disk; the caller holds the lock.

        Raises:
            TesseraError: it cannot be written; the ledger is then as before.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _append_line(self._path, entry_line(entry))
        except OSError as error:
            raise TesseraError(
                f"The ledger {self._path} cannot be written: {error.strerror}.",
                expected="a writable file and free space on its disk",
                todo="Make room or correct the permissions; the champion is unchanged.",
            ) from error

    def torn(self) -> Sequence[Path]:
        """Files that hold what crashes left of lines that were never finished."""
        return sorted(self._path.parent.glob(f"{self._path.stem}.torn-*"))

    def _lines(self) -> list[str]:
        content = self._content()
        if content and not content.endswith(b"\n"):
            with self._lock():  # without it, the line may be one that another process is just writing
                content = self._content()
                if not content.endswith(b"\n"):
                    content = self._set_aside(content)
        return content.decode(errors="replace").split("\n")[:-1]

    def _content(self) -> bytes:
        return self._path.read_bytes() if self._path.exists() else b""

    def _set_aside(self, content: bytes) -> bytes:
        whole = content[: content.rfind(b"\n") + 1]
        aside = self._path.with_name(f"{self._path.stem}.torn-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
        _write_synced(aside, content[len(whole) :], os.O_TRUNC)
        with self._path.open("r+b") as file:
            file.truncate(len(whole))
            os.fsync(file.fileno())
        _LOGGER.warning("The last line of %s was cut off by a crash and is kept in %s.", self._path, aside)
        return whole


def _append_line(path: Path, line: str) -> None:
    new = not path.exists()
    _write_synced(path, (line + "\n").encode(), os.O_APPEND)
    if new:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _write_synced(path: Path, data: bytes, flag: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flag, 0o644)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
