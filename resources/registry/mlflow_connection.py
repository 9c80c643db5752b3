"""MLflow's client on one address: imported late, quiet, strict, its database made by one process at a time."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from models.errors import TesseraError
from resources.sqlite.whole import require_whole

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: What MLflow reads when it is imported: no telemetry, no pickle, no progress bars, no chatter.
_STRICT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
#: The same, but the operator may choose otherwise. MLflow's own 7 retries take minutes when a server is away.
_DEFAULTS = {"MLFLOW_LOGGING_LEVEL": "WARNING", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}


class MLflowConnection:
    """One address: a server, or a database. The process-wide tracking address stays as it is.

    Args:
        uri: the address, as MLflow spells it.
        initialising: the lock under which tables are made.
        database: the file behind `uri` when it is our own SQLite database.
    """

    def __init__(
        self, uri: str, initialising: Callable[[], AbstractContextManager[None]], *, database: Path | None
    ) -> None:
        self.uri = uri
        self._database = database
        self.is_server = urlsplit(uri).scheme in ("http", "https")
        self._initialising = initialising

    @cached_property
    def client(self) -> MlflowClient:
        """The client, its tables made.

        Processes that make the tables of a fresh SQLite file at the same time lose writes, so each one opens the
        database under a lock: the first makes the tables, the others find them.
        """
        _be_strict()
        from mlflow import MlflowClient

        with self._initialising():
            if self._database is not None:
                _refuse_unreadable(self._database)
            elif not self.is_server:
                _ask_once(self.uri)
            client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)
        return client

    @contextmanager
    def answers(self, doing: str) -> Iterator[MlflowClient]:
        """Provide the client.

        Errors of MLflow, its database and the disk become one sentence that says what it did not do.
        """
        _be_strict()
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield self.client
        except (MlflowException, SQLAlchemyError, OSError, ValueError) as error:
            said = str(error).replace(self.uri, self.shown).strip()
            reason = (said.splitlines() or [type(error).__name__])[0]
            raise TesseraError(
                f"MLflow at {self.shown} did not {doing}: {reason[:200]}",
                expected="an answer",
                todo="Check that the address is right, the server runs and the disk has room. Nothing is half done:"
                " run again.",
            ) from error

    def damage(self) -> str:
        """Return what is wrong with our own database file, without importing MLflow; empty if it is whole or new."""
        if self._database is None or not self._database.exists():
            return ""
        try:
            _refuse_unreadable(self._database)
        except TesseraError as error:
            return f"{error.what} {error.todo}"
        return ""

    @property
    def shown(self) -> str:
        """The address without user and password."""
        parts = urlsplit(self.uri)
        return self.uri.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1) if parts.netloc else self.uri


def sqlite_uri(database: Path) -> str:
    """Return the address of a database file. SQLAlchemy reads `%` and `?` in it as its own signs."""
    return "sqlite:///" + str(database).replace("%", "%25").replace("?", "%3F")


def _refuse_unreadable(database: Path) -> None:
    """MLflow would try again for minutes on a file that cannot be opened or is no database."""
    try:
        with closing(sqlite3.connect(database, timeout=20)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
            require_whole(connection, database)
    except sqlite3.Error as error:
        raise TesseraError(
            f"The model registry's database {database} cannot be used: {error}.",
            expected="the database that MLflow made, or a folder in which it can make one",
            todo="Restore it from a backup, or correct `registry.path` in stack.yaml.",
        ) from error


def _ask_once(uri: str) -> None:
    """MLflow would try again for minutes on a database that does not answer, or on an address that is none."""
    from sqlalchemy import create_engine

    engine = create_engine(uri)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


def _be_strict() -> None:
    os.environ.update(_STRICT)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
