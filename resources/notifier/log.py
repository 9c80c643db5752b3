"""Notices in a file and in the log: no service, no account."""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import dagster as dg
from filelock import FileLock
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import TesseraError
from resources.health import Health
from resources.notifier.notice import notice_json
from resources.notifier.port import NOTICE, ErasableNotifier, Level

_LOGGER = logging.getLogger(__name__)
_WAIT_SECONDS = 30.0
#: In which a notice that is delivered once more is looked for.
_NEWEST_BYTES = 1_000_000
_SEVERITY: dict[Level, int] = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class LogNotifier(ErasableNotifier):
    """Appends each notice as one line to a JSON-lines file, and logs its subject.

    A line is on disk when `notify` returns; lines of concurrent writers never mix.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @override
    def notify(self, level: Level, subject: str, body: str, context: Mapping[str, str]) -> None:
        _LOGGER.log(_SEVERITY[level], "%s", subject)
        line = (notice_json(level, subject, body, context) + "\n").encode()
        with self._alone():
            if (id := context.get(NOTICE)) and self._has(id):
                return  # the process that wrote it died before it could say so
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    @override
    def forget(self, is_named: Callable[[str], bool]) -> int:
        if not self._path.exists():
            return 0
        with self._alone():
            lines = self._path.read_bytes().splitlines(keepends=True)
            left = [line for line in lines if not any(map(is_named, _context(line)))]
            if len(left) < len(lines):
                part = self._path.with_name(f"{self._path.name}.part")
                with part.open("wb") as stream:
                    stream.writelines(left)
                    stream.flush()
                    os.fsync(stream.fileno())
                part.replace(self._path)
        return len(lines) - len(left)

    @override
    def check(self) -> Health:
        existing = next(place for place in (self._path, *self._path.parents) if place.exists())
        fits = existing.is_file() if existing == self._path else existing.is_dir()
        if not fits or not os.access(existing, os.W_OK):
            return Health(False, f"notices cannot be written to {self._path}", "Make it writable, or correct `path`.")
        return Health(True, f"notices go to {self._path}")

    def _has(self, id: str) -> bool:
        """Return True if one of the newest lines is the notice of that id."""
        if not self._path.exists():
            return False
        with self._path.open("rb") as stream:
            stream.seek(max(0, self._path.stat().st_size - _NEWEST_BYTES))
            return f'"{NOTICE}": "{id}"'.encode() in stream.read()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process writes the file meanwhile: a line must not go into one that is being replaced."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self._path}.lock", timeout=_WAIT_SECONDS):
                yield
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> TesseraError:
        return TesseraError(
            f"A notice cannot be written to {self._path}: {error.strerror or error}.",
            expected="a writable file",
            todo="Make it writable, or correct `notifier.path` in stack.yaml.",
        )


def _context(line: bytes) -> list[str]:
    """Return the values of a notice's context; of a line that was cut off when the machine died, none."""
    try:
        return list(json.loads(line)["context"].values())
    except ValueError:
        return []


class LogNotifierConfig(dg.Config):
    """Notices as JSON lines in a file, and their subjects in the log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["log"] = "log"
    path: str = Field(description="The JSON-lines file; it grows by one line for each notice.")

    def open(self) -> LogNotifier:
        """Return the notifier; the file is made by the first notice."""
        return LogNotifier(Path(self.path).absolute())
