"""Rows that the lake holds already, or alone still holds. Imports polars: only for use inside asset bodies."""

from collections.abc import Iterator
from datetime import date, timedelta

import polars as pl
import pyarrow as pa

from assets.stages.ingestion.completeness_log import quarantine_of
from models.contracts import DELIVERED_ON, ORIGINAL, Contract
from models.contracts.checking import POLARS_TYPES
from resources.lake.port import Lake
from resources.source.port import ARRIVAL, LATE

_BLOCK_ROWS = 250_000
_STANDING = -1


class HeldRows:
    """Separate rows that were delivered again from new ones, for one table.

    A row is held if an equal row (all columns of the contract) is kept on an earlier day, if its original is
    quarantined on an earlier day, or if an equal row of an earlier arrival is delivered on the same day.
    """

    def __init__(self, contract: Contract, lake: Lake) -> None:
        self._contract, self._lake = contract, lake
        self._columns = [column.name for column in contract.columns]

    def split(self, raw: pa.Table, first: date) -> tuple[pa.Table, dict[date, int]]:
        """Return the rows that are not held, and the number of held ones by day; `raw` begins with day `first`."""
        rows = self._comparable(raw)
        late = rows.filter(pl.col(LATE))
        again = rows.filter(self._repeats())
        held = [again["_place"], *self._among_earlier(late, first)]
        places = pl.concat(held).unique()
        if places.is_empty():
            return raw, {}
        counted = rows.filter(pl.col("_place").is_in(places.implode()))[DELIVERED_ON].value_counts()
        left = rows.filter(~pl.col("_place").is_in(places.implode()))["_place"]
        return raw.take(left.to_arrow()), dict(counted.iter_rows())

    def holds_any(self, raw: pa.Table) -> bool:
        """Return True if an equal row of any of `raw` is kept, or its original is quarantined."""
        return any(len(places) for places in self._among_earlier(self._comparable(raw), date.max))

    def with_standing(self, raw: pa.Table, day: date) -> pa.Table:
        """`raw` after the kept rows of `day`, as an arrival before all others."""
        if not self._lake.exists(self._contract.table):
            return raw
        kept = pl.DataFrame(self._lake.scan(self._contract.table, first=day, last=day).to_table())
        original = kept.select(pl.struct(self._columns).struct.json_encode().alias(ORIGINAL))
        standing = kept.with_columns(
            original[ORIGINAL],
            pl.lit(_STANDING, pl.Int32).alias(ARRIVAL),
            pl.lit(value=False).alias(LATE),
        )
        return pa.concat_tables([standing.select(raw.column_names).to_arrow().cast(raw.schema), raw])

    def standing_refused(self, day: date) -> pa.Table | None:
        """Return the quarantined rows of `day`, without their runs."""
        name = quarantine_of(self._contract.table)
        if not self._lake.exists(name):
            return None
        return self._lake.scan(name, first=day, last=day).to_table().drop_columns(["run_id"])

    def without_refused(self, raw: pa.Table, refused: pa.Table | None) -> pa.Table:
        """`raw` without the rows that are in quarantine as `refused`."""
        if refused is None or not refused.num_rows:
            return raw
        rows = self._comparable(raw)
        others = rows.join(pl.DataFrame(refused), left_on=ORIGINAL, right_on="original", how="anti")
        return raw.take(others["_place"].sort().to_arrow())

    def _comparable(self, raw: pa.Table) -> pl.DataFrame:
        casts = [pl.col(c.name).cast(POLARS_TYPES[c.type], strict=False) for c in self._contract.columns]
        return pl.DataFrame(raw).with_columns(*casts).with_row_index("_place")

    def _repeats(self) -> pl.Expr:
        unreadable = pl.any_horizontal(pl.col(name).is_null() for name in self._columns)
        text = pl.when(unreadable).then(pl.col(ORIGINAL)).otherwise(pl.lit(""))
        first = pl.col(ARRIVAL).min().over([DELIVERED_ON, *self._columns, text])
        return pl.col(ARRIVAL) > first

    def _among_earlier(self, late: pl.DataFrame, first: date) -> Iterator[pl.Series]:
        if late.is_empty():
            return
        table, last = self._contract.table, first - timedelta(days=1)
        for block in self._blocks(table, self._columns, last=last):
            yield late.join(block, on=self._columns, how="semi", nulls_equal=True)["_place"]
        for block in self._blocks(quarantine_of(table), ["original"], last=last):
            yield late.join(block, left_on=ORIGINAL, right_on="original", how="semi")["_place"]

    def _blocks(self, table: str, columns: list[str], *, last: date) -> Iterator[pl.DataFrame]:
        if not self._lake.exists(table):
            return
        scanned = self._lake.scan(table, last=last)
        for batch in scanned.to_batches(columns=columns, batch_size=_BLOCK_ROWS):
            if batch.num_rows:
                yield pl.DataFrame(pa.Table.from_batches([batch]))
