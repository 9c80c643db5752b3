"""The log of reads: who read whose score, and when.

Entities are pseudonyms, so that an erasure has nothing to search here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from pydantic_core import to_json

from pipelines.gateway.pseudonyms import Pseudonyms


class ReadLog:
    """One file per day in `service/reads` of the home, one line per request.

    Args:
        home: folder of the profile's data.
        keep_days: older files are removed when a day begins.
    """

    def __init__(self, home: Path, *, keep_days: int = 90) -> None:
        self._folder, self._keep_days = home / "service" / "reads", keep_days
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._names = Pseudonyms(home)
        self._day, self._file = date.min, None
        self._file: IO[bytes] | None

    def add(self, at: datetime, app: str, entities: Iterable[str], **about: Any) -> None:
        """Append a line that is about these entities of an application."""
        who = [self._names.of(app, entity) for entity in entities]
        line = to_json({"at": at.isoformat(timespec="milliseconds"), "app": app, "of": who, **about})
        file = self._open(at.date() if at.tzinfo is UTC else at.astimezone(UTC).date())
        file.write(line + b"\n")
        file.flush()

    def about(self, app: str, entity: str) -> Iterator[dict[str, Any]]:
        """Yield the lines about an entity, oldest first."""
        wanted = self._names.of(app, entity)
        for file in sorted(self._folder.glob("*.jsonl")):
            for line in file.read_text("utf-8").splitlines():
                if wanted in line:
                    yield json.loads(line)

    def close(self) -> None:
        """Close the file of the day."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, day: date) -> IO[bytes]:
        if self._file is None or day != self._day:
            self.close()
            self._day = day
            self._remove_before(day - timedelta(days=self._keep_days))
            self._file = (self._folder / f"{day}.jsonl").open("ab")
        return self._file

    def _remove_before(self, day: date) -> None:
        for file in self._folder.glob("*.jsonl"):
            if file.stem < day.isoformat():
                file.unlink()
