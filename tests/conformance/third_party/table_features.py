"""A feature store of a third party, without Feast's stores: joins by a loop, online rows in a file of SQLite.

It reads names, keys, ttls and types from the definitions, serves online and takes pushed rows; it keeps no log, and
cannot erase.
"""

import importlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureService, FeatureView
from feast.types import from_feast_to_pyarrow_type

from models.errors import TesseraError, choose_from
from resources.conformance.capabilities import Gap
from resources.feature_store.port import (
    NOT_FOUND,
    OUTSIDE_MAX_AGE,
    PRESENT,
    PushableFeatureStore,
    moment_column,
    status_column,
)
from resources.health import Health

US_UTC = pa.timestamp("us", "UTC")
TABLE = "CREATE TABLE IF NOT EXISTS online (view, customer, at, created, row, PRIMARY KEY (view, customer))"
AT, CREATED = "event_timestamp", "created_timestamp"


class TableFeaturesConfig(dg.Config):
    """Online features in a file of SQLite."""

    gaps: ClassVar = {
        "erasable": Gap("rows are kept for ever"),
        "logged": Gap("nobody writes down what was served"),
    }

    kind: Literal["table"] = "table"
    file: str
    definitions: str = "feature_repo.definitions"

    def open(self) -> "TableFeatures":
        return TableFeatures(self.file, self.definitions)


class TableFeatures(PushableFeatureStore):
    def __init__(self, file: str, definitions: str) -> None:
        self.file = file
        known = importlib.import_module(definitions).definitions("")
        self.views = {each.name: each for each in known if isinstance(each, FeatureView)}
        self.services = {each.name: each for each in known if isinstance(each, FeatureService)}

    def apply(self) -> Sequence[str]:
        return list(self.services)

    def historical(self, service: str, entities: pa.Table, *, files: Mapping[str, Sequence[str]]) -> pa.Table:
        rows = checked(entities, {"customer_id": pa.string(), AT: US_UTC}, self._features(service)).to_pylist()
        for view in self._of(service):
            if rows and not files.get(view.name):
                raise refused(f"There are no files for the feature view {view.name!r}.", "files", "Compute them.")
            known = by_customer(read(files[view.name])) if rows else {}
            found = [newest(known.get(row["customer_id"], []), row[AT], view.ttl or timedelta(0)) for row in rows]
            entities = with_features(entities, view, found)
        return entities

    def materialize(self, view: str, start: datetime, end: datetime, *, files: Sequence[str]) -> None:
        self._view(view)
        if not files:
            raise refused(f"There are no files for the feature view {view!r}.", "files", "Compute them.")
        self._write(view, [row for row in read(files) if row["customer_id"] and start < row[AT] <= end])

    def push(self, view: str, rows: pa.Table) -> int:
        needed = {"customer_id": pa.string(), AT: US_UTC, **types(self._view(view))}
        checked(rows, needed, [])
        if rows["customer_id"].null_count:
            raise refused("There are rows without 'customer_id'.", "a key", "Leave them out.")
        return len({row["customer_id"] for row in self._write(view, rows.to_pylist())})

    def online(self, service: str, entities: pa.Table) -> pa.Table:
        now, found, marks = datetime.now(UTC), entities, {}
        rows = checked(entities, {"customer_id": pa.string()}, self._features(service))["customer_id"].to_pylist()
        for view in self._of(service):
            with self._transaction() as db:
                ask = "SELECT at, row FROM online WHERE view = ? AND customer = ?"
                stored = [db.execute(ask, (view.name, customer)).fetchone() for customer in rows]
            ages = [moment(row[0]) if row else None for row in stored]
            states = [status(at, now, view.ttl) for at in ages]
            given = [json.loads(row[1]) if state == PRESENT else {} for row, state in zip(stored, states, strict=True)]
            found = with_features(found, view, given)
            marks |= {status_column(view.name): pa.array(states, pa.string())}
            marks |= {moment_column(view.name): pa.array(ages, US_UTC)}
        for name, column in marks.items():
            found = found.append_column(name, column)
        return found

    def check(self) -> Health:
        return Health(True, f"{len(self.services)} services")

    def _write(self, view: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows that replaced an older one."""
        with self._transaction() as db:
            return [row for row in sorted(rows, key=age) if self._replaces(db, view, row)]

    def _replaces(self, db: sqlite3.Connection, view: str, row: dict[str, Any]) -> bool:
        place, (at, created) = (view, row["customer_id"]), age(row)
        stored = db.execute("SELECT at, created FROM online WHERE view = ? AND customer = ?", place).fetchone()
        if stored is not None and stored > (at, created):
            return False
        features = json.dumps({name: row[name] for name in types(self.views[view])})
        db.execute("INSERT OR REPLACE INTO online VALUES (?, ?, ?, ?, ?)", (*place, at, created, features))
        return True

    def _of(self, service: str) -> list[FeatureView]:
        if service not in self.services:
            raise refused(
                f"There is no feature service {service!r}.", choose_from(service, self.services), "Correct it."
            )
        return [self.views[part.name] for part in self.services[service].feature_view_projections]

    def _view(self, view: str) -> FeatureView:
        if view not in self.views:
            raise refused(f"There is no feature view {view!r}.", choose_from(view, self.views), "Correct it.")
        return self.views[view]

    def _features(self, service: str) -> list[str]:
        return [name for view in self._of(service) for name in types(view)]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.file, isolation_level=None, timeout=60)) as db:
            db.execute(TABLE)
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")


def refused(what: str, expected: str, todo: str) -> TesseraError:
    return TesseraError(what, expected=expected, todo=todo)


def types(view: FeatureView) -> dict[str, pa.DataType]:
    return {field.name: from_feast_to_pyarrow_type(field.dtype) for field in view.features}


def read(files: Sequence[str]) -> list[dict[str, Any]]:
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def age(row: dict[str, Any]) -> tuple[int, int]:
    """µs since 1970 of the event and of its creation; -1 where that is unknown."""
    return micros(row[AT]), micros(row[CREATED]) if row.get(CREATED) else -1


def micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def moment(number: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number)


def status(at: datetime | None, now: datetime, ttl: timedelta | None) -> str:
    if at is None:
        return NOT_FOUND
    return OUTSIDE_MAX_AGE if ttl and at + ttl < now else PRESENT


def by_customer(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["customer_id"] is not None:
            found.setdefault(row["customer_id"], []).append(row)
    return found


def newest(rows: Sequence[dict[str, Any]], at: datetime, ttl: timedelta) -> dict[str, Any]:
    known = [row for row in rows if row[AT] <= at and row[CREATED] <= at]
    last = max(known, key=age, default=None)
    return {} if last is None or (ttl and last[AT] + ttl < at) else last


def checked(rows: pa.Table, needed: Mapping[str, pa.DataType], given: Sequence[str]) -> pa.Table:
    for name, kind in needed.items():
        if name not in rows.column_names:
            raise refused(f"The rows have no column {name!r}.", f"{kind}", "Add it.")
        found = rows.schema.field(name).type
        if found != kind and not (pa.types.is_timestamp(kind) and pa.types.is_timestamp(found) and found.tz):
            raise refused(f"The rows have {found} in {name!r}.", f"{kind}", "Correct it.")
    if AT in needed and rows[AT].null_count:
        raise refused(f"There are rows without {AT!r}.", "a moment", "Leave them out.")
    for name in set(given) & set(rows.column_names):
        raise refused(f"The rows already have {name!r}.", "no feature", "Rename it.")
    return rows.select(list(needed)).cast(pa.schema(needed.items()), safe=False)


def with_features(rows: pa.Table, view: FeatureView, found: Sequence[dict[str, Any]]) -> pa.Table:
    for name, kind in types(view).items():
        rows = rows.append_column(name, pa.array([row.get(name) for row in found], kind))
    return rows
