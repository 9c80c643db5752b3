"""A connection to a schema of a Postgres database, for adapters that keep their own tables there."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any, cast
from weakref import finalize

from models.errors import RefusedValue, TesseraError

if TYPE_CHECKING:
    from psycopg import Connection

_CONNECT_SECONDS = 10
#: What is asked are few rows, each by an index. A planner without statistics, as of a table filled a moment ago, reads
#: the whole table instead, or compiles the query, which takes a hundred times as long as running it.
_PLANS = ("jit", "enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin")
#: A process that makes tables holds this lock of the database: `IF NOT EXISTS` fails when two are at it.
_MAKING = 7_338_164_925


@dataclass(frozen=True)
class Place:
    """Database, schema and tables of one adapter.

    Attributes:
        url: as libpq takes it.
        schema: of its own; created if missing.
        port: as stack.yaml calls it.
        what: is kept there, for messages: "The Postgres of the ... does not work".
        tables: statements that create what is missing.
        marks: tables, and columns as `table.column`, that exist once all do.
        settings: of each session, beside the common ones.
    """

    url: str
    schema: str
    port: str
    what: str
    tables: str
    marks: Sequence[str]
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Process:
    lock: AbstractContextManager[Any] = field(default_factory=RLock)
    connection: Connection | None = None
    uses: int = 0


class PostgresSession:
    """One connection, which threads take in turns; a lost one is opened again by the next who asks."""

    def __init__(self, place: Place) -> None:
        self._place = place
        #: By process: a forked child must neither speak through its parent's connection nor close it.
        self._processes: dict[int, _Process] = {}

    @contextmanager
    def answering(self) -> Iterator[Connection]:
        """Provide the connection, in autocommit mode, for this thread; its tables are there.

        Asked again inside, it is the same one even if it is lost: a transaction never goes on in another one.

        Raises:
            TesseraError: instead of whatever psycopg raises inside.
        """
        import psycopg

        mine = self._processes.setdefault(os.getpid(), _Process())
        with mine.lock:
            mine.uses += 1
            try:
                if mine.connection is None or (mine.connection.closed and mine.uses == 1):
                    mine.connection = _connection(self._place)
                    finalize(self, _close, mine.connection, os.getpid())
                yield mine.connection
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                says = str(error).strip().splitlines() or [type(error).__name__]
                raise RefusedValue(
                    f"The Postgres of the {self._place.what} refuses a value: {says[0]}.",
                    expected=f"values that the tables of schema {self._place.schema!r} take",
                    todo=f"Correct what is sent to {self._place.port}.",
                ) from error
            except psycopg.Error as error:
                says = str(error).strip().splitlines() or [type(error).__name__]
                raise TesseraError(
                    f"The Postgres of the {self._place.what} does not work: {says[0].rpartition('failed: ')[2]}.",
                    expected=f"a database that lets us in, and write in schema {self._place.schema!r}",
                    todo=f"Start it, or correct `url` and `schema_name` of {self._place.port} in stack.yaml.",
                ) from error
            finally:
                mine.uses -= 1


def needs_client(port: str) -> None:
    """Check that the Postgres client is installed.

    Raises:
        TesseraError: it is not.
    """
    try:
        importlib.import_module("psycopg")
    except ImportError as error:
        raise TesseraError(
            f"Port {port!r} of kind 'postgres' needs a package that is not installed: {error}.",
            expected="the Postgres client in .venv",
            todo=f"Install requirements/postgres.lock into .venv, or choose another `kind` of {port} in stack.yaml.",
        ) from error


def _connection(place: Place) -> Connection:
    import psycopg
    from psycopg import IsolationLevel

    with ExitStack() as undo:
        connection = psycopg.connect(
            place.url, autocommit=True, connect_timeout=_CONNECT_SECONDS, application_name="tessera"
        )
        undo.callback(connection.close)
        # Adapters rely on it: a statement must see what was committed while it waited for its turn.
        connection.isolation_level = IsolationLevel.READ_COMMITTED
        settings = {"search_path": place.schema, **dict.fromkeys(_PLANS, "off"), **place.settings}
        _execute(connection, "; ".join(f"SET {name} TO {value}" for name, value in settings.items()))
        add_tables(connection, place)
        undo.pop_all()
    return connection


def _close(connection: Connection, process: int) -> None:
    if os.getpid() == process:
        connection.close()


def without_password(url: str) -> str:
    """Return host, port and database of an address as libpq takes it."""
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(url)
    return f"{parts.get('host', '')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def add_tables(connection: Connection, place: Place) -> None:
    """Make the tables of a place that are not there, and its schema."""
    if _has_tables(connection, place):
        return
    with connection.transaction():
        _execute(connection, f"SELECT pg_advisory_xact_lock({_MAKING})")
        if not _has_tables(connection, place):  # else another was faster
            _execute(connection, f"CREATE SCHEMA IF NOT EXISTS {place.schema}")
            _execute(connection, place.tables)


def _has_tables(connection: Connection, place: Place) -> bool:
    query = """SELECT
        (SELECT count(*) FROM pg_tables WHERE schemaname = %(schema)s AND tablename = ANY(%(marks)s))
        + (SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
           JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = %(schema)s AND c.relname || '.' || a.attname = ANY(%(marks)s))"""
    values = {"schema": place.schema, "marks": [*place.marks]}
    return connection.execute(query, values).fetchone() == (len(place.marks),)


def _execute(connection: Connection, statement: str) -> None:
    connection.execute(cast("Any", statement))
