"""Connections to DuckDB in memory, with the settings that every part of the project needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

Setting = str | bool | int | float | list[str]


def connect(**settings: Setting) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB in memory that prints nothing and loads no extension by itself.

    DuckDB 2 draws a progress bar on stdout when a query takes more than 2 s, also where stdout is a pipe: it would be
    in front of what a command prints for another program.

    Args:
        settings: settings of DuckDB, added to those of the project.
    """
    import duckdb

    connection = duckdb.connect(config={"autoload_known_extensions": False, **settings})
    connection.execute("SET enable_progress_bar = false; SET enable_progress_bar_print = false; SET TimeZone = 'UTC'")
    return connection
