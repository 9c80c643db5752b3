"""Parquet files and columns of a feature view's source, checked against the view."""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from feast.data_format import DeltaFormat, ParquetFormat
from feast.infra.offline_stores.file_source import FileSource

from models.errors import TesseraError, choose_from
from resources.feature_store.offline.sql import Column, Source, literal, parquet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltalake import DeltaTable
    from duckdb import DuckDBPyConnection
    from feast.data_source import DataSource


def source_of(
    data_source: DataSource | None,
    repo_path: Path | None,
    connection: DuckDBPyConnection,
    pinned: Sequence[str] | None = None,
) -> Source:
    """Return the rows that `data_source` stands for right now; those of `pinned`, if that is not None.

    Raises:
        TesseraError: no file, or a source that is no Parquet file and no Delta table.
    """
    files, options = (pinned, "") if pinned is not None else _files(data_source, repo_path)
    if not files:
        raise TesseraError(
            f"There are no files for {_called(data_source)}.",
            expected="at least one Parquet file",
            todo="Compute the features first.",
        )
    return Source(tuple(files), described(connection, parquet(files, options)), options)


def described(connection: DuckDBPyConnection, relation: str) -> dict[str, Column]:
    """Return the columns of a relation, by exact name."""
    rows = connection.sql(f"FROM {relation}")
    return {name: Column(name, str(type_)) for name, type_ in zip(rows.columns, rows.types, strict=True)}


def _files(data_source: DataSource | None, repo_path: Path | None) -> tuple[Sequence[str], str]:
    if not isinstance(data_source, FileSource):
        raise TesseraError(
            f"The source of {_called(data_source)} is a {type(data_source).__name__}.",
            expected="a FileSource: Parquet files or a Delta table",
            todo="Change the source, or use the offline store of that source's database.",
        )
    path = FileSource.get_uri_for_file_path(repo_path, data_source.path)
    if isinstance(data_source.file_format, DeltaFormat):
        return _delta_files(path)
    if not isinstance(data_source.file_format, ParquetFormat | None):
        raise TesseraError(
            f"The source of {_called(data_source)} has format {type(data_source.file_format).__name__}.",
            expected="ParquetFormat or DeltaFormat",
            todo="Change `file_format` of the source.",
        )
    return [f"{path}/*.parquet" if Path(path).is_dir() else path], ""


def _called(data_source: DataSource | None) -> str:
    return f"the source {data_source.name if data_source else None!r}"


def _delta_files(path: str) -> tuple[Sequence[str], str]:
    """Return the files of the table's current version.

    Columns that split the table into folders are read from the paths.
    """
    from deltalake import DeltaTable

    table = DeltaTable(path)
    _check_plain(table, path)
    by = table.metadata().partition_columns
    types = {field.name: str(field.type.type) for field in table.schema().fields if field.name in by}
    if not by:
        return sorted(table.file_uris()), ""
    listed = ", ".join(f"{literal(name)}: {_HIVE_TYPES.get(type_, 'VARCHAR')}" for name, type_ in types.items())
    return sorted(table.file_uris()), f", hive_partitioning=true, hive_types={{{listed}}}"


def _check_plain(table: DeltaTable, path: str) -> None:
    """Raise where the files alone do not say what the rows are."""
    features = {"deletionVectors", "columnMapping"} & set(table.protocol().reader_features or ())
    if table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        features.add("columnMapping")
    if features:
        raise TesseraError(
            f"The Delta table at {path} uses {' and '.join(sorted(features))}.",
            expected="a table whose files hold its rows, under their own names",
            todo="Turn the feature off and rewrite the table.",
        )


_HIVE_TYPES = {
    "date": "DATE", "timestamp": "TIMESTAMPTZ", "timestamp_ntz": "TIMESTAMP",
    "byte": "TINYINT", "short": "SMALLINT", "integer": "INTEGER", "long": "BIGINT",
    "float": "FLOAT", "double": "DOUBLE", "boolean": "BOOLEAN",
}  # fmt: skip


def column_of(source: Mapping[str, Column], name: str, whose: str, renamed: Mapping[str, str] | None = None) -> Column:
    """Return the column called exactly `name`, or the one that a source's field mapping (theirs -> ours) calls so.

    Raises:
        TesseraError: there is none. DuckDB itself would take one that differs in case.
    """
    original = next((theirs for theirs, ours in (renamed or {}).items() if ours == name and theirs in source), name)
    if original not in source:
        raise TesseraError(
            f"There is no column {name!r} in {whose}.",
            expected=choose_from(name, source),
            todo="Names are compared exactly, upper and lower case too.",
        )
    return source[original]


def moment_column(source: Mapping[str, Column], name: str, whose: str, renamed: Mapping[str, str]) -> Column:
    """Return the column called `name`, which says when something was."""
    column = column_of(source, name, whose, renamed)
    if not column.is_moment:
        raise TesseraError(
            f"Column {name!r} in {whose} is {column.type}.",
            expected="a timestamp or a date",
            todo="Write moments as timestamps (µs, UTC).",
        )
    return column


def check_same_type(ours: Column, theirs: Column, view: str) -> None:
    """Raise unless an entity key is what the source's key is; DuckDB itself would cast '1' to 1."""
    same = ours.type == theirs.type or (ours.is_integer and theirs.is_integer)
    if not same and "NULL" not in ours.type:
        raise TesseraError(
            f"The entity rows have {ours.type} in {ours.name!r}, but {theirs.name!r} of the feature view {view!r} is "
            f"{theirs.type}.",
            expected="keys of one type",
            todo=f"Cast {ours.name!r} to {theirs.type}.",
        )
