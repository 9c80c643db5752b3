"""Rows of the feature views under test, their files, and the plain loop by which joins are compared."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck

from resources.feature_store.port import FeatureStore

# pyarrow has no static types.
# pyright: basic

US_UTC = pa.timestamp("us", "UTC")
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
#: Several adapters run one test, in stores that its examples share, on machines that are busy.
UNCHECKED = (HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow)
#: Moment of tests that read no clock.
T = datetime(2024, 3, 31, 23, 59, 59, 999999, tzinfo=UTC)

_FEATURES = {"activity": {"visits": pa.float64(), "plan": pa.string()}, "profile": {"age": pa.int64()}}


@dataclass(frozen=True)
class Row:
    """One row of a feature view.

    Attributes:
        customer: the entity.
        at: its event timestamp.
        value: `visits` of the view `activity` (its `plan` is `gold`), `age` of the view `profile`.
        created: its created timestamp; None: as `at`.
    """

    customer: str | None
    at: datetime
    value: float | None
    created: datetime | None = None


@dataclass
class FeatureFiles:
    """Writes Parquet files of feature rows."""

    folder: Path
    _written: list[Path] = field(default_factory=list)

    def __call__(self, *rows: Row, view: str = "activity") -> str:
        """Return the path of a new file with these rows."""
        path = self.folder / f"{view}-{len(self._written)}.parquet"
        self._written.append(path)
        pq.write_table(feature_table(rows, view), path)
        return str(path)


def feature_table(rows: Iterable[Row], view: str = "activity") -> pa.Table:
    """`customer_id`, both timestamps, and the features of the view."""
    given = list(rows)
    first, *others = _FEATURES[view].items()
    columns = {
        "customer_id": pa.array([row.customer for row in given], pa.string()),
        "event_timestamp": pa.array([row.at for row in given], US_UTC),
        "created_timestamp": pa.array([row.created or row.at for row in given], US_UTC),
        first[0]: pa.array([row.value for row in given], first[1]),
        **{name: pa.array(["gold"] * len(given), type) for name, type in others},
    }
    return pa.table(columns)


def asked(*rows: tuple[str | None, datetime]) -> pa.Table:
    """Entity rows: `customer_id` and `event_timestamp`."""
    customers, moments = [row[0] for row in rows], [row[1] for row in rows]
    return pa.table({"customer_id": pa.array(customers, pa.string()), "event_timestamp": pa.array(moments, US_UTC)})


def customers(*ids: str | None) -> pa.Table:
    """Entity rows without a moment."""
    return pa.table({"customer_id": pa.array(ids, pa.string())})


def known_at(rows: Sequence[Row], customer: str, moment: datetime, max_age: timedelta | None) -> float | None:
    """Return the value known of the customer at the moment: of the newest row, by a plain loop."""
    found: Row | None = None
    for row in rows:
        if row.customer != customer or row.at > moment or (row.created or row.at) > moment:
            continue
        if found is None or (row.at, row.created or row.at) >= (found.at, found.created or found.at):
            found = row
    if found is None or (max_age is not None and found.at + max_age < moment):
        return None
    return found.value


def visits_at(store: FeatureStore, entities: pa.Table, *files: str) -> list[float | None]:
    """Return `visits` of the entity rows, which must come back as they are."""
    found = store.historical("activity_v1", entities, files={"activity": files})
    assert found.select(entities.column_names).equals(entities)
    return found["visits"].to_pylist()
