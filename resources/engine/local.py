"""Bulk computation on this machine: ibis expressions on DuckDB, straight over Arrow data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
import pyarrow as pa
from pydantic import ConfigDict, Field

from models.errors import TesseraError
from resources.duckdb_connection import connect_shared
from resources.engine.port import Engine
from resources.health import Health
from resources.lake.port import TableRef

if TYPE_CHECKING:
    import duckdb
    import ibis.expr.types as ir

_ROWS_PER_BATCH = 65_536


class LocalEngineConfig(dg.Config):
    """Bulk computation in this process, on DuckDB."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["local"] = "local"
    threads: int = Field(default=2, ge=1, description="Threads of one query.")
    memory_limit_mb: int = Field(default=2000, ge=100, description="Memory of one query; beyond it, it spills to disk.")
    temp_directory: str = Field(
        default="var/tmp", description="Folder to which queries spill what does not fit into memory."
    )

    def open(self) -> LocalEngine:
        """Return the engine with these limits."""
        return LocalEngine(self.threads, self.memory_limit_mb, Path(self.temp_directory).resolve())


class LocalEngine(Engine):
    """Queries run in one in-memory DuckDB of this process, each in a session that goes with its reader."""

    def __init__(self, threads: int, memory_limit_mb: int, temp_directory: Path) -> None:
        self._threads = threads
        self._memory_limit_mb = memory_limit_mb
        self._temp_directory = temp_directory

    def query(
        self, expression: Callable[..., ir.Table], tables: Mapping[str, TableRef | pa.Table], **parameters: Any
    ) -> pa.RecordBatchReader:
        """See the port. Rows come in the expression's own order (`order_by`), else in any."""
        import ibis

        unbound = {
            name: ibis.table(ibis.Schema.from_pyarrow(table.schema), name=name) for name, table in tables.items()
        }
        result = expression(**unbound, **parameters)
        schema = _micros(result.schema().to_pyarrow())
        operation: Any = result.op()
        sql = _sql(operation)
        connection = self._connect()
        for name, table in tables.items():
            _register(connection, name, table)
        return pa.RecordBatchReader.from_batches(schema, _rows(connection, sql, schema))

    def check(self) -> Health:
        """Run a small query within the configured limits."""
        import duckdb

        try:
            with self._connect() as connection:
                connection.execute("SELECT sum(range) FROM range(1000)").fetchall()
        except (duckdb.Error, OSError) as error:
            return Health(False, f"DuckDB does not run: {error}", "Check `temp_directory` and `memory_limit_mb`.")
        return Health(True, f"DuckDB {duckdb.__version__}, {self._threads} threads, {self._memory_limit_mb} MB")

    def _connect(self) -> duckdb.DuckDBPyConnection:
        self._temp_directory.mkdir(parents=True, exist_ok=True)
        return connect_shared(
            threads=self._threads,
            memory_limit=f"{self._memory_limit_mb}MB",
            temp_directory=str(self._temp_directory),
            # The planner underrates filtered sides and then joins row by row: 40 s instead of 1 s on a filtered shard.
            asof_loop_join_threshold=0,
        )


@lru_cache(maxsize=64)
def _sql(expression: Any) -> str:
    """Return the SQL of an operation of ibis; equal ones are compiled once, for wide features take about a second."""
    import ibis

    return str(ibis.to_sql(expression.to_expr(), dialect="duckdb"))


def _register(connection: duckdb.DuckDBPyConnection, name: str, table: TableRef | pa.Table) -> None:
    """Make rows readable under a name; DuckDB reads of a dataset only the columns and rows that a query needs."""
    if not isinstance(table, TableRef):
        connection.register(name, table)
        return
    dataset = table.dataset()
    if dataset.schema.names == table.schema.names:
        connection.register(name, dataset)
    else:  # `*` of an expression means the columns of the reference
        columns, whole = ", ".join(map(_quoted, table.schema.names)), _quoted(f"{name} with all columns")
        connection.register(f"{name} with all columns", dataset)
        connection.execute(f"CREATE TEMP VIEW {_quoted(name)} AS SELECT {columns} FROM {whole}")  # noqa: S608


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    import duckdb

    try:
        for batch in connection.sql(sql).to_arrow_reader(_ROWS_PER_BATCH):
            yield batch.cast(schema)
    except duckdb.OutOfMemoryException as error:
        raise TesseraError(
            f"A query needs more than the engine's memory: {error}.",
            expected="a query that fits or spills",
            todo="Raise `memory_limit_mb` of the engine in stack.yaml, or give `temp_directory` more disk.",
        ) from error
    finally:
        connection.close()


def _micros(schema: pa.Schema) -> pa.Schema:
    """Return the schema with every timestamp in µs, and in UTC if it names a zone."""
    for at, field in enumerate(schema):
        if pa.types.is_timestamp(field.type):
            schema = schema.set(at, field.with_type(pa.timestamp("us", "UTC" if field.type.tz else None)))
    return schema
