"""A sink of a third party: rows, verdicts and records in one file of SQLite. It can neither erase nor tidy up."""

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from typing import Any, ClassVar, Literal

import dagster as dg
import pyarrow as pa

from models.errors import TesseraError
from models.publishing import AuditVerdict, Publication, last_set, require_passed
from models.scoring.digest import RowsDigest
from resources.conformance.capabilities import Gap
from resources.health import Health
from resources.sink.port import ANYTHING, AnotherStands, Sink, require_complete, require_storable

TABLES = """
CREATE TABLE IF NOT EXISTS attempt (app, day, attempt, rows BLOB, PRIMARY KEY (app, day, attempt));
CREATE TABLE IF NOT EXISTS verdict (number INTEGER PRIMARY KEY, app, day, record);
CREATE TABLE IF NOT EXISTS history (number INTEGER PRIMARY KEY, app, day, record);
"""


class TableSinkConfig(dg.Config):
    """Scores in a file of SQLite."""

    gaps: ClassVar = {"erasable": Gap("rows are kept for ever"), "retained": Gap("nothing is tidied up")}

    kind: Literal["table"] = "table"
    file: str

    def open(self) -> "TableSink":
        return TableSink(self.file)


class TableSink(Sink):
    def __init__(self, file: str) -> None:
        self.file = file

    def write_attempt(self, app: str, day: date, attempt: str, rows: pa.RecordBatchReader) -> int:
        require_storable(rows.schema)
        batches = list(rows)
        for batch in batches:
            require_complete(batch, rows.schema)
        table, output = pa.Table.from_batches(batches, rows.schema), pa.BufferOutputStream()
        with pa.ipc.new_stream(output, table.schema) as stream:
            stream.write_table(table)
        with self._transaction() as db:
            known = db.execute("SELECT rows FROM attempt WHERE app = ?", (app,)).fetchone()
            if known and (columns := pa.ipc.open_stream(known[0]).schema) != table.schema:
                raise refused(f"{app} has the columns {columns.names}, not {table.schema.names}.")
            records = [record for record in self._history(db, app, day) if record.attempt == attempt]
            if records and records[-1].digest != digest(table).hexdigest():
                raise refused(f"{attempt} was published with other rows.")
            place = (app, str(day), attempt, output.getvalue().to_pybytes())
            db.execute("INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?)", place)
        return table.num_rows

    def read_attempt(self, app: str, day: date, attempt: str) -> pa.RecordBatchReader:
        with self._transaction() as db:
            query = "SELECT rows FROM attempt WHERE (app, day, attempt) = (?, ?, ?)"
            found = db.execute(query, (app, str(day), attempt)).fetchone()
        if not found:
            raise refused(f"There is no attempt {attempt} of {day} of {app}.")
        return pa.ipc.open_stream(found[0])

    def record_audit(self, verdict: AuditVerdict) -> None:
        with self._transaction() as db:
            row = (verdict.app, str(verdict.day), verdict.model_dump_json())
            db.execute("INSERT INTO verdict (app, day, record) VALUES (?, ?, ?)", row)

    def audits(self, app: str, day: date) -> Sequence[AuditVerdict]:
        with self._transaction() as db:
            query = "SELECT record FROM verdict WHERE app = ? AND day = ? ORDER BY number"
            return [AuditVerdict.model_validate_json(row) for (row,) in db.execute(query, (app, str(day)))]

    def publish(
        self, publication: Publication, *, replaces: str | None = ANYTHING, overrule: bool = False
    ) -> Publication:
        app, day, attempt = publication.app, publication.day, publication.attempt
        stored = digest(self.read_attempt(app, day, attempt).read_all())
        found = self.audited(app, day, attempt)
        publication = require_passed(publication, found, rows=stored.rows, digest=stored.hexdigest(), overrule=overrule)
        with self._transaction() as db:
            last, stands = last_set(self._history(db, app, day))
            standing = last if stands else None
            if standing and standing.attempt == attempt:
                return standing
            if replaces not in (ANYTHING, standing.attempt if standing else None):
                raise AnotherStands(publication, replaces, standing)
            self._append(db, publication)
        return publication

    def unpublish(self, app: str, day: date, *, why: str, who: str) -> Publication | None:
        with self._transaction() as db:
            last, stands = last_set(self._history(db, app, day))
            if not stands or last is None:
                return None
            end = {"action": "unpublish", "why": why, "who": who, "published_at": datetime.now(UTC)}
            self._append(db, last.model_copy(update=end))
        return last

    def published(self, app: str, day: date) -> Publication | None:
        last, stands = last_set(self.history(app, day))
        return last if stands else None

    def history(self, app: str, day: date) -> Sequence[Publication]:
        with self._transaction() as db:
            return self._history(db, app, day)

    def published_days(self, app: str) -> Sequence[date]:
        with self._transaction() as db:
            found = db.execute("SELECT DISTINCT day FROM history WHERE app = ? ORDER BY day", (app,)).fetchall()
        return [day for (text,) in found if self.published(app, day := date.fromisoformat(text))]

    def check(self) -> Health:
        with self._transaction() as db:
            count = db.execute("SELECT count(*) FROM attempt").fetchone()[0]
            return Health(True, f"{count} attempts in {self.file}")

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.file, timeout=60, isolation_level=None)) as db:
            db.executescript(TABLES)
            db.execute("BEGIN IMMEDIATE")
            with db:
                yield db

    def _history(self, db: sqlite3.Connection, app: str, day: date) -> list[Publication]:
        query = "SELECT record FROM history WHERE app = ? AND day = ? ORDER BY number"
        return [Publication.model_validate_json(row) for (row,) in db.execute(query, (app, str(day)))]

    def _append(self, db: sqlite3.Connection, record: Publication) -> None:
        row: tuple[Any, ...] = (record.app, str(record.day), record.model_dump_json())
        db.execute("INSERT INTO history (app, day, record) VALUES (?, ?, ?)", row)


def digest(rows: pa.Table) -> RowsDigest:
    found = RowsDigest()
    for batch in rows.to_batches():
        found.add(batch)
    return found


def refused(what: str) -> TesseraError:
    return TesseraError(what, expected="what the port promises", todo="Correct it.")
