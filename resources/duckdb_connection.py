"""Connections to DuckDB in memory, with the settings that every part of the project needs."""

from __future__ import annotations

import atexit
import os
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

Setting = str | bool | int | float
#: Engines kept for `connect_shared`: one for each home and use, a few in a process.
_KEPT = 8
# DuckDB 2 draws a progress bar on stdout when a query takes more than 2 s, also where stdout is a pipe: it would be in
# front of what a command prints for another program.
_SESSION = "SET enable_progress_bar = false; SET enable_progress_bar_print = false; SET TimeZone = 'UTC'"


def connect(**settings: Setting) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB in memory that prints nothing and loads no extension by itself.

    Args:
        settings: settings of DuckDB, added to those of the project.
    """
    connection = _opened(settings)
    connection.execute(_SESSION)
    return connection


def connect_shared(**settings: Setting) -> duckdb.DuckDBPyConnection:
    """Return a session of the DuckDB that this process keeps for these settings.

    A session takes 0.5 ms of CPU, a DuckDB of its own 16 ms. Sessions share memory limit and threads, and tables and
    views that are not temporary: make only temporary ones.

    Args:
        settings: as for `connect`.
    """
    import duckdb

    wanted = tuple(sorted(settings.items()))
    try:
        return _session(wanted)
    except duckdb.Error:  # an earlier query broke that DuckDB: it answers nothing any more
        _engine.cache_clear()
        return _session(wanted)


def _session(settings: tuple[tuple[str, Setting], ...]) -> duckdb.DuckDBPyConnection:
    session = _engine(os.getpid(), settings).cursor()
    session.execute(_SESSION)
    return session


@lru_cache(maxsize=_KEPT)
def _engine(_process: int, settings: tuple[tuple[str, Setting], ...]) -> duckdb.DuckDBPyConnection:
    """Return the DuckDB of a process: one that was forked from it must not use it."""
    return _opened({**dict(settings), "enable_external_file_cache": False})


# DuckDB's binding prints what is alive when Python ends.
atexit.register(_engine.cache_clear)


def _opened(settings: dict[str, Setting]) -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(config={"autoload_known_extensions": False, **settings})
