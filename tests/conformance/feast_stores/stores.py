"""The stores under test, each in a Feast repository of its own behind one small harness."""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

import contextlib
import io
import secrets
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.types import Bool, Bytes, FeastType, Float32, Float64, Int32, Int64, String, UnixTimestamp

from resources.feature_store.online.bulk_store import BulkOnlineStore
from tests.servers.postgres_server import PostgresDatabase

MOMENT, CREATED, KEY = "event_timestamp", "created_timestamp", "customer_id"
US_UTC = pa.timestamp("us", "UTC")

_OURS = "resources.feature_store"
_DTYPES: dict[pa.DataType, tuple[FeastType, str]] = {
    pa.string(): (String, "text"),
    pa.int32(): (Int32, "integer"),
    pa.int64(): (Int64, "bigint"),
    pa.float32(): (Float32, "real"),
    pa.float64(): (Float64, "double precision"),
    pa.bool_(): (Bool, "boolean"),
    pa.binary(): (Bytes, "bytea"),
}


@dataclass(frozen=True)
class Servers:
    """What the stores connect to: a Redis `connection_string` and a database."""

    redis: str
    postgres: PostgresDatabase


def offline_settings(name: str, servers: Servers) -> dict[str, Any]:
    """Feast's `offline_store` of a store under test."""
    return {
        "asof": {"type": f"{_OURS}.offline.store.AsofOfflineStore"},
        "duckdb": {"type": "duckdb"},
        "postgres": {"type": "postgres", **servers.postgres.online_store},
    }[name]


def online_settings(name: str, folder: Path, servers: Servers) -> dict[str, Any]:
    """Feast's `online_store` of a store under test; `monotonic_*` is ours, the others are Feast's."""
    kind = name.removeprefix("monotonic_")
    type_ = f"{_OURS}.online.{kind}.Monotonic{kind.title()}OnlineStore" if kind != name else kind
    places = {
        "sqlite": {"path": str(folder / "online.db")},
        "redis": {"connection_string": servers.redis},
        "postgres": servers.postgres.online_store,
    }
    return {"type": type_, **places[kind]}


def engine_settings(online: str) -> dict[str, Any]:
    """Feast's `batch_engine` that goes with an online store: ours with ours, Feast's with Feast's."""
    return {"type": f"{_OURS}.feast.compute_engine.BulkEngine" if online.startswith("monotonic_") else "local"}


@dataclass(frozen=True)
class Served:
    """What `get_online_features` gave: per feature, one value, status and event time per asked entity."""

    values: Mapping[str, list[Any]]
    statuses: Mapping[str, list[str]]
    moments: Mapping[str, list[datetime]]


class Repo:
    """One Feast repository: a registry of its own, and an offline and an online store."""

    def __init__(
        self, folder: Path, servers: Servers, offline: str, online: str, *, project: str = "", batch_rows: int = 10_000
    ) -> None:
        self.folder, self.servers, self.offline, self.online_name = folder, servers, offline, online
        self.project = project or f"p{secrets.token_hex(4)}"
        self._views = 0
        self.feast = FeatureStore(
            config=RepoConfig(
                project=self.project,
                provider="local",
                repo_path=folder,
                registry={"registry_type": "file", "path": str(folder / "registry.db"), "cache_ttl_seconds": 600},
                offline_store=offline_settings(offline, servers),
                online_store=online_settings(online, folder, servers),
                batch_engine=engine_settings(online),
                materialization={"pull_latest_features": True, "online_write_batch_size": batch_rows},
                entity_key_serialization_version=3,
            )
        )

    def stock(self) -> Repo:
        """Feast's own client on the same registry and the same online store."""
        kind = self.online_name.removeprefix("monotonic_")
        offline = "duckdb" if self.offline == "asof" else self.offline
        return Repo(self.folder, self.servers, offline, kind, project=self.project)

    def view(
        self, rows: pa.Table, *, keys: Sequence[str] = (KEY,), ttl: timedelta | None = None, name: str = ""
    ) -> FeatureView:
        """A registered view over `rows`: whatever is neither key nor time is a feature."""
        self._views += 1
        name = name or f"view_{self._views}"
        self.load(name, rows)
        features = [column for column in rows.column_names if column not in (*keys, MOMENT, CREATED)]
        entities = [
            Entity(name=key, join_keys=[key], value_type=_dtype(rows.schema.field(key).type).to_value_type())
            for key in keys
        ]
        view = FeatureView(
            name=name,
            entities=entities,
            ttl=ttl,
            schema=[Field(name=column, dtype=_dtype(rows.schema.field(column).type)) for column in (*keys, *features)],
            source=self._source(name, CREATED if CREATED in rows.column_names else ""),
        )
        self.apply([*entities, view])
        return self.feast.get_feature_view(name)

    def apply(self, objects: Sequence[Any]) -> None:
        """Registers definitions."""
        with quiet():
            self.feast.apply(list(objects))

    def service(self, *views: Any) -> FeatureService:
        """A registered feature service of all features of `views`."""
        self._views += 1
        service = FeatureService(name=f"service_{self._views}", features=[*views])
        self.apply([service])
        return self.feast.get_feature_service(service.name)

    def load(self, view: FeatureView | str, rows: pa.Table, *, row_group_size: int | None = None) -> None:
        """`rows` are what the view's source holds from now on."""
        name = view if isinstance(view, str) else view.name
        if self.offline == "postgres":
            load_table(self.servers.postgres, self._table(name), rows)
            return
        folder = self.folder / "offline" / name
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, folder / "rows.parquet", row_group_size=row_group_size)

    def historical(self, entities: Any, *views: Any, names: Sequence[str] = (), **options: Any) -> RetrievalJob:
        """Feast's retrieval of all features of `views`, or of `names`; an Arrow table is given as a pandas frame."""
        features = [*names] or [
            f"{view.projection.name_to_use()}:{field.name}" for view in views for field in view.features
        ]
        frame = pandas(entities) if isinstance(entities, pa.Table) else entities
        with quiet():
            return self.feast.get_historical_features(frame, features, **options)

    def materialize(self, view: FeatureView, start: datetime, end: datetime) -> None:
        """Feast's `materialize` of one view."""
        with quiet():
            self.feast.materialize(start, end, feature_views=[view.name])

    def push(self, view: FeatureView, rows: pa.Table) -> None:
        """Feast's `write_to_online_store`."""
        with quiet():
            self.feast.write_to_online_store(view.name, pandas(rows))

    def online(self, view: FeatureView, keys: Mapping[str, Sequence[Any]] | Sequence[Any]) -> Served:
        """Feast's `get_online_features` of all features of `view`; plain values are those of its only key."""
        response, results = self._online(view, keys)
        given = response.to_dict()
        return Served(
            {name: given[name] for name in results},
            {name: [FieldStatus.Name(status) for status in result.statuses] for name, result in results.items()},
            {name: [at.ToDatetime() for at in result.event_timestamps] for name, result in results.items()},
        )

    def online_bytes(self, view: FeatureView, keys: Sequence[Any]) -> dict[str, list[bytes]]:
        """The values of `online` as Feast's serialized protobufs: type and bits."""
        _, results = self._online(view, keys)
        return {name: [value.SerializeToString() for value in result.values] for name, result in results.items()}

    def _online(self, view: FeatureView, keys: Any) -> tuple[OnlineResponse, dict[str, Any]]:
        entities = {name: list(given) for name, given in (keys if isinstance(keys, Mapping) else {KEY: keys}).items()}
        wanted = [field.name for field in view.features]
        with quiet():
            response = self.feast.get_online_features([f"{view.name}:{name}" for name in wanted], entities)
        names = list(response.proto.metadata.feature_names.val)
        return response, {name: response.proto.results[names.index(name)] for name in wanted}

    def forget(self, views: Sequence[FeatureView], names: Sequence[str]) -> int:
        """Number of rows that the store removed for these customers."""
        from resources.feature_store.online.encoding import entity_keys

        store = self._online_store
        assert isinstance(store, BulkOnlineStore), f"{type(store).__name__} cannot remove the rows of one entity"
        return store.forget_rows(self.feast.config, views, entity_keys([KEY], pa.table({KEY: names}), [String]))

    def delete(self, view: FeatureView) -> None:
        """Unregisters a view, which drops what is stored online."""
        with quiet():
            self.feast.apply([], objects_to_delete=[view], partial=False)

    def entity_sql(self, entities: pa.Table) -> str:
        """A query in the offline store's own SQL that gives `entities`."""
        if self.offline == "postgres":
            load_table(self.servers.postgres, f"{self.project}_entities", entities)
            return f"SELECT * FROM {self.project}_entities"  # noqa: S608
        return f"SELECT * FROM '{self.entity_file(entities)}'"  # noqa: S608

    def entity_file(self, entities: pa.Table) -> Path:
        """A Parquet file with `entities`."""
        file = self.folder / "entities.parquet"
        pq.write_table(entities, file)
        return file

    def close(self) -> None:
        """Closes the connection that Feast's online stores keep open."""
        connection = getattr(self._online_store, "_conn", None)
        if connection is not None:
            connection.close()

    def __enter__(self) -> Repo:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _online_store(self) -> Any:
        return self.feast._get_provider().online_store  # pyright: ignore

    def _source(self, name: str, created: str) -> DataSource:
        if self.offline == "postgres":
            return PostgreSQLSource(
                name=f"{name}_rows",
                table=self._table(name),
                timestamp_field=MOMENT,
                created_timestamp_column=created,
            )
        return FileSource(
            name=f"{name}_rows",
            path=str(self.folder / "offline" / name / "*.parquet"),
            file_format=ParquetFormat(),
            timestamp_field=MOMENT,
            created_timestamp_column=created,
        )

    def _table(self, name: str) -> str:
        return f"{self.project}_{name}_rows"


def load_table(database: PostgresDatabase, name: str, rows: pa.Table) -> None:
    """A table in Postgres that holds `rows` and nothing else."""
    import psycopg

    columns = ", ".join(f'"{field.name}" {_sql_type(field.type)}' for field in rows.schema)
    # Postgres keeps microseconds.
    floored = rows.cast(pa.schema([(field.name, _microseconds(field.type)) for field in rows.schema]), safe=False)
    with psycopg.connect(database.url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {name}".encode())
        cursor.execute(f"CREATE TABLE {name} ({columns})".encode())
        with cursor.copy(f"COPY {name} FROM STDIN".encode()) as copy:
            for row in zip(*(column.to_pylist() for column in floored.columns), strict=True):
                copy.write_row(row)


def read_table(database: PostgresDatabase, name: str) -> pa.Table:
    """What stands in a table in Postgres."""
    import psycopg

    with psycopg.connect(database.url) as connection:
        cursor = connection.execute(f"SELECT * FROM {name}".encode())  # noqa: S608
        names = [column.name for column in cursor.description or ()]
        return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in cursor.fetchall()])


def pandas(rows: pa.Table) -> pd.DataFrame:
    """A frame with the same resolutions and zones."""
    return rows.to_pandas(coerce_temporal_nanoseconds=False)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what Feast prints and warns of in any case."""
    out, err = io.StringIO(), io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        # ibis 12 reads DuckDB 2 results by a method that DuckDB has since renamed.
        warnings.filterwarnings("ignore", "fetch_arrow_table", DeprecationWarning)
        # Feast's Postgres store reads entity SQL with pandas on a plain psycopg connection.
        warnings.filterwarnings("ignore", "pandas only supports SQLAlchemy connectable", UserWarning)
        # Feast takes the newest entity moment as a datetime, to plan with.
        warnings.filterwarnings("ignore", "Discarding nonzero nanoseconds", UserWarning)
        # It says so and leaves the row out; what then is served is tested.
        warnings.filterwarnings("ignore", "Cannot write dataframe with empty feature columns", UserWarning)
        warnings.filterwarnings("ignore", "On demand feature view is an experimental feature", RuntimeWarning)
        yield


def _microseconds(type_: pa.DataType) -> pa.DataType:
    return pa.timestamp("us", type_.tz) if pa.types.is_timestamp(type_) else type_


def _dtype(type_: pa.DataType) -> FeastType:
    return UnixTimestamp if pa.types.is_timestamp(type_) else _DTYPES[type_][0]


def _sql_type(type_: pa.DataType) -> str:
    if pa.types.is_timestamp(type_):
        return "timestamptz" if type_.tz else "timestamp"
    return _DTYPES[type_][1]
