"""Extensions of our online stores to Feast's protocol: bulk reads and writes by column, monotonic writes, and erasure.

Each subclasses one of Feast's stores and keeps its layout, so that Feast's stock client reads what ours wrote.
"""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feast import FeatureView, RepoConfig


@dataclass(frozen=True)
class EncodedRows:
    """Rows of one feature view, one per entity key, encoded as Feast stores them.

    Attributes:
        entity_keys: distinct keys, serialized by Feast's version 3.
        event_timestamps: µs since 1970, UTC; one per key.
        created_timestamps: µs since 1970, UTC; None where the source has none (older than any that has one).
        features: name -> one serialized `Value` protobuf per key (`b""` where the value is NULL).
    """

    entity_keys: Sequence[bytes]
    event_timestamps: Sequence[int]
    created_timestamps: Sequence[int | None]
    features: Mapping[str, Sequence[bytes]]


@dataclass(frozen=True)
class StoredRows:
    """Stored values of the requested keys, in the order of the request, duplicates included.

    Attributes:
        event_timestamps: µs since 1970, UTC; None where the key is unknown (or erased).
        features: name -> one serialized `Value` protobuf per key, None where nothing is stored.
    """

    event_timestamps: Sequence[int | None]
    features: Mapping[str, Sequence[bytes | None]]


#: Event time of one key's row (None where it is unknown), and its cells by feature; others may be among them.
StoredRow = tuple[int | None, Mapping[str, bytes | None]]


@dataclass(frozen=True)
class ViewRead:
    """Read request for one feature view: features and entity keys."""

    view: FeatureView
    entity_keys: Sequence[bytes]
    features: Sequence[str]


class BulkOnlineStore(ABC):
    """A Feast online store that also takes and gives columns.

    Writing is *monotonic*: a stored row is replaced only by one whose (event timestamp, created timestamp) is not
    older; so a retry, a backfill of an older window, and two writers at once leave the newest row in place. Feast's own
    `online_write_batch` obeys the same rule in these stores.
    """

    @abstractmethod
    def write_rows(self, config: RepoConfig, view: FeatureView, rows: EncodedRows) -> int:
        """Return number of rows stored; the others were older than what is stored, or their entity was forgotten.

        Atomic per entity: a reader sees a row wholly old or wholly new.
        """

    @abstractmethod
    def read_rows(
        self, config: RepoConfig, view: FeatureView, entity_keys: Sequence[bytes], features: Sequence[str]
    ) -> StoredRows:
        """Return the stored rows of these keys, whatever their age."""

    def read_views(self, config: RepoConfig, reads: Sequence[ViewRead]) -> Sequence[StoredRows]:
        """As `read_rows`, of several views. A store that can overrides it to make one round trip."""
        return [self.read_rows(config, read.view, read.entity_keys, read.features) for read in reads]

    @property
    def is_local(self) -> bool:
        """Return True if reads ask no server: they take microseconds, whatever else goes on."""
        return False

    def read_row(self, config: RepoConfig, reads: Sequence[ViewRead]) -> Sequence[StoredRow]:
        """As `read_views`, where each read has one key. A store that can overrides it to make no columns."""
        found = self.read_views(config, reads)
        return [(one.event_timestamps[0], {name: cells[0] for name, cells in one.features.items()}) for one in found]

    def reach(self, config: RepoConfig) -> None:  # noqa: B027 - a store whose client gives up soon needs none
        """Connect once, for a health check: raise the client's error within seconds if the server does not answer.

        Reads and writes of runs go on trying for as long as the client does by itself.
        """

    @abstractmethod
    def forget_rows(self, config: RepoConfig, views: Sequence[FeatureView], entity_keys: Sequence[bytes]) -> int:
        """Return number of rows (key x view) removed.

        A tombstone (a digest of the key, not the key) is left in the store itself, checked by every later write in the
        same transaction: no run, however late, brings the entity back.
        """
