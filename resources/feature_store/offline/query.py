"""Queries of the offline store: temporary tables of one connection, then one SELECT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from duckdb import DuckDBPyConnection

from models.timestamps import to_datetime
from resources.feature_store.offline.connection import Limits, opened
from resources.feature_store.offline.entities import Entities
from resources.feature_store.offline.sql import (
    KEEP_SIDES,
    MATCHES,
    JoinedView,
    days,
    first_last_and_number,
    lags,
    looked_up,
    matches,
    number,
    of_entities,
    on_grid,
)
from resources.feature_store.offline.tie_order import Lags, Order, order_of
from resources.feature_store.offline.time_ranges import wanted

#: Measured: 0.1 of the join's CPU for 1,000 entity rows on 2.4 M feature rows, 0.8 at 12 times as many, 1.15 at 2.4.
_FEW = 4


class Query(Protocol):
    """A query that a retrieval job runs."""

    def prepare(self, connection: DuckDBPyConnection) -> str:
        """Load what the query needs into the connection and return the SELECT of its result."""
        ...


@dataclass(frozen=True)
class Statement:
    """A query that needs nothing prepared."""

    sql: str

    def prepare(self, connection: DuckDBPyConnection) -> str:
        """See `Query`."""
        connection.execute(KEEP_SIDES)
        return self.sql


@dataclass(frozen=True)
class PointInTime:
    """Entity rows with the features of each view as they were at each row's moment.

    Attributes:
        known_only: rows created after an entity row's moment are not joined to it.
    """

    entities: Entities
    views: Sequence[JoinedView]
    known_only: bool
    _asked: list[tuple[datetime | None, datetime | None]] = field(default_factory=list, compare=False)

    def prepare(self, connection: DuckDBPyConnection) -> str:
        """See `Query`."""
        last, rows = self._loaded(connection)
        connection.execute(KEEP_SIDES)
        asked = [day for (day,) in connection.execute(days()).fetchall()]
        wheres = [
            view.event.within(() if last is None else wanted(asked, last, view.max_age_us)) for view in self.views
        ]
        orders = [self._order(connection, view, where) for view, where in zip(self.views, wheres, strict=True)]
        narrowed = [
            f"{where} AND {of_entities(view)}" if _are_few(rows, view, connection) else where
            for view, where in zip(self.views, wheres, strict=True)
        ]
        connection.execute(f"CREATE TEMP TABLE {MATCHES} AS {matches(self.views, orders, narrowed)}")
        return looked_up(self.views, wheres, self.entities.carried)

    def asked(self, limits: Limits) -> tuple[datetime | None, datetime | None]:
        """First and last moment of the entity rows; of the last run, if there was one."""
        if not self._asked:
            with opened(limits) as connection:
                self._loaded(connection)
        return self._asked[0]

    def _loaded(self, connection: DuckDBPyConnection) -> tuple[int | None, int]:
        """Last moment, µs, and number of the entity rows, which are in the connection now."""
        self.entities.load(connection)
        first, last, rows = connection.execute(first_last_and_number()).fetchall()[0]
        self._asked[:] = [(None, None) if last is None else (to_datetime(first), to_datetime(last))]
        return last, rows

    def _order(self, connection: DuckDBPyConnection, view: JoinedView, where: str) -> Order:
        if view.created is None:
            return order_of(None, self.known_only, lambda _: False)
        found = Lags(*connection.execute(lags(view, where)).fetchall()[0])
        return order_of(
            found, self.known_only, lambda us: connection.execute(on_grid(view, where, us)).fetchall()[0][0]
        )


def _are_few(rows: int, view: JoinedView, connection: DuckDBPyConnection) -> bool:
    """Return True if dropping other entities' rows before the join costs less than sorting them."""
    return bool(view.keys) and _FEW * rows < connection.execute(number(view.source)).fetchall()[0][0]
