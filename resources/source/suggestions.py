"""The expression that would read values which a mapping cannot read."""

from collections.abc import Sequence

import pyarrow as pa

from models.contracts.contract import ColumnType
from models.contracts.readings import number_reading, quoted, truth_reading
from models.errors import TesseraError
from resources.source.proposal import date_reading_of


def suggested(kind: ColumnType, column: str, texts: Sequence[str]) -> str | None:
    """DuckDB expression over the file's `column` that reads `texts` as `kind`; None if none is known.

    Where dates fit more than one order of day and month, the answer names both.
    """
    values = [text for text in texts if text.strip()]
    if not values:
        return None
    match kind:
        case "timestamp" | "date":
            try:
                return date_reading_of(pa.table({column: values}), column)
            except TesseraError as error:
                return error.expected if "more than one order" in error.what else None
        case "float64" | "int32" | "int64":
            found = number_reading(column, values)
            return found.expression if found.expression != quoted(column) else None
        case "bool":
            return truth_reading(column).expression
        case "string":
            return None
