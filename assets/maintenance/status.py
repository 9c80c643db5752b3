"""The asset `storage/status`: every application of the profile on one page, as it was when the page was made."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from assets.partitions import daily
from assets.stages import metadata_keys as keys


@dataclass(frozen=True)
class Page:
    """The page, and numbers of it that plot."""

    markdown: str
    numbers: Mapping[str, int]


class StatusPage(ABC):
    """Source of the page: it knows schedules, and so belongs to a room above this one."""

    @abstractmethod
    def page(self, instance: dg.DagsterInstance, now: datetime) -> Page:
        """Return the state of each application of the profile.

        Args:
            instance: holds the evaluations of checks.
            now: UTC.
        """


@dg.asset(
    key=["storage", "status"],
    partitions_def=daily,
    group_name="storage",
    kinds={"sink", "registry"},
    owners=["team:platform"],
)
def status(context: dg.AssetExecutionContext, status_page: dg.ResourceParam[StatusPage]) -> dg.MaterializeResult:
    """`tessera status` as a page: publication, freshness, champion, gate, drift, data checks, notices, next night."""
    from datetime import UTC

    made = status_page.page(context.instance, datetime.now(UTC))
    return dg.MaterializeResult(metadata={keys.STATUS: dg.MetadataValue.md(made.markdown), **made.numbers})
