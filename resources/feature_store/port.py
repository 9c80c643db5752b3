"""The feature store port: register, join point in time, serve online, and erase features."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime

import pyarrow as pa

from resources.health import Health

#: What `<view>__status` says: a row is known and young enough; none is known; the newest is older than the view's ttl.
PRESENT, NOT_FOUND, OUTSIDE_MAX_AGE = "PRESENT", "NOT_FOUND", "OUTSIDE_MAX_AGE"

#: The key of `FeatureStore.forget` for the rows removed from the log of what was served.
SERVED_LOG = "served_log"


def status_column(view: str) -> str:
    """Return the column that says how a view's features were found: PRESENT, NOT_FOUND or OUTSIDE_MAX_AGE."""
    return f"{view}__status"


def moment_column(view: str) -> str:
    """Return the column with the moment of a view's row (µs, UTC); NULL where none was found."""
    return f"{view}__event_timestamp"


class FeatureStore(ABC):
    """Definitions (entities, views, services), point-in-time joins and the online store."""

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
    def materialize(self, view: str, start: datetime, end: datetime, *, files: Sequence[str]) -> None:
        """Bring online, for each entity, its newest row of `view` in `(start, end]`, unless a newer one is stored.

        Who was forgotten stays forgotten.
        """

    @abstractmethod
    def online(self, service: str, entities: pa.Table) -> pa.Table:
        """`entities` (keys + any columns to carry along) with what `service` serves now, in order, duplicates too.

        After the entity columns come the features, and for each view `<view>__status` (`PRESENT`, `NOT_FOUND` or
        `OUTSIDE_MAX_AGE`) and `<view>__event_timestamp` (µs, UTC; NULL where nothing was found). Features of a view
        that is not PRESENT are NULL. A sampled share of these rows can be read again with `served`.

        Raises:
            TesseraError: unknown service, missing column.
        """

    @abstractmethod
    def served(self, service: str, first: datetime, last: datetime) -> pa.Table:
        """Return the sampled rows of `service` that were served in `[first, last)`, oldest first.

        `served_at` (µs, UTC), entity keys, features, and each view's `<view>__status` and `<view>__event_timestamp`,
        as `online` gave them. Carried columns are not logged.

        Raises:
            TesseraError: unknown service.
        """

    @abstractmethod
    def forget(self, entity: str, id: str) -> Mapping[str, int]:
        """Rows removed per feature view online, and under `served_log` from the log.

        Tombstones (digests, not ids) keep later materializations and log entries from bringing the entity back.

        Args:
            entity: the entity's name, e.g. `customer`.
            id: its key, e.g. `C000017`.

        Raises:
            TesseraError: unknown entity; an online store that cannot forget.
        """

    @abstractmethod
    def check(self) -> Health:
        """Report if the registry and the online store respond right now."""
