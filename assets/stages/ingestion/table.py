"""One run of days of one table: read, check, write, record. Imports polars: only for use inside asset bodies."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

import polars as pl
import pyarrow as pa

from assets.stages.ingestion.arrivals import Arrivals
from assets.stages.ingestion.completeness_log import DayCounts, mark_complete, mark_incomplete, quarantine_of
from assets.stages.ingestion.erased_rows import without_erased
from assets.stages.ingestion.held_rows import HeldRows
from models.contracts import DELIVERED_ON, ORIGINAL, QUARANTINE_SCHEMA, UNREADABLE, Contract
from models.contracts.checking import CheckedRows, check_rows, key_texts
from models.contracts.identifiers import MISSING_IDS, trim_ids
from models.contracts.pandera_schema import pandera_schema
from models.errors import TesseraError
from resources.lake.port import Lake
from resources.source.port import Source

_BLOCK_ROWS = 1_000_000


@dataclass(frozen=True)
class DaysIngested:
    """Result of ingesting `days` days.

    Attributes:
        checked: the rows, kept or quarantined.
        rows_late: kept rows that were delivered on a later day than they happened.
        rows_held: delivered rows that the lake holds already; they are neither kept nor quarantined again.
        rows_forgotten: delivered rows of entities that were forgotten; they are neither kept nor quarantined.
        colliding: later days that must be read again: a key they deliver now stands earlier, or no longer does.
        ids_trimmed: delivered ids that had blanks around them.
    """

    days: int
    checked: CheckedRows
    rows_late: int
    rows_held: int
    rows_forgotten: int
    colliding: set[date]
    ids_trimmed: int


class TableIngestion:
    """Ingests days of one table; the caller holds the table's lock."""

    def __init__(
        self,
        contract: Contract,
        source: Source,
        lake: Lake,
        run_id: str,
        arrivals: Arrivals | None = None,
        missing_ids: Collection[str] = MISSING_IDS,
    ) -> None:
        self._contract, self._source, self._lake, self._run_id = contract, source, lake, run_id
        self._arrivals, self._held = arrivals, HeldRows(contract, lake)
        self._table, self._missing_ids = contract.table, missing_ids
        self._schema = pandera_schema(contract)

    def ingest_days(self, first: date, last: date) -> DaysIngested:
        """Ingest the rows delivered on `first`..`last` into the lake, then mark these days complete.

        The record must hold none of them before the call: a half-written day must not pass for complete.
        """
        days = {first + timedelta(days=n) for n in range((last - first).days + 1)}
        delivered, ids_trimmed = trim_ids(self._contract, self._delivered(first, last))
        of_others = without_erased(self._lake, delivered, self._missing_ids)
        raw, held, refused = self._new_rows(of_others, first, last)
        checked = check_rows(
            self._contract,
            raw,
            earlier_keys=self._kept_before(first, raw),
            list_prices=_known_prices(self._lake, last) if "near_list_price" in self._contract.rules else None,
            original_names=self._source.original_names(self._table),
            missing_ids=self._missing_ids,
        )
        checked = _with_refused(checked, refused)
        self._schema.validate(pl.DataFrame(checked.kept))
        colliding = self._colliding_days(first, last, checked)
        mark_incomplete(self._lake, self._table, colliding)
        self._write(checked, first, last)
        mark_complete(self._lake, self._table, _counts(checked, held, days))
        forgotten = delivered.num_rows - of_others.num_rows
        late = self._late(checked.kept)
        return DaysIngested(len(days), checked, late, sum(held.values()), forgotten, colliding, ids_trimmed)

    def _delivered(self, first: date, last: date) -> pa.Table:
        if self._arrivals is None:
            return self._source.read(self._table, first, last).read_all()
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        slices = self._arrivals.slices(days)
        rows = self._source.read_slices(self._table, [each for each in slices if each.day <= each.delivered_on])
        rows = rows.read_all()
        if never_due := [each for each in slices if each.day > each.delivered_on]:
            late = self._source.read_slices(self._table, never_due).read_all()
            rows = pa.concat_tables([rows, _refused_as_future(self._contract, late)])
        if rows.num_rows != (expected := self._arrivals.expected_rows(days)):
            raise TesseraError(
                f"The source gave {rows.num_rows} rows of {self._table!r} for {first}..{last}, not the {expected} that "
                "were counted before.",
                expected="files that stay as they are while they are read",
                todo="Run the job again when nothing writes to the source's files any more.",
            )
        return rows

    def _new_rows(self, rows: pa.Table, first: date, last: date) -> tuple[pa.Table, dict[date, int], pa.Table | None]:
        """Rows to check, number of held ones by day, and quarantined rows that stay: their file is gone."""
        if self._arrivals is None:
            return rows, {}, None
        refused = None
        if first == last and self._arrivals.gone(first):
            rows, refused = self._held.with_standing(rows, first), self._held.standing_refused(first)
            rows = self._held.without_refused(rows, refused)
        return *self._held.split(rows, first), refused

    def _kept_before(self, first: date, raw: pa.Table) -> pa.Array | None:
        """Those of the keys of `raw` that the table has on days before `first`: all are read, 0.6 µs for each.

        Neither the days nor the limits of the keys narrow this down: a copy may come at any time and with any event
        time, and keys that start with another letter (returns) make every file's limits span them all.
        """
        wanted = self._texts(raw).drop_nulls().unique()
        if not self._lake.exists(self._table) or wanted.is_empty():
            return None
        found = [block.join(wanted, on="key", how="semi") for block in self._keys(last=first - timedelta(days=1))]
        return pl.concat(found)["key"].to_arrow() if found else None

    def _colliding_days(self, first: date, last: date, checked: CheckedRows) -> set[date]:
        """Days after `last` with a row whose key is now kept in `first`..`last` and was not, or the other way round.

        Any day counts: a key that is delivered again can come with another event time, so no window is narrow enough.
        """
        later = [self._table, quarantine_of(self._table)]
        later = [name for name in later if any(day > last for day in self._lake.days(name))]
        if not later:
            return set()
        now = self._texts(checked.kept)
        standing = [block.select("key") for block in self._keys(first=first, last=last)]
        before = pl.concat([now.clear(), *standing])
        changed = pl.concat([now.join(before, on="key", how="anti"), before.join(now, on="key", how="anti")])
        # Quarantine knows the first column of a key alone: of a composite key, it names some days too many.
        named = changed.select(pl.col("key").str.split("|").list.first()) if self._contract.versioned_by else changed
        days: set[date] = set()
        for name in later:
            of = changed if name == self._table else named
            for block in self._keys(name, first=last + timedelta(days=1)):
                days |= set(block.join(of, on="key", how="semi")[DELIVERED_ON].unique().to_list())
        return days

    def _keys(
        self, table: str | None = None, *, first: date | None = None, last: date | None = None
    ) -> Iterator[pl.DataFrame]:
        """Keys and their days, in blocks of bounded size, columns `key` and `delivered_on`; None: of the table."""
        table = table or self._table
        if not self._lake.exists(table):
            return
        columns = ["key"] if table != self._table else [*self._contract.unique]
        held: list[pa.RecordBatch] = []
        rows = 0
        for batch in self._lake.scan(table, first=first, last=last).to_batches(columns=[*columns, DELIVERED_ON]):
            held.append(batch)
            rows += batch.num_rows
            if rows >= _BLOCK_ROWS:
                yield self._frame(held, columns)
                held, rows = [], 0
        if rows:
            yield self._frame(held, columns)

    def _frame(self, batches: list[pa.RecordBatch], columns: list[str]) -> pl.DataFrame:
        frame = pl.DataFrame(pa.Table.from_batches(batches))
        keys = frame["key"] if columns == ["key"] else key_texts(self._contract, frame)
        return pl.DataFrame({"key": keys, DELIVERED_ON: frame[DELIVERED_ON]})

    def _texts(self, rows: pa.Table) -> pl.DataFrame:
        """One column `key`; keys are compared as texts, as quarantine keeps them."""
        columns = pl.DataFrame(rows.select(list(self._contract.unique)))
        return pl.DataFrame({"key": key_texts(self._contract, columns)})

    def _write(self, checked: CheckedRows, first: date, last: date) -> None:
        quarantine = quarantine_of(self._table)
        refused = self._with_run_id(checked.quarantined, first, last)
        self._lake.replace(quarantine, refused, by=DELIVERED_ON, first=first, last=last)
        self._lake.replace(self._table, checked.kept, by=DELIVERED_ON, first=first, last=last)

    def _with_run_id(self, refused: pa.Table, first: date, last: date) -> pa.Table:
        """`QUARANTINE_SCHEMA`: a row that is already in quarantine keeps the run that put it there."""
        name, rows = quarantine_of(self._table), pl.DataFrame(refused)
        run_ids = pl.repeat(self._run_id, len(rows), dtype=pl.String, eager=True)
        if self._lake.exists(name) and len(rows):
            standing = _numbered(pl.DataFrame(self._lake.scan(name, first=first, last=last).to_table()))
            on = [c for c in standing.columns if c not in ("run_id", "reasons")]
            known = _numbered(rows).join(standing, on=on, how="left", nulls_equal=True, maintain_order="left")
            run_ids = known["run_id"].fill_null(self._run_id)
        return rows.with_columns(run_id=run_ids).to_arrow().cast(QUARANTINE_SCHEMA)

    def _late(self, kept: pa.Table) -> int:
        if not self._contract.event:
            return 0
        happened = pl.DataFrame(kept.select([self._contract.event, DELIVERED_ON]))
        return happened.filter(pl.col(self._contract.event).cast(pl.Date) < pl.col(DELIVERED_ON)).height


def _refused_as_future(contract: Contract, raw: pa.Table) -> pa.Table:
    """Rows whose own day never comes, those that do not say so by their event with the reason as their problem."""
    rows = pl.DataFrame(raw)
    fine = pl.col(contract.event).cast(pl.Date) <= pl.col(DELIVERED_ON) if contract.event else pl.lit(value=True)
    reason = json.dumps({UNREADABLE: "its day of delivery lies in the future"}, separators=(",", ":"))[:-1]
    told = pl.lit(reason + ",") + pl.col(ORIGINAL).str.slice(1)
    marked = rows.select(pl.when(fine.fill_null(value=False)).then(told).otherwise(pl.col(ORIGINAL)))
    place = raw.column_names.index(ORIGINAL)
    return raw.set_column(place, raw.schema.field(place), marked.to_series().to_arrow().cast(pa.string()))


def _with_refused(checked: CheckedRows, refused: pa.Table | None) -> CheckedRows:
    """With rows that are in quarantine and that the source cannot deliver again."""
    if refused is None or not refused.num_rows:
        return checked
    every = pa.concat_tables([checked.quarantined, refused.select(checked.quarantined.column_names)])
    order = (DELIVERED_ON, "key", "original", pl.col("reasons").list.join(";"))
    return replace(checked, quarantined=pl.DataFrame(every).sort(*order).to_arrow().cast(every.schema))


def _counts(checked: CheckedRows, held: dict[date, int], days: set[date]) -> dict[date, DayCounts]:
    kept, refused = (_rows_by_day(rows) for rows in (checked.kept, checked.quarantined))
    return {day: DayCounts(kept.get(day, 0), refused.get(day, 0), held.get(day, 0)) for day in days}


def _rows_by_day(rows: pa.Table) -> dict[date, int]:
    found = rows[DELIVERED_ON].value_counts()
    return dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))


def _numbered(rows: pl.DataFrame) -> pl.DataFrame:
    """With `copy`, which tells equal rows apart."""
    return rows.with_columns(copy=pl.int_range(pl.len()).over(DELIVERED_ON, "key", "original"))


def _known_prices(lake: Lake, last: date) -> pa.Table | None:
    """Return the catalogue's list prices known on `last`, each product once; None when the lake has no catalogue."""
    if not lake.exists("products"):
        return None
    columns = ["product_id", "list_price", "currency", DELIVERED_ON]
    return lake.scan("products", last=last).to_table(columns=columns)
