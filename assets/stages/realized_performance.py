"""Checks and metadata of realized performance: published predictions by the outcomes that have become known since."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.stages import metadata_keys as keys
from models.publishing import Publication
from resources.registry.port import Registry

if TYPE_CHECKING:
    from models.evaluation.realized import Promise, Realized

#: The check that warns where outcomes say that a promise of the gate is not kept, and that of outcomes that are late.
PERFORMANCE, LABELS_ARRIVED = "performance", "labels_arrived"

KNEW = "the version was made of later days than this one: it looks better than it is"


def performance_checks(app: str) -> Sequence[dg.AssetCheckSpec]:
    """Return the checks of the asset `<app>/performance`."""
    return [
        dg.AssetCheckSpec(
            PERFORMANCE,
            asset=[app, "performance"],
            description="Quality of published predictions by their outcomes, beside the one that the gate accepted.",
        ),
        dg.AssetCheckSpec(
            LABELS_ARRIVED,
            asset=[app, "performance"],
            description="Share of the outcomes that were expected by now and have arrived.",
        ),
    ]


@dataclass(frozen=True)
class Arrived:
    """Arrival of the outcomes that had their time.

    Attributes:
        share: of those expected; None: none was expected.
        says: the counts, in words.
        limit: smallest share that is enough.
    """

    share: float | None
    says: str
    limit: float

    def check(self) -> dg.AssetCheckResult:
        """Warn of too few: quality cannot be measured, and the next training would learn from wrong outcomes."""
        return dg.AssetCheckResult(
            check_name=LABELS_ARRIVED,
            passed=self.share is None or self.share >= self.limit,
            severity=dg.AssetCheckSeverity.WARN,
            description=self.says,
            metadata={} if self.share is None else {keys.LIMIT: self.limit, keys.LABELLED_SHARE: self.share},
        )


@dataclass(frozen=True)
class RealizedDay:
    """Published predictions whose outcomes had until now to become known.

    Attributes:
        day: that was scored; of several, the last one.
        model_version: that scored it; empty if nothing is published.
        arrived: arrival of the outcomes.
        measured: metrics by the outcomes, that of the gate first.
        unmeasured: why there is none; empty if there is one.
        numbers: further numbers that plot.
        knew: the version had seen some of the outcomes, so that its predictions look better than they are.
    """

    day: date
    model_version: str
    arrived: Arrived
    measured: Sequence[Realized] = ()
    unmeasured: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])
    knew: bool = False

    def checks(self) -> list[dg.AssetCheckResult]:
        """Return the checks of quality and arrival.

        Quality is not evaluated while too many outcomes are missing.
        """
        arrived = self.arrived.check()
        broken = [str(one) for one in self.measured if not one.is_kept] if arrived.passed else []
        says = "; ".join(broken or map(str, self.measured)) or self.unmeasured
        if self.measured and not arrived.passed:
            says = f"not evaluated, since outcomes are missing: {says}"
        performance = dg.AssetCheckResult(
            check_name=PERFORMANCE,
            passed=not broken,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{self._of_day()}{says}",
            metadata=self._metrics(),
        )
        return [performance, arrived]

    def metadata(self) -> dict[str, Any]:
        """Return numbers that plot over the nights."""
        shown: dict[str, Any] = {keys.SCORED_DAY: self.day.isoformat()}
        if self.model_version:
            shown[keys.MODEL_VERSION] = self.model_version
        if self.arrived.share is not None:
            shown[keys.LABELLED_SHARE] = round(self.arrived.share, 6)
        numbers = {name: round(value, 6) for name, value in self.numbers.items()}
        note = self.unmeasured or (KNEW if self.knew else "")
        return {**shown, **self._metrics(), **numbers, **({keys.NOTE: note} if note else {})}

    def _of_day(self) -> str:
        return f"{self.day}, version {self.model_version}: " if self.model_version else ""

    def _metrics(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for one in self.measured:
            found |= {one.metric: one.value, f"{one.metric}_low": one.low, f"{one.metric}_high": one.high}
            if one.promise is not None:
                found[f"{one.metric}_promised"] = one.promise.value
        return {name: round(value, 6) for name, value in found.items()}


def nothing_measured(day: date, why: str) -> RealizedDay:
    """Return a day without published predictions, of which no outcome is expected."""
    return RealizedDay(day, "", Arrived(None, f"no outcome is expected: {why}", 0.0), unmeasured=why)


@dataclass(frozen=True)
class Accepted:
    """A version as the gate accepted it.

    Attributes:
        promises: metric -> its value on the hold-out.
        as_of: day up to which it was allowed to know anything; None: not known.
    """

    promises: Mapping[str, Promise] = field(default_factory=dict[str, "Promise"])
    as_of: date | None = None


def accepted_version(registry: Registry, publication: Publication) -> Accepted:
    """Return what the gate accepted of the version that made a published set; nothing if the registry has another."""
    from models.evaluation.realized import Promise
    from models.scoring.score_reference import SCORES, ScoreReference
    from models.training.manifest import MANIFEST

    app, version = publication.app, publication.model_version
    if version not in {one.version for one in registry.versions(app)}:
        return Accepted()
    folder = registry.fetch(app, version)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    file = folder / SCORES
    if manifest["sha256"] != publication.model_package or not file.exists():
        return Accepted()
    reference = ScoreReference.model_validate_json(file.read_text(encoding="utf-8"))
    promises = {one.metric: Promise(one.value, one.error) for one in reference.qualities}
    return Accepted(promises, date.fromisoformat(manifest["card"]["as_of"]))
