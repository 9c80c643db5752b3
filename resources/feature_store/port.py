"""Where features are defined, joined point in time, and served."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime

import pyarrow as pa

from resources.health import Health


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
        """The online store holds, for each entity, its newest row of `view` in `(start, end]`."""

    @abstractmethod
    def online(self, service: str, entities: pa.Table) -> pa.Table:
        """The newest served features of each entity row, in order; NULL where nothing is known."""

    @abstractmethod
    def check(self) -> Health:
        """Whether registry and online store answer right now."""
