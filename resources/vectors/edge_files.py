"""Files of collections on this machine: a folder per collection, in it one per version.

    <collection>/pointer.json            the version that is served, the last one ever begun, all that were published
    <collection>/lock                    held by the writer of the collection
    <collection>/<number>/version.json   description, state, revision
    <collection>/<number>/parts/         rows of a version that is not sealed, as Arrow files; later ones count
    <collection>/<number>/<revision>/    `rows.arrow`, `bm25` and the shard; an erasure writes the next revision
    <collection>/<number>/<revision>/replaced   one byte, 0 while the record names this revision; readers map it

Whatever is written is written beside the old files, and one rename of a JSON file makes it count.
"""

from __future__ import annotations

import errno
import mmap
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from models.vectors.rows import stored_schema
from models.vectors.spec import IndexSpec
from resources.durability import replace_durably, sync_all

# pyright: reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.


T = TypeVar("T")
_MARK = "replaced"
_REMOVAL_SECONDS, _PAUSE_SECONDS = 10.0, 0.02


class Pointer(BaseModel):
    """The version that is served, the last one ever begun, and all that were ever served."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    current: int | None = None
    last: int = 0
    published: tuple[int, ...] = ()


class VersionRecord(BaseModel):
    """Description and state of a version.

    Attributes:
        revision: 0 until it is sealed; each erasure that finds a row writes the next one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: IndexSpec
    state: Literal["begun", "sealed"] = "begun"
    rows: int = 0
    revision: int = 0


@dataclass(frozen=True)
class VersionFolder:
    """The folder of one version."""

    path: Path

    @property
    def record_file(self) -> Path:
        """The file that makes the version exist."""
        return self.path / "version.json"

    def read(self) -> VersionRecord:
        """Return the record."""
        return VersionRecord.model_validate_json(self.record_file.read_bytes())

    def of_revision(self, read: Callable[[VersionRecord], T]) -> T:
        """Return what `read` finds in the newest revision; read again when an erasure replaced it meanwhile.

        Raises:
            FileNotFoundError: the version was removed, or a file of its revision is missing.
        """
        record = self.read()
        while True:
            try:
                return read(record)
            except FileNotFoundError:
                newest = self.read()
                if newest.revision == record.revision:
                    raise
                record = newest

    def mark(self, record: VersionRecord) -> mmap.mmap | bytes:
        """Return one byte that is 0 until the record is about to be replaced or removed: read without a system call.

        1 says that only the record itself tells: an earlier release wrote the revision, or a process was killed.
        """
        try:
            with (self.revision(record) / _MARK).open("rb") as file:
                return mmap.mmap(file.fileno(), 1, access=mmap.ACCESS_READ)
        except (FileNotFoundError, ValueError):
            return b"\1"

    def warn_readers(self) -> None:
        """Make readers of the record's revision look at the record; to be called before it changes.

        A reader that looks after the record has changed finds the byte set, even if this process is killed in between.
        """
        if self.record_file.exists():
            mark = self.revision(self.read()) / _MARK
            if mark.exists():
                with mark.open("r+b") as file:
                    file.write(b"\1")

    def write(self, record: VersionRecord) -> None:
        """Replace the record, and remove the files that it does not name."""
        self.warn_readers()
        replace_durably(self.record_file, record.model_dump_json().encode())
        self.clean(record)

    def clean(self, record: VersionRecord) -> None:
        """Remove what the record does not name: a process was killed before it could."""
        kept = {self.record_file.name, str(record.revision), *(["parts"] if record.state == "begun" else [])}
        for entry in self.path.iterdir():
            if entry.name not in kept:
                remove_folder(entry) if entry.is_dir() else entry.unlink()

    def revision(self, record: VersionRecord) -> Path:
        """Return the folder of the record's revision."""
        return self.path / str(record.revision)

    def shard(self, record: VersionRecord) -> Path:
        """Return the folder of the shard."""
        return self.revision(record) / "shard"

    def statistics(self, record: VersionRecord) -> Path:
        """Return the file of BM25's statistics."""
        return self.revision(record) / "bm25"

    def rows(self, record: VersionRecord) -> pa.Table:
        """Return the rows of a sealed version, mapped into memory."""
        return _read(self.revision(record) / "rows.arrow")

    def write_rows(self, record: VersionRecord, rows: pa.Table, statistics: bytes) -> None:
        """Begin the record's revision with its rows; a folder that a killed process left is replaced."""
        folder = self.revision(record)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _write(folder / "rows.arrow", rows)
        (folder / "bm25").write_bytes(statistics)
        (folder / _MARK).write_bytes(b"\0")
        sync_all([folder / "rows.arrow", folder / "bm25"], self.path)

    def add_part(self, rows: pa.Table) -> None:
        """Add rows to a version that is not sealed."""
        folder = self.path / "parts"
        folder.mkdir(exist_ok=True)
        numbers = [int(file.stem) for file in folder.glob("*.arrow")]
        file = folder / f"{max(numbers, default=0) + 1:06d}.arrow"
        _replace(file, rows)

    def parts(self) -> pa.Table | None:
        """Return the newest row of each id of a version that is not sealed, ascending by id; None: there is none."""
        files = self._part_files()
        if not files:
            return None
        rows = pa.concat_tables([_read(file) for file in files])
        ids = rows["id"].to_pylist()
        newest = {id: at for at, id in enumerate(ids)}
        return rows.take(pa.array([newest[id] for id in sorted(newest)], pa.int64()))

    def remove_from_parts(self, column: str, values: Sequence[str]) -> list[str]:
        """Return the ids of the rows removed: those that have one of the values in the column."""
        gone: set[str] = set()
        for file in self._part_files():
            rows = _read(file)
            fits = pc.fill_null(pc.is_in(rows[column], pa.array(values, pa.string())), False)
            if pc.any(fits).as_py():
                gone.update(rows.filter(fits)["id"].to_pylist())
                _replace(file, rows.filter(pc.invert(fits)))
        return sorted(gone)

    def _part_files(self) -> list[Path]:
        return sorted((self.path / "parts").glob("*.arrow"))


def empty_rows(spec: IndexSpec) -> pa.Table:
    """Return a table without rows, as stores hold them."""
    return stored_schema(spec).empty_table()


def version_folders(collection: Path) -> Iterable[tuple[int, VersionFolder]]:
    """Return number and folder of each version of a collection, ascending."""
    numbers = sorted(int(entry.name) for entry in collection.iterdir() if entry.name.isdigit())
    folders = ((number, VersionFolder(collection / str(number))) for number in numbers)
    return [(number, folder) for number, folder in folders if folder.record_file.exists()]


def remove_folder(folder: Path) -> None:
    """Remove a folder into which the engine of a reader may still write: it does when it opens or closes a shard."""
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)


def _write(file: Path, rows: pa.Table) -> None:
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())


def _replace(file: Path, rows: pa.Table) -> None:
    unfinished = file.with_suffix(".tmp")
    _write(unfinished, rows)
    sync_all([unfinished], file.parent)
    unfinished.replace(file)
    sync_all([], file.parent)


def _read(file: Path) -> pa.Table:
    with pa.memory_map(str(file)) as source:
        return pa.ipc.open_file(source).read_all()
