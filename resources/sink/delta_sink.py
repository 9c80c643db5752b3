"""Scores in Delta tables on the local disk: attempts are partitions, verdicts and publications numbered records."""

import math
import re
import time
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pa_fs
from filelock import FileLock, Timeout
from typing_extensions import override

from models.erasure.tombstones import Forgotten
from models.errors import TesseraError
from models.publishing import AuditVerdict, Publication, attempt_of, require_passed
from models.scoring.digest import RowsDigest
from resources.health import Health
from resources.sink.attempt_files import AttemptFile, read_files, rows_of, schema_of
from resources.sink.port import (
    ANYTHING,
    AnotherStands,
    DamagedScores,
    ErasableSink,
    RetainedSink,
    require_storable,
    unwatched,
)
from resources.sink.publication_log import PublicationLog
from resources.sink.record_log import RecordLog
from resources.sink.score_table import Key, ScoreTable, key_of
from resources.tombstones import TombstoneFolder


class DeltaSink(ErasableSink, RetainedSink):
    """One Delta table `scores_<app>` per application, partitioned by day and attempt.

    Rows are written to new files beside the table without a lock, so several days can be written at once; one commit
    under the application's lock then makes them the attempt. An attempt that was ever published never changes again,
    but for the rows of an erased entity.
    """

    def __init__(self, path: str, *, rows_per_file: int = 5_000_000, lock_timeout_seconds: float = 600) -> None:
        self._root = Path(path).expanduser().resolve()
        self._rows_per_file = rows_per_file
        self._lock_timeout_seconds = lock_timeout_seconds

    @override
    def write_attempt(self, app: str, day: date, attempt: str, rows: pa.RecordBatchReader) -> int:
        require_storable(rows.schema)
        self._table(app).require_columns(rows.schema)
        gone = self._forgotten(app, rows.schema)
        standing = self._log(app).named(day, attempt)
        if standing and self._is_whole(standing):
            return _same_rows(standing, _others(rows, gone))
        files = self._write_files(app, day, attempt, _others(rows, gone))
        with self._lock(app):
            now = self._forgotten(app, rows.schema)
            known = [len(one) for one in gone.values()] == [len(one) for one in now.values()]
            if not known or not all(file.path.exists() for file in files):
                for file in files:
                    file.path.unlink(missing_ok=True)
                raise _forgotten_meanwhile(day)
            published_meanwhile = self._log(app).named(day, attempt)
            if published_meanwhile:
                count = _same_rows(published_meanwhile, read_files(files))
                if self._is_whole(published_meanwhile):
                    return count
            self._table(app).require_columns(rows.schema)
            self._table(app).commit(day, attempt, files)
        return sum(file.rows for file in files)

    @override
    def read_attempt(self, app: str, day: date, attempt: str) -> pa.RecordBatchReader:
        return _reader(self._table(app).files(day, attempt))

    @override
    def record_audit(self, verdict: AuditVerdict) -> None:
        with self._lock(verdict.app):
            self._audits(verdict.app).append(verdict)

    @override
    def audits(self, app: str, day: date) -> Sequence[AuditVerdict]:
        return self._audits(app).records(day)

    @override
    def publish(
        self, publication: Publication, *, replaces: str | None = ANYTHING, overrule: bool = False
    ) -> Publication:
        app, day, attempt = publication.app, publication.day, publication.attempt
        with self._lock(app):
            stored = _digest(self.read_attempt(app, day, attempt))
            verdict = self.audited(app, day, attempt)
            publication = require_passed(
                publication, verdict, rows=stored.rows, digest=stored.hexdigest(), overrule=overrule
            )
            named = self._log(app).named(day, attempt)
            if named and named.digest != publication.digest:
                raise _other_rows(named)
            standing = None if self._log(app).damage(day) else self._log(app).standing(day)
            if standing and standing.attempt == attempt:
                return standing
            readable = self._log(app).readable_standing(day)
            if replaces not in (ANYTHING, readable.attempt if readable else None):
                raise AnotherStands(publication, replaces, readable)
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
        return [day for day in log.days() if not log.damage(day) and log.standing(day)]

    @override
    def repair(self, app: str) -> Sequence[str]:
        with self._lock(app):
            log, table, losses = self._log(app), self._table(app), list[str]()
            try:
                table.open()
            except DamagedScores as error:
                losses.append(f"{error.what} It is made anew from the files that are found.")
                table.set_log_aside()
            damaged = table.damaged()
            whole = {key_of(action) for action in table.actions(table.open())} - damaged.keys()
            for day in log.days():
                for attempt in {record.attempt for record in log.readable(day)}:
                    files = [] if (day, attempt) in whole else table.found(day, attempt)
                    if files and self._is_attempt(app, day, attempt, files):
                        table.commit(day, attempt, files)
                        whole.add((day, attempt))
                lost = log.damage(day) or self._lost_rows(app, day, whole, damaged)
                if lost:
                    losses.append(f"{lost}. `tessera run {app}_nightly --date {day}` publishes {day} again.")
            return losses

    @override
    def apps(self) -> Mapping[str, Sequence[str]]:
        names = sorted(folder.name.removeprefix("scores_") for folder in self._root.glob("scores_*"))
        return {name: columns for name in names if (columns := self._table(name).columns())}

    @override
    def forget(
        self,
        app: str,
        column: str,
        id: str,
        *,
        why: str,
        who: str,
        planned: Callable[[Mapping[date, int]], None] = unwatched,
    ) -> Mapping[date, int]:
        now = datetime.now(UTC)
        with self._lock(app):
            self._tombstones(app).add(column, id, day=now.date(), why=why)
            table = self._table(app)
            rows = self._rows_of(table, column, id)
            removed: dict[date, int] = {}
            for (day, _), count in rows.items():
                removed[day] = removed.get(day, 0) + count
            if removed:
                planned(removed)
            for day, attempt in rows:
                self._go_on_without(app, day, attempt, {"why": why, "who": who, "published_at": now})
            table.remove([action for action in table.actions(table.open()) if key_of(action) in rows])
            table.remove_unreferenced(0)
            return removed

    @override
    def vacuum(self, app: str, *, keep_hours: float) -> int:
        with self._lock(app):
            table, log = self._table(app), self._log(app)
            named = {(day, record.attempt) for day in log.days() for record in log.records(day)}
            oldest = (time.time() - keep_hours * 3600) * 1000
            unused = [action for action in table.actions(table.open()) if key_of(action) not in named]
            table.remove([action for action in unused if action["modification_time"] <= oldest])
            return table.remove_unreferenced(math.ceil(keep_hours))

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

    def _log(self, app: str) -> PublicationLog:
        return PublicationLog(self._root / "publications" / _name(app), app)

    def _audits(self, app: str) -> RecordLog[AuditVerdict]:
        return RecordLog(self._root / "audits" / _name(app), app, AuditVerdict)

    def _table(self, app: str) -> ScoreTable:
        return ScoreTable(self._root / f"scores_{_name(app)}", app)

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

    def _is_whole(self, published: Publication) -> bool:
        """Return the rows that a record names are stored, unchanged."""
        try:
            digest = _digest(self.read_attempt(published.app, published.day, published.attempt))
        except DamagedScores:
            return False
        return digest.hexdigest() == published.digest

    def _is_attempt(self, app: str, day: date, attempt: str, files: Sequence[AttemptFile]) -> bool:
        """Return True if the files hold all rows of an attempt that was published."""
        named = self._log(app).named(day, attempt)
        try:
            return named is not None and _digest(read_files(files)).hexdigest() == named.digest
        except DamagedScores:
            return False

    def _lost_rows(self, app: str, day: date, whole: Container[Key], damaged: Mapping[Key, str]) -> str:
        """Describe the damage to the rows published for the day; empty if there is none."""
        standing = self._log(app).standing(day)
        if standing is None or (day, standing.attempt) in whole:
            return ""
        return damaged.get((day, standing.attempt), f"The table no longer holds attempt {standing.attempt!r} of {day}")

    def _write_files(self, app: str, day: date, attempt: str, rows: pa.RecordBatchReader) -> list[AttemptFile]:
        try:
            return self._table(app).write(day, _name(attempt), rows, self._rows_per_file)
        except FileNotFoundError:
            raise _forgotten_meanwhile(day) from None

    def _tombstones(self, app: str) -> TombstoneFolder:
        """Return a folder, and so a key, for each application: a writer holds the application's lock."""
        return TombstoneFolder(pa_fs.LocalFileSystem(), str(self._root / "forgotten" / _name(app)))

    def _forgotten(self, app: str, schema: pa.Schema) -> dict[str, Forgotten]:
        """Return the tombstones of each column of texts, by its name."""
        stones = self._tombstones(app)
        return {field.name: stones.forgotten(field.name) for field in schema if pa.types.is_string(field.type)}

    def _rows_of(self, table: ScoreTable, column: str, id: str) -> dict[Key, int]:
        """Rows of the entity by day and attempt, the earlier written attempt of a day first."""
        found: dict[Key, int] = {}
        for action in sorted(table.actions(table.open()), key=lambda action: action["modification_time"]):
            count = rows_of(table.folder / action["path"], column, id)
            if count:
                found[key_of(action)] = found.get(key_of(action), 0) + count
        return found

    def _go_on_without(self, app: str, day: date, attempt: str, about: Mapping[str, Any]) -> None:
        """The attempt's other rows as an attempt of their own, which takes its place in records and verdicts."""
        gone = self._forgotten(app, self.read_attempt(app, day, attempt).schema)
        digest = _digest(_others(self.read_attempt(app, day, attempt), gone))
        left = attempt_of(digest.hexdigest())
        rows = _others(self.read_attempt(app, day, attempt), gone)
        self._table(app).commit(day, left, self._write_files(app, day, left, rows))
        now = {"attempt": left, "rows": digest.rows, "digest": digest.hexdigest()}
        verdicts = {verdict.draft.attempt: verdict for verdict in self._audits(app).readable(day)}
        if attempt in verdicts and left not in verdicts:
            draft = verdicts[attempt].draft.model_copy(update=now)
            self._audits(app).append(verdicts[attempt].model_copy(update={"draft": draft}))
        named = self._log(app).named(day, attempt)
        if named:  # not so if a call that was killed here has recorded it already
            self._log(app).append(named.model_copy(update={"action": "forget", "was": attempt, **now, **about}))


def _digest(rows: Iterable[pa.RecordBatch]) -> RowsDigest:
    digest = RowsDigest()
    for batch in rows:
        digest.add(batch)
    return digest


def _same_rows(published: Publication, rows: Iterable[pa.RecordBatch]) -> int:
    """Return number of `rows`, which are those that were published; nothing is written."""
    digest = _digest(rows)
    if digest.hexdigest() != published.digest:
        raise _other_rows(published)
    return digest.rows


def _reader(files: Sequence[AttemptFile]) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(schema_of(files[0]), read_files(files))


def _others(rows: pa.RecordBatchReader, gone: Mapping[str, Forgotten]) -> pa.RecordBatchReader:
    """The rows that name no erased entity."""

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            for column, forgotten in gone.items():
                batch = forgotten.others(batch, column)
            yield batch

    return pa.RecordBatchReader.from_batches(rows.schema, batches())


def _forgotten_meanwhile(day: date) -> TesseraError:
    return TesseraError(
        f"An entity was forgotten while scores of {day} were being written; nothing was written.",
        expected="scores that were made after the last erasure",
        todo="Run the job again.",
    )


def _other_rows(published: Publication) -> TesseraError:
    return TesseraError(
        f"Attempt {published.attempt!r} of {published.day} was published with other rows than those given now.",
        expected="the same rows: what was published never changes, and an attempt is named by its rows",
        todo="Name the attempt by its rows (`models.publishing.attempt_of`), then score the day again.",
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
