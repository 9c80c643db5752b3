"""The types a table of the lake holds: timestamps in µs and UTC, plain strings, nothing that differs by writer."""

from collections.abc import Iterator

import pyarrow as pa

from models.errors import TesseraError, choose_from


def lake_type(kind: pa.DataType, column: str) -> pa.DataType:
    """Return the type that `kind` has in the lake.

    Raises:
        TesseraError: a timestamp without a time zone.
    """
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            raise TesseraError(
                f"Column {column!r} holds timestamps without a time zone ({kind}).",
                expected="timestamp[us, UTC]",
                todo="Say which time zone they are in, and convert them to UTC.",
            )
        return pa.timestamp("us", tz="UTC")
    if pa.types.is_dictionary(kind):
        return lake_type(kind.value_type, column)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(lake_type(kind.value_type, column))
    return kind


def lake_schema(given: pa.Schema, by: str) -> pa.Schema:
    """Return the schema of a new table that is first written with `given`.

    Raises:
        TesseraError: `by` is not a date column of it, or a type cannot be stored.
    """
    schema = pa.schema([pa.field(f.name, lake_type(f.type, f.name), f.nullable) for f in given])
    if by not in schema.names or schema.field(by).type != pa.date32():
        found = f"{by!r} is {schema.field(by).type}" if by in schema.names else f"There is no column {by!r}"
        raise TesseraError(
            f"{found}, so the table cannot be split into days by it.",
            expected=f"a date32 column, {choose_from(by, [f.name for f in schema if f.type == pa.date32()])}",
            todo="Name the date column in `by`.",
        )
    for field in schema:
        if pa.types.is_null(field.type) or pa.types.is_time(field.type) or pa.types.is_duration(field.type):
            raise TesseraError(
                f"Column {field.name!r} has type {field.type}, which Delta cannot store.",
                expected="strings, numbers, booleans, dates, timestamps, lists or structs",
                todo="Cast the column before writing.",
            )
    return schema


def conformed(rows: pa.Table | pa.RecordBatchReader, schema: pa.Schema, table: str) -> pa.RecordBatchReader:
    """`rows` as a stream with exactly `schema`, columns in its order; nothing is lost on the way.

    Raises:
        TesseraError: other columns or types, or (while reading) a value that the schema's type cannot hold.
    """
    given = {f.name: lake_type(f.type, f.name) for f in rows.schema}
    wanted = {f.name: f.type for f in schema}
    differing = sorted(
        name
        for name in given.keys() | wanted.keys()
        if given.get(name) != wanted.get(name) and not (name in wanted and given.get(name) == pa.null())
    )
    if differing or len(given) != len(rows.schema):
        raise TesseraError(
            f"Table {table!r} was given other columns than it has: "
            + "; ".join(f"{name} is {given.get(name, 'missing')}" for name in differing),
            expected="; ".join(f"{name} {wanted.get(name, 'absent')}" for name in differing) or "each column once",
            todo="Give the rows the table's schema, or name another table: docs/new-application.md.",
        )
    return pa.RecordBatchReader.from_batches(schema, _cast(rows, schema, table))


def _cast(rows: pa.Table | pa.RecordBatchReader, schema: pa.Schema, table: str) -> Iterator[pa.RecordBatch]:
    batches = rows.to_batches(max_chunksize=131_072) if isinstance(rows, pa.Table) else rows
    for batch in batches:
        try:
            yield from pa.Table.from_batches([batch]).select(schema.names).cast(schema).to_batches()
        except (pa.ArrowInvalid, ValueError) as error:
            raise TesseraError(
                f"Table {table!r} cannot hold a value it was given: {error}.",
                expected=", ".join(f"{f.name} {f.type}" for f in schema),
                todo="Round timestamps to µs and fill nulls before writing.",
            ) from error
