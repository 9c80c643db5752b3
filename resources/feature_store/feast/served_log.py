"""A sample of what was served online: Arrow batches in a SQLite file that several processes append to."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike

from resources.feature_store.port import ServedRows
from resources.sqlite.vacuum import scrub
from resources.sqlite.wal import use_wal

#: A crash loses at most what was served in this time, and at most this many sampled rows.
FLUSH_SECONDS = 5.0
MAX_BUFFERED_ROWS = 5_000
RETENTION = timedelta(days=30)
SERVED_AT = "served_at"
_US_UTC = pa.timestamp("us", "UTC")
_BUSY_SECONDS = 60
_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY, service TEXT NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,
    rows BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS batches_by_time ON batches (service, last_us);
CREATE TABLE IF NOT EXISTS entities (
    digest BLOB NOT NULL, batch INTEGER NOT NULL, PRIMARY KEY (digest, batch)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entities_by_batch ON entities (batch);
CREATE TABLE IF NOT EXISTS forgotten (digest BLOB PRIMARY KEY) WITHOUT ROWID;
"""


class ServedLog:
    """Each served row is logged with the same probability, independently of all others: an unbiased sample.

    Rows wait in memory and are written together by a background thread, at the latest after FLUSH_SECONDS, when the
    process ends, and before this process reads the log. Rows older than RETENTION are dropped by later writes.

    Args:
        file: the SQLite file, made at the first write.
        share: the probability; 1 logs everything, 0 nothing.
        seed: of the draws, for tests.
    """

    def __init__(self, file: Path, share: float, *, seed: int | None = None) -> None:
        self._share = share
        self._random = np.random.default_rng(seed)
        self._buffer = _Buffer(file)
        weakref.finalize(self, _Buffer.flush, self._buffer)

    def add_rows(self, service: str, keys: Sequence[str], served: ServedRows, at: datetime) -> None:
        """Log a sample of rows that have the columns `keys` first; the table is made only when a row is drawn."""
        is_chosen = [self._random.random() < self._share for _ in served.rows]
        if True in is_chosen:
            self._add(service, keys, served.table(), is_chosen, at)

    def add(self, service: str, keys: pa.Table, answer: Mapping[str, pa.Array], at: datetime) -> None:
        """Log a sample of the rows `keys` (the columns that name entities) and `answer`, served at `at`."""
        is_chosen = self._random.random(keys.num_rows) < self._share
        if not is_chosen.any():
            return
        table = pa.Table.from_arrays([*keys.columns, *answer.values()], names=[*keys.column_names, *answer])
        self._add(service, keys.column_names, table, is_chosen, at)

    def _add(self, service: str, keys: Sequence[str], table: pa.Table, is_chosen: ArrayLike, at: datetime) -> None:
        chosen = np.flatnonzero(is_chosen)
        moments = pa.array(np.full(len(chosen), _us(at)), _US_UTC)
        columns = [column.take(pa.array(chosen)) for column in table.columns]
        rows = pa.Table.from_arrays([moments, *columns], names=[SERVED_AT, *table.column_names])
        self._buffer.add(service, tuple(keys), rows)

    def read(self, service: str, first: datetime, last: datetime) -> pa.Table | None:
        """Return the rows logged in `[first, last)`, oldest first; None if there are none.

        A feature that older rows lack is NULL in them.
        """
        self._buffer.flush()
        if not self._buffer.file.exists():
            return None
        query = "SELECT rows FROM batches WHERE service = ? AND last_us >= ? AND first_us < ? ORDER BY id"
        with _connected(self._buffer.file) as connection:
            found = connection.execute(query, (service, _us(first), _us(last))).fetchall()
        if not found:
            return None
        rows = pa.concat_tables([_read(blob) for (blob,) in found], promote_options="default")
        inside = (pc.field(SERVED_AT) >= _scalar(first)) & (pc.field(SERVED_AT) < _scalar(last))
        return rows.filter(inside).sort_by(SERVED_AT)

    def forget(self, key: str, id: str) -> int:
        """Return number of rows removed whose column `key` is `id`.

        Other processes' rows that still wait will be dropped.
        """
        self._buffer.flush()
        digest = _digest(key, id)
        removed = 0
        with _connected(self._buffer.file) as connection:
            connection.execute("INSERT OR IGNORE INTO forgotten VALUES (?)", (digest,))
            query = "SELECT id, rows FROM batches WHERE id IN (SELECT batch FROM entities WHERE digest = ?)"
            for batch, blob in connection.execute(query, (digest,)).fetchall():
                rows = _read(blob)
                kept = _without(rows, key, [id])
                removed += rows.num_rows - kept.num_rows
                connection.execute("UPDATE batches SET rows = ? WHERE id = ?", (_written(kept), batch))
            connection.execute("DELETE FROM entities WHERE digest = ?", (digest,))
        with closing(sqlite3.connect(self._buffer.file, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
            scrub(connection)
        return removed


class _Buffer:
    """Rows that wait to be written; outlives its log until they are."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: dict[tuple[str, tuple[str, ...]], list[pa.Table]] = {}
        self._rows = 0
        self._timer: threading.Timer | None = None

    def add(self, service: str, keys: tuple[str, ...], rows: pa.Table) -> None:
        with self._lock:
            self._waiting.setdefault((service, keys), []).append(rows)
            self._rows += rows.num_rows
            full = self._rows >= MAX_BUFFERED_ROWS
            if self._timer is None:
                self._timer = threading.Timer(FLUSH_SECONDS, self.flush)
                self._timer.daemon = True
                self._timer.start()
        if full:
            self.flush()

    def flush(self) -> None:
        """Write what waits; rows that come meanwhile wait for the next time."""
        with self._writing:
            with self._lock:
                waiting, self._waiting, self._rows = self._waiting, {}, 0
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
            if waiting:
                _write(self.file, waiting)


def _write(file: Path, waiting: dict[tuple[str, tuple[str, ...]], list[pa.Table]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    newest = 0
    with _connected(file) as connection:
        for (service, keys), tables in waiting.items():
            rows = _remembered(connection, keys, pa.concat_tables(tables, promote_options="default"))
            if not rows.num_rows:
                continue
            moments = rows[SERVED_AT].cast(pa.int64()).to_numpy()
            first, last = int(moments.min()), int(moments.max())
            insert = "INSERT INTO batches (service, first_us, last_us, rows) VALUES (?, ?, ?, ?)"
            batch = connection.execute(insert, (service, first, last, _written(rows))).lastrowid
            digests = {(digest, batch) for key in keys for digest in _digests(rows, key)}
            connection.executemany("INSERT OR IGNORE INTO entities VALUES (?, ?)", digests)
            newest = max(newest, last)
        old = (newest - RETENTION // timedelta(microseconds=1),)
        connection.execute("DELETE FROM entities WHERE batch IN (SELECT id FROM batches WHERE last_us < ?)", old)
        connection.execute("DELETE FROM batches WHERE last_us < ?", old)


def _remembered(connection: sqlite3.Connection, keys: Sequence[str], rows: pa.Table) -> pa.Table:
    """Without the rows of entities that were forgotten while they waited."""
    for key in keys:
        digests = _digests(rows, key)
        marks = ",".join("?" * len(digests))
        query = f"SELECT digest FROM forgotten WHERE digest IN ({marks})"  # noqa: S608 - marks only
        forgotten = {digest for (digest,) in connection.execute(query, list(digests))}
        if forgotten:
            rows = _without(rows, key, [id for digest, id in digests.items() if digest in forgotten])
    return rows


def _without(rows: pa.Table, key: str, ids: Sequence[str]) -> pa.Table:
    text = pc.field(key).cast(pa.string())
    return rows.filter(text.is_null() | ~text.isin(pa.array(ids, pa.string())))


def _digests(rows: pa.Table, key: str) -> dict[bytes, str]:
    """Digest -> id of the entities of `rows`."""
    ids = rows[key].cast(pa.string()).unique().drop_null().to_pylist()
    return {_digest(key, id): id for id in ids}


def _digest(key: str, id: str) -> bytes:
    return sha256(f"{key}\0{id}".encode()).digest()[:16]


@contextmanager
def _connected(file: Path) -> Iterator[sqlite3.Connection]:
    """One transaction, alone among all writers; readers of the log never wait for it."""
    with closing(sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
        use_wal(connection, _BUSY_SECONDS)
        # Deleted rows are overwritten: what was forgotten is not in the file any more.
        connection.execute("PRAGMA secure_delete = ON")
        connection.executescript(_SCHEMA)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def _written(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
        writer.write_table(rows.combine_chunks())
    return sink.getvalue().to_pybytes()


def _read(blob: bytes) -> pa.Table:
    return pa.ipc.open_stream(blob).read_all()


def _us(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


def _scalar(moment: datetime) -> pa.Scalar:
    return pa.scalar(_us(moment), pa.int64()).cast(_US_UTC)
