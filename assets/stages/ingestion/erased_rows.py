"""Rows of erased entities, taken out of what comes in before anything of it is checked or kept."""

# pyright: basic

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa

from models.contracts.identifiers import MISSING_IDS
from models.erasure.tombstones import BELONGINGS, OWNERS, TOMBSTONED
from resources.lake.port import ErasableLake, Lake


def without_erased(lake: Lake, delivered: pa.Table, missing_ids: Collection[str] = MISSING_IDS) -> pa.Table:
    """Return the rows without those of erased entities: not even a refused row of them is kept.

    The caller holds the table's lock, so one that is forgotten from now on is removed after these rows are written.

    Args:
        lake: knows who was erased.
        delivered: rows as they come in.
        missing_ids: texts in lower case that stand for "no id".
    """
    for entity, column in TOMBSTONED.items():
        if column in delivered.column_names and (gone := lake.forgotten(entity)):
            _forget_belongings(lake, entity, delivered, gone.among(delivered[column]))
            delivered = gone.others(delivered, column, OWNERS.get(entity, ""), missing_ids)
    return delivered


def _forget_belongings(lake: Lake, entity: str, delivered: pa.Table, gone: Sequence[str]) -> None:
    """Leave tombstones of what erased entities bring later: other tables name these things and no entity."""
    for kind, column in BELONGINGS.get(entity, {}).items():
        if gone and column in delivered.column_names and isinstance(lake, ErasableLake):
            theirs = pl.DataFrame(delivered.select([TOMBSTONED[entity], column])).drop_nulls()
            for id in theirs.filter(pl.col(TOMBSTONED[entity]).is_in(gone))[column].unique().to_list():
                lake.leave_tombstone(kind, id, day=datetime.now(UTC).date(), why="came after the erasure")
