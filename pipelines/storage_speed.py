"""Caches for what Dagster's SQLite storage makes anew for every event and database, one per process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from sqlalchemy import Engine

#: A process writes to a handful of databases at a time: the runs', the index, one per run.
_ENGINES = 16


@contextmanager
def kept_engines(instance: dg.DagsterInstance) -> Iterator[None]:
    """Let the SQLite storage keep one SQLAlchemy engine with one open connection per database, until the block ends.

    It makes both anew for every event: the engine compiles each statement again, the connection reads the schema and,
    when it is closed, moves the log into the file. The connections alone are an eighth of the CPU seconds of a night of
    700 customers (four rounds of four nights in turn).
    """
    storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
    modules: list[Any] = [sys.modules[type(one).__module__] for one in storages if "Sqlite" in type(one).__name__]
    for module in modules:
        if not isinstance(module.create_engine, _KeptEngines):
            module.create_engine = _KeptEngines(module.create_engine)
    try:
        yield
    finally:
        for module in modules:
            module.create_engine.close()


def read_migrations_once() -> None:
    """Let Alembic read a folder of migrations once: Dagster lists and compiles its own for each database."""
    from alembic.script import ScriptDirectory

    original = ScriptDirectory.from_config
    if original.__module__ == __name__:
        return
    known: dict[str | None, ScriptDirectory] = {}

    def from_config(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        return known.get(place) or known.setdefault(place, original(config))

    setattr(ScriptDirectory, "from_config", from_config)  # noqa: B010 - it is a class method there


class _KeptEngines:
    """SQLAlchemy's `create_engine` for SQLite files, with one engine for each file and process."""

    def __init__(self, create_engine: Callable[..., Engine]) -> None:
        self._create_engine, self._lock, self._process = create_engine, Lock(), os.getpid()
        self._known: dict[str, Engine] = {}
        self._inherited: list[object] = []

    def __call__(self, address: str, **options: Any) -> Engine:
        """Return the engine of the file, whose pool is ours whatever `poolclass` says."""
        with self._lock:
            self._leave_to_parent()
            engine = self._known.pop(address, None) or _keeping(self._create_engine, address, options)
            self._known[address] = engine
            if len(self._known) > _ENGINES:
                _close(self._known.pop(next(iter(self._known))))
        return engine

    def close(self) -> None:
        """Close the connections of this process that are not in use."""
        with self._lock:
            self._leave_to_parent()
            for engine in self._known.values():
                _close(engine)

    def _leave_to_parent(self) -> None:
        """In a fork, neither use nor close what the process before had open."""
        if self._process != os.getpid():
            self._inherited.append(self._known)
            self._known, self._process = {}, os.getpid()


def _keeping(create_engine: Callable[..., Engine], address: str, options: dict[str, Any]) -> Engine:
    from sqlalchemy import QueuePool, event, exc

    class KeptPool(QueuePool):
        """Keeps a connection when its engine is disposed of, which Dagster does after each use."""

        def dispose(self) -> None:
            pass

        def recreate(self) -> QueuePool:
            return self

    def remember(_: object, record: Any) -> None:
        record.info["file"] = _identity(engine)

    def compare(_: object, record: Any, __: object) -> None:
        if record.info["file"] != _identity(engine):
            raise exc.DisconnectionError("the file was removed or replaced")

    engine = create_engine(address, **options | {"poolclass": KeptPool, "pool_size": 1, "max_overflow": -1})
    event.listen(engine, "connect", remember)
    event.listen(engine, "checkout", compare)
    return engine


def _identity(engine: Engine) -> tuple[int, int] | None:
    try:
        found = Path(engine.url.database or "").stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _close(engine: Engine) -> None:
    from sqlalchemy import QueuePool

    pool: Any = engine.pool
    QueuePool.dispose(pool)
