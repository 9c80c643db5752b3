"""Feast's Postgres online store, except that it takes and gives columns, never replaces newer rows, and can forget.

The layout is Feast's own: a table per view, a row per entity key and feature. Postgres keeps microseconds, so event and
created times are stored there exactly, as UTC whatever the server's time zone. Beside it is `_<project>_forgotten`, the
digests of forgotten keys (no table of Feast's begins with an underscore). Left out are the two indexes that double the
cost of every write: the primary key serves every read, and searching texts needs Feast's own store anyway.
Feast names this class in its configuration and imports it by its dotted path; nothing else does.
"""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from struct import pack, unpack_from
from types import SimpleNamespace
from typing import Any, Literal

from feast import Entity, FeatureView
from feast.infra.online_stores.helpers import extract_text_and_num
from feast.infra.online_stores.postgres_online_store.postgres import (
    PostgreSQLOnlineStore,
    PostgreSQLOnlineStoreConfig,
    _table_id,
)
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig
from psycopg import AsyncConnection, Connection, Cursor, adapters
from psycopg.adapt import Dumper
from psycopg.errors import UndefinedTable
from psycopg.pq import Format
from psycopg.sql import SQL, Identifier
from psycopg.types.numeric import Int8BinaryLoader
from pydantic import ValidationInfo, field_validator

from models.errors import TesseraError
from resources.feature_store.online.bulk_store import BulkOnlineStore, EncodedRows, StoredRows, ViewRead
from resources.feature_store.online.postgres_connections import Connections, connected, explained
from resources.feature_store.online.postgres_sql import (
    CREATE_FORGOTTEN,
    CREATE_TABLE,
    DELETE,
    FORGET_LOCK,
    TABLES,
    TOMBSTONES,
    WRITE_LOCK,
    reading,
    upsert,
)
from resources.feature_store.online.pushed_rows import PushedRow, pushed_columns

#: One transaction: others wait for its rows for about 0.1 s, and Postgres sorts it in memory.
_CELLS_PER_TRANSACTION = 20_000
#: A row that Postgres unnests has at most 1,664 columns, and each feature takes two.
_FEATURES_PER_STATEMENT = 500
#: Postgres counts microseconds from 2000 on.
_POSTGRES_EPOCH_US = 946_684_800_000_000
_NEVER = -(2**63)
#: The first byte of a serialized Feast double; its eight bytes follow.
_DOUBLE = 0x29
_LONGEST_NAME_BYTES = 63


class _Moment(int):
    """µs since 1970, UTC: what a `timestamptz` is on the wire, exactly and for any year."""


class _MomentDumper(Dumper):
    format = Format.BINARY
    oid = adapters.types["timestamptz"].oid

    def dump(self, obj: _Moment) -> bytes:
        return pack(">q", obj - _POSTGRES_EPOCH_US)


class MonotonicPostgresOnlineStoreConfig(PostgreSQLOnlineStoreConfig):
    """As Feast's, under the name of this class; without searching in vectors and texts."""

    type: Literal["resources.feature_store.online.postgres.MonotonicPostgresOnlineStore"] = (  # pyright: ignore
        "resources.feature_store.online.postgres.MonotonicPostgresOnlineStore"
    )

    @field_validator("vector_enabled", "enable_openai_compatible_store")
    @classmethod
    def _looks_up_keys_only(cls, enabled: bool | None, info: ValidationInfo) -> bool | None:
        if enabled:
            raise TesseraError(
                f"This online store cannot use `{info.field_name}: true`.",
                expected="an online store that is asked by entity key",
                todo="Remove the setting, or use Feast's own store (`type: feast.postgres`).",
            )
        return enabled


class MonotonicPostgresOnlineStore(PostgreSQLOnlineStore, BulkOnlineStore):
    """Feast's own replaces newer rows by older ones, and can remove nothing but whole views."""

    _connections: Connections | None = None

    def write_rows(self, config: RepoConfig, view: FeatureView, rows: EncodedRows) -> int:
        """See `BulkOnlineStore`. In transactions of some thousand entities, which compare on the server."""
        order = sorted(range(len(rows.entity_keys)), key=rows.entity_keys.__getitem__)
        features = sorted(rows.features)
        step = max(1, _CELLS_PER_TRANSACTION // max(1, len(features)))
        parts = (order[start : start + step] for start in range(0, len(order), step))
        return sum(self._write(config, view, features, _selected(rows, part)) for part in parts)

    def read_rows(
        self, config: RepoConfig, view: FeatureView, entity_keys: Sequence[bytes], features: Sequence[str]
    ) -> StoredRows:
        """See `BulkOnlineStore`. One statement."""
        return self.read_views(config, [ViewRead(view, entity_keys, features)])[0]

    def read_views(self, config: RepoConfig, reads: Sequence[ViewRead]) -> list[StoredRows]:
        """See `BulkOnlineStore`. One statement for all."""
        newest: list[dict[bytes, int]] = [{} for _ in reads]
        values: list[dict[str, dict[bytes, bytes]]] = [{name: {} for name in read.features} for read in reads]
        wanted = [array for read in reads for array in (list(set(read.entity_keys)), list(read.features))]
        query = reading(tuple(_table_name(config, read.view) for read in reads))
        with self._get_conn(config, autocommit=True) as connection, connection.cursor(binary=True) as cursor:
            cursor.adapters.register_loader("timestamptz", Int8BinaryLoader)
            with _applied(config):
                cursor.execute(query, wanted)
            for place, key, name, value, moment in cursor:
                values[place][name][key] = value
                if moment > newest[place].get(key, _NEVER):
                    newest[place][key] = moment
        return [_stored_rows(*found) for found in zip(reads, newest, values, strict=True)]

    def forget_rows(self, config: RepoConfig, views: Sequence[FeatureView], entity_keys: Sequence[bytes]) -> int:
        """See `BulkOnlineStore`. Where Feast keeps versions of a view, rows of every version go.

        No query finds them any more. Their bytes stay in Postgres's own files until it writes over them (`VACUUM FULL`
        does at once, blocking readers), and in its write-ahead log and backups.
        """
        keys = list(entity_keys)
        with self._transaction(config, FORGET_LOCK) as cursor:
            cursor.execute(TOMBSTONES.format(forgotten=_forgotten(config)), [keys])
            return sum(len(_deleted(cursor, config, view, keys)) for view in views)

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
        """Create the tables of `tables_to_keep` and the digests of erased keys; drop the others.

        Several processes may do this at once, which Postgres itself does not allow (`CREATE ... IF NOT EXISTS` fails).
        """
        with connected(_settings(config)) as alone:
            alone.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"update {_place(config)}"])
            super().update(config, tables_to_delete, [], entities_to_delete, entities_to_keep, partial)
            with self._get_conn(config) as connection:
                connection.execute(CREATE_FORGOTTEN.format(forgotten=_forgotten(config)))
                for view in tables_to_keep:
                    connection.execute(CREATE_TABLE.format(table=_table(config, view)))
                connection.commit()

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Drop the tables of the project, and what it remembers of forgotten keys."""
        super().teardown(config, tables, entities)
        with self._get_conn(config) as connection:
            connection.execute(SQL("DROP TABLE IF EXISTS {}").format(_forgotten(config)))
            connection.commit()

    def _write(self, config: RepoConfig, view: FeatureView, features: Sequence[str], rows: EncodedRows) -> int:
        events = [_Moment(moment) for moment in rows.event_timestamps]
        created = [None if moment is None else _Moment(moment) for moment in rows.created_timestamps]
        stored = 0
        with self._transaction(config, WRITE_LOCK) as cursor:
            for start in range(0, len(features), _FEATURES_PER_STATEMENT):
                names = features[start : start + _FEATURES_PER_STATEMENT]
                cells = [column for name in names for column in (rows.features[name], _texts(rows.features[name]))]
                statement = upsert(_table(config, view), _forgotten(config), names)
                cursor.execute(statement, [rows.entity_keys, events, created, *cells])
                stored = max(stored, *(count for (count,) in cursor))
        return stored

    @contextmanager
    def _transaction(self, config: RepoConfig, lock: SQL) -> Iterator[Cursor]:
        """Provide a transaction that holds `lock` from its beginning, committed at the end."""
        with self._get_conn(config) as connection, connection.cursor(binary=True) as cursor, _applied(config):
            cursor.adapters.register_dumper(_Moment, _MomentDumper)
            cursor.execute(lock, [_place(config)])
            yield cursor
            connection.commit()

    @contextmanager
    def _get_conn(self, config: RepoConfig, autocommit: bool = False) -> Iterator[Connection]:
        """Lend a connection; all of Feast's own methods use it, too."""
        if self._connections is None:
            self._connections = Connections(_settings(config))
        with self._connections.taken(autocommit=autocommit) as connection:
            yield connection

    @asynccontextmanager
    async def _get_conn_async(self, config: RepoConfig, autocommit: bool = False) -> AsyncIterator[AsyncConnection]:
        """Feast's own, which insists on its own name."""
        renamed: Any = SimpleNamespace(online_store=_settings(config).model_copy(update={"type": "postgres"}))
        with explained(_settings(config)):
            async with super()._get_conn_async(renamed, autocommit) as connection:
                yield connection


def _settings(config: RepoConfig) -> Any:
    return config.online_store


def _place(config: RepoConfig) -> str:
    """Return the name that a project's locks are derived from."""
    return f"{_settings(config).db_schema}.{config.project}"


def _stored_rows(read: ViewRead, newest: dict[bytes, int], values: dict[str, dict[bytes, bytes]]) -> StoredRows:
    moments = {key: moment + _POSTGRES_EPOCH_US for key, moment in newest.items()}
    return StoredRows(
        [moments.get(key) for key in read.entity_keys],
        {name: [cells.get(key) for key in read.entity_keys] for name, cells in values.items()},
    )


def _table(config: RepoConfig, view: FeatureView) -> Identifier:
    return Identifier(_table_name(config, view))


def _table_name(config: RepoConfig, view: FeatureView) -> str:
    registry: Any = config.registry
    return _fitting(_table_id(config.project, view, registry.enable_online_feature_view_versioning))


def _forgotten(config: RepoConfig) -> Identifier:
    return Identifier(_fitting(f"_{config.project}_forgotten"))


def _fitting(name: str) -> str:
    if len(name.encode()) > _LONGEST_NAME_BYTES:
        raise TesseraError(
            f"A table cannot be called {name!r}.",
            expected=f"project and feature view in at most {_LONGEST_NAME_BYTES} bytes, all that Postgres keeps of it",
            todo="Shorten the name of the feature view.",
        )
    return name


@contextmanager
def _applied(config: RepoConfig) -> Iterator[None]:
    try:
        yield
    except UndefinedTable as error:
        raise TesseraError(
            f"The online store in {_settings(config).database!r} lacks a table: {error.diag.message_primary}.",
            expected="a table for each registered feature view, and one for what was forgotten",
            todo="Register the features first: any `tessera run` does, or `feast apply`.",
        ) from error


def _deleted(cursor: Cursor, config: RepoConfig, view: FeatureView, keys: Sequence[bytes]) -> set[bytes]:
    """Return the keys of the view that had rows, in whichever of its versions."""
    base = _fitting(_table_id(config.project, view))
    cursor.execute(TABLES, [_settings(config).db_schema, base])
    tables = [name for (name,) in cursor.fetchall() if re.fullmatch(re.escape(base) + r"(_v\d+)?", name)]
    removed: set[bytes] = set()
    for table in tables:
        cursor.execute(DELETE.format(table=Identifier(table)), [list(keys)])
        removed.update(key for (key,) in cursor)
    return removed


def _selected(rows: EncodedRows, order: Sequence[int]) -> EncodedRows:
    return EncodedRows(
        [rows.entity_keys[row] for row in order],
        [rows.event_timestamps[row] for row in order],
        [rows.created_timestamps[row] for row in order],
        {name: [cells[row] for row in order] for name, cells in rows.features.items()},
    )


def _texts(cells: Sequence[bytes]) -> list[str | None]:
    """Return the text that Feast stores beside each value, for readers and searches."""
    texts = {cell: _text(cell) for cell in set(cells)}
    return [texts[cell] for cell in cells]


def _text(cell: bytes) -> str | None:
    if len(cell) == 9 and cell[0] == _DOUBLE:
        return str(unpack_from("<d", cell, 1)[0])
    text, _ = extract_text_and_num(Value.FromString(cell), False)
    # Postgres has no text with a zero in it. The value has it.
    return None if text is None or "\0" in text else text
