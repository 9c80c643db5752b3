"""The Delta table of one application's score rows: attempts are partitions of files."""

import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from models.errors import TesseraError, choose_from
from resources.durability import sync
from resources.file_states import State, state_of
from resources.sink.attempt_files import ROW, AttemptFile, schema_of, write_files
from resources.sink.port import DamagedScores

_PARTITIONS = ["day", "attempt"]
_PARTITION_FIELDS = (pa.field("day", pa.date32(), nullable=False), pa.field("attempt", pa.string(), nullable=False))
#: A checkpoint each 20 commits keeps opening a table cheap, however many nights it holds.
_SETTINGS = {"delta.checkpointInterval": "20", "delta.logRetentionDuration": "interval 30 days"}

#: Day and name of an attempt.
Key = tuple[date, str]

_LOG = "_delta_log"
#: Tables that this process opened last, by folder, each with the state of the log that it was read from: reading a log
#: takes 5 ms, looking at its files 0.1 ms, and a publication asks a dozen times.
_KEPT = 16
_OPEN: dict[str, tuple[State, DeltaTable]] = {}
_LOCK = Lock()


class ScoreTable:
    """Delta table of an application's score attempts; writers must hold the application's lock.

    Args:
        folder: of the Delta table.
        app: the application, as messages name it.
    """

    def __init__(self, folder: Path, app: str) -> None:
        self.folder, self._app = folder, app

    def open(self) -> DeltaTable | None:
        """Return the table to read (readers of this process share it), or None if nothing was ever written.

        Raises:
            DamagedScores: the table's log cannot be read.
        """
        state, key = state_of(self.folder / _LOG), str(self.folder)
        with _LOCK:
            known = _OPEN.get(key)
        if known is not None and known[0] == state:
            return known[1]
        table = self._alone()
        with _LOCK:
            _OPEN.pop(key, None)
            if table is not None:  # a write since `state` was read is seen by the next reader
                _OPEN[key] = (state, table)
            while len(_OPEN) > _KEPT:
                _OPEN.pop(next(iter(_OPEN)))
        return table

    def _alone(self) -> DeltaTable | None:
        """Return the table for a writer, who updates it."""
        try:
            return DeltaTable(self.folder)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            raise DamagedScores(
                f"The Delta log of {self.folder} cannot be read: {str(error).splitlines()[0]}.",
                expected="the log as it was written",
                todo=f"Run `tessera run {self._app}_nightly`: a night restores the log from the files it finds.",
            ) from error

    def columns(self) -> list[str]:
        """Names of the columns of the rows; empty if nothing was ever written."""
        table, own = self.open(), {ROW.name, *_PARTITIONS}
        return [field.name for field in table.schema().fields if field.name not in own] if table else []

    def actions(self, table: DeltaTable | None) -> list[dict[str, Any]]:
        """Return the log's entry of each file of the table."""
        return pa.table(table.get_add_actions(flatten=True)).to_pylist() if table else []

    def files(self, day: date, attempt: str) -> list[AttemptFile]:
        """Files of an attempt.

        Raises:
            DamagedScores: there is no such attempt, or the log cannot be read.
        """
        actions = [action for action in self.actions(self.open()) if action["partition.day"] == day]
        files = [self._file(action) for action in actions if action["partition.attempt"] == attempt]
        if not files:
            raise DamagedScores(
                f"There is no attempt {attempt!r} of {day} in the scores of {self._app!r}.",
                expected=choose_from(attempt, {action["partition.attempt"] for action in actions}),
                todo=f"Score the day: `tessera run {self._app}_nightly --date {day}`.",
            )
        return files

    def write(self, day: date, attempt: str, rows: pa.RecordBatchReader, rows_per_file: int) -> list[AttemptFile]:
        """New files beside the table, which name no attempt until they are committed.

        Raises:
            FileNotFoundError: a file was removed meanwhile.
        """
        files = write_files(self._place(day, attempt), rows, rows_per_file=rows_per_file)
        sync(self._place(day, attempt).parent)
        sync(self.folder)
        return files

    def commit(self, day: date, attempt: str, files: Sequence[AttemptFile]) -> None:
        """One version of the table in which the attempt is exactly these files; it survives a power failure."""
        table = self._created(schema_of(files[0]))
        earlier = [_removed(action) for action in self.actions(table) if key_of(action) == (day, attempt)]
        self._transact(table, [*(self._added(file, day, attempt) for file in files), *earlier])

    def remove(self, actions: Sequence[Mapping[str, Any]]) -> None:
        """One version of the table without these files, which stay on the disk."""
        table = self._alone()
        if actions and table:
            self._transact(table, [_removed(action) for action in actions])

    def remove_unreferenced(self, keep_hours: int) -> int:
        """Return number of files deleted that no version of the last `keep_hours` uses."""
        table = self.open()
        if table is None:
            return 0
        # Only listed by deltalake: its own removal adds two versions in which nothing changes.
        unused = table.vacuum(retention_hours=keep_hours, dry_run=True, enforce_retention_duration=False, full=True)
        present = [path for path in (self.folder / name for name in unused) if path.is_file()]
        for path in present:
            path.unlink()
        return len(present)

    def damaged(self) -> dict[Key, str]:
        """Return attempts of which a file is gone or has another size than when it was written; no file is opened."""
        found: dict[Key, str] = {}
        for action in self.actions(self.open()):
            path = self.folder / action["path"]
            size = path.stat().st_size if path.is_file() else -1
            if size != action["size_bytes"]:
                lacks = "is gone" if size < 0 else f"has {size} bytes, not {action['size_bytes']}"
                found[key_of(action)] = f"{path} {lacks}"
        return found

    def set_log_aside(self) -> None:
        """Keep an unreadable log as `_delta_log.damaged-<n>`; the table holds nothing until files are committed."""
        log = self.folder / _LOG
        number = len(list(self.folder.glob(f"{log.name}.damaged-*"))) + 1
        log.replace(log.with_name(f"{log.name}.damaged-{number}"))

    def found(self, day: date, attempt: str) -> list[AttemptFile]:
        """Readable files on disk that may be an attempt, one for each first row, whatever the log says."""
        paths = sorted(self._place(day, attempt).glob("*.parquet"))
        files = {file.first_row: file for file in map(_measured, paths) if file}
        return [files[first] for first in sorted(files)]

    def require_columns(self, schema: pa.Schema) -> None:
        """Refuse rows of other columns than those that the table holds already.

        Raises:
            TesseraError: another name, type or order.
        """
        table = self.open()
        if table is not None and not _same_columns(table, schema):
            held = [field.name for field in table.schema().fields]
            raise TesseraError(
                f"The scores of {self._app} in {self.folder} have the columns {held}, not {schema.names} with their "
                "types.",
                expected="one output contract for all days of an application",
                todo=f"Publish under another application's name, or move the folder {self.folder} away.",
            )

    def _created(self, schema: pa.Schema) -> DeltaTable:
        table = self._alone()
        if table is None:
            columns = _delta_schema(schema)
            table = DeltaTable.create(self.folder, columns, partition_by=_PARTITIONS, configuration=_SETTINGS)
            self._sync_log()
        return table

    def _transact(self, table: DeltaTable, actions: Sequence[AddAction | RemoveAction]) -> None:
        table.create_write_transaction(list(actions), "append", table.schema(), _PARTITIONS)
        self._sync_log()

    def _sync_log(self) -> None:
        """Flush the newest entry and checkpoint of the log to disk."""
        log = self.folder / _LOG
        for written in (log.glob("*.json"), log.glob("*.parquet"), log.glob("_last_checkpoint")):
            newest = max(written, default=None)
            if newest:
                sync(newest)
        sync(log)
        sync(self.folder)

    def _place(self, day: date, attempt: str) -> Path:
        return self.folder / f"day={day.isoformat()}" / f"attempt={attempt}"

    def _file(self, action: Mapping[str, Any]) -> AttemptFile:
        return AttemptFile(self.folder / action["path"], action.get("min.row") or 0, action["num_records"])

    def _added(self, file: AttemptFile, day: date, attempt: str) -> AddAction:
        partition: dict[str, str | None] = {"day": day.isoformat(), "attempt": attempt}
        path = file.path.relative_to(self.folder).as_posix()
        return AddAction(path, file.path.stat().st_size, partition, int(time.time() * 1000), True, file.statistics())


def key_of(action: Mapping[str, Any]) -> Key:
    """Day and attempt of a file of the table."""
    return action["partition.day"], action["partition.attempt"]


def _delta_schema(schema: pa.Schema) -> Schema:
    plain = [field.remove_metadata() for field in schema]
    return Schema.from_arrow(pa.schema([*plain, ROW, *_PARTITION_FIELDS]))


def _same_columns(table: DeltaTable, schema: pa.Schema) -> bool:
    return table.schema().to_json() == _delta_schema(schema).to_json()


def _removed(action: Mapping[str, Any]) -> RemoveAction:
    day, attempt = key_of(action)
    partition: dict[str, str | None] = {"day": day.isoformat(), "attempt": attempt}
    return RemoveAction(action["path"], True, int(time.time() * 1000), action["size_bytes"], partition)


def _measured(path: Path) -> AttemptFile | None:
    """First row and number of rows by the file's own statistics; None if it is no complete file of an attempt."""
    try:
        with pq.ParquetFile(path) as file:
            if file.schema_arrow.names[-1:] != [ROW.name]:
                return None
            numbers = next(file.iter_batches(batch_size=1, columns=[ROW.name]), None)
            first = numbers.column(0)[0].as_py() if numbers is not None and len(numbers) else 0
            return AttemptFile(path, first, file.metadata.num_rows)
    except (OSError, pa.ArrowException):
        return None
