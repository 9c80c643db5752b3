"""The rows that features are asked for: checked before anything reads them, and put together with the features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from models.errors import TesseraError


def checked(entities: pa.Table, needed: pa.Schema, given: Sequence[str], *, moment: str | None = None) -> pa.Table:
    """Only the `needed` columns, of the needed types; carried columns never reach the store.

    Args:
        entities: what the caller gave.
        needed: entity keys, and what else the features need.
        given: columns that will be appended.
        moment: a needed column that must have a value in every row.

    Raises:
        TesseraError: a column is missing, has another type, or is called like one that will be appended.
    """
    there = set(entities.column_names)
    for field in needed:
        if field.name not in there:
            raise _wrong(f"have no column {field.name!r}", f"columns {', '.join(needed.names)}")
        found = entities.schema.field(field.name).type
        if not _fits(found, field.type):
            raise _wrong(f"have {found} in {field.name!r}", f"{field.type}")
    if moment is not None and entities[moment].null_count:
        raise _wrong(f"have {entities[moment].null_count} rows without {moment!r}", "a moment in every row")
    for name in there.intersection(given):
        raise _wrong(f"already have a column {name!r}", "no column that is called like a feature")
    # A moment finer than 1 µs is cut off: backwards in time, where nothing can leak from.
    rows = entities.select(needed.names)
    return rows if rows.schema.equals(needed) else rows.cast(needed, safe=False)


def appended(entities: pa.Table, features: Mapping[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    """Return the entity rows with the features of the same rows after them."""
    names = [*entities.column_names, *features]
    return pa.Table.from_arrays([*entities.columns, *features.values()], names=names)


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_timestamp(wanted):
        return pa.types.is_timestamp(found) and found.tz is not None
    if pa.types.is_string(wanted):
        return pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)
    return found == wanted


def _wrong(what: str, expected: str) -> TesseraError:
    return TesseraError(
        f"The entity rows {what}.", expected=expected, todo="Give entity keys (string) and `event_timestamp` (UTC)."
    )
