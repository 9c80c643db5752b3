"""Sources of a day's scores, best first: the degradation ladder.

The champion on the day's features, the champion before it on the same features, a champion on older features, the last
good scores. A source that cannot be used is named with the reason, so that no fallback is silent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from assets.stages import promotion as champions
from assets.stages.scoring_task import ScoringTask
from models.errors import TesseraError
from models.publishing import LADDER, AuditVerdict, Degradation, Publication
from resources.lake.port import Lake
from resources.registry.port import Registry
from resources.sink.port import Sink

if TYPE_CHECKING:
    from models.compose.package import LoadedComposition
    from models.training.model_package import LoadedModel


@dataclass(frozen=True)
class ModelSource:
    """Scores made by a model from the features of a day."""

    degradation: Degradation
    features_of: date
    version: str
    model: LoadedModel

    @property
    def package(self) -> str:
        """sha256 of the model's package."""
        return self.model.sha256

    @property
    def feature_version(self) -> str:
        """Version of the features that it was trained on."""
        return self.model.card.feature_version

    @property
    def extras(self) -> Mapping[str, str]:
        """Further files of its package."""
        return self.model.extras


@dataclass(frozen=True)
class CompositionSource:
    """Scores made by a composition from the features of a day."""

    degradation: Degradation
    features_of: date
    version: str
    composition: LoadedComposition
    feature_version: str

    @property
    def package(self) -> str:
        """sha256 of the composition's package."""
        return self.composition.sha256

    @property
    def extras(self) -> Mapping[str, str]:
        """Further files of its package."""
        return self.composition.extras


@dataclass(frozen=True)
class LastGoodScores:
    """The published scores of an earlier day."""

    earlier: Publication
    degradation: Degradation = "last_good_scores"


@dataclass(frozen=True)
class FailedSource:
    """A source that cannot be used, and why."""

    degradation: Degradation
    reason: str

    def __str__(self) -> str:
        return f"{self.degradation}: {self.reason}"


ComputedSource = ModelSource | CompositionSource
ScoreSource = ComputedSource | LastGoodScores


def sources(
    task: ScoringTask, lake: Lake, registry: Registry, sink: Sink, day: date, worst: Degradation
) -> Iterator[ScoreSource | FailedSource]:
    """Every source of scores for `day`, best first and none worse than `worst`; each is looked up when it is needed."""
    allowed = LADDER[: LADDER.index(worst) + 1]
    known = [found for found in lake.days(task.app.features) if found <= day]
    models = _Models(task, registry)
    may_be_empty = task.composed is not None and task.composed.may_be_empty and lake.exists(task.app.features)
    if day not in known and not may_be_empty:
        yield FailedSource("fresh", f"there are no features of {day}")
    else:
        yield from (source for source in models.on(day) if source.degradation in allowed)
    if "stale_features" in allowed:
        for older in reversed(known):
            if older < day and day - older <= timedelta(days=task.max_stale_days):
                yield from models.first_on(older)
    if "last_good_scores" in allowed:
        yield from _last_good(sink, task.app.name, day)


def blocked(source: ScoreSource | FailedSource, verdicts: list[AuditVerdict], inputs: dict[str, int]) -> str:
    """Failed checks of the newest verdict on the same scores of the same inputs; empty if they did not fail."""
    if not isinstance(source, ModelSource | CompositionSource):
        return ""
    made_of = (source.package, source.features_of, inputs)
    alone = [one for one in verdicts if one.draft.challenger is None]
    same = [one for one in alone if (one.draft.model_package, one.draft.features_of, one.draft.inputs) == made_of]
    return same[-1].failures() if same else ""


_Champion = champions.Verified | champions.VerifiedComposition


class _Models:
    """The champions that can be loaded, each asked for once."""

    def __init__(self, task: ScoringTask, registry: Registry) -> None:
        self._task, self._app, self._registry = task, task.app.name, registry
        self._asked = self._champions()
        self._found: list[_Champion | FailedSource] = []

    def on(self, day: date) -> Iterator[ComputedSource | FailedSource]:
        """Scores of `day` by the champion, and by the first champion before it that can be loaded."""
        usable = 0
        for place, found in enumerate(self._each()):
            degradation: Degradation = "champion_before" if place else "fresh"
            if isinstance(found, FailedSource):
                yield FailedSource(degradation, found.reason)
                continue
            usable += 1
            yield self._source(degradation, day, found)
            if place and usable:
                return

    def first_on(self, day: date) -> Iterator[ComputedSource]:
        """Scores by the first champion that can be loaded, from the features of an earlier day."""
        found = next((one for one in self._each() if not isinstance(one, FailedSource)), None)
        if found is not None:
            yield self._source("stale_features", day, found)

    def _source(self, degradation: Degradation, day: date, found: _Champion) -> ComputedSource:
        if isinstance(found, champions.Verified):
            return ModelSource(degradation, day, found.version, found.model)
        composed = self._task.composed
        assert composed is not None  # noqa: S101 - for the type checker: `_champions` asked it
        return CompositionSource(degradation, day, found.version, found.composition, composed.feature_version)

    def _each(self) -> Iterator[_Champion | FailedSource]:
        yield from self._found
        for found in self._asked:
            self._found.append(found)
            yield found

    def _champions(self) -> Iterator[_Champion | FailedSource]:
        none = True
        try:
            for found in self._task.champions(self._registry):
                none = False
                if isinstance(found, champions.Unusable):
                    yield FailedSource("fresh", f"version {found.version} cannot be used: {found.why}")
                else:
                    yield found
        except TesseraError as error:
            none = False
            yield FailedSource("fresh", f"the registry cannot be read: {error.what}")
        if none:
            yield FailedSource("fresh", f"there is no champion of {self._app}")


def _last_good(sink: Sink, app: str, day: date) -> Iterator[LastGoodScores]:
    for earlier in reversed(sink.published_days(app)):
        publication = sink.published(app, earlier) if earlier < day else None
        if publication is not None:
            yield LastGoodScores(publication)
