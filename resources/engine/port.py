"""The engine port: bulk SQL over tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.health import Health

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from resources.lake.port import TableRef


class Engine(ABC):
    """Runs an ibis expression over tables of the lake, within bounded memory.

    Rows of the lake are given by reference (`Lake.refer`), so an engine that runs elsewhere opens their files there.
    """

    @abstractmethod
    def query(
        self, expression: Callable[..., ir.Table], tables: Mapping[str, TableRef | pa.Table], **parameters: Any
    ) -> pa.RecordBatchReader:
        """Return the rows of `expression(**{name: table}, **parameters)`, streamed; timestamps are µs UTC.

        Args:
            expression: builds an ibis table from ibis tables, one keyword argument for each of `tables`.
            tables: inputs of the expression: references to rows of the lake, which the engine reads by itself, only the
                columns and rows that the expression needs; and small tables that the caller made.
            parameters: passed to the expression as they are.
        """

    @abstractmethod
    def check(self) -> Health:
        """Report if the engine can run a query right now."""
