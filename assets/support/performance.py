"""Steps behind `support/performance`: how right a day's intents were, by the labels that agents gave since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from assets.stages import metadata_keys as keys
from assets.stages.realized_performance import Arrived, RealizedDay, nothing_measured
from assets.support.app import SUPPORT
from assets.support.learning import newest_labels
from models.evaluation.realized import realized_share
from models.settings import SupportSettings
from models.text.out_of_scope import OUT_OF_SCOPE
from resources.lake.port import Lake
from resources.registry.port import Registry
from resources.sink.port import Sink

# pyright: basic

#: One row for each day that was evaluated; evaluated again, it is replaced.
TABLE, DAY = "support_quality", "opened_on"
_SCHEMA = pa.schema(
    [
        (DAY, pa.date32()),
        ("judged_on", pa.date32()),
        ("model_version", pa.string()),
        ("tickets", pa.int64()),
        ("labelled", pa.int64()),
        ("accuracy", pa.float64()),
        ("out_of_scope_recall", pa.float64()),
        ("answered", pa.int64()),
        ("answered_accuracy", pa.float64()),
        ("article_labelled", pa.int64()),
        ("article_first", pa.float64()),
        ("article_found", pa.float64()),
        ("cited_precision", pa.float64()),
    ]
)
_COUNTS = ("tickets", "labelled", "answered", "article_labelled")
_SEARCH = ("article_first", "article_found", "cited_precision")
_SHARES = ("accuracy", "out_of_scope_recall", "answered_accuracy", *_SEARCH)


@dataclass(frozen=True)
class Quality:
    """One day's published tickets by the labels that are known now.

    Attributes:
        day: of the tickets.
        model_version: that read them; empty if nothing is published.
        tickets: that were published.
        labelled: of these, those with a label.
        accuracy: share of them whose intent is right, refusals included; None without labels.
        out_of_scope_recall: share of those out of scope that were found to be; None without any.
        answered: labelled tickets that no person answered.
        answered_accuracy: share of these whose intent was right: the others got a wrong answer.
        article_labelled: published tickets whose article agents named.
        article_first: share of these whose article came first in the search; None without any.
        article_found: share of these whose article was among those found.
        cited_precision: share of their drafts that cite this article and no other; None without a draft.
    """

    day: date
    model_version: str
    tickets: int
    labelled: int
    accuracy: float | None = None
    out_of_scope_recall: float | None = None
    answered: int = 0
    answered_accuracy: float | None = None
    article_labelled: int = 0
    article_first: float | None = None
    article_found: float | None = None
    cited_precision: float | None = None

    def metadata(self) -> dict[str, Any]:
        """Return numbers that plot."""
        shown: dict[str, Any] = {keys.OPENED_ON: self.day.isoformat(), keys.ROW_COUNT: self.tickets}
        if not self.model_version:
            return shown | {keys.NOTE: f"nothing of {self.day} is published"}
        shares = {name: round(value, 6) for name in _SHARES if (value := getattr(self, name)) is not None}
        counts = {keys.LABELLED: self.labelled, keys.ARTICLE_LABELLED: self.article_labelled}
        return shown | {keys.MODEL_VERSION: self.model_version, **counts, **shares}


def measure(lake: Lake, sink: Sink, settings: SupportSettings, as_of: date) -> Quality:
    """Measure the day whose labels had until `as_of` to arrive; write its row to the lake if it was published.

    Rows of other days that the lake lost are written again.
    """
    delay = timedelta(days=settings.label_delay_days)
    for lost in lake.repair(TABLE):
        _measured(lake, sink, lost, lost + delay)
    return _measured(lake, sink, as_of - delay, as_of)


def realized_day(lake: Lake, registry: Registry, settings: SupportSettings, found: Quality) -> RealizedDay:
    """Return the accuracy of the version that read the day's tickets, over the last days whose labels have arrived."""
    limits = settings.performance
    if not found.model_version:
        return nothing_measured(found.day, f"nothing of {found.day} is published")
    days = _last_days(lake, found.day, settings.share_days)
    week = [row for row in days if row[DAY] > found.day - timedelta(days=settings.label_delay_days)]
    tickets, labelled = (sum(row[name] for row in week) for name in ("tickets", "labelled"))
    says = f"{labelled:,} of the {tickets:,} tickets of the {len(week)} days until {found.day} have a label"
    arrived = Arrived(labelled / tickets if tickets else None, says, limits.min_labelled_share)
    own = [row for row in days if row["model_version"] == found.model_version and row["labelled"]]
    right, known = sum(row["labelled"] * row["accuracy"] for row in own), sum(row["labelled"] for row in own)
    promised = _promised(registry, found.model_version)
    one = realized_share("accuracy", "accuracy of the intent", right, known, promised, max_drop=limits.max_drop)
    unmeasured = "" if one else f"too few labelled tickets by version {found.model_version}: {known}"
    return RealizedDay(found.day, found.model_version, arrived, (one,) if one else (), unmeasured)


def _last_days(lake: Lake, day: date, days: int) -> list[dict[str, Any]]:
    if not lake.exists(TABLE):
        return []
    return lake.scan(TABLE, first=day - timedelta(days=days - 1), last=day).to_table().to_pylist()


def _promised(registry: Registry, version: str) -> tuple[float, float] | None:
    """Return the accuracy on the version's hold-out, and the number of tickets there."""
    metrics = next((one.metrics for one in registry.versions(SUPPORT.name) if one.version == version), {})
    if not {"accuracy", "holdout_tickets"} <= metrics.keys():
        return None
    return metrics["accuracy"], metrics["holdout_tickets"]


def _measured(lake: Lake, sink: Sink, day: date, as_of: date) -> Quality:
    publication = sink.published(SUPPORT.name, day)
    if publication is None:
        return Quality(day, "", 0, 0)
    columns = ["ticket_id", "intent", "handed_off", "article_ids", "cited"]
    rows = [row for batch in sink.published_rows(publication) for row in batch.select(columns).to_pylist()]
    found = quality(rows, newest_labels(lake, as_of), day, publication.model_version)
    values = {name: getattr(found, name) for name in (*_COUNTS, "model_version", *_SHARES)}
    row = {DAY: day, "judged_on": as_of, **values}
    lake.replace(TABLE, pa.Table.from_pylist([row], _SCHEMA), by=DAY, first=day, last=day)
    return found


def quality(
    rows: Sequence[Mapping[str, Any]], labels: Mapping[str, Mapping[str, Any]], day: date, version: str
) -> Quality:
    """Return the quality of published rows (ticket_id, intent, handed_off, article_ids, cited) by the newest labels."""
    known = [(row, labels[row["ticket_id"]]) for row in rows if row["ticket_id"] in labels]
    right = [row["intent"] == label["intent"] for row, label in known]
    outside = [ok for ok, (_, label) in zip(right, known, strict=True) if label["intent"] == OUT_OF_SCOPE]
    answered = [ok for ok, (row, _) in zip(right, known, strict=True) if not row["handed_off"]]
    named = [(row, label["article_id"]) for row, label in known if label.get("article_id") is not None]
    return Quality(
        day=day,
        model_version=version,
        tickets=len(rows),
        labelled=len(known),
        accuracy=_share(right),
        out_of_scope_recall=_share(outside),
        answered=len(answered),
        answered_accuracy=_share(answered),
        article_labelled=len(named),
        article_first=_share([row["article_ids"][:1] == [article] for row, article in named]),
        article_found=_share([article in row["article_ids"] for row, article in named]),
        cited_precision=_share([row["cited"] == [article] for row, article in named if row["cited"]]),
    )


def _share(marks: Sequence[bool]) -> float | None:
    return sum(marks) / len(marks) if marks else None
