"""A source of a third party: dictionaries in memory, as an interface of a shop system hands them out."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, ClassVar, Literal

import dagster as dg
import pyarrow as pa

from models.contracts import DELIVERED_ON, ORDERS, ORIGINAL
from models.errors import TesseraError
from resources.health import Health
from resources.source.port import Source


class ListedSourceConfig(dg.Config):
    """Orders of a list that the process holds."""

    kind: Literal["listed"] = "listed"

    lists: ClassVar[list[Mapping[str, Any]]] = []

    def open(self) -> "ListedSource":
        return ListedSource(self.lists)


class ListedSource(Source):
    def __init__(self, orders: Sequence[Mapping[str, Any]]) -> None:
        self.orders = orders

    def tables(self) -> frozenset[str]:
        return frozenset({"orders"})

    def first_day(self) -> date:
        return min(order["day"] for order in self.orders)

    def original_names(self, table: str) -> Mapping[str, str]:
        return {"order_line_id": "line", "quantity": "pieces"}

    def read(self, table: str, first: date, last: date) -> pa.RecordBatchReader:
        if table != "orders":
            raise TesseraError(f"There is no table {table!r}.", expected="orders", todo="Ask for that.")
        days = sorted((order for order in self.orders if first <= order["day"] <= last), key=lambda one: one["day"])
        return pa.Table.from_pylist([self._row(order) for order in days], self._schema()).to_reader()

    def check(self) -> Health:
        return Health(True, f"{len(self.orders)} orders in memory")

    def _row(self, order: Mapping[str, Any]) -> dict[str, Any]:
        named = {"line": "order_line_id", "pieces": "quantity", "day": DELIVERED_ON}
        original = json.dumps(order, default=str)
        return {**{named.get(name, name): value for name, value in order.items()}, ORIGINAL: original}

    def _schema(self) -> pa.Schema:
        columns = ORDERS.arrow_schema()
        return columns.append(pa.field(DELIVERED_ON, pa.date32())).append(pa.field(ORIGINAL, pa.string()))
