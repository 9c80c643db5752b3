"""Caches for what Dagster's SQLite storage makes anew for every event and database, one per process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from sqlalchemy import Engine

#: A process writes to a handful of databases at a time: the runs', the index, one per run.
_ENGINES = 16


def keep_engines(instance: dg.DagsterInstance) -> None:
    """Let the SQLite storage use one SQLAlchemy engine per database: a new one compiles every statement again.

    Its engines keep no connection (`NullPool`), so they can be shared and dropped at any time.
    """
    for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
        module: Any = sys.modules[type(storage).__module__]
        if "Sqlite" in type(storage).__name__ and not _is_ours(module.create_engine):
            module.create_engine = _kept(module.create_engine)


def read_migrations_once() -> None:
    """Let Alembic read a folder of migrations once: Dagster lists and compiles its own for each database."""
    from alembic.script import ScriptDirectory

    original = ScriptDirectory.from_config
    if _is_ours(original):
        return
    known: dict[str | None, ScriptDirectory] = {}

    def from_config(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        return known.get(place) or known.setdefault(place, original(config))

    setattr(ScriptDirectory, "from_config", from_config)  # noqa: B010 - it is a class method there


def _is_ours(function: Callable[..., Any]) -> bool:
    return function.__module__ == __name__


def _kept(create_engine: Callable[..., Engine]) -> Callable[..., Engine]:
    @lru_cache(maxsize=_ENGINES)
    def known(address: str, options: tuple[tuple[str, Any], ...], connection: tuple[tuple[str, Any], ...]) -> Engine:
        return create_engine(address, **dict(options), **({"connect_args": dict(connection)} if connection else {}))

    def kept(address: str, *, connect_args: dict[str, Any] | None = None, **options: Any) -> Engine:
        return known(address, tuple(options.items()), tuple((connect_args or {}).items()))

    return kept
