"""What a job runs: tables of its own connection, then one SELECT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from duckdb import DuckDBPyConnection

from resources.feature_store.asof_entities import Entities
from resources.feature_store.asof_sql import (
    MATCHES,
    JoinedView,
    Order,
    first_and_last,
    lags,
    looked_up,
    matches,
)

_BEGINNING = datetime.min.replace(tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Range = tuple[datetime | None, datetime | None]


class Query(Protocol):
    """What a retrieval job computes."""

    def prepare(self, connection: DuckDBPyConnection) -> str:
        """The SELECT that gives the result, after all it needs is in the connection."""
        ...


@dataclass(frozen=True)
class Statement:
    """A query that needs nothing prepared."""

    sql: str

    def prepare(self, connection: DuckDBPyConnection) -> str:  # noqa: ARG002
        """See `Query`."""
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
    _asked: list[Range] = field(default_factory=list, compare=False)

    def prepare(self, connection: DuckDBPyConnection) -> str:
        """See `Query`."""
        self.entities.load(connection)
        first, last = self._range(connection)
        wheres = [_where(view, first, last) for view in self.views]
        orders: list[Order] = [
            self._order(connection, view, where) for view, where in zip(self.views, wheres, strict=True)
        ]
        connection.execute(f"CREATE TEMP TABLE {MATCHES} AS {matches(self.views, orders, wheres)}")
        return looked_up(self.views, wheres, self.entities.carried)

    def asked(self, connection: DuckDBPyConnection) -> Range:
        """First and last moment of the entity rows."""
        if not self._asked:
            self.entities.load(connection)
            self._range(connection)
        return self._asked[0]

    def _range(self, connection: DuckDBPyConnection) -> Range:
        found = connection.execute(first_and_last()).fetchone() or (None, None)
        first, last = (None if us is None else _EPOCH + us * _MICROSECOND for us in found)
        self._asked[:] = [(first, last)]
        return first, last

    def _order(self, connection: DuckDBPyConnection, view: JoinedView, where: str) -> Order:
        if view.created is None:
            return "event"
        if not self.known_only:
            return "event_created"
        agree = connection.execute(lags(view, where)).fetchone()
        return "known" if agree and agree[0] else "frontier"


def _where(view: JoinedView, first: datetime | None, last: datetime | None) -> str:
    """What no entity row can match: events after the last moment, and those that had expired by the first."""
    if first is None or last is None:
        return "FALSE"
    oldest = None
    if view.max_age_us is not None and view.max_age_us < (first - _BEGINNING) // _MICROSECOND:
        oldest = first - view.max_age_us * _MICROSECOND
    return view.event.between(oldest, last)
