"""Units of delivery: which rows arrived together, recognised by their bytes whatever the file is called today."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

    @property
    def is_header(self) -> bool:
        """True for a file without any row: its bytes are those of many files, so they are no sign of any one."""
        return self.first_row == 0 and self.last_row < 0


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
    """Return the unit of the rows of `file` that no known unit covers."""
    return Unit(file.name, file.size, file.sha256, file.modified_ns, first_row, last_row, rows)


def recognise(
    files: Mapping[str, Path], known: Iterable[Unit], *, grows: Mapping[str, bool]
) -> tuple[dict[Unit, Path], list[FreshFile]]:
    """Known units that `files` (by name) still hold, and files with other rows.

    Each unit is found in one file at most, and each file holds the units of one recorded file. A file is read unless
    name, size and time of modification are those of a unit. Equal content counts before content that a longer file
    begins with, and the file's own name before other names. Nothing follows from a header alone: a file that holds
    no more is known if a unit is equal to it, and a file that got its first rows is a new one.

    Args:
        files: the present files by name.
        known: units recorded before, present or not.
        grows: names of files to which rows can be appended; other files can only be replaced.
    """
    recorded = [*dict.fromkeys(known)]
    left = dict.fromkeys(unit for unit in recorded if not unit.is_header)  # in the order of `known`
    headers = dict.fromkeys(unit for unit in recorded if unit.is_header)
    present: dict[Unit, Path] = {}
    fresh: list[FreshFile] = []

    def take(name: str, units: Sequence[Unit], of: dict[Unit, None]) -> None:
        present.update(dict.fromkeys(units, files[name]))
        for unit in units:
            del of[unit]

    for name, unit in _unchanged(files, left).items():
        take(name, [unit], left)
    unread = {*present.values()}
    contents = {name: _Content(name, path, recorded) for name, path in sorted(files.items()) if path not in unread}
    for longer, own, names in _turns(contents):
        for name in [name for name in names if name in contents and (grows[name] or not longer)]:
            if found := contents[name].held(left, longer=longer, own=own):
                take(name, found, left)
                fresh += contents.pop(name).rest(found)
            elif not longer and (same := contents[name].held(headers, longer=False, own=own)):
                take(name, same, headers)
                del contents[name]
    return present, sorted([*fresh, *(content.whole for content in contents.values())], key=lambda file: file.name)


def _turns(contents: "Mapping[str, _Content]") -> Iterator[tuple[bool, bool, list[str]]]:
    """Return the order in which files find their units: `longer`, `own` (of the file's name only), names of the files.

    Of equal files each first finds its own. Larger ones come before smaller ones, which may equal what they begin with.
    """
    equal: dict[tuple[int, str], list[str]] = {}
    for name, content in contents.items():
        equal.setdefault((content.whole.size, content.whole.sha256), []).append(name)
    for _, names in sorted(equal.items(), reverse=True):
        yield from ((False, own, names) for own in (True, False))
    yield from ((True, own, [*contents]) for own in (True, False))


def _unchanged(files: Mapping[str, Path], known: Iterable[Unit]) -> dict[str, Unit]:
    """Return the unit of each file that is the whole of it by its size and time of modification."""
    found: dict[str, Unit] = {}
    for unit in known:
        if unit.name in files and unit.name not in found and unit.first_row <= 1:
            status = files[unit.name].stat()
            if (status.st_size, status.st_mtime_ns) == (unit.size, unit.modified_ns):
                found[unit.name] = unit
    return found


class _Content:
    """The bytes of a file as digests up to the size of each of `units`."""

    def __init__(self, name: str, path: Path, units: Iterable[Unit]) -> None:
        status = path.stat()
        self._digests, self._ends_line = _digests(path, status.st_size, {unit.size for unit in units})
        self.whole = FreshFile(name, path, status.st_size, self._digests[status.st_size], status.st_mtime_ns, None)

    def held(self, units: Iterable[Unit], *, longer: bool, own: bool) -> list[Unit]:
        """Units of one recorded file that this one holds from its first byte on, from the last to the first.

        Args:
            units: those that no other file holds.
            longer: there may be more behind them.
            own: the last of them was recorded under this file's name.
        """
        found = [unit for unit in units if self._digests.get(unit.size) == unit.sha256]
        ends = [unit for unit in found if unit.size == self.whole.size or (longer and self._ends_line[unit.size])]
        ends.sort(key=lambda unit: (unit.size, unit.last_row, unit.name == self.whole.name), reverse=True)
        chains = (_chain(end, found) for end in ends if end.name == self.whole.name or not own)
        return next(filter(None, chains), [])

    def rest(self, held: Sequence[Unit]) -> list[FreshFile]:
        """Return the rows behind the units that the file holds, if there is anything behind them."""
        if held[0].size == self.whole.size:
            return []
        return [replace(self.whole, first_row=held[0].last_row + 1)]


def _chain(end: Unit, units: Sequence[Unit]) -> list[Unit]:
    """`end` and what of `units` it was appended to, back to the first row; empty if a part is missing."""
    if end.first_row <= 1:
        return [end]
    before = [unit for unit in units if unit.size < end.size and unit.last_row + 1 == end.first_row]
    before.sort(key=lambda unit: (unit.name == end.name, unit.size), reverse=True)
    return next(([end, *chain] for unit in before if (chain := _chain(unit, units))), [])


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
