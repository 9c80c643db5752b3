"""Feast's Redis online store, except that it takes and gives columns, never replaces newer rows, and can forget.

The layout is Feast's own: a hash per entity key and project, shared by the views of that entity, whose fields are
hashed feature names and one `_ts:<view>`. Beside them are `_created:<view>`, where a row has a created time, and per
project a set of digests of forgotten keys; Feast's own store sees neither.
Feast names this class in its configuration and imports it by its dotted path; nothing else does.
"""

# Feast and redis-py are only partly typed.
# pyright: basic

import asyncio
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain, islice
from typing import Any, Literal

from feast import Entity, FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key_prefix
from feast.infra.online_stores.helpers import _mmh3
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig, RedisType, _versioned_fv_name
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import field_validator
from redis.backoff import NoBackoff
from redis.retry import Retry

from models.errors import TesseraError
from models.timestamps import to_datetime
from resources.feature_store.online.bulk_store import BulkOnlineStore, EncodedRows, StoredRows, ViewRead
from resources.feature_store.online.pushed_rows import PushedRow, pushed_columns
from resources.feature_store.online.redis_scripts import REMOVE_ROWS, WRITE_ROWS

#: What one call of a script carries: others wait for it, for a millisecond or two.
_CELLS_PER_CALL = 2_000
_KEYS_PER_CALL = 200
#: What is packed and sent before the replies are read: some MB.
_CALLS_PER_TRIP = 64
_KEYS_PER_SCAN = 5_000
#: To connect, and again for the reply: a health check waits no longer.
_REACH_SECONDS = 1.0


class MonotonicRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """As Feast's, under the name of this class; without what would break its promises."""

    type: Literal["resources.feature_store.online.redis.MonotonicRedisOnlineStore"] = (  # pyright: ignore
        "resources.feature_store.online.redis.MonotonicRedisOnlineStore"
    )

    @field_validator("redis_type")
    @classmethod
    def _has_one_master(cls, redis_type: RedisType) -> RedisType:
        if redis_type == RedisType.redis_cluster:
            raise TesseraError(
                "This online store cannot use redis_type 'redis_cluster'.",
                expected="'redis' or 'redis_sentinel': what is forgotten is kept on one server, beside the rows",
                todo="Use one master with replicas, or Feast's own store (`type: feast.redis`).",
            )
        return redis_type

    @field_validator("skip_dedup")
    @classmethod
    def _compares_times(cls, skip_dedup: bool) -> bool:
        if skip_dedup:
            raise TesseraError(
                "This online store cannot use `skip_dedup: true`.",
                expected="writes that never replace a newer row",
                todo="Remove the setting: bulk writes are faster without it, too.",
            )
        return skip_dedup


class MonotonicRedisOnlineStore(RedisOnlineStore, BulkOnlineStore):
    """Feast's own compares event times only, on the client, and can remove nothing but whole views."""

    def write_rows(self, config: RepoConfig, view: FeatureView, rows: EncodedRows) -> int:
        """See `BulkOnlineStore`. A script on the server compares and writes, some hundred rows per call."""
        name = _versioned_fv_name(view, config)
        fields = [_mmh3(f"{name}:{feature}") for feature in rows.features]
        settings: Any = config.online_store
        head = [f"_ts:{name}", f"_created:{name}", settings.key_ttl_seconds or 0, len(fields), *fields]
        keys = _hash_keys(config, rows.entity_keys)
        times = _serialized(rows.event_timestamps), _serialized_created(rows.created_timestamps)
        columns = [*times, *rows.features.values()]
        calls = (
            (keys[part], [*head, *chain.from_iterable(column[part] for column in columns)])
            for part in _slices(len(keys), max(1, _CELLS_PER_CALL // len(columns)))
        )
        return self._run(config, WRITE_ROWS, calls)

    def read_rows(
        self, config: RepoConfig, view: FeatureView, entity_keys: Sequence[bytes], features: Sequence[str]
    ) -> StoredRows:
        """See `BulkOnlineStore`. One round trip."""
        return self.read_views(config, [ViewRead(view, entity_keys, features)])[0]

    def read_views(self, config: RepoConfig, reads: Sequence[ViewRead]) -> list[StoredRows]:
        """See `BulkOnlineStore`. One round trip for all."""
        names = [_versioned_fv_name(read.view, config) for read in reads]
        commands: list[Any] = []
        for name, read in zip(names, reads, strict=True):
            fields = _fields(name, tuple(read.features))
            commands += [(key, fields) for key in _hash_keys(config, read.entity_keys)]
        found: Any = iter(self._read_hash_fields(config, commands) if commands else ())
        return [_stored_rows(read, list(islice(found, len(read.entity_keys)))) for read in reads]

    def forget_rows(self, config: RepoConfig, views: Sequence[FeatureView], entity_keys: Sequence[bytes]) -> int:
        """See `BulkOnlineStore`. Where Feast keeps versions of a view, rows of every version go."""
        keys = _hash_keys(config, entity_keys)
        return self._remove(config, [name for view in views for name in _names(view, config)], views, keys, forget=True)

    def online_write_batch(
        self, config: RepoConfig, table: FeatureView, data: list[PushedRow], progress: Callable[[int], Any] | None
    ) -> None:
        """Write the rows that are not older than what is stored for their entity."""
        for rows in pushed_columns(data):
            self.write_rows(config, table, rows)
        if progress:
            progress(len(data))

    async def online_write_batch_async(
        self, config: RepoConfig, table: FeatureView, data: list[PushedRow], progress: Callable[[int], Any] | None
    ) -> None:
        """As `online_write_batch`, in a thread."""
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)

    def delete_table(self, config: RepoConfig, table: FeatureView) -> None:
        """Remove all rows of a feature view; what was forgotten stays forgotten."""
        for keys in self._stored_keys(config, table.join_keys):
            self._remove(config, _names(table, config), [table], keys, forget=False)

    def delete_entity_values(self, config: RepoConfig, join_keys: list[str]) -> None:
        """Remove the rows of all feature views of an entity."""
        client = self._connected(config)
        for keys in self._stored_keys(config, join_keys):
            client.unlink(*keys)

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Remove everything of the project, and what it remembered of forgotten keys."""
        super().teardown(config, tables, entities)
        self._connected(config).delete(_forgotten(config))

    def reach(self, config: RepoConfig) -> None:
        """See `BulkOnlineStore`. The client alone would try a dead server for about ten seconds."""
        settings: Any = config.online_store
        client: Any = RedisOnlineStore()._get_client(settings)
        try:
            pool = client.connection_pool
            sentinel = getattr(pool, "sentinel_manager", None)
            for one in (pool, *(found.connection_pool for found in getattr(sentinel, "sentinels", ()))):
                one.connection_kwargs |= {
                    "retry": Retry(NoBackoff(), 0),
                    "socket_connect_timeout": _REACH_SECONDS,
                    "socket_timeout": _REACH_SECONDS,
                }
            client.ping()
        finally:
            client.close()

    def _get_features_for_entity(
        self, values: Sequence[Any], feature_view: str, requested_features: list[str]
    ) -> tuple[datetime | None, dict[str, Value] | None]:
        """Parse one reply of Feast's reads: (None, None) for an unknown entity, where Feast gives a row of NULLs."""
        found = dict(zip(requested_features, values, strict=True))
        time = found.pop(f"_ts:{feature_view}")
        if time is None:
            return None, None
        features = {name: Value.FromString(value) for name, value in found.items() if value is not None}
        return to_datetime(_microseconds(time)), features

    def _remove(
        self,
        config: RepoConfig,
        names: Sequence[str],
        views: Sequence[FeatureView],
        keys: Sequence[bytes],
        forget: bool,
    ) -> int:
        features = {feature.name for view in views for feature in view.features}
        fields = [_mmh3(f"{name}:{feature}") for name in names for feature in features]
        times, created = [f"_ts:{name}" for name in names], [f"_created:{name}" for name in names]
        head = [int(forget), len(times), *times, *created, *fields]
        return self._run(config, REMOVE_ROWS, ((keys[part], head) for part in _slices(len(keys), _KEYS_PER_CALL)))

    def _run(self, config: RepoConfig, text: str, calls: Iterator[tuple[Sequence[bytes], Sequence[Any]]]) -> int:
        """Return the sum of what the script gives for each (keys, arguments).

        Nothing is half done when this process dies.
        """
        client = self._connected(config)
        script = client.register_script(text)
        total = 0
        with client.pipeline(transaction=False) as pipe:
            for keys, arguments in calls:
                script([_forgotten(config), *keys], arguments, client=pipe)
                if len(pipe) == _CALLS_PER_TRIP:
                    total += sum(pipe.execute())
            return total + sum(pipe.execute())

    def _connected(self, config: RepoConfig) -> Any:
        settings: Any = config.online_store
        return self._get_client(settings)

    def _stored_keys(self, config: RepoConfig, join_keys: Sequence[str]) -> Iterator[list[bytes]]:
        """Yield the hashes of an entity in this project, in portions."""
        client = self._connected(config)
        prefix, project = serialize_entity_key_prefix(list(join_keys), 3), config.project.encode()
        pattern, at = _literal(prefix) + b"*" + _literal(project), None
        while at != 0:
            at, keys = client.scan(at or 0, match=pattern, count=_KEYS_PER_SCAN)
            if kept := [key for key in keys if _project(key) == project]:
                yield kept


@lru_cache(maxsize=1024)
def _fields(view: str, features: tuple[str, ...]) -> list[bytes]:
    """Return the fields of a row's hash: its time, then the features."""
    return [f"_ts:{view}".encode(), *(_mmh3(f"{view}:{feature}") for feature in features)]


def _stored_rows(read: ViewRead, found: list[Any]) -> StoredRows:
    """From one reply per key: the time, then the features."""
    times, *values = zip(*found, strict=True) if found else [()] * (1 + len(read.features))
    moments = {time: None if time is None else _microseconds(time) for time in set(times)}
    return StoredRows([moments[time] for time in times], dict(zip(read.features, values, strict=True)))


def _hash_keys(config: RepoConfig, entity_keys: Sequence[bytes]) -> list[bytes]:
    project = config.project.encode()
    return [key + project for key in entity_keys]


def _forgotten(config: RepoConfig) -> str:
    return f"tessera:forgotten:{config.project}"


def _names(view: FeatureView, config: RepoConfig) -> list[str]:
    """Return the names of a view in the store: its own, and one per version where Feast keeps versions."""
    registry: Any = config.registry
    if not registry.enable_online_feature_view_versioning:
        return [view.name]
    versions = range(1, (view.current_version_number or 0) + 1)
    return [view.name, *(f"{view.name}_v{version}" for version in versions)]


def _serialized(moments: Sequence[int]) -> list[bytes]:
    """`Timestamp` protobufs, as Feast writes them."""
    known = {moment: _timestamp(moment) for moment in set(moments)}
    return [known[moment] for moment in moments]


def _serialized_created(moments: Sequence[int | None]) -> list[bytes]:
    """Return the same; nothing where there is none, which 1970 itself (no byte in a protobuf) must not be taken for."""
    known = {moment: b"" if moment is None else _timestamp(moment) or b"\x08\x00" for moment in set(moments)}
    return [known[moment] for moment in moments]


def _timestamp(moment: int) -> bytes:
    seconds, rest = divmod(moment, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000).SerializeToString()


def _microseconds(timestamp: bytes) -> int:
    parsed = Timestamp.FromString(timestamp)
    return parsed.seconds * 1_000_000 + parsed.nanos // 1000


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(start, start + step) for start in range(0, length, step))


def _literal(text: bytes) -> bytes:
    """`text` in a pattern of Redis: the lengths in a key may be any byte."""
    return re.sub(rb"([*?\[\]^\\])", rb"\\\1", text)


def _project(key: bytes) -> bytes | None:
    """Return the part after the entity key, whose parts are length-prefixed; None if `key` has another format."""
    try:
        (joined,) = struct.unpack_from("<I", key)
        end = 4
        for _ in range(2 * joined):
            (length,) = struct.unpack_from("<I", key, end + 4)
            end += 8 + length
    except struct.error:
        return None
    return key[end:]
