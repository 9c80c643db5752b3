"""A source in memory, for tests."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from models.contracts import CONTRACTS, DELIVERED_ON, ORIGINAL
from models.errors import TesseraError, choose_from
from resources.health import Health
from resources.source.port import Source


def raw_rows(table: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """`rows` as a source delivers them: a value that is not of its column's type is NULL there, but in `_original`."""
    schema = CONTRACTS[table].lake_schema()
    readable = [{field.name: _readable(row.get(field.name), field) for field in schema} for row in rows]
    original = [json.dumps({k: v for k, v in row.items() if k != DELIVERED_ON}, default=str) for row in rows]
    return pa.Table.from_pylist(readable, schema=schema).append_column(ORIGINAL, pa.array(original, pa.string()))


def _readable(value: Any, field: pa.Field) -> Any:
    try:
        return pa.scalar(value, field.type).as_py()
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None


class FakeSource(Source):
    """Delivers the rows it was given, for each table in the given order; `tables` may be changed at any time."""

    def __init__(self, tables: Mapping[str, pa.Table], first_day: date) -> None:
        self.rows = dict(tables)
        self._first_day = first_day

    @override
    def tables(self) -> frozenset[str]:
        return frozenset(self.rows)

    @override
    def first_day(self) -> date:
        return self._first_day

    @override
    def read(self, table: str, first: date, last: date) -> pa.RecordBatchReader:
        if table not in self.rows:
            raise TesseraError(
                f"This source has no table {table!r}.",
                expected=choose_from(table, self.rows),
                todo="Ask for one of these.",
            )
        of_days = (pc.field(DELIVERED_ON) >= first) & (pc.field(DELIVERED_ON) <= last)
        return self.rows[table].filter(of_days).to_reader()

    @override
    def check(self) -> Health:
        return Health(ok=True, says="rows in memory")
