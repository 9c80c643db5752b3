"""Feast's SQLite online store, written and read by columns, where an older row never replaces a newer one.

The layout is Feast's own, a row per entity and feature, with times in whole seconds; exact times and forgotten keys
are in tables beside it (see `monotonic_sqlite_tables`). All who write to the file must use this class: Feast's own
leaves the exact times behind.
Feast names this class in its configuration and imports it by its dotted path; nothing else does.
"""

# Feast's own signatures are only partly typed.
# pyright: basic

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from feast import Entity, FeatureView
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig, _table_id
from feast.repo_config import RepoConfig
from feast.types import FeastType, from_feast_to_pyarrow_type
from feast.value_type import ValueType
from pydantic import ValidationInfo, field_validator

from models.errors import TesseraError
from resources.feature_store.online import sqlite_tables as tables
from resources.feature_store.online.bulk_store import BulkOnlineStore, EncodedRows, StoredRow, StoredRows, ViewRead
from resources.feature_store.online.encoding import decoded
from resources.feature_store.online.pushed_rows import PushedRow, pushed_columns
from resources.sqlite.vacuum import scrub

_NAIVE_EPOCH = datetime(1970, 1, 1)
#: Local time differs from UTC by the same number of seconds within a quarter of an hour, everywhere.
_QUARTER_SECONDS = 900
_WITH_TEXT = (ValueType.STRING, ValueType.INT32, ValueType.INT64, ValueType.FLOAT, ValueType.DOUBLE, ValueType.BOOL)


class MonotonicSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """As Feast's, under the name of this class; without searching in vectors, which Feast has on Python 3.10 only."""

    type: Literal["resources.feature_store.online.sqlite.MonotonicSqliteOnlineStore"] = (  # pyright: ignore
        "resources.feature_store.online.sqlite.MonotonicSqliteOnlineStore"
    )

    @field_validator("vector_enabled", "enable_openai_compatible_store")
    @classmethod
    def _looks_up_keys_only(cls, enabled: bool | None, info: ValidationInfo) -> bool | None:
        if enabled:
            raise TesseraError(
                f"This online store cannot use `{info.field_name}: true`.",
                expected="an online store that is asked by entity key",
                todo="Remove the setting, or use a vector database.",
            )
        return enabled


class MonotonicSqliteOnlineStore(SqliteOnlineStore, BulkOnlineStore):
    """Feast's own replaces newer rows by older ones, writes cell by cell, and can remove nothing but whole views.

    Threads may read while one of them writes: each has its own connection, and the file a write-ahead log.
    """

    def __init__(self) -> None:
        super().__init__()
        self._of_thread = threading.local()
        self._torn_down = 0

    def write_rows(self, config: RepoConfig, view: FeatureView, rows: EncodedRows) -> int:
        """See `BulkOnlineStore`. One transaction."""
        table = _table(config, view)
        ordered = sorted(zip(*_stored_columns(view, rows), strict=True), key=itemgetter(0))
        with self._writing(config, view) as conn:
            fresh = tables.fresh(conn, table, config.project, ordered)
            if fresh and rows.features:
                tables.store(conn, table, list(rows.features), fresh)
        return len(fresh)

    def read_rows(
        self, config: RepoConfig, view: FeatureView, entity_keys: Sequence[bytes], features: Sequence[str]
    ) -> StoredRows:
        """See `BulkOnlineStore`."""
        return self.read_views(config, [ViewRead(view, entity_keys, features)])[0]

    def read_views(self, config: RepoConfig, reads: Sequence[ViewRead]) -> list[StoredRows]:
        """See `BulkOnlineStore`. All from one state of the file."""
        try:
            return self._read(config, reads)
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
        for read in reads:
            with self._writing(config, read.view):
                pass  # Feast's own store made this file, without exact times
        return self._read(config, reads)

    @property
    def is_local(self) -> bool:
        """A file: its readers wait for no writer."""
        return True

    def read_row(self, config: RepoConfig, reads: Sequence[ViewRead]) -> Sequence[StoredRow]:
        """See `BulkOnlineStore`. One statement."""
        try:
            views = tuple([_table(config, read.view) for read in reads])
            return tables.read_row(self._get_conn(config), views, [read.entity_keys[0] for read in reads])
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
        return super().read_row(config, reads)

    def forget_rows(self, config: RepoConfig, views: Sequence[FeatureView], entity_keys: Sequence[bytes]) -> int:
        """See `BulkOnlineStore`. The file is written anew, and its log cut: no byte of the rows is left in either."""
        conn = self._get_conn(config)
        with tables.transaction(conn):
            tables.remember_forgotten(conn, config.project, entity_keys)
            removed = sum(tables.remove(conn, _table(config, view), entity_keys) for view in views)
        scrub(conn)
        return removed

    def online_write_batch(
        self, config: RepoConfig, table: FeatureView, data: list[PushedRow], progress: Callable[[int], Any] | None
    ) -> None:
        """Write the rows that are not older than what is stored for their entity."""
        for rows in pushed_columns(data):
            self.write_rows(config, table, rows)
        if progress:
            progress(len(data))

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Create the tables of `tables_to_keep`, drop those of `tables_to_delete`; erased keys stay erased."""
        conn = self._get_conn(config)
        with tables.transaction(conn):
            super().update(config, tables_to_delete, tables_to_keep, entities_to_delete, entities_to_keep, partial)
            for view in tables_to_keep:
                # This index serves nothing, as the primary key begins with the same column, and costs as much as it.
                conn.execute(f"DROP INDEX IF EXISTS {tables.quoted(_table(config, view) + '_ek')}")
                tables.add_moments(conn, _table(config, view))
            for view in tables_to_delete:
                tables.drop_moments(conn, _table(config, view))

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Remove the file, with what it remembers of forgotten entities."""
        self._conn = self._get_conn(config)  # which Feast closes
        self._torn_down += 1
        super().teardown(config, tables, entities)
        for ending in ("-wal", "-shm"):
            Path(self._get_db_path(config) + ending).unlink(missing_ok=True)

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        """Return the connection of this thread; Feast's methods use it, too."""
        opened = getattr(self._of_thread, "opened", None)
        if opened is None or opened[0] is not config or opened[1] != self._torn_down:
            conn = tables.connected(self._get_db_path(config))
            opened = self._of_thread.opened = (config, self._torn_down, conn)
        return opened[2]

    @contextmanager
    def _writing(self, config: RepoConfig, view: FeatureView) -> Iterator[sqlite3.Connection]:
        """Provide a transaction on the tables of `view`, which exist."""
        conn, table = self._get_conn(config), _table(config, view)
        with tables.transaction(conn):
            if not tables.exists(conn, table):
                raise TesseraError(
                    f"{self._get_db_path(config)} has no table of the feature view {view.name!r}.",
                    expected="a feature view that is registered and served online",
                    todo="Register it: `apply`.",
                )
            tables.add_moments(conn, table)
            yield conn

    def _read(self, config: RepoConfig, reads: Sequence[ViewRead]) -> list[StoredRows]:
        asked = [
            tables.TableRead(_table(config, read.view), list(dict.fromkeys(read.entity_keys)), read.features)
            for read in reads
        ]
        found = tables.read(self._get_conn(config), asked)
        return [_spread(read, one, of) for read, one, of in zip(reads, asked, found, strict=True)]


def _spread(read: ViewRead, asked: tables.TableRead, found: tables.Read) -> StoredRows:
    """Return the rows of the keys that were asked for, which may name an entity twice."""
    if len(asked.entity_keys) == len(read.entity_keys):
        return StoredRows(*found)
    rows = {key: row for row, key in enumerate(asked.entity_keys)}
    places = [rows[key] for key in read.entity_keys]
    cells = {name: [column[at] for at in places] for name, column in found.cells.items()}
    return StoredRows([found.moments[at] for at in places], cells)


def _table(config: RepoConfig, view: FeatureView) -> str:
    registry: Any = config.registry
    return _table_id(config.project, view, registry.enable_online_feature_view_versioning)


def _stored_columns(view: FeatureView, rows: EncodedRows) -> list[Sequence[Any]]:
    """As `monotonic_sqlite_tables.store` wants them."""
    types = {field.name: field.dtype for field in view.features}
    created = [tables.NEVER_US if moment is None else moment for moment in rows.created_timestamps]
    cells = ((values, _texts(values, types[name])) for name, values in rows.features.items())
    return [
        rows.entity_keys,
        rows.event_timestamps,
        created,
        _feast_seconds(rows.event_timestamps),
        _feast_seconds(rows.created_timestamps),
        *chain.from_iterable(cells),
    ]


def _feast_seconds(moments_us: Sequence[int | None]) -> list[int | None]:
    """As Feast's adapter has them: naive UTC taken for local time, cut off towards 1970."""
    offsets: dict[int, int] = {}
    found: list[int | None] = []
    for moment in moments_us:
        if moment is None:
            found.append(None)
            continue
        second, rest = divmod(moment, 1_000_000)
        quarter = second // _QUARTER_SECONDS
        if quarter not in offsets:
            start = quarter * _QUARTER_SECONDS
            offsets[quarter] = int((_NAIVE_EPOCH + timedelta(seconds=start)).timestamp()) - start
        local = second + offsets[quarter]
        found.append(local + 1 if local < 0 and rest else local)
    return found


def _texts(cells: Sequence[bytes], dtype: FeastType) -> list[str | None]:
    """Return the text that Feast stores beside each value for text search; None for types without one."""
    kind = dtype.to_value_type()
    if kind not in _WITH_TEXT:
        return [None] * len(cells)
    values = decoded(cells, from_feast_to_pyarrow_type(dtype)).to_pylist()
    return values if kind is ValueType.STRING else [None if value is None else str(value) for value in values]
