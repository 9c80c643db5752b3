"""Append-only records of days on the local disk: one folder per day, one numbered JSON file per record.

Record 1, 2, 3... of a day are files `<day>/000001.json`, ... A record appears under its name at once (`os.replace`).
The file `<day>/head` then holds the newest number, so that a newest record that is lost, emptied or planted is noticed
instead of the one before being taken for the newest. A crash between the two leaves `head` one behind, which counts as
sound. Damaged files are kept beside the others as `*.damaged` as soon as the day gets a new record.
"""

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from models.publishing import AuditVerdict, Publication
from resources.durability import sync
from resources.sink.port import DamagedScores

_RECORD = re.compile(r"\d{6}\.json")
_HEAD = "head"


R = TypeVar("R", Publication, AuditVerdict)


class RecordLog(Generic[R]):
    """The records of one application; callers that append hold the application's lock.

    Args:
        folder: one folder per day in it.
        app: the application that every record must name.
        model: class of the records.
    """

    def __init__(self, folder: Path, app: str, model: type[R]) -> None:
        self._folder, self._app, self._model = folder, app, model

    def append(self, record: R) -> None:
        """Make the record the newest of its day; it survives a power failure."""
        folder = self._folder / record.day.isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        self._set_damage_aside(record.day)
        number = max(self._number(record.day), self._head(record.day)) + 1
        if number > 1:
            self._write(folder / _HEAD, f"{number - 1}\n")
        self._write(folder / f"{number:06d}.json", record.model_dump_json(indent=2) + "\n")
        self._write(folder / _HEAD, f"{number}\n")
        sync(self._folder)

    def records(self, day: date) -> Sequence[R]:
        """Every record of the day, oldest first.

        Raises:
            DamagedScores: a record is lost or unreadable.
        """
        self._require_newest(day)
        return [self._read(file) for file in self._files(day)]

    def readable(self, day: date) -> Sequence[R]:
        """Return the records of the day that can be read, oldest first; damaged ones are left out."""
        found = (self._parsed(file) for file in self._files(day))
        return [record for record in found if not isinstance(record, str)]

    def newest(self, day: date) -> R | None:
        """Return the newest record of the day, or None.

        Raises:
            DamagedScores: it is lost or unreadable.
        """
        self._require_newest(day)
        files = self._files(day)
        return self._read(files[-1]) if files else None

    def days(self) -> Sequence[date]:
        """Days with at least one record, damaged ones included; ascending."""
        days = (_day(folder.name) for folder in sorted(self._folder.glob("*")))
        return [day for day in days if day is not None and (self._files(day) or self._head(day))]

    def damage(self, day: date) -> str:
        """Describe the damage to the day's records; empty if there is none."""
        try:
            self.records(day)
        except DamagedScores as error:
            return error.what
        return ""

    def _files(self, day: date) -> list[Path]:
        files = (self._folder / day.isoformat()).glob("*.json")
        return sorted(file for file in files if _RECORD.fullmatch(file.name))

    def _number(self, day: date) -> int:
        files = self._files(day)
        return int(files[-1].stem) if files else 0

    def _head(self, day: date) -> int:
        """Return number of the newest record that is known to have been complete; 0 if none is."""
        try:
            text = (self._folder / day.isoformat() / _HEAD).read_text()
        except (OSError, UnicodeDecodeError):
            return 0
        return int(text) if re.fullmatch(r"\d{1,6}\n", text) else 0

    def _require_newest(self, day: date) -> None:
        # Read in the order of writing, so that a writer at work is not taken for damage: a record, then `head`.
        before, newest, head = self._head(day), self._number(day), self._head(day)
        if not before <= newest <= head + 1:
            place = self._folder / day.isoformat()
            raise self._damaged(
                day, f"{place} holds records up to number {newest}, and its file {_HEAD!r} names {head}"
            )

    def _read(self, file: Path) -> R:
        found = self._parsed(file)
        if isinstance(found, str):
            raise self._damaged(date.fromisoformat(file.parent.name), found)
        return found

    def _parsed(self, file: Path) -> R | str:
        """Return the record, or what is wrong with it."""
        try:
            record = self._model.model_validate_json(file.read_bytes())
        except ValidationError as error:
            return f"The record {file} cannot be read: {error.errors()[0]['msg']}"
        except OSError as error:
            return f"The record {file} cannot be read: {error.strerror}"
        if (record.app, record.day.isoformat()) != (self._app, file.parent.name):
            return f"The record {file} is of {record.app} {record.day}"
        return record

    def _set_damage_aside(self, day: date) -> None:
        """Rename what is no record of this log, so that the day's next record is the newest again."""
        beyond = self._head(day) + 1
        for file in self._files(day):
            lost_head = not self._head(day)
            if isinstance(self._parsed(file), str) or (int(file.stem) > beyond and not lost_head):
                file.replace(file.with_name(f"{file.name}.damaged"))

    def _write(self, file: Path, text: str) -> None:
        if file.name == _HEAD and file.exists() and file.read_bytes() == text.encode():
            return
        unfinished = file.with_name("unfinished.tmp")
        unfinished.write_text(text)
        sync(unfinished)
        unfinished.replace(file)
        sync(file.parent)

    def _damaged(self, day: date, what: str) -> DamagedScores:
        return DamagedScores(
            f"{what}.",
            expected="the records that were written",
            todo=f"Publish the day again: `tessera run {self._app}_nightly --date {day}`. Damaged files are kept.",
        )


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", name) else None
    except ValueError:
        return None
