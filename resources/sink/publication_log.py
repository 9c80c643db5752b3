"""Who published what for which day: one folder of numbered files per day, the newest of which is what stands."""

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from models.errors import TesseraError
from models.publishing import Publication, last_set


class PublicationLog:
    """The append-only history of one application's publications.

    Record 1, 2, 3... of a day are files `<day>/000001.json`, ... The newest records are the pointer: publishing is the
    appearance of one file under its name, which `os.replace` makes atomic, so pointer and history cannot disagree.
    Callers that append hold the application's lock.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, record: Publication) -> None:
        """The record is the newest of its day, and still is after a power failure."""
        folder = self._folder / record.day.isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        files = self._files(record.day)
        number = int(files[-1].stem) + 1 if files else 1
        unfinished = folder / "unfinished.tmp"
        unfinished.write_text(record.model_dump_json(indent=2) + "\n")
        sync(unfinished)
        unfinished.replace(folder / f"{number:06d}.json")
        sync(folder)
        sync(self._folder)

    def records(self, day: date) -> Sequence[Publication]:
        """Every record of the day, oldest first."""
        return [_read(file) for file in self._files(day)]

    def standing(self, day: date) -> Publication | None:
        """What is published for the day, or None."""
        files = self._files(day)
        newest = _read(files[-1]) if files else None
        if newest and newest.action == "forget":  # it may concern an earlier set than the one that stands
            last, stands = last_set(self.records(day))
            return last if stands else None
        return newest if newest and newest.action == "publish" else None

    def named(self, day: date, attempt: str) -> Publication | None:
        """The newest record of the day that names the attempt; None also when it became another one since."""
        naming = [record for record in self.records(day) if attempt in (record.attempt, record.was)]
        return naming[-1] if naming and naming[-1].attempt == attempt else None

    def days(self) -> Sequence[date]:
        """Days with at least one record, ascending."""
        folders = sorted(self._folder.glob("[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"))
        return [day for day in (date.fromisoformat(folder.name) for folder in folders) if self._files(day)]

    def _files(self, day: date) -> list[Path]:
        return sorted((self._folder / day.isoformat()).glob("[0-9]*.json"))


def _read(file: Path) -> Publication:
    try:
        return Publication.model_validate_json(file.read_text())
    except ValidationError as error:
        raise TesseraError(
            f"The publication record {file} cannot be read: {error.errors()[0]['msg']}.",
            expected="the JSON that was written",
            todo="Restore it from a backup; without it, nobody can say what was published for this day.",
        ) from error


def sync(path: Path) -> None:
    """The file's content, or the folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
