"""Vector indexes in Postgres, with the extension pgvector."""

# ruff: noqa: S608 - the SQL is made of checked names and of constants.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, cast

import dagster as dg
import numpy as np
import pyarrow as pa
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.erasure.tombstones import Forgotten, Tombstone, new_key
from models.errors import TesseraError
from models.vectors.bm25 import SparseVector
from models.vectors.filters import Filter
from models.vectors.fusion import Hit
from models.vectors.rows import stored_schema
from models.vectors.spec import IndexSpec
from resources.health import Health
from resources.postgres import fields
from resources.postgres.session import Place, PostgresSession, needs_client, without_password
from resources.vectors.index import IndexVersion, Searcher
from resources.vectors.pgvector_sql import MARKS, MOST_INDEXED, TABLES, Statement, VersionTables
from resources.vectors.pgvector_versions import do, finish, key_of, run, state_of, tables_of
from resources.vectors.port import Vectors

if TYPE_CHECKING:
    from psycopg import Connection

#: Rows looked at by an approximate search, at most, as pgvector takes it.
_MOST_EF = 1_000
_READ_AT_ONCE = 2_000
_COUNT = "SELECT collection, number, spec, state, rows, published FROM version"


class PgVectorConfig(dg.Config):
    """A schema of a Postgres database with pgvector 0.8 or newer. Needs requirements/postgres.lock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["pgvector"] = "pgvector"
    url: str = fields.address()
    schema_name: str = fields.schema(
        "tessera_vectors", "Schema of the indexes' tables; made if missing, as is the extension `vector`."
    )
    index_from_rows: int = Field(
        default=20_000,
        ge=0,
        description="An approximate index (HNSW) is built for versions with at least so many rows of at most 2,000"
        " numbers; below, and with 0, a search compares all rows.",
    )
    hnsw_m: int = Field(default=16, ge=4, le=100, description="Links per row of the approximate index.")
    hnsw_ef_construct: int = Field(default=100, ge=4, le=1000, description="Rows looked at to link one of them.")
    hnsw_ef: int = Field(default=128, ge=1, le=_MOST_EF, description="Rows looked at by an approximate search.")
    build_memory_mb: int = Field(
        default=512, ge=1, description="Memory of the server for building an approximate index; beyond it, it is slow."
    )

    def open(self) -> PgVectors:
        """Return the collections in that database; it is asked for nothing yet.

        Raises:
            TesseraError: the client is not installed.
        """
        needs_client("vectors")
        return PgVectors(self)


class PgVectors(Vectors):
    """A table per version; the writer of a version holds the lock of its row in the table of versions."""

    def __init__(self, config: PgVectorConfig) -> None:
        from resources.vectors import pgvector_rows

        #: Imported before the first connection is opened, which then knows how vectors are sent.
        self.rows_of = pgvector_rows
        self._config = config
        settings = {
            # The extension may have been made elsewhere before.
            "search_path": f"{config.schema_name}, public, extensions",
            # For filters that few rows fit, and many rows with a word. An approximate index that there is, is used.
            **dict.fromkeys(("enable_bitmapscan", "enable_hashjoin", "enable_mergejoin"), "on"),
            "hnsw.ef_search": str(config.hnsw_ef),
            # With a filter, the search goes on until it has found enough rows.
            "hnsw.iterative_scan": "strict_order",
            "hnsw.max_scan_tuples": str(2**31 - 1),
        }
        place = Place(config.url, config.schema_name, "vectors", "vectors", TABLES, MARKS, settings)
        self._session = PostgresSession(place)

    @override
    def collections(self) -> Sequence[str]:
        return [name for (name,) in self._asked("SELECT DISTINCT collection FROM version ORDER BY 1")]

    @override
    def versions(self, collection: str) -> Sequence[IndexVersion]:
        found = self._asked(f"{_COUNT} WHERE collection = %s ORDER BY number", [collection])
        return [
            IndexVersion(name, number, IndexSpec.model_validate_json(spec), state, rows, published)
            for name, number, spec, state, rows, published in found
        ]

    @override
    def current(self, collection: str) -> int | None:
        found = self._asked("SELECT current FROM collection WHERE name = %s", [collection])
        return found[0][0] if found else None

    @override
    def check(self) -> Health:
        about = "SELECT current_setting('server_version'), extversion FROM pg_extension WHERE extname = 'vector'"
        try:
            ((server, extension),) = self._asked(about)
            count = len(self.collections())
        except TesseraError as error:
            return Health(False, error.what, error.todo)
        place = f"schema {self._config.schema_name} of {without_password(self._config.url)}"
        return Health(True, f"Postgres {server} with pgvector {extension}, {place}, {count} collections")

    @override
    def forgotten(self, entity: str) -> Forgotten:
        stones = self._asked("SELECT digest, fingerprint FROM tombstone WHERE entity = %s", [entity])
        key = self._asked("SELECT key FROM tombstone_key") if stones else []
        if stones and not key:
            raise TesseraError(
                f"The key of the tombstones in schema {self._config.schema_name} is gone.",
                expected="it beside the tombstones; without it no one can be recognised",
                todo="Restore it from a backup; until then nothing is written, so that no one comes back.",
            )
        found = [Tombstone(digest=digest, fingerprint=fingerprint) for digest, fingerprint in stones]
        return Forgotten(entity, key[0][0] if key else b"", found)

    @override
    def _begin(self, collection: str, spec: IndexSpec, bm25: bytes) -> int:
        counted = (
            "INSERT INTO collection (name, last) VALUES (%s, 1) ON CONFLICT (name) DO UPDATE SET last ="
            " collection.last + 1 RETURNING last"
        )
        with self._session.answering() as connection, connection.transaction():
            ((number,),) = run(connection, counted, [collection])
            added = "INSERT INTO version (collection, number, spec, bm25) VALUES (%s, %s, %s, %s)"
            connection.execute(added, [collection, number, spec.model_dump_json(), bm25])
            do(connection, VersionTables(collection, number, spec).created)
        return number

    @override
    def _statistics(self, version: IndexVersion) -> bytes:
        found = self._asked("SELECT bm25 FROM version WHERE collection = %s AND number = %s", key_of(version))
        return found[0][0] if found else b""

    @override
    def _put(self, version: IndexVersion, rows: pa.Table) -> None:
        with self._changing(version, "begun") as connection:
            tables = tables_of(version)
            run(connection, f"DELETE FROM {tables.rows} WHERE id = ANY(%s)", [rows["id"].to_pylist()])
            self.rows_of.copy(connection, tables, rows, version.spec)

    @override
    def _delete(self, version: IndexVersion, ids: Sequence[str]) -> int:
        with self._changing(version, "begun") as connection:
            return connection.execute(
                cast("Any", f"DELETE FROM {tables_of(version).rows} WHERE id = ANY(%s)"), [[*ids]]
            ).rowcount

    @override
    def _seal(self, version: IndexVersion) -> None:
        with self._changing(version) as connection:
            if state_of(connection, version) != "begun":
                return
            tables, config = tables_of(version), self._config
            do(connection, tables.words_created)
            ((count,),) = run(connection, f"SELECT count(*) FROM {tables.rows}")
            if 0 < config.index_from_rows <= count and version.spec.space.dimension <= MOST_INDEXED:
                do(connection, f"SET LOCAL maintenance_work_mem TO '{config.build_memory_mb}MB'")
                do(connection, tables.vectors_indexed(config.hnsw_m, config.hnsw_ef_construct))
            do(connection, tables.payload_indexed)
            do(connection, f"ANALYZE {tables.rows}; ANALYZE {tables.words}")
            finish(connection, version, count)

    @override
    def _searcher(self, version: IndexVersion) -> Searcher:
        return _PgSearcher(self, version)

    @override
    def _rows(self, version: IndexVersion) -> pa.Table:
        query = self.rows_of.read(tables_of(version))
        parts: list[pa.Table] = []
        with (
            self._session.answering() as connection,
            connection.transaction(),
            connection.cursor(tables_of(version).rows, binary=True) as cursor,
        ):
            cursor.execute(cast("Any", query))
            while found := cursor.fetchmany(_READ_AT_ONCE):
                parts.append(self.rows_of.table(found, version.spec))
        return pa.concat_tables(parts) if parts else stored_schema(version.spec).empty_table()

    @override
    def _publish(self, version: IndexVersion) -> None:
        with self._changing(version) as connection:
            run(
                connection, "UPDATE version SET published = true WHERE collection = %s AND number = %s", key_of(version)
            )
            moved = "UPDATE collection SET current = %s WHERE name = %s"
            run(connection, moved, [version.number, version.collection])

    @override
    def _remove(self, version: IndexVersion) -> None:
        with self._session.answering() as connection, connection.transaction():
            run(connection, "DELETE FROM version WHERE collection = %s AND number = %s", key_of(version))
            tables = tables_of(version)
            do(connection, f"DROP TABLE IF EXISTS {tables.rows}, {tables.words}")

    @override
    def _erase(self, version: IndexVersion, subjects: Sequence[str]) -> int:
        tables = tables_of(version)
        with self._session.answering() as connection:
            with connection.transaction():
                state = state_of(connection, version)
                if state is None:
                    return 0  # it was removed meanwhile
                gone = f"DELETE FROM {tables.rows} WHERE subject = ANY(%s) RETURNING terms"
                found = run(connection, gone, [[*subjects]])
                if found and state == "sealed":
                    terms = sorted({term for (terms,) in found for term in terms})
                    run(connection, f"DELETE FROM {tables.words} WHERE term = ANY(%s::int[])", [terms])
                    run(connection, tables.words_added, [terms])
                    ((left,),) = run(connection, f"SELECT count(*) FROM {tables.rows}")
                    finish(connection, version, left)
            if found:
                # Removed rows stay in the table's pages until then.
                do(connection, f"VACUUM {tables.rows}{f', {tables.words}' if state == 'sealed' else ''}")
        return len(found)

    @override
    def _leave_tombstone(self, entity: str, id: str, *, day: date, why: str) -> None:
        with self._session.answering() as connection, connection.transaction():
            run(connection, "INSERT INTO tombstone_key (key) VALUES (%s) ON CONFLICT DO NOTHING", [new_key()])
            ((key,),) = run(connection, "SELECT key FROM tombstone_key")
            stone = Forgotten(entity, key).tombstone(id)
            added = "INSERT INTO tombstone VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
            run(connection, added, [entity, stone.digest, stone.fingerprint, day, why])

    @property
    def ef(self) -> int:
        """Rows looked at by an approximate search."""
        return self._config.hnsw_ef

    def answers(self, version: IndexVersion, statements: Sequence[Statement], ef: int) -> list[list[Any]]:
        """Return the rows that each statement finds; all of them are sent at once."""
        from psycopg import errors

        with self._session.answering() as connection:
            try:
                with connection.transaction(), connection.pipeline():
                    if ef > self.ef:
                        run(connection, "SELECT set_config('hnsw.ef_search', %s, true)", [str(ef)])
                    cursors = [
                        connection.cursor(binary=True).execute(cast("Any", text), values) for text, values in statements
                    ]
                    return [cursor.fetchall() for cursor in cursors]
            except errors.UndefinedTable:
                raise TesseraError(
                    f"{version.title} was removed.",
                    expected="a version that is there",
                    todo="Open the collection again.",
                ) from None

    def _asked(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._session.answering() as connection:
            return run(connection, query, values)

    @contextmanager
    def _changing(self, version: IndexVersion, wanted: str = "") -> Iterator[Connection]:
        """Provide a transaction that holds the version's lock.

        Raises:
            TesseraError: the version was removed or sealed meanwhile.
        """
        with self._session.answering() as connection, connection.transaction():
            state = state_of(connection, version)
            if state is None or (wanted and state != wanted):
                raise TesseraError(
                    f"{version.title} was {'removed' if state is None else 'sealed'} meanwhile.",
                    expected="a version that no one else changes",
                    todo="Begin a new version with `begin`.",
                )
            yield connection


class _PgSearcher(Searcher):
    def __init__(self, store: PgVectors, version: IndexVersion) -> None:
        self._store, self._version, self._tables = store, version, tables_of(version)
        self._names = [*version.spec.payload]

    @override
    def nearest(
        self, vectors: Sequence[list[float]], k: int, where: Filter | None, *, exact: bool
    ) -> Sequence[list[Hit]]:
        asked = [
            self._tables.nearest(self._store.rows_of.Vector(one), k, where, exact=exact)
            for one in np.array(vectors, np.float32)
        ]
        # Distances are negative inner products or Euclidean ones: the greater, the farther.
        found = self._store.answers(self._version, asked, min(_MOST_EF, max(self._store.ef, k)))
        return [self._hits(rows, -1.0) for rows in found]

    @override
    def matching(self, queries: Sequence[SparseVector], k: int, where: Filter | None) -> Sequence[list[Hit]]:
        asked = {
            at: self._tables.matching(one.terms.tolist(), one.weights.tolist(), k, where)
            for at, one in enumerate(queries)
            if len(one)
        }
        answers = self._store.answers(self._version, [*asked.values()], 0) if asked else []
        found = {at: self._hits(rows, 1.0) for at, rows in zip(asked, answers, strict=True)}
        return [found.get(at, []) for at in range(len(queries))]

    def _hits(self, rows: Sequence[Any], sign: float) -> list[Hit]:
        names = self._names
        return [
            Hit(id, sign * score, {name: value for name, value in zip(names, values, strict=True) if value is not None})
            for id, score, *values in rows
        ]
