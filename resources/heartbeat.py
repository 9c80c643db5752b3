"""Heartbeats: files of a home that say when something last worked, for those who look from outside."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

_LOGGER = logging.getLogger(__name__)
_FOLDER = "heartbeats"


@dataclass
class Pulse:
    """The heartbeat of a process that runs for long, written at most every `seconds`.

    Attributes:
        home: folder of the profile.
        name: of what works.
        seconds: between two beats.
    """

    home: Path
    name: str
    seconds: float = 10.0
    _last: float = field(default=float("-inf"), repr=False)

    def beat(self) -> None:
        """Write a beat, unless the last one was just now."""
        if time.monotonic() - self._last >= self.seconds:
            beat(self.home, self.name, {})
            self._last = time.monotonic()


def beat(home: Path, name: str, facts: Mapping[str, str]) -> None:
    """Write that `name` works now, with what it did last. A full disk stops no work: the beat is missing then."""
    file = _file(home, name)
    part = file.with_name(f"{name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"at": datetime.now(UTC).isoformat(), **facts}) + "\n", encoding="utf-8")
        part.replace(file)
    except OSError as error:
        _LOGGER.warning("The heartbeat of %s cannot be written: %s.", name, error)


def last_beat(home: Path, name: str) -> datetime | None:
    """Return when `name` worked last; None if it never did, or its file is damaged."""
    try:
        return datetime.fromisoformat(json.loads(_file(home, name).read_text(encoding="utf-8"))["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file(home: Path, name: str) -> Path:
    return home / _FOLDER / f"{name}.json"
