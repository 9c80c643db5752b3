"""A home of ingested days, prepared once: deliveries of a simulated shop, checked by their contracts and measured."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.reliability.mutation import AppName, Delivered
from models.contracts import CONTRACTS, DELIVERED_ON, QUARANTINE_SCHEMA
from models.contracts.checking import CheckedRows, check_rows, key_texts
from models.simulation import rows as simulated
from models.simulation.defects import DefectShares
from models.simulation.scenario import NO_CHANGE, Scenario
from models.simulation.shop import Shop
from models.watch.measuring import Refused, columns_of_reasons

#: Tables that each application reads.
TABLES: Mapping[AppName, Sequence[str]] = {
    "churn": ("customers", "products", "orders"),
    "fraud": ("customers", "payments", "payment_labels"),
    "demand": ("products", "orders"),
    "support": ("customers", "tickets", "ticket_labels", "articles"),
    "personalization": ("products", "sessions", "stock"),
}
_NONE = QUARANTINE_SCHEMA.empty_table()
#: Active customers of the shop of each application: support has few tickets for each of them.
CUSTOMERS: Mapping[AppName, int] = {
    "churn": 3000,
    "fraud": 3000,
    "demand": 3000,
    "support": 12_000,
    "personalization": 3000,
}
#: The night that is changed, and the days before it that are ingested.
DAY, DAYS = date(2025, 5, 14), 114
#: First days of the shop, which are unlike any later one: nothing comes back yet. A home does not begin with a shop.
START_DAYS = 14


@dataclass(frozen=True)
class TableDays:
    """The days of one table.

    Attributes:
        table: its name.
        raw: delivered rows by day, the last one is the night.
        kept: rows that keep the contract, all days before the night.
        quarantined: rows that do not, of the same days.
    """

    table: str
    raw: Mapping[date, pa.Table]
    kept: pa.Table
    quarantined: pa.Table

    def delivered(self, day: date) -> Delivered:
        """Return the rows of a day, to be changed."""
        before = {d: self._frame(d) for d in sorted(self.raw) if day - timedelta(8) < d < day}
        return Delivered(day, self._frame(day), before)

    def _frame(self, day: date) -> pl.DataFrame:
        """Return the delivered rows of a day, made once."""
        if day not in self._frames:
            rows = self.raw[day].select(CONTRACTS[self.table].arrow_schema().names)
            self._frames[day] = pl.DataFrame(rows)
        return self._frames[day]

    @cached_property
    def _frames(self) -> dict[date, pl.DataFrame]:
        return {}

    @cached_property
    def refused(self) -> Mapping[date, Refused]:
        """Delivered and refused rows of the days before the night that have any."""
        return refused_rows(self.table, self.raw, self.quarantined)

    @cached_property
    def keys(self) -> frozenset[str]:
        """Keys of the kept rows, as texts."""
        contract = CONTRACTS[self.table]
        return frozenset(key_texts(contract, pl.DataFrame(self.kept.select([*contract.unique]))))


@dataclass(frozen=True)
class Home:
    """The tables of one application until a night."""

    app: AppName
    day: date
    tables: Mapping[str, TableDays]

    def checked(self, table: str, raw: pa.Table, day: date) -> CheckedRows:
        """Check delivered rows by their contract, as ingestion does, beside what the home holds."""
        contract = CONTRACTS[table]
        wanted = key_texts(contract, pl.DataFrame(raw.select([*contract.unique]))).drop_nulls().unique()
        held = pl.Series(sorted(self.tables[table].keys.intersection(wanted)), dtype=pl.String)
        prices = self.list_prices(day) if table == "orders" else None
        return check_rows(contract, raw, earlier_keys=held.to_arrow() if len(held) else None, list_prices=prices)

    def list_prices(self, day: date) -> pa.Table | None:
        """Return the catalogue as known on a day."""
        if "products" not in self.tables:
            return None
        products = self.tables["products"].kept
        known = products.filter(pc.less_equal(products[DELIVERED_ON], pa.scalar(day, pa.date32())))
        return known.select(["product_id", "list_price", "currency", DELIVERED_ON])


def as_delivered(table: str, rows: pl.DataFrame, day: date) -> pa.Table:
    """Return changed rows as a source delivers them."""
    schema = CONTRACTS[table].arrow_schema()
    typed = rows.select(schema.names).to_arrow().cast(schema)
    dated = typed.append_column(DELIVERED_ON, pa.array([day] * len(typed), pa.date32()))
    return simulated.with_original(dated, None)


def refused_rows(table: str, raw: Mapping[date, pa.Table], quarantined: pa.Table) -> dict[date, Refused]:
    """Return the refused rows of each day with rows, by the column that a reason is about, all columns listed."""
    contract = CONTRACTS[table]
    rows, columns = Counter[date](), {day: Counter({c.name: 0 for c in contract.columns}) for day in raw}
    days, reasons = (quarantined[name].to_pylist() for name in (DELIVERED_ON, "reasons"))
    for day, reasons_of_row in zip(days, reasons, strict=True):
        rows[day] += 1
        columns[day].update(columns_of_reasons(contract, reasons_of_row))
    return {day: Refused(len(found), rows[day], columns[day]) for day, found in raw.items() if len(found)}


@cache
def prepared(
    app: AppName,
    seed: int = 7,
    day: date = DAY,
    days: int = DAYS,
    scenario: Scenario = NO_CHANGE,
    customers: int | None = None,
) -> Home:
    """Make the home of an application: `days` ingested days, and what is delivered on `day`."""
    first = day - timedelta(days=days)
    shop = Shop(customers or CUSTOMERS[app], seed, first, DefectShares(), scenario)
    home = Home(app, day, {})
    tables: dict[str, TableDays] = {}
    # Day by day: the shop holds the last days that it made.
    delivered = [
        (d, {table: shop.delivered(table, d) for table in TABLES[app]})
        for d in (first + timedelta(days=n) for n in range(days + 1))
    ]
    for table in TABLES[app]:
        raw = {d: of_day[table] for d, of_day in delivered}
        home = Home(app, day, {**tables, table: TableDays(table, raw, simulated.empty(table), _NONE)})
        past = pa.concat_tables([rows for d, rows in raw.items() if d < day])
        checked = home.checked(table, past, first)
        tables[table] = TableDays(table, raw, checked.kept, checked.quarantined)
    return Home(app, day, tables)
