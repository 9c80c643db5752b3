"""The feature store on Feast: its registry, definitions and online layouts; our joins, materialization and reads."""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

import contextlib
import importlib
import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal
from weakref import finalize

import dagster as dg
import pyarrow as pa
from pydantic import Field
from typing_extensions import override

from models.errors import TesseraError, choose_from
from resources.feature_store.entity_rows import appended, checked
from resources.feature_store.feast_clients import answering
from resources.feature_store.feast_settings import feast_settings, for_yaml, repo_config, revealed
from resources.feature_store.online_rows import BulkOnlineStore
from resources.feature_store.pinned_files import pinned
from resources.feature_store.port import SERVED_LOG, FeatureStore
from resources.feature_store.registry_lock import registry_lock
from resources.feature_store.served_log import SERVED_AT, ServedLog
from resources.health import Health

if TYPE_CHECKING:
    from feast import FeatureService, FeatureView
    from feast import FeatureStore as Feast

    from resources.feature_store.service_plan import ServicePlan

_MOMENT = "event_timestamp"
_US_UTC = pa.timestamp("us", "UTC")
_MICROSECOND = timedelta(microseconds=1)
_LOCK_SECONDS = 1800
_REFRESH_SECONDS = 60


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


class FeastStoreConfig(dg.Config):
    """Feast: registry and online store in one folder, or on servers."""

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

    def open(self) -> FeastStore:
        """The store; nothing is read or written yet."""
        return FeastStore(self)


class FeastStore(FeatureStore):
    """Feast behind the port. Reads wait for nobody; what writes the registry waits for others that do.

    Args:
        config: where everything is.
        clock: the present moment, which ages are measured by.
    """

    def __init__(self, config: FeastStoreConfig, clock: Callable[[], datetime] = utc_now) -> None:
        self._config = config
        self._clock = clock
        self._folder = Path(config.path).resolve()
        self._settings = feast_settings(
            self._folder,
            tables=config.tables if "://" in config.tables else Path(config.tables).resolve(),
            online_store=config.online_store,
            registry=config.registry,
            threads=config.threads,
            memory_limit_mb=config.memory_limit_mb,
        )
        self._file = self._folder / "feature_store.yaml"
        self._log = ServedLog(self._folder / "served.db", config.logged_share)
        self._feast: Feast | None = None
        self._opening = Lock()
        self._plans: dict[tuple[str, Any], ServicePlan] = {}
        self._refresh_at = 0.0

    @override
    def apply(self) -> Sequence[str]:
        """See the port. Also writes `feature_store.yaml` for the `feast` command (see feature_repo/feast_cli.py)."""
        _load_feast()
        module = importlib.import_module(self._config.definitions)
        with answering(), self._exclusive():
            feast = self._opened(alone=True)
            feast.apply(module.definitions(self._settings["tables"]))
            self._write_yaml()
            return sorted(service.name for service in feast.list_feature_services())

    @override
    def historical(self, service: str, entities: pa.Table, *, files: Mapping[str, Sequence[str]]) -> pa.Table:
        """See the port. What was created after a row's `event_timestamp` is not joined to it, whatever its own time."""
        with answering():
            plan = self._plan(service, fresh=True)
            needed = pa.schema([*plan.keys, *plan.request, pa.field(_MOMENT, _US_UTC)])
            rows = checked(entities, needed, plan.features.names, moment=_MOMENT)
            if entities.num_rows == 0:
                return appended(entities, _columns(plan.features.empty_table()))
            given: Any = rows  # the store takes Arrow, which Feast passes on
            with pinned(_checked_files({view.view.name: files.get(view.view.name, ()) for view in plan.views})):
                job = self._opened().get_historical_features(given, plan.service, filter_by_created_timestamp=True)
                joined = job.to_arrow()
        return appended(entities, _columns(joined.select(plan.features.names).cast(plan.features)))

    @override
    def materialize(self, view: str, start: datetime, end: datetime, *, files: Sequence[str]) -> None:
        """See the port."""
        from resources.feature_store.materializing import materialize, record

        with answering():
            feast = self._opened()
            feast.refresh_registry()
            found = self._views(feast).get(view)
            if found is None:
                raise _unknown("feature view", view, self._views(feast))
            # Only our stores compare times while they write.
            alone = contextlib.nullcontext() if isinstance(_online_store(feast), BulkOnlineStore) else self._exclusive()
            with pinned(_checked_files({view: files})), alone:
                # Feast's window includes its start, ours does not.
                materialize(feast, found, start + _MICROSECOND, end)
            with self._exclusive():
                record(feast, view, start, end)

    @override
    def online(self, service: str, entities: pa.Table) -> pa.Table:
        """See the port."""
        from resources.feature_store.online_reading import read_online

        with answering():
            plan = self._plan(service)
            needed = pa.schema([*plan.keys, *plan.request])
            rows = checked(entities, needed, plan.answer.names)
            feast, now = self._opened(), self._clock()
            found = read_online(feast.config, _online_store(feast), plan, rows, now)
        self._log.add(service, rows.select(plan.keys.names), found, now)
        return appended(entities, found)

    @override
    def served(self, service: str, first: datetime, last: datetime) -> pa.Table:
        """See the port. Each machine logs in its own folder."""
        with answering():
            plan = self._plan(service)
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
        from resources.feature_store.forgetting import forget_online

        with answering():
            feast = self._opened()
            feast.refresh_registry()
            key, removed = forget_online(feast, _online_store(feast), entity, id)
        return {**removed, SERVED_LOG: self._log.forget(key, id)}

    @override
    def check(self) -> Health:
        """Whether the registry answers, and the online store."""
        try:
            with answering():
                feast = self._opened()
                feast.registry.list_projects(allow_cache=False)
                services = sorted(service.name for service in feast.list_feature_services())
                for name in services[:1]:
                    self._probe(name)
        except (OSError, TesseraError) as error:
            todo = error.todo if isinstance(error, TesseraError) else f"Check {self._folder}."
            what = error.what if isinstance(error, TesseraError) else str(error)
            return Health(False, f"The feature store does not answer: {what}", todo)
        if not services:
            return Health(True, "Feast, nothing registered yet", "The first run registers feature_repo/.")
        kind = self._config.online_store.get("type", "sqlite")
        return Health(True, f"Feast, services {', '.join(services)}, online in {kind}")

    def _probe(self, service: str) -> None:
        """Asks the online store for an entity that nobody has."""
        from resources.feature_store.online_reading import stored_rows

        plan, feast = self._plan(service), self._opened()
        nobody = pa.table([pa.array([_any(field.type)], field.type) for field in plan.keys], schema=plan.keys)
        stored_rows(feast.config, _online_store(feast), plan, nobody)

    def _plan(self, service: str, *, fresh: bool = False) -> ServicePlan:
        """How to read a service, worked out again when the registry was read again (at most a minute old).

        A registry that does not answer meanwhile keeps nobody from reading what is known already.
        """
        feast = self._opened()
        if fresh or time.monotonic() >= self._refresh_at:
            self._refresh(feast)
        plan = self._plans.get((service, self._registry_state(feast)))
        if plan is None and service not in self._services(feast):
            self._refresh(feast)  # it may have been registered since
        return plan or self._planned(feast, service)

    def _planned(self, feast: Feast, service: str) -> ServicePlan:
        from resources.feature_store.service_plan import service_plan

        state, known = self._registry_state(feast), self._services(feast)
        if service not in known:
            raise _unknown("feature service", service, known)
        plan = service_plan(feast, known[service])
        current = {key: standing for key, standing in self._plans.items() if key[1] == state}
        self._plans = {**current, (service, state): plan}
        return plan

    def _refresh(self, feast: Feast) -> None:
        self._refresh_at = time.monotonic() + _REFRESH_SECONDS
        feast.refresh_registry()

    def _registry_state(self, feast: Feast) -> Any:
        """Another one whenever Feast has read the registry again."""
        registry: Any = feast.registry
        return registry.cached_registry_proto_created

    def _services(self, feast: Feast) -> Mapping[str, FeatureService]:
        found = feast.registry.list_feature_services(feast.project, allow_cache=True)
        return {service.name: service for service in found}

    def _views(self, feast: Feast) -> Mapping[str, FeatureView]:
        return {view.name: view for view in feast.list_batch_feature_views()}

    def _opened(self, *, alone: bool = False) -> Feast:
        """Feast, opened once. In a folder that was never used, that makes tables: one process at a time."""
        if self._feast is not None:
            return self._feast
        ready = alone or self._is_made()
        with contextlib.nullcontext() if ready else self._exclusive(), self._opening:
            if self._feast is None:
                _load_feast()
                from feast import FeatureStore as Feast

                feast = Feast(config=repo_config(self._folder, revealed(self._settings)))
                registry: Any = feast.registry
                finalize(self, registry.write_engine.dispose)
                self._feast = feast
        return self._feast

    def _exclusive(self) -> contextlib.AbstractContextManager[None]:
        return registry_lock(self._folder, self._settings["registry"]["path"], _LOCK_SECONDS)

    def _yaml(self) -> str:
        import yaml

        return yaml.safe_dump(for_yaml(self._settings), sort_keys=False)

    def _is_made(self) -> bool:
        """Whether registry and online store were made with these settings: the file is written when they were."""
        return self._file.exists() and self._file.read_text() == self._yaml()

    def _write_yaml(self) -> None:
        part = self._file.with_suffix(f".{os.getpid()}.part")
        part.write_text(self._yaml())
        part.replace(self._file)


def _load_feast() -> None:
    """Imports Feast, which on import makes Python show deprecation warnings of every library to users."""
    with warnings.catch_warnings():
        importlib.import_module("feast")


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


def _online_store(feast: Feast) -> Any:
    provider: Any = feast.provider
    return provider.online_store


def _unknown(what: str, name: str, known: Iterable[str]) -> TesseraError:
    return TesseraError(
        f"There is no {what} {name!r}.",
        expected=choose_from(name, known),
        todo="Correct the name, or define it in feature_repo/ and run the job once.",
    )


def _any(type: pa.DataType) -> Any:
    return {pa.string(): "", pa.binary(): b""}.get(type, 0)
