"""The feature store port: register definitions and join point in time; some stores also serve features online."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from models.errors import TesseraError
from resources.health import Health

#: What `<view>__status` says: a row is known and young enough; none is known; the newest is older than the view's ttl.
PRESENT, NOT_FOUND, OUTSIDE_MAX_AGE = "PRESENT", "NOT_FOUND", "OUTSIDE_MAX_AGE"

#: The key of `ErasableFeatureStore.forget` for the rows removed from the log of what was served.
SERVED_LOG = "served_log"


def status_column(view: str) -> str:
    """Return the column that says how a view's features were found: PRESENT, NOT_FOUND or OUTSIDE_MAX_AGE."""
    return f"{view}__status"


def moment_column(view: str) -> str:
    """Return the column with the moment of a view's row (µs, UTC); NULL where none was found."""
    return f"{view}__event_timestamp"


#: Entities up to which `online_rows` costs less than a table.
FEW_ENTITIES = 8


@dataclass(frozen=True)
class ServedRows:
    """Rows of `OnlineFeatureStore.online` as Python's values: of few rows, a table costs more than what is in it.

    Attributes:
        schema: of the table.
        rows: values by column.
    """

    schema: pa.Schema
    rows: Sequence[Mapping[str, Any]]

    def table(self) -> pa.Table:
        """Return the same rows as a table."""
        return pa.Table.from_pylist([dict(row) for row in self.rows], schema=self.schema)


class FeatureStore(ABC):
    """Definitions (entities, views, services) and point-in-time joins over files of the lake.

    Some stores also serve features (`OnlineFeatureStore`), take pushed rows (`PushableFeatureStore`), log what was
    served (`LoggedFeatureStore`) and erase (`ErasableFeatureStore`).
    """

    @abstractmethod
    def apply(self) -> Sequence[str]:
        """Names of the registered feature services, after the definitions of `feature_repo/` are registered."""

    @abstractmethod
    def historical(self, service: str, entities: pa.Table, *, files: Mapping[str, Sequence[str]]) -> pa.Table:
        """`entities` with the features of `service` as they were known at each row's `event_timestamp`.

        Args:
            service: a feature service, e.g. `churn_v1`.
            entities: entity keys + `event_timestamp` (µs, UTC) + any columns to carry along; rows and their order
                are kept, duplicates too.
            files: per feature view, the Parquet files of its current version.

        Raises:
            TesseraError: unknown service, missing column.
        """

    @abstractmethod
    def check(self) -> Health:
        """Report if the registry, and the online store if there is one, respond right now."""


class OnlineFeatureStore(FeatureStore):
    """A feature store that serves the newest features of an entity."""

    @abstractmethod
    def materialize(self, view: str, start: datetime, end: datetime, *, files: Sequence[str]) -> None:
        """Bring online, for each entity, its newest row of `view` in `(start, end]`, unless a newer one is stored.

        Of rows of one moment the one created last is the newest. Erased entities stay erased.

        Raises:
            TesseraError: unknown view, or no files.
        """

    @abstractmethod
    def online(self, service: str, entities: pa.Table) -> pa.Table:
        """`entities` (keys + any columns to carry along) with what `service` serves now, in order, duplicates too.

        After the entity columns come the features, and for each view `<view>__status` (`PRESENT`, `NOT_FOUND` or
        `OUTSIDE_MAX_AGE`) and `<view>__event_timestamp` (µs, UTC; NULL where nothing was found). Features of a view
        that is not PRESENT are NULL.

        Raises:
            TesseraError: unknown service, missing column.
        """

    def online_rows(self, service: str, entities: Sequence[Mapping[str, Any]]) -> ServedRows:
        """`online` of a few entities, as Python's values. A store that can overrides it to make no table.

        Args:
            service: a feature service.
            entities: values by column, at least one row, no value None.

        Raises:
            TesseraError: unknown service, missing column.
        """
        found = self.online(service, pa.Table.from_pylist([dict(row) for row in entities]))
        return ServedRows(found.schema, found.to_pylist())

    def answers_at_once(self, service: str) -> bool:  # noqa: ARG002 - adapters look at it
        """Return True if `online_rows` of `service` would read local memory or files now, and ask no server."""
        return False


class PushableFeatureStore(OnlineFeatureStore):
    """A feature store that takes rows as they are made, beside those that are materialized."""

    @abstractmethod
    def push(self, view: str, rows: pa.Table) -> int:
        """Return number of entities whose row was brought online, each unless a newer one is stored.

        The history that `historical` reads is not changed. Rows of erased entities are left out.

        Args:
            view: a feature view.
            rows: entity keys, `event_timestamp` (UTC), all features of the view, and `created_timestamp` (UTC) if it
                is known; in any order. Of several rows of one entity the newest counts.

        Raises:
            TesseraError: unknown view, a column is missing or of another type, or a row without key or moment.
        """


class LoggedFeatureStore(OnlineFeatureStore):
    """A feature store that logs a sampled share of the rows that it serves."""

    @abstractmethod
    def served(self, service: str, first: datetime, last: datetime) -> pa.Table:
        """Return the sampled rows of `service` that were served in `[first, last)`, oldest first.

        `served_at` (µs, UTC), entity keys, features, and each view's `<view>__status` and `<view>__event_timestamp`,
        as `online` gave them. Carried columns are not logged.

        Raises:
            TesseraError: unknown service.
        """


class ErasableFeatureStore(OnlineFeatureStore):
    """A feature store that can remove all rows of one entity, for good."""

    @abstractmethod
    def forget(self, entity: str, id: str) -> Mapping[str, int]:
        """Rows removed per feature view online, and under `served_log` from the log if there is one.

        Tombstones (digests, not ids) keep later writes, wherever they come from, from bringing the entity
        back. May be called again after it was interrupted.

        Args:
            entity: the entity's name, e.g. `customer`.
            id: its key, e.g. `C000017`.

        Raises:
            TesseraError: unknown entity, or the adapter's storage cannot remove rows.
        """


def online_part(store: FeatureStore) -> OnlineFeatureStore:
    """Return the store, which serves features online.

    Raises:
        TesseraError: the adapter does not.
    """
    if isinstance(store, OnlineFeatureStore):
        return store
    raise TesseraError(
        f"The feature store ({type(store).__name__}) serves no features online.",
        expected="an adapter with the capability `online` (docs/adapters.md)",
        todo="Choose such an adapter in stack.yaml, or read features at a moment: `tessera features --out FILE`.",
    )
