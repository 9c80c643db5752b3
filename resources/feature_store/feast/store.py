"""The feature store on Feast: its registry, definitions and online layouts; our joins, materialization and reads."""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal

import dagster as dg
import pyarrow as pa
from pydantic import ConfigDict, Field, field_validator
from typing_extensions import override

from models.errors import TesseraError
from resources.feature_store.feast.client_errors import answering
from resources.feature_store.feast.entity_rows import appended, checked
from resources.feature_store.feast.online_settings import check_online_settings
from resources.feature_store.feast.served_log import SERVED_AT, ServedLog
from resources.feature_store.feast.session import FeastSession
from resources.feature_store.feast.settings import feast_settings
from resources.feature_store.offline.pinned_files import pinned
from resources.feature_store.online.bulk_store import BulkOnlineStore
from resources.feature_store.port import (
    SERVED_LOG,
    ErasableFeatureStore,
    LoggedFeatureStore,
    PushableFeatureStore,
    ServedRows,
)
from resources.health import Health

_MOMENT = "event_timestamp"
_US_UTC = pa.timestamp("us", "UTC")
_MICROSECOND = timedelta(microseconds=1)


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


class FeastStoreConfig(dg.Config):
    """Feast: registry and online store in one folder, or on servers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: `{env: NAME}` under `online_store` stays so: secrets are filled in by Feast, and no YAML file holds them.
    keeps_references: ClassVar[bool] = True

    kind: Literal["feast"] = "feast"
    path: str = Field(default="var/feast", description="Folder of registry, online store and the log of served rows.")
    tables: str = Field(default="var/lake", description="The lake's path: where the `feast` command finds the rows.")
    definitions: str = Field(
        "feature_repo.definitions", description="Module whose `definitions(tables)` gives what to register."
    )
    online_store: dict[str, Any] = Field(
        default={"type": "sqlite"},
        description="`type`: sqlite, redis, postgres, another online store of Feast or a dotted path; then Feast's own "
        "settings of that store. Secrets: {env: NAME}.",
    )
    registry: str = Field(
        default="",
        description="SQLAlchemy URL of the registry, e.g. postgresql+psycopg://user@host/db; empty: SQLite in `path`.",
    )
    threads: int = Field(default=2, ge=1, description="Threads of one point-in-time join.")
    memory_limit_mb: int = Field(
        default=2000, ge=100, description="Memory of one point-in-time join; beyond it, it spills."
    )
    logged_share: float = Field(
        default=0.01, ge=0, le=1, description="Share of the rows served online that is logged, to be compared later."
    )

    @field_validator("online_store")
    @classmethod
    def _fits_its_type(cls, online_store: dict[str, Any]) -> dict[str, Any]:
        check_online_settings(online_store)
        return online_store

    def open(self) -> FeastStore:
        """Return the store; nothing is read or written yet."""
        return FeastStore(self)


class FeastStore(PushableFeatureStore, LoggedFeatureStore, ErasableFeatureStore):
    """Feast behind the port. Reads never wait; what writes the registry waits for others that do.

    Args:
        config: where everything is.
        clock: the present moment, which ages are measured by.
    """

    def __init__(self, config: FeastStoreConfig, clock: Callable[[], datetime] = utc_now) -> None:
        self._config = config
        self._clock = clock
        folder = Path(config.path).resolve()
        settings = feast_settings(
            folder,
            tables=config.tables if "://" in config.tables else Path(config.tables).resolve(),
            online_store=config.online_store,
            registry=config.registry,
            threads=config.threads,
            memory_limit_mb=config.memory_limit_mb,
        )
        self._session = FeastSession(folder, settings)
        self._log = ServedLog(folder / "served.db", config.logged_share)

    @override
    def apply(self) -> Sequence[str]:
        """See the port. Also writes `feature_store.yaml` for the `feast` command."""
        with answering():
            return self._session.apply(lambda tables: self._definitions().definitions(tables))

    @override
    def historical(self, service: str, entities: pa.Table, *, files: Mapping[str, Sequence[str]]) -> pa.Table:
        """See the port. What was created after a row's `event_timestamp` is not joined to it, whatever its own time."""
        with answering():
            plan = self._session.plan(service, fresh=True)
            needed = pa.schema([*plan.keys, *plan.request, pa.field(_MOMENT, _US_UTC)])
            rows = checked(entities, needed, plan.features.names, moment=_MOMENT)
            if entities.num_rows == 0:
                return appended(entities, _columns(plan.features.empty_table()))
            given: Any = rows  # the store takes Arrow, which Feast passes on
            feast = self._session.feast
            with pinned(_checked_files({view.view.name: files.get(view.view.name, ()) for view in plan.views})):
                job = feast.get_historical_features(given, plan.service, filter_by_created_timestamp=True)
                joined = job.to_arrow()
        return appended(entities, _columns(joined.select(plan.features.names).cast(plan.features)))

    @override
    def materialize(self, view: str, start: datetime, end: datetime, *, files: Sequence[str]) -> None:
        """See the port."""
        from resources.feature_store.feast.materialization import materialize, record

        session = self._session
        with answering():
            found = session.view(view)
            # Only our stores compare times while they write.
            monotonic = isinstance(session.online_store, BulkOnlineStore)
            with pinned(_checked_files({view: files})), contextlib.nullcontext() if monotonic else session.exclusive():
                # Feast's window includes its start, ours does not.
                materialize(session.feast, found, start + _MICROSECOND, end)
            with session.exclusive():
                record(session.feast, view, start, end)

    @override
    def push(self, view: str, rows: pa.Table) -> int:
        """See the port. Needs one of our online stores: Feast's own overwrite newer rows."""
        from resources.feature_store.feast.pushing import push

        session = self._session
        with answering():
            return push(session.feast, session.online_store, session.view(view), rows)

    @override
    def online(self, service: str, entities: pa.Table) -> pa.Table:
        """See the port. A sampled share of the rows (`logged_share`) is logged."""
        from resources.feature_store.feast.online_reads import read_online

        with answering():
            plan, now = self._session.plan(service), self._clock()
            rows = checked(entities, pa.schema([*plan.keys, *plan.request]), plan.answer.names)
            found = read_online(self._session.feast.config, self._session.online_store, plan, rows, now)
        self._log.add(service, rows.select(plan.keys.names), found, now)
        return appended(entities, found)

    @override
    def online_rows(self, service: str, entities: Sequence[Mapping[str, Any]]) -> ServedRows:
        """See the port. Logged as by `online`."""
        with answering():
            plan, store, now = self._session.few_rows_plan(service), self._session.online_store, self._clock()
            if plan is None or not isinstance(store, BulkOnlineStore) or not plan.takes(entities):
                return super().online_rows(service, entities)
            found = ServedRows(plan.schema, plan.read(self._session.feast.config, store, entities, now))
        self._log.add_rows(service, plan.plan.keys.names, found, now)
        return found

    @override
    def answers_at_once(self, service: str) -> bool:
        """See the port: the online store is a file, and what is registered was read not long ago."""
        return self._session.knows(service) and getattr(self._session.online_store, "is_local", False)

    @override
    def served(self, service: str, first: datetime, last: datetime) -> pa.Table:
        """See the port. Each machine logs in its own folder."""
        with answering():
            plan = self._session.plan(service)
        schema = pa.schema([pa.field(SERVED_AT, _US_UTC), *plan.keys, *plan.answer])
        rows = self._log.read(service, first, last)
        if rows is None:
            return schema.empty_table()
        columns = [
            rows[field.name].cast(field.type) if field.name in rows.column_names else pa.nulls(len(rows), field.type)
            for field in schema
        ]
        return pa.Table.from_arrays(columns, schema=schema)

    @override
    def forget(self, entity: str, id: str) -> Mapping[str, int]:
        """See the port. The log is that of this folder."""
        from resources.feature_store.feast.erasure import forget_online

        with answering():
            key, removed = forget_online(self._session.feast, self._session.online_store, entity, id)
        return {**removed, SERVED_LOG: self._log.forget(key, id)}

    @override
    def check(self) -> Health:
        """Report if the registry and the online store respond."""
        try:
            with answering():
                feast = self._session.feast
                feast.registry.list_projects(allow_cache=False)
                services = sorted(service.name for service in feast.list_feature_services())
                for name in services[:1]:
                    self._probe(name)
        except (OSError, TesseraError) as error:
            todo = error.todo if isinstance(error, TesseraError) else f"Check {self._config.path}."
            what = error.what if isinstance(error, TesseraError) else str(error)
            return Health(False, f"The feature store does not answer: {what}", todo)
        if not services:
            return Health(True, "Feast, nothing registered yet", "The first run registers feature_repo/.")
        kind = self._config.online_store.get("type", "sqlite")
        return Health(True, f"Feast, services {', '.join(services)}, online in {kind}")

    def _probe(self, service: str) -> None:
        """Asks the online store for an entity that does not exist."""
        from resources.feature_store.feast.online_reads import stored_rows
        from resources.feature_store.online.bulk_store import BulkOnlineStore

        plan, online = self._session.plan(service), self._session.online_store
        if isinstance(online, BulkOnlineStore):
            online.reach(self._session.feast.config)
        unknown = pa.table([pa.array([_any(field.type)], field.type) for field in plan.keys], schema=plan.keys)
        stored_rows(self._session.feast.config, self._session.online_store, plan, unknown)

    def _definitions(self) -> Any:
        return importlib.import_module(self._config.definitions)


def _checked_files(files: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
    for view, of_view in files.items():
        if not of_view:
            raise TesseraError(
                f"There are no files for the feature view {view!r}.",
                expected="the Parquet files of at least one day of features",
                todo="Compute the features first: run the nightly job for that day.",
            )
    return files


def _columns(table: pa.Table) -> Mapping[str, pa.ChunkedArray]:
    return dict(zip(table.column_names, table.columns, strict=True))


def _any(type: pa.DataType) -> Any:
    return {pa.string(): "", pa.binary(): b""}.get(type, 0)
