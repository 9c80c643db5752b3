"""Arrow tables as pandas DataFrames and back; nothing is rounded on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

# pyarrow has no static types.
# pyright: basic


def frame(table: pa.Table) -> pd.DataFrame:
    """Return the table as a DataFrame: days as datetime64, moments in UTC, integers with gaps as nullable integers."""
    import pandas as pd

    columns = {name: _series(table[name]) for name in table.column_names}
    return pd.DataFrame(columns, columns=pd.Index(table.column_names))


def table(rows: Any) -> pa.Table:
    """Return a DataFrame, without its index, or an Arrow table as an Arrow table."""
    return rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)


def _series(column: pa.ChunkedArray) -> Any:
    import pandas as pd

    nullable: Any = {pa.bool_(): pd.BooleanDtype()}
    for bits in (8, 16, 32, 64):
        nullable[getattr(pa, f"int{bits}")()] = getattr(pd, f"Int{bits}Dtype")()
        nullable[getattr(pa, f"uint{bits}")()] = getattr(pd, f"UInt{bits}Dtype")()
    mapped = nullable.get if column.null_count else None
    return column.to_pandas(types_mapper=mapped, date_as_object=False)
