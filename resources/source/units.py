"""Units of delivery: which rows arrived together, recognised by their bytes whatever the file is called today."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

_READ_BYTES = 2**20


@dataclass(frozen=True, order=True)
class Unit:
    """Rows that arrived together: a whole file, or the lines appended to a known file.

    Attributes:
        name: path of the file, relative to the location of its table.
        size: length of the file up to the end of the unit, bytes.
        sha256: digest of the file up to the end of the unit.
        modified_ns: time of last modification when it was read, ns since the epoch.
        first_row: place of its first row in the file.
        last_row: place of its last row in the file; `first_row - 1` if it has none.
        rows: physical rows, those that the profile's `where` excludes included.
    """

    name: str
    size: int
    sha256: str
    modified_ns: int
    first_row: int
    last_row: int
    rows: int


@dataclass(frozen=True)
class NewUnit:
    """A unit that was not known: rows by own day; rows that the profile excludes are in no day."""

    unit: Unit
    rows_by_day: Mapping[date, int]


@dataclass(frozen=True)
class Units:
    """Units of a table that the source holds: those of the known ones that are still there, and new ones."""

    present: Sequence[Unit]
    new: Sequence[NewUnit]


@dataclass(frozen=True)
class Slice:
    """Rows of one own day of a unit, to be delivered on `delivered_on`; earlier `number` first within that day."""

    unit: Unit
    day: date
    delivered_on: date
    number: int


@dataclass(frozen=True)
class FreshFile:
    """A file with rows that no known unit covers: those from `first_row` on, None: all."""

    name: str
    path: Path
    size: int
    sha256: str
    modified_ns: int
    first_row: int | None


def unit_of(file: FreshFile, first_row: int, last_row: int, rows: int) -> Unit:
    """The unit of the rows of `file` that no known unit covers."""
    return Unit(file.name, file.size, file.sha256, file.modified_ns, first_row, last_row, rows)


def recognise(
    files: Mapping[str, Path], known: Iterable[Unit], *, grows: Mapping[str, bool]
) -> tuple[dict[Unit, Path], list[FreshFile]]:
    """Known units that `files` (by name) still hold, and files with other rows.

    A file is read unless size and time of modification are those of a known unit of its name. A file under a new name
    is compared with units whose file is gone: it may have been moved.

    Args:
        files: the present files by name.
        known: units recorded before, present or not.
        grows: names of files to which rows can be appended; other files can only be replaced.
    """
    by_name: dict[str, list[Unit]] = {}
    for unit in known:
        by_name.setdefault(unit.name, []).append(unit)
    gone = [unit for name, units in by_name.items() if name not in files for unit in units]
    present: dict[Unit, Path] = {}
    fresh: list[FreshFile] = []
    for name, path in sorted(files.items()):
        found, rest = _compare(name, path, by_name.get(name) or gone, grows=grows[name])
        present |= dict.fromkeys(found, path)
        gone = [unit for unit in gone if unit not in found]  # of two copies of a moved file, one is new
        fresh += [rest] if rest else []
    return present, fresh


def _compare(name: str, path: Path, known: list[Unit], *, grows: bool) -> tuple[list[Unit], FreshFile | None]:
    status = path.stat()
    for unit in known:
        same = (unit.name, unit.size, unit.modified_ns) == (name, status.st_size, status.st_mtime_ns)
        if same and _is_whole(unit, known):
            return [unit], None
    digests, ends_line = _digests(path, status.st_size, {unit.size for unit in known})
    whole = FreshFile(name, path, status.st_size, digests[status.st_size], status.st_mtime_ns, None)
    found = [unit for unit in known if digests.get(unit.size) == unit.sha256]
    covered = max(found, key=lambda unit: (unit.size, unit.last_row), default=None)
    if covered is None:
        return [], whole
    if covered.size == status.st_size:
        return found, None
    if grows and ends_line[covered.size]:
        return found, replace(whole, first_row=covered.last_row + 1)
    return [], whole


def _is_whole(unit: Unit, known: list[Unit]) -> bool:
    """True if the unit is not the continuation of another one."""
    return not any(other.last_row + 1 == unit.first_row and other.size < unit.size for other in known)


def _digests(path: Path, size: int, marks: set[int]) -> tuple[dict[int, str], dict[int, bool]]:
    """SHA-256 of the first `n` bytes for each mark `n` up to `size`, and whether a line ends there."""
    digest, at = hashlib.sha256(), 0
    digests: dict[int, str] = {}
    ends_line: dict[int, bool] = {}
    last = b"\n"
    with path.open("rb") as file:
        for mark in sorted({mark for mark in marks if mark < size} | {size}):
            while at < mark and (block := file.read(min(_READ_BYTES, mark - at))):
                digest.update(block)
                at, last = at + len(block), block[-1:]
            digests[mark] = digest.copy().hexdigest()
            following = file.read(1)
            if following:
                file.seek(-1, 1)
            ends_line[mark] = last in (b"\n", b"\r") or following in (b"\n", b"\r", b"")
    return digests, ends_line
