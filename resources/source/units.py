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

    Each unit is found in one file at most, and each file holds the units of one recorded file. A file is compared with
    the units of its own name first: it is read unless size and time of modification are those of one of them. What it
    does not hold then may have been moved: all other files are compared with it, equal ones before longer ones.

    Args:
        files: the present files by name.
        known: units recorded before, present or not.
        grows: names of files to which rows can be appended; other files can only be replaced.
    """
    left = dict.fromkeys(known)  # in the order of `known`
    present: dict[Unit, Path] = {}
    fresh: list[FreshFile] = []

    def take(units: Sequence[Unit], name: str, rest: FreshFile | None) -> None:
        present.update(dict.fromkeys(units, files[name]))
        for unit in units:
            del left[unit]
        fresh.extend([rest] if rest else [])

    by_name: dict[str, list[Unit]] = {}
    for unit in left:
        by_name.setdefault(unit.name, []).append(unit)
    for name in files.keys() & by_name.keys():
        own = by_name[name]
        if unread := _unchanged(name, files[name], own):
            take(unread, name, None)
            continue
        content = _Content(name, files[name], own)
        if found := content.held(own, longer=grows[name]):
            take(found, name, content.rest(found))
    for name in sorted(files.keys() & by_name.keys()):
        # Rows that were appended under this name, to a file that was recorded under another one.
        own = [unit for unit, path in present.items() if path == files[name]]
        begin = min(own, key=lambda unit: (unit.first_row, unit.size), default=None)
        if begin is not None and begin.first_row > 1 and left:
            take(_Content(name, files[name], left).before(begin, left), name, None)
    known_files = {*present.values()}
    others = {name: _Content(name, path, left) for name, path in sorted(files.items()) if path not in known_files}
    for longer in (False, True):
        for name in [name for name in others if grows[name] or not longer]:
            if found := others[name].held(left, longer=longer):
                take(found, name, others.pop(name).rest(found))
    fresh += [content.whole for content in others.values()]
    return present, sorted(fresh, key=lambda file: file.name)


def _unchanged(name: str, path: Path, own: list[Unit]) -> list[Unit]:
    """The unit that is the whole file by its size and time of modification."""
    status = path.stat()
    same = (name, status.st_size, status.st_mtime_ns)
    return [unit for unit in own if (unit.name, unit.size, unit.modified_ns) == same and _is_whole(unit, own)][:1]


class _Content:
    """The bytes of a file as digests up to the size of each of `units`."""

    def __init__(self, name: str, path: Path, units: Iterable[Unit]) -> None:
        status = path.stat()
        self._digests, self._ends_line = _digests(path, status.st_size, {unit.size for unit in units})
        self.whole = FreshFile(name, path, status.st_size, self._digests[status.st_size], status.st_mtime_ns, None)

    def held(self, units: Iterable[Unit], *, longer: bool) -> list[Unit]:
        """Units of one recorded file that this one holds from its first byte on; `longer`: and more behind them."""
        found = [unit for unit in units if self._digests.get(unit.size) == unit.sha256]
        ends = [unit for unit in found if unit.size == self.whole.size or (longer and self._ends_line[unit.size])]
        if not ends:
            return []
        held = [max(ends, key=lambda unit: (unit.size, unit.last_row, unit.name == self.whole.name))]
        while before := [unit for unit in found if _continues(held[-1], unit)]:
            held.append(max(before, key=lambda unit: (unit.name == held[-1].name, unit.size)))
        return held

    def before(self, begin: Unit, units: Iterable[Unit]) -> list[Unit]:
        """Units that this file holds in front of `begin`."""
        found, held = [unit for unit in units if self._digests.get(unit.size) == unit.sha256], [begin]
        while before := [unit for unit in found if _continues(held[-1], unit)]:
            held.append(max(before, key=lambda unit: (unit.name == held[-1].name, unit.size)))
        return held[1:]

    def rest(self, held: Sequence[Unit]) -> FreshFile | None:
        """What follows the units that the file holds."""
        if held[0].size == self.whole.size:
            return None
        return replace(self.whole, first_row=held[0].last_row + 1)


def _continues(unit: Unit, before: Unit) -> bool:
    """True if `unit` is what was appended to a file behind `before`."""
    is_header = not before.rows and not before.first_row and unit.first_row <= 1
    return before.size < unit.size and (before.last_row + 1 == unit.first_row or is_header)


def _is_whole(unit: Unit, known: list[Unit]) -> bool:
    """True if the unit is not the continuation of another one."""
    return not any(_continues(unit, other) for other in known)


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
