"""Feast's SQLite online store, except that an older value never replaces a newer one.

Feast names this class in its configuration and imports it by its dotted path; nothing else does.
"""

# Feast's own signatures are only partly typed.
# pyright: basic

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from feast import FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig, _quote_id, _table_id
from feast.repo_config import RepoConfig
from feast.utils import to_naive_utc

_Row = tuple[Any, dict[str, Any], datetime, datetime | None]


class MonotonicSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """As Feast's, under the name of this class."""

    type: Literal["resources.feature_store.monotonic_sqlite.MonotonicSqliteOnlineStore"] = (  # pyright: ignore
        "resources.feature_store.monotonic_sqlite.MonotonicSqliteOnlineStore"
    )


class MonotonicSqliteOnlineStore(SqliteOnlineStore):
    """Feast's own overwrites: a backfill of an old day would put old features into serving."""

    def online_write_batch(
        self, config: RepoConfig, table: FeatureView, data: list[_Row], progress: Callable[[int], Any] | None
    ) -> None:
        """Writes the rows that are not older than what is stored for their entity."""
        stored = self._newest(config, table, [_key(row, config) for row in data])
        fresh = [row for row in data if _second(row[2]) >= stored.get(_key(row, config), 0)]
        super().online_write_batch(config, table, fresh, progress)

    def _newest(self, config: RepoConfig, table: FeatureView, keys: list[bytes]) -> dict[bytes, int]:
        """The stored event second of each known entity."""
        versioned = bool(config.registry and config.registry.enable_online_feature_view_versioning)
        name = _quote_id(_table_id(config.project, table, versioned))
        marks = ",".join("?" * len(keys))
        query = f"SELECT entity_key, max(event_ts) FROM {name} WHERE entity_key IN ({marks}) GROUP BY 1"  # noqa: S608
        return dict(self._get_conn(config).execute(query, keys))


def _key(row: _Row, config: RepoConfig) -> bytes:
    return serialize_entity_key(row[0], config.entity_key_serialization_version)


def _second(moment: datetime) -> int:
    """As Feast's SQLite store writes it: whole seconds of the naive UTC time, read as local time."""
    return int(to_naive_utc(moment).timestamp())
