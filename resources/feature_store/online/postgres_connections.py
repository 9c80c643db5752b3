"""Connections to the Postgres of the online store, and what is wrong when there is none."""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any
from weakref import finalize

import psycopg
from feast.infra.utils.postgres.connection_utils import _get_conn_kwargs, _get_conninfo
from feast.infra.utils.postgres.postgres_config import ConnectionType, PostgreSQLConfig
from psycopg import Connection, IsolationLevel
from psycopg_pool import ConnectionPool

from models.errors import TesseraError

_CONNECT_SECONDS = 10
#: Every statement looks keys up. In a table that is too new to have statistics Postgres believes that each key has
#: hundreds of rows: without these it may read the whole table for each, also later (a prepared statement keeps its
#: plan), or compile for half a second a plan that runs for a tenth.
_PLANNING = "-c enable_seqscan=off -c jit=off"


class Connections:
    """Open connections of one online store: one that its threads share in turns, or a pool (`conn_type: pool`)."""

    def __init__(self, settings: PostgreSQLConfig) -> None:
        self._settings = settings
        self._pooled = settings.conn_type == ConnectionType.pool
        self._pool: ConnectionPool | None = None
        self._connection: Connection | None = None
        self._lock = RLock()

    @contextmanager
    def taken(self, *, autocommit: bool) -> Iterator[Connection]:
        """Provide a connection for one use. What is not committed at its end is rolled back.

        A lost one is opened again.
        """
        if self._pooled:
            with self._opened_pool().connection() as connection:
                yield from _used(connection, autocommit)
        else:
            with self._lock:
                yield from _used(self._opened_connection(), autocommit)

    def close(self) -> None:
        """Close what is open; the next use opens again."""
        with self._lock:
            for opened in (self._connection, self._pool):
                if opened is not None:
                    opened.close()
            self._connection = self._pool = None

    def _opened_connection(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connected(self._settings)
            finalize(self, self._connection.close)
        return self._connection

    def _opened_pool(self) -> ConnectionPool:
        with self._lock:
            if self._pool is None:
                # A pool would try for half a minute, and not say why.
                connected(self._settings).close()
                self._pool = ConnectionPool(
                    _get_conninfo(self._settings),
                    min_size=self._settings.min_conn,
                    max_size=self._settings.max_conn,
                    kwargs=_parameters(self._settings),
                    configure=_configure,
                    open=True,
                )
                finalize(self, self._pool.close)
            return self._pool


def connected(settings: PostgreSQLConfig) -> Connection:
    """Return a new connection.

    Raises:
        TesseraError: no such server, or it does not let us in.
    """
    with explained(settings):
        connection = psycopg.connect(_get_conninfo(settings), **_parameters(settings))
    _configure(connection)
    return connection


@contextmanager
def explained(settings: PostgreSQLConfig) -> Iterator[None]:
    """Inside, a refused connection is a `TesseraError`."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise _refusal(settings, error) from error


def _used(connection: Connection, autocommit: bool) -> Iterator[Connection]:
    connection.set_autocommit(autocommit)
    try:
        yield connection
    finally:
        if not connection.closed:
            connection.rollback()


def _parameters(settings: PostgreSQLConfig) -> dict[str, Any]:
    feasts = _get_conn_kwargs(settings)
    return {
        **feasts,
        "options": f"{feasts['options']} {_PLANNING}",
        "connect_timeout": _CONNECT_SECONDS,
        "keepalives_idle": settings.keepalives_idle,
    }


def _configure(connection: Connection) -> None:
    """Set the isolation level that the locks rely on, whatever the server's default (see `WRITE_LOCK`)."""
    connection.isolation_level = IsolationLevel.READ_COMMITTED


def _refusal(settings: PostgreSQLConfig, error: psycopg.OperationalError) -> TesseraError:
    says = str(error).strip().splitlines()[0].rpartition("failed: ")[2]
    what = f"Postgres at {settings.host}:{settings.port} does not open database {settings.database!r}: {says}."
    if "does not support SSL" in says:
        return TesseraError(
            what,
            expected=f"a server with SSL, because the online store's `sslmode` is {settings.sslmode!r}",
            todo="Give the server a certificate, or set `sslmode: disable` where the network is trusted.",
        )
    return TesseraError(
        what,
        expected=f"a server that lets user {settings.user!r} in",
        todo="Check `host`, `port`, `database`, `user` and `password` of the online store in stack.yaml.",
    )
