"""Steps behind `personalization/performance`: published lists by what their customers ordered or carted since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from assets.personalization.app import PERSONALIZATION
from assets.personalization.holdout import padded, wanted_of
from assets.personalization.known import wanted_between
from assets.personalization.learning import past_cutoff
from assets.stages.cutoff_quality import measured_and_stored, orders_arrived, quality_table
from assets.stages.realized_performance import RealizedDay, nothing_measured
from models.settings import PersonalizationSettings
from resources.lake.port import Lake
from resources.registry.port import Registry, VersionInfo
from resources.sink.port import DamagedScores, Sink

if TYPE_CHECKING:
    from models.evaluation.realized import Realized
    from models.personalization.gate import Wanted
    from models.personalization.training import PastCutoff

#: Metrics that the gate promises, that of its comparison first, and their words.
_METRICS = {"ndcg_at_20": "NDCG@20", "recall_at_20": "recall@20"}
_APP = PERSONALIZATION.name


@dataclass(frozen=True)
class PerformanceRun:
    """Stores of a profile, and the settings of lists.

    Attributes:
        lake: holds what was known and wanted, and the table of realized quality.
        registry: knows what the gate accepted.
        sink: holds published lists.
        settings: horizon and limits.
    """

    lake: Lake
    registry: Registry
    sink: Sink
    settings: PersonalizationSettings

    def measure(self, as_of: date) -> RealizedDay:
        """Measure the lists whose horizon ended with `as_of`; write their rows to the lake if they were published.

        Rows of other days that the lake lost are written again.
        """
        horizon = timedelta(days=self.settings.horizon_days)
        return measured_and_stored(self.lake, quality_table(_APP), horizon, self._measured, as_of)

    def _measured(self, as_of: date) -> RealizedDay:
        day = as_of - timedelta(days=self.settings.horizon_days)
        try:
            publication = self.sink.published(_APP, day)
            rows = self._lists(publication) if publication else {}
        except DamagedScores as error:
            return nothing_measured(day, f"the lists of {day} cannot be read: {error.what}")
        if publication is None:
            return nothing_measured(day, f"nothing was published for {day}, whose horizon ends now")
        version = publication.model_version
        arrived = orders_arrived(self.lake, day, as_of, self.settings.performance.min_labelled_share)
        if not rows:
            return RealizedDay(day, version, arrived, unmeasured=f"no list of {day} is published")
        accepted = next((one for one in self.registry.versions(_APP) if one.version == version), None)
        measured, numbers = self._quality(rows, day, as_of, accepted)
        few = f"too few of the customers with a list of {day} wanted anything"
        return RealizedDay(
            day, version, arrived, measured, "" if measured else few, numbers, knew=_trained_on(accepted) > day
        )

    def _lists(self, publication: Any) -> dict[str, list[str]]:
        columns = ["customer_id", "product_ids"]
        found = pa.Table.from_batches(self.sink.published_rows(publication), PERSONALIZATION.contract.schema)
        return dict(zip(*(found[name].to_pylist() for name in columns), strict=True))

    def _quality(
        self, rows: dict[str, list[str]], day: date, as_of: date, accepted: VersionInfo | None
    ) -> tuple[list[Realized], dict[str, float]]:
        """Return the metrics of the lists, and further numbers; popularity is what everybody's list would have been."""
        import numpy as np

        from models.evaluation.realized import realized_mean
        from models.personalization.gate import quality_of

        wanted, past = self._wanted(rows, day, as_of)
        if not wanted.taken.customers.size:
            return [], {}
        width, known = self.settings.steps.rules.length, past.known
        ids = known.events.customers[wanted.taken.customers].tolist()
        lists = padded([[known.places[id] for id in rows[customer] if id in known.places] for customer in ids], width)
        found = quality_of(lists, wanted)
        popular = padded([known.popular[""][:width].tolist()] * len(ids), width)
        values = {"ndcg_at_20": found.ndcg, "recall_at_20": found.recall}
        further = {"repeat_ndcg": found.repeat, "explore_ndcg": found.explore}
        further |= {"popularity_ndcg": quality_of(popular, wanted).ndcg}
        limit = self.settings.performance.max_drop
        measured = [
            realized_mean(name, words, values[name], accepted.metrics if accepted else {}, max_drop=limit)
            for name, words in _METRICS.items()
        ]
        numbers = {name: float(np.nanmean(each)) for name, each in further.items() if np.isfinite(each).any()}
        return [one for one in measured if one is not None], numbers | {"customers": float(len(ids))}

    def _wanted(self, rows: dict[str, list[str]], day: date, as_of: date) -> tuple[Wanted, PastCutoff]:
        """Return what customers with a list wanted of the products that were known at the end of `day`."""
        import numpy as np

        past = past_cutoff(self.lake, wanted_between(self.lake, day, as_of), day, self.settings)
        ids = past.known.events.customers[past.wanted.customers]
        listed = np.flatnonzero(np.isin(ids, np.array(sorted(rows))))
        return wanted_of(past.known, past.wanted.of(listed)), past


def _trained_on(version: VersionInfo | None) -> date:
    """Return the day up to which a version was allowed to know anything; the first of all days if it is not known."""
    text = version.tags.get("as_of", "") if version else ""
    return date.fromisoformat(text) if text else date.min
