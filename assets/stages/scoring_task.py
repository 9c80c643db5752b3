"""The part of scoring and publishing a day that differs between applications."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from assets.stages import promotion
from assets.stages.app import App
from models.errors import TesseraError
from models.publishing import Degradation
from models.scoring.config import AuditConfig, DriftConfig

if TYPE_CHECKING:
    from models.compose.budget import Budget
    from models.compose.package import LoadedComposition
    from models.scoring.audit_checks import Observer
    from models.scoring.batch import DecisionRule, Predict
    from models.training.computed_features import ComputedFeatures
    from models.training.model import Matrix, Vector
    from models.training.model_package import LoadedModel
    from resources.registry.port import Registry

#: A night takes no scores worse than this; only a fallback does.
WORST_OF_A_NIGHT: Degradation = "champion_before"


def probabilities(model: LoadedModel) -> Predict:
    """The payload column `score`: the model's probability of the positive class."""
    return lambda matrix: {"score": model.model.predict(matrix)}


def numbers_with_intervals(model: LoadedModel) -> Predict:
    """The payload columns `prediction`, `lower` and `upper`: the predicted number and its interval.

    Raises:
        TesseraError: this kind of model gives no intervals.
    """
    from models.training.model import IntervalModel

    fitted = model.model
    if not isinstance(fitted, IntervalModel):
        raise TesseraError(
            f"A model of kind {fitted.kind!r} gives no prediction interval.",
            expected="a model with `interval`, e.g. of the trainer xgboost_regression",
            todo="Name another trainer in settings.<app>.candidates, and train again.",
        )

    def predict(matrix: Matrix) -> dict[str, Vector]:
        lower, upper = fitted.interval(matrix)
        return {"prediction": fitted.predict(matrix), "lower": lower, "upper": upper}

    return predict


def no_rule(_: LoadedModel) -> DecisionRule:
    """Predictions are published as they are."""
    from models.scoring.batch import AsPredicted

    return AsPredicted()


@dataclass(frozen=True)
class ComposedRows:
    """Rows that a composition made of a day's features, all of them or a part.

    Attributes:
        rows: keys and payload of the output contract, in its order.
        steps: what each step gave for each row, as the application's table of steps holds it; None: it is not kept.
        counts: numbers for the publication record.
    """

    rows: pa.Table
    steps: pa.Table | None = None
    counts: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class ComposedScoring:
    """Scoring by a composition.

    Attributes:
        live: name -> what its parts need, e.g. the language model of the profile.
        rehearsal: the same for golden records: without what changes outside, e.g. articles.
        feature_version: version of the feature rows.
        score: makes rows of the features of a day, part by part, in the order of the output contract.
        budget: of a request about so many records.
        steps: lake table, one partition per `DAY`, of what each step gave; "": it is not kept.
        may_be_empty: a day without feature rows has an empty set of rows, which is published like any other.
    """

    live: Mapping[str, Any]
    rehearsal: Mapping[str, Any]
    feature_version: str
    score: Callable[[LoadedComposition, pa.Table], Iterable[ComposedRows]]
    budget: Callable[[int], Budget]
    steps: str = ""
    may_be_empty: bool = False


@dataclass(frozen=True)
class ScoringTask:
    """An application's way of scoring a day from feature rows, and the contract of the rows.

    Attributes:
        app: the application; its feature table has a partition per day, in the order of its output contract.
        audit: limits of the audit.
        drift: limits of drift, which only warns; a model package without a reference is not compared.
        predict: makes the function that gives payload columns of a matrix' rows.
        rule: makes the rule for payload columns that the model does not give.
        rule_checks: makes the rule's part of the audit.
        segments: feature columns whose values' share and mean score are compared with earlier nights, e.g. a country.
        batch_rows: rows per chunk; results do not depend on it.
        max_stale_days: a fallback may use features up to this old, flagged.
        has_fallback: a job `<app>_fallback` publishes older scores, flagged, where a night could not.
        composed: its champion is a composition, which makes the rows; `predict` and `rule` are not asked then.
        computed: features of this release; a model that reads others does not score. None: they are not compared.
    """

    app: App
    audit: AuditConfig = field(default_factory=AuditConfig)
    drift: DriftConfig = field(default_factory=DriftConfig)
    predict: Callable[[LoadedModel], Predict] = probabilities
    rule: Callable[[LoadedModel], DecisionRule] = no_rule
    rule_checks: Callable[[], Sequence[Observer]] = tuple
    segments: tuple[str, ...] = ()
    batch_rows: int = 65_536
    max_stale_days: int = 0
    has_fallback: bool = False
    composed: ComposedScoring | None = None
    computed: ComputedFeatures | None = None

    def champions(
        self, registry: Registry
    ) -> Iterator[promotion.Verified | promotion.VerifiedComposition | promotion.Unusable]:
        """Yield the champion and those before it, newest first, each as it can be used or with the reason why not."""
        if self.composed is None:
            return promotion.champions(self.app.name, registry, self.computed)
        return promotion.composed_champions(self.app.name, registry, self.composed.live, self.composed.rehearsal)

    def version(self, registry: Registry, version: str) -> promotion.Verified | promotion.VerifiedComposition:
        """Return a version, whether it ever was champion or not, after it gave its golden answers.

        Raises:
            TesseraError: no such version, one whose files are not the registered ones, or one that cannot be used.
        """
        if self.composed is None:
            return promotion.fetched(registry, self.app.name, version, self.computed)
        return promotion.fetched_composition(
            registry, self.app.name, version, self.composed.live, self.composed.rehearsal
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Tables of the lake whose versions the publication record names."""
        return (*self.app.tables, self.app.features)
