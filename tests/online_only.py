"""A feature store that only serves, for tests that give it rows: a subclass says what `online` answers."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import pyarrow as pa

from resources.feature_store.port import OnlineFeatureStore
from resources.health import Health


class OnlineOnly(OnlineFeatureStore):
    """Joins nothing and brings nothing online."""

    def apply(self) -> Sequence[str]:
        return ()

    def historical(self, service: str, entities: pa.Table, *, files: Mapping[str, Sequence[str]]) -> pa.Table:
        raise AssertionError("nothing is joined here")

    def check(self) -> Health:
        return Health(ok=True, says="")

    def materialize(self, view: str, start: datetime, end: datetime, *, files: Sequence[str]) -> None:
        raise AssertionError("nothing is brought online here")
