"""A source without any file or server: one simulated online retailer."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Literal

import dagster as dg
import pyarrow as pa
from pydantic import ConfigDict, Field, field_validator

from models.errors import TesseraError, choose_from
from models.simulation.defects import DefectShares
from models.simulation.rows import SCHEMAS, with_original
from models.simulation.shop import Shop
from resources.health import Health
from resources.source.port import Identity, Source


class SimulatedSource(Source):
    """The deliveries of a `Shop`; every row of every day follows from the shop's settings."""

    def __init__(self, shop: Shop, first_day: date, settings: Mapping[str, object] | None = None) -> None:
        self.shop, self._first_day, self._settings = shop, first_day, settings

    def tables(self) -> frozenset[str]:
        """Every contracted table."""
        return frozenset(SCHEMAS)

    def identity(self, table: str) -> Identity | None:  # noqa: ARG002 - all tables are of one shop
        """Every setting of the shop: each of them makes other rows."""
        return None if self._settings is None else Identity({"kind": "simulated", **self._settings})

    def first_day(self) -> date:
        """Return the day the records of the shop begin."""
        return self._first_day

    def read(self, table: str, first: date, last: date) -> pa.RecordBatchReader:
        """Return the rows delivered on `first`..`last`, one batch or more for each day, day after day."""
        if table not in SCHEMAS:
            raise TesseraError(
                f"The simulated shop has no table {table!r}.",
                expected=choose_from(table, SCHEMAS),
                todo="Ask for one of these.",
            )
        schema = with_original(SCHEMAS[table].empty_table(), None).schema
        return pa.RecordBatchReader.from_batches(schema, self._batches(table, max(first, self._first_day), last))

    def check(self) -> Health:
        """Report always healthy: nothing outside this process is needed."""
        return Health(ok=True, says=f"simulated shop, records since {self._first_day}")

    def _batches(self, table: str, first: date, last: date) -> Iterator[pa.RecordBatch]:
        for number in range((last - first).days + 1):
            yield from self.shop.delivered(table, first + timedelta(days=number)).to_batches()


class SimulatedSourceConfig(dg.Config):
    """A simulated online retailer: another seed is another shop; shares are bad rows per good one.

    A third of its customers pay by card, some 1,900 payments a day for 3,000 customers, 8 or 9 of 1,000 fraud.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["simulated"] = "simulated"
    customers: int = Field(default=3000, ge=1, description="Number of customers who are active on any day, about.")
    seed: int = Field(default=7, ge=0, description="Seed of the simulation: another one is another shop.")
    first_day: str = Field(default="2024-01-01", description="The day its records begin, YYYY-MM-DD (UTC).")
    duplicate_share: float = Field(
        default=0.004, ge=0, le=1, description="Share of lines and payments that come twice on one day."
    )
    redelivered_share: float = Field(
        default=0.003, ge=0, le=1, description="Share of lines that come again the next day."
    )
    null_customer_share: float = Field(
        default=0.004, ge=0, le=1, description="Share of lines that come once more without a customer."
    )
    wrong_unit_share: float = Field(
        default=0.002, ge=0, le=1, description="Share of lines that come once more priced in cents."
    )
    unreadable_quantity_share: float = Field(
        default=0.002, ge=0, le=1, description="Share of lines that come once more with a quantity that is no number."
    )
    late_share: float = Field(
        default=0.01, ge=0, le=1, description="Share of good lines that come one to three days late."
    )

    negative_amount_share: float = Field(
        default=0.002, ge=0, le=1, description="Share of payments that come once more with a negative amount."
    )
    no_terminal_share: float = Field(
        default=0.002, ge=0, le=1, description="Share of payments that come once more without a terminal."
    )
    blank_text_share: float = Field(
        default=0.002, ge=0, le=1, description="Share of support tickets that come once more with a blank text."
    )

    @field_validator("first_day")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        date.fromisoformat(value)
        return value

    def open(self) -> SimulatedSource:
        """Return the source these settings describe."""
        shares = DefectShares(
            duplicate=self.duplicate_share,
            redelivered=self.redelivered_share,
            null_customer=self.null_customer_share,
            wrong_unit=self.wrong_unit_share,
            unreadable_quantity=self.unreadable_quantity_share,
            late=self.late_share,
            negative_amount=self.negative_amount_share,
            no_terminal=self.no_terminal_share,
            blank_text=self.blank_text_share,
        )
        first_day = date.fromisoformat(self.first_day)
        shop = Shop(self.customers, self.seed, first_day, shares)
        return SimulatedSource(shop, first_day, self.model_dump(exclude={"kind"}))
