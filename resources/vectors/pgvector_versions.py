"""The record of a version in Postgres, and its tables."""

# ruff: noqa: S608 - the SQL is made of checked names and of constants.

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from models.vectors.bm25 import Bm25
from resources.vectors.index import IndexVersion
from resources.vectors.pgvector_sql import VersionTables

if TYPE_CHECKING:
    from psycopg import Connection


def state_of(connection: Connection, version: IndexVersion) -> str | None:
    """Return the state of the version, whose lock is held until the transaction ends; None: it was removed."""
    query = "SELECT state FROM version WHERE collection = %s AND number = %s FOR UPDATE"
    found = run(connection, query, key_of(version))
    return found[0][0] if found else None


def finish(connection: Connection, version: IndexVersion, rows: int) -> None:
    """Note that the version is sealed, its rows, and the statistics without terms that no row has."""
    ((content,),) = run(connection, "SELECT bm25 FROM version WHERE collection = %s AND number = %s", key_of(version))
    if content:
        terms = run(connection, f"SELECT term FROM {tables_of(version).words}")
        content = Bm25.from_bytes(content).only(np.array([term for (term,) in terms], np.uint32)).to_bytes()
    changed = "UPDATE version SET state = 'sealed', rows = %s, bm25 = %s WHERE collection = %s AND number = %s"
    run(connection, changed, [rows, content, *key_of(version)])


def tables_of(version: IndexVersion) -> VersionTables:
    """Return the statements on the tables of a version."""
    return VersionTables(version.collection, version.number, version.spec)


def key_of(version: IndexVersion) -> list[Any]:
    """Return collection and number."""
    return [version.collection, version.number]


def run(connection: Connection, query: str, values: Sequence[Any] = ()) -> list[Any]:
    """Return the rows of a statement; none if it gives none."""
    cursor = connection.execute(cast("Any", query), [*values])
    return cursor.fetchall() if cursor.description else []


def do(connection: Connection, statements: str) -> None:
    """Run statements without values."""
    connection.execute(cast("Any", statements))
