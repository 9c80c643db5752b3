"""The engine port: bulk SQL over tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.health import Health

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow.dataset as ds


class Engine(ABC):
    """Runs an ibis expression over tables of the lake, within bounded memory."""

    @abstractmethod
    def query(
        self, expression: Callable[..., ir.Table], tables: Mapping[str, ds.Dataset | pa.Table], **parameters: Any
    ) -> pa.RecordBatchReader:
        """Return the rows of `expression(**{name: table}, **parameters)`, streamed; timestamps are µs UTC.

        Args:
            expression: builds an ibis table from ibis tables, one keyword argument for each of `tables`.
            tables: what the expression reads.
            parameters: passed to the expression as they are.
        """

    @abstractmethod
    def check(self) -> Health:
        """Report if the engine can run a query right now."""
