"""Scores in Delta tables on the local disk: attempts are partitions, publications are numbered records."""

import math
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pa_fs
from deltalake import DeltaTable, Schema
from deltalake.exceptions import TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction
from filelock import FileLock, Timeout
from typing_extensions import override

from models.errors import TesseraError, choose_from
from models.forgetting import Forgotten
from models.publishing import SCORES_SCHEMA, Publication, attempt_of
from models.scoring.digest import RowsDigest
from resources.health import Health
from resources.sink.attempt_files import FILE_SCHEMA, AttemptFile, read_files, rows_of, write_files
from resources.sink.port import Sink, unwatched
from resources.sink.publication_log import PublicationLog, sync
from resources.tombstones import TombstoneFolder

_PARTITIONS = ["day", "attempt"]
#: The column, and the name under which tombstones of it are kept.
_ENTITY = "entity_id"
_SCHEMA = FILE_SCHEMA.append(pa.field("day", pa.date32(), nullable=False)).append(
    pa.field("attempt", pa.string(), nullable=False)
)
#: A checkpoint each 20 commits keeps opening a table cheap, however many nights it holds.
_SETTINGS = {"delta.checkpointInterval": "20", "delta.logRetentionDuration": "interval 30 days"}


class DeltaSink(Sink):
    """One Delta table `scores_<app>` per application, partitioned by day and attempt.

    Rows are written to new files beside the table without a lock, so several days can be written at once; one commit
    under the application's lock then makes them the attempt. An attempt that was ever published never changes again,
    but for the rows of somebody who is forgotten.
    """

    def __init__(self, path: str, *, rows_per_file: int = 5_000_000, lock_timeout_seconds: float = 600) -> None:
        self._root = Path(path).expanduser().resolve()
        self._rows_per_file = rows_per_file
        self._lock_timeout_seconds = lock_timeout_seconds

    @override
    def write_attempt(self, app: str, day: date, attempt: str, rows: pa.RecordBatchReader) -> int:
        _refuse_other_columns(rows.schema)
        gone = self._tombstones(app).forgotten(_ENTITY)
        standing = self._log(app).named(day, attempt)
        if standing:
            return _same_rows(standing, _others(rows, gone))
        files = self._write_files(app, day, attempt, _others(rows, gone))
        with self._lock(app):
            known = len(gone) == len(self._tombstones(app).forgotten(_ENTITY))
            if not known or not all(file.path.exists() for file in files):
                for file in files:
                    file.path.unlink(missing_ok=True)
                raise _forgotten_meanwhile(day)
            published_meanwhile = self._log(app).named(day, attempt)
            if published_meanwhile:
                return _same_rows(published_meanwhile, read_files(files))
            self._commit(app, day, attempt, files)
        return sum(file.rows for file in files)

    @override
    def read_attempt(self, app: str, day: date, attempt: str) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(SCORES_SCHEMA, read_files(self._existing(app, day, attempt)))

    @override
    def publish(self, publication: Publication) -> Publication:
        app, day = publication.app, publication.day
        with self._lock(app):
            rows = sum(file.rows for file in self._existing(app, day, publication.attempt))
            if rows != publication.rows:
                raise TesseraError(
                    f"Attempt {publication.attempt!r} of {day} holds {rows} rows, not {publication.rows}.",
                    expected="the number of rows that was audited",
                    todo="Score the day again.",
                )
            named = self._log(app).named(day, publication.attempt)
            if named and named.digest != publication.digest:
                raise _other_rows(named)
            standing = self._log(app).standing(day)
            if standing and standing.attempt == publication.attempt:
                return standing
            publication = publication.model_copy(update={"action": "publish", "was": ""})
            self._log(app).append(publication)
            return publication

    @override
    def unpublish(self, app: str, day: date, *, why: str, who: str) -> Publication | None:
        with self._lock(app):
            standing = self._log(app).standing(day)
            if standing:
                end = {"action": "unpublish", "why": why, "who": who, "published_at": datetime.now(UTC)}
                self._log(app).append(standing.model_copy(update=end))
            return standing

    @override
    def published(self, app: str, day: date) -> Publication | None:
        return self._log(app).standing(day)

    @override
    def history(self, app: str, day: date) -> Sequence[Publication]:
        return self._log(app).records(day)

    @override
    def published_days(self, app: str) -> Sequence[date]:
        log = self._log(app)
        return [day for day in log.days() if log.standing(day)]

    @override
    def forget(
        self,
        app: str,
        entity_id: str,
        *,
        why: str,
        who: str,
        planned: Callable[[Mapping[date, int]], None] = unwatched,
    ) -> Mapping[date, int]:
        now = datetime.now(UTC)
        with self._lock(app):
            self._tombstones(app).add(_ENTITY, entity_id, day=now.date(), why=why)
            table = self._table(app)
            if table is None:
                return {}
            rows = self._rows_of(app, table, entity_id)
            removed: dict[date, int] = {}
            for (day, _), count in rows.items():
                removed[day] = removed.get(day, 0) + count
            if removed:
                planned(removed)
            for day, attempt in rows:
                self._go_on_without(app, day, attempt, {"why": why, "who": who, "published_at": now})
            table.update_incremental()
            self._remove_attempts(table, [action for action in _actions(table) if _key(action) in rows])
            self._remove_unreferenced(app, table, 0)
            return removed

    @override
    def vacuum(self, app: str, *, keep_hours: float) -> int:
        with self._lock(app):
            table = self._table(app)
            if table is None:
                return 0
            named = {(day, record.attempt) for day in self._log(app).days() for record in self._log(app).records(day)}
            oldest = (time.time() - keep_hours * 3600) * 1000
            unused = [action for action in _actions(table) if _key(action) not in named]
            self._remove_attempts(table, [action for action in unused if action["modification_time"] <= oldest])
            return self._remove_unreferenced(app, table, math.ceil(keep_hours))

    @override
    def check(self) -> Health:
        probe = self._root / "probe.tmp"
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            probe.write_text("tessera")
            readable = probe.read_text() == "tessera"
            probe.unlink()
        except OSError as error:
            return Health(
                False, f"{self._root} cannot be written: {error}", "Correct `path` of the sink in stack.yaml."
            )
        return Health(readable, f"Delta tables of scores under {self._root}")

    def _folder(self, app: str) -> Path:
        return self._root / f"scores_{_name(app)}"

    def _log(self, app: str) -> PublicationLog:
        return PublicationLog(self._root / "publications" / _name(app))

    @contextmanager
    def _lock(self, app: str) -> Generator[None]:
        folder = self._root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{_name(app)}.lock", timeout=self._lock_timeout_seconds)
        try:
            lock.acquire()
        except Timeout as error:
            raise TesseraError(
                f"Scores of {app!r} have been written by another process for {self._lock_timeout_seconds:g} s.",
                expected="a writer that finishes",
                todo=f"Wait for it, or end it; `lsof {lock.lock_file}` names it.",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _table(self, app: str) -> DeltaTable | None:
        try:
            return DeltaTable(self._folder(app))
        except TableNotFoundError:
            return None

    def _commit(self, app: str, day: date, attempt: str, files: Sequence[AttemptFile]) -> None:
        """One version of the table in which the attempt is exactly these files."""
        schema = Schema.from_arrow(_SCHEMA)
        table = self._table(app) or DeltaTable.create(
            self._folder(app), schema, partition_by=_PARTITIONS, configuration=_SETTINGS
        )
        values = {"day": day.isoformat(), "attempt": attempt}
        earlier = [_removed(action) for action in _actions(table) if _key(action) == (day, attempt)]
        added = [_added(self._folder(app), file, values) for file in files]
        table.create_write_transaction([*added, *earlier], "append", table.schema(), _PARTITIONS)
        log = self._folder(app) / "_delta_log"
        sync(max(log.glob("*.json")))
        sync(log)

    def _write_files(self, app: str, day: date, attempt: str, rows: Iterable[pa.RecordBatch]) -> list[AttemptFile]:
        folder = self._folder(app) / f"day={day.isoformat()}" / f"attempt={_name(attempt)}"
        try:
            return write_files(folder, rows, rows_per_file=self._rows_per_file)
        except FileNotFoundError:
            raise _forgotten_meanwhile(day) from None

    def _tombstones(self, app: str) -> TombstoneFolder:
        """A folder, and so a key, for each application: whoever adds to it holds the application's lock."""
        return TombstoneFolder(pa_fs.LocalFileSystem(), str(self._root / "forgotten" / _name(app)))

    def _rows_of(self, app: str, table: DeltaTable, entity_id: str) -> dict[tuple[date, str], int]:
        """Rows of the entity by day and attempt, the earlier written attempt of a day first."""
        found: dict[tuple[date, str], int] = {}
        for action in sorted(_actions(table), key=lambda action: action["modification_time"]):
            count = rows_of(self._folder(app) / action["path"], entity_id)
            if count:
                found[_key(action)] = found.get(_key(action), 0) + count
        return found

    def _go_on_without(self, app: str, day: date, attempt: str, about: Mapping[str, Any]) -> None:
        """The attempt's other rows as an attempt of their own, which takes its place in the records."""
        gone = self._tombstones(app).forgotten(_ENTITY)
        digest = RowsDigest()
        for batch in _others(read_files(self._existing(app, day, attempt)), gone):
            digest.add(batch)
        left = attempt_of(digest.hexdigest())
        rows = _others(read_files(self._existing(app, day, attempt)), gone)
        self._commit(app, day, left, self._write_files(app, day, left, rows))
        named = self._log(app).named(day, attempt)
        if named:  # not so if a call that was killed here has recorded it already
            now = {"action": "forget", "was": attempt, "attempt": left, "rows": digest.rows}
            self._log(app).append(named.model_copy(update={**now, "digest": digest.hexdigest(), **about}))

    def _remove_attempts(self, table: DeltaTable, actions: Sequence[Mapping[str, Any]]) -> None:
        """One version of the table without these files, which stay on the disk."""
        removed: list[AddAction | RemoveAction] = [_removed(action) for action in actions]
        if removed:
            table.create_write_transaction(removed, "append", table.schema(), _PARTITIONS)
            table.update_incremental()

    def _existing(self, app: str, day: date, attempt: str) -> list[AttemptFile]:
        table = self._table(app)
        actions = [action for action in _actions(table) if action["partition.day"] == day] if table else []
        folder = self._folder(app)
        files = [
            AttemptFile(folder / action["path"], action.get("min.row") or 0, action["num_records"])
            for action in actions
            if action["partition.attempt"] == attempt
        ]
        if not files:
            raise TesseraError(
                f"There is no attempt {attempt!r} of {day} in the scores of {app!r}.",
                expected=choose_from(attempt, {action["partition.attempt"] for action in actions}),
                todo=f"Score the day: `tessera run {app}_nightly --date {day}`.",
            )
        return files

    def _remove_unreferenced(self, app: str, table: DeltaTable, keep_hours: int) -> int:
        # Only listed by deltalake: its own removal adds two versions in which nothing changes.
        unused = table.vacuum(retention_hours=keep_hours, dry_run=True, enforce_retention_duration=False, full=True)
        present = [path for path in (self._folder(app) / name for name in unused) if path.is_file()]
        for path in present:
            path.unlink()
        return len(present)


def _actions(table: DeltaTable) -> list[dict[str, Any]]:
    """What the table's log says about each of its files."""
    return pa.table(table.get_add_actions(flatten=True)).to_pylist()


def _key(action: Mapping[str, Any]) -> tuple[date, str]:
    return action["partition.day"], action["partition.attempt"]


def _added(folder: Path, file: AttemptFile, partition: Mapping[str, str]) -> AddAction:
    status = file.path.stat()
    path = file.path.relative_to(folder).as_posix()
    return AddAction(path, status.st_size, partition, int(time.time() * 1000), True, file.statistics())


def _removed(action: Mapping[str, Any]) -> RemoveAction:
    day, attempt = _key(action)
    partition: dict[str, str | None] = {"day": day.isoformat(), "attempt": attempt}
    return RemoveAction(action["path"], True, int(time.time() * 1000), action["size_bytes"], partition)


def _same_rows(published: Publication, rows: Iterable[pa.RecordBatch]) -> int:
    """Number of `rows`, which are those that were published; nothing is written."""
    digest = RowsDigest()
    for batch in rows:
        digest.add(batch)
    if digest.hexdigest() != published.digest:
        raise _other_rows(published)
    return digest.rows


def _others(rows: Iterable[pa.RecordBatch], gone: Forgotten) -> Iterator[pa.RecordBatch]:
    return (gone.others(batch, _ENTITY) for batch in rows)


def _forgotten_meanwhile(day: date) -> TesseraError:
    return TesseraError(
        f"Somebody was forgotten while scores of {day} were being written; nothing was written.",
        expected="scores that were made after everybody was forgotten",
        todo="Run the job again.",
    )


def _other_rows(published: Publication) -> TesseraError:
    return TesseraError(
        f"Attempt {published.attempt!r} of {published.day} was published with other rows than those given now.",
        expected="the same rows: what was published never changes, and an attempt is named by its rows",
        todo="Name the attempt by its rows (`models.publishing.attempt_of`), then score the day again.",
    )


def _refuse_other_columns(schema: pa.Schema) -> None:
    if not schema.equals(SCORES_SCHEMA):
        raise TesseraError(
            f"Score rows have the columns {schema.to_string(show_schema_metadata=False)!r}.",
            expected=f"exactly {SCORES_SCHEMA.to_string()!r}",
            todo="Write what `models.scoring.batch.scored` gives.",
        )


def _name(text: str) -> str:
    """`text`, which becomes part of a path."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise TesseraError(
            f"{text!r} cannot name an application or an attempt.",
            expected="letters, digits, hyphens and underscores",
            todo="Choose another name.",
        )
    return text
