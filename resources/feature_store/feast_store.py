"""The feature store on Feast: SQL registry and online store on SQLite, point-in-time joins on DuckDB over Parquet."""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
import pyarrow as pa
from filelock import FileLock, Timeout
from pydantic import Field

from models.errors import TesseraError, choose_from
from resources.feature_store.port import FeatureStore
from resources.feature_store.staging import stage
from resources.health import Health

if TYPE_CHECKING:
    from feast import FeatureService, FeatureView
    from feast import FeatureStore as Feast

_MOMENT = "event_timestamp"
_ROW = "_row"
_ENTITIES_PER_READ = 1000
_LOCK_SECONDS = 1800
#: ibis has one default backend per process, and Feast's DuckDB store uses it.
_ibis_lock = RLock()


class FeastStoreConfig(dg.Config):
    """Feast, embedded: no server, everything in one folder."""

    kind: Literal["feast"] = "feast"
    path: str = Field(default="var/feast", description="Folder of registry, online store and staged feature files.")
    definitions: str = Field(
        "feature_repo.definitions", description="Module whose `definitions(folder)` gives what to register."
    )
    threads: int = Field(default=2, ge=1, description="Threads of one point-in-time join.")
    memory_limit_mb: int = Field(
        default=2000, ge=100, description="Memory of one point-in-time join; beyond it, it spills."
    )

    def open(self) -> FeastStore:
        """The store in that folder."""
        return FeastStore(Path(self.path).resolve(), self.definitions, self.threads, self.memory_limit_mb)


def feast_settings(folder: Path | str) -> dict[str, Any]:
    """Feast's configuration of the store in `folder`; feature_repo/feature_store.yaml is the default home's."""
    return {
        "project": "tessera",
        "provider": "local",
        "registry": {"registry_type": "sql", "path": f"sqlite:///{folder}/registry.db", "cache_ttl_seconds": 60},
        "offline_store": {"type": "duckdb"},
        "online_store": {
            "type": "resources.feature_store.monotonic_sqlite.MonotonicSqliteOnlineStore",
            "path": f"{folder}/online.db",
        },
        "materialization": {"pull_latest_features": True, "online_write_batch_size": 10000},
        "entity_key_serialization_version": 3,
    }


class FeastStore(FeatureStore):
    """Feast behind the port. One call at a time per folder: calls of other threads and processes wait."""

    def __init__(self, folder: Path, definitions: str, threads: int, memory_limit_mb: int) -> None:
        self._folder = folder
        self._definitions = definitions
        self._offline = folder / "offline"
        spill = str(folder / "spilled")
        self._limits = {"threads": threads, "memory_limit": f"{memory_limit_mb}MB", "temp_directory": spill}
        self._feast: Feast | None = None

    def apply(self) -> Sequence[str]:
        """See the port. Also writes `feature_store.yaml` for the `feast` command (see feature_repo/feast_cli.py)."""
        with self._opened() as feast:
            self._write_yaml()
            module = importlib.import_module(self._definitions)
            feast.apply(module.definitions(self._offline))
            return sorted(service.name for service in feast.list_feature_services())

    def historical(self, service: str, entities: pa.Table, *, files: Mapping[str, Sequence[str]]) -> pa.Table:
        """See the port. What was created after a row's `event_timestamp` is not joined to it, whatever its own time."""
        with self._opened() as feast:
            found = _service(feast, service)
            views = [feast.get_feature_view(projection.name) for projection in found.feature_view_projections]
            schema = _feature_schema(found)
            keys = _checked_entities(entities, views, schema.names)
            if entities.num_rows == 0:
                return _appended(entities, schema.empty_table())
            for view in views:
                self._stage(view.name, files.get(view.name, ()))
            rows = keys.append_column(_ROW, pa.array(range(entities.num_rows), pa.int64()))
            job = feast.get_historical_features(rows.to_pandas(), found, filter_by_created_timestamp=True)
            joined = job.to_arrow().sort_by(_ROW)
        return _appended(entities, joined.select(schema.names).cast(schema))

    def materialize(self, view: str, start: datetime, end: datetime, *, files: Sequence[str]) -> None:
        """See the port. Values that are newer online than those of the window stay."""
        with self._opened() as feast:
            names = [known.name for known in feast.list_feature_views()]
            if view not in names:
                raise _unknown("feature view", view, names)
            self._stage(view, files)
            # Feast prints and draws progress bars, always. Its window includes its start, ours does not.
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                feast.materialize(start + timedelta(microseconds=1), end, feature_views=[view])

    def online(self, service: str, entities: pa.Table) -> pa.Table:
        """See the port. Values do not expire: their age is that of the last `materialize`."""
        with self._opened() as feast:
            found = _service(feast, service)
            views = [feast.get_feature_view(projection.name) for projection in found.feature_view_projections]
            schema = _feature_schema(found)
            keys = _checked_entities(entities, views, schema.names, moment=False)
            batches = [
                pa.RecordBatch.from_pydict({name: values[name] for name in schema.names}, schema=schema)
                for batch in keys.to_batches(max_chunksize=_ENTITIES_PER_READ)
                for values in [feast.get_online_features(found, batch.to_pydict()).to_dict()]
            ]
        return _appended(entities, pa.Table.from_batches(batches, schema))

    def check(self) -> Health:
        """Whether the registry answers and knows every service of `feature_repo/`."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._opened() as feast:
                services = sorted(service.name for service in feast.list_feature_services())
        except (SQLAlchemyError, OSError, TesseraError) as error:
            return Health(False, f"The feature registry does not answer: {error}", f"Check {self._folder}.")
        if not services:
            return Health(True, "Feast, nothing registered yet", "The first run registers feature_repo/.")
        return Health(True, f"Feast, services {', '.join(services)}")

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Feast]:
        """Feast with this folder to itself, quiet, on a DuckDB with our limits."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._folder / "feast.lock", timeout=_LOCK_SECONDS), _quiet(), _ibis_backend(self._limits):
                yield self._store()
        except Timeout as error:
            raise TesseraError(
                f"Another process has been using {self._folder} for {_LOCK_SECONDS // 60} minutes.",
                expected="one user of the feature store at a time",
                todo="Wait for the other run, or end it.",
            ) from error

    def _store(self) -> Feast:
        if self._feast is None:
            from feast import FeatureStore as Feast
            from feast.repo_config import RepoConfig

            self._feast = Feast(config=RepoConfig(repo_path=self._folder, **feast_settings(self._folder)))
        self._feast.refresh_registry()
        return self._feast

    def _stage(self, view: str, files: Sequence[str]) -> None:
        if not files:
            raise TesseraError(
                f"There are no files for the feature view {view!r}.",
                expected="the Parquet files of at least one day of features",
                todo="Compute the features first: run the nightly job for that day.",
            )
        stage(self._offline / view, files)

    def _write_yaml(self) -> None:
        import yaml

        (self._folder / "feature_store.yaml").write_text(yaml.safe_dump(feast_settings(self._folder), sort_keys=False))


@contextlib.contextmanager
def _ibis_backend(limits: Mapping[str, Any]) -> Iterator[None]:
    """A DuckDB of its own for Feast's ibis expressions: within the limits, and gone with its views afterwards."""
    import ibis

    with _ibis_lock:
        before = ibis.options.default_backend
        backend = ibis.duckdb.connect(**limits)
        ibis.options.default_backend = backend
        try:
            yield
        finally:
            ibis.options.default_backend = before
            backend.disconnect()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that users can do nothing about."""
    with warnings.catch_warnings():
        # ibis 12 reads DuckDB 2 results by a method that DuckDB has since renamed.
        warnings.filterwarnings("ignore", "fetch_arrow_table", DeprecationWarning)
        yield


def _unknown(what: str, name: str, names: Sequence[str]) -> TesseraError:
    return TesseraError(
        f"There is no {what} {name!r}.",
        expected=choose_from(name, names),
        todo="Correct the name, or define it in feature_repo/ and run the job once.",
    )


def _service(feast: Feast, name: str) -> FeatureService:
    services = {service.name: service for service in feast.list_feature_services()}
    if name not in services:
        raise _unknown("feature service", name, list(services))
    return services[name]


def _feature_schema(service: FeatureService) -> pa.Schema:
    """Names and Arrow types of the features of a service, in its order."""
    from feast.types import from_feast_to_pyarrow_type

    features = [feature for projection in service.feature_view_projections for feature in projection.features]
    return pa.schema([pa.field(feature.name, from_feast_to_pyarrow_type(feature.dtype)) for feature in features])


def _checked_entities(
    entities: pa.Table, views: Sequence[FeatureView], features: Sequence[str], *, moment: bool = True
) -> pa.Table:
    """Only the columns that Feast needs, of the types it needs; carried columns never reach it."""
    from feast.types import from_feast_to_pyarrow_type

    needed = {key.name: from_feast_to_pyarrow_type(key.dtype) for view in views for key in view.entity_columns}
    if moment:
        needed[_MOMENT] = pa.timestamp("us", "UTC")
    for name in needed:
        if name not in entities.column_names:
            raise _wrong_entities(f"have no column {name!r}", f"columns {', '.join(needed)}")
    for name, type_ in needed.items():
        found = entities.schema.field(name).type
        if not _fits(found, type_):
            raise _wrong_entities(f"have {found} in {name!r}", f"{type_}")
        if name == _MOMENT and entities[name].null_count:
            raise _wrong_entities(f"have {entities[name].null_count} rows without {name!r}", "a moment in every row")
    for name in set(features) & set(entities.column_names):
        raise _wrong_entities(f"already have a column {name!r}", "no column that is called like a feature")
    # A moment finer than 1 µs is cut off: backwards in time, where nothing can leak from.
    return entities.select(list(needed)).cast(pa.schema(needed.items()), safe=False)


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_timestamp(wanted):
        return pa.types.is_timestamp(found) and found.tz is not None
    if pa.types.is_string(wanted):
        return pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)
    return found == wanted


def _wrong_entities(what: str, expected: str) -> TesseraError:
    return TesseraError(
        f"The entity rows {what}.", expected=expected, todo="Give entity keys (string) and `event_timestamp` (UTC)."
    )


def _appended(entities: pa.Table, features: pa.Table) -> pa.Table:
    for field in features.schema:
        entities = entities.append_column(field, features[field.name])
    return entities
