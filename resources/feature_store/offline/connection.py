"""Connections to DuckDB in memory: one of its own for each job, with limits, and one for looking at sources."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from models.errors import TesseraError
from resources.duckdb_connection import Setting, connect, connect_shared


@dataclass(frozen=True)
class Limits:
    """Resource limits of one job; beyond `memory_limit_mb` it spills to a folder of its own in `temp_directory`."""

    memory_limit_mb: int
    threads: int
    temp_directory: str | None


@contextmanager
def opened(limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """Provide a DuckDB of its own, in memory, gone with its spilled files afterwards."""
    if limits.temp_directory is not None:
        Path(limits.temp_directory).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="asof-", dir=limits.temp_directory) as folder:
        settings: dict[str, Setting] = {
            "memory_limit": f"{limits.memory_limit_mb}MB",
            "threads": limits.threads,
            "temp_directory": folder,
            # DuckDB 2.0 joins few rows by a loop: 40 s instead of 1 s on a filtered history.
            "asof_loop_join_threshold": 0,
            # A SELECT of the user must not find Python variables of ours.
            "python_enable_replacements": False,
        }
        with connect(**settings) as connection, _explained(limits):
            connection.execute("SET parquet_metadata_cache = true")
            yield connection


@contextmanager
def looking(limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """Provide a session that looks at sources, at names and types of columns, without the cost of a job's DuckDB."""
    with connect_shared(threads=limits.threads, python_enable_replacements=False) as session, _explained(limits):
        yield session


@contextmanager
def _explained(limits: Limits) -> Iterator[None]:
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise TesseraError(
            f"The join does not fit into {limits.memory_limit_mb} MB: {_first_line(error)}.",
            expected="memory for the widest step, and room to spill for the rest",
            todo="Raise `memory_limit_mb` of the offline store, or lower `threads`.",
        ) from error
    except duckdb.IOException as error:
        raise TesseraError(
            f"Files could not be read or written: {_first_line(error)}.",
            expected="files that stay where they are while they are read, and room in the temporary folder",
            todo="Check the path of the source and the disk.",
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
