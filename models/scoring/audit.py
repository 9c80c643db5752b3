"""Audit of a written set of scores, as read back, before it is published: the checks of its output contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.scoring.audit_checks import (
    Check,
    EntityChecks,
    NotDescendingChecks,
    Observer,
    RangeChecks,
    VersionChecks,
)
from models.scoring.config import AuditConfig
from models.scoring.digest import RowsDigest
from models.scoring.distribution import DISTRIBUTION, EarlierScores, ScoreChecks, shifted
from models.scoring.earlier_night import EarlierNight
from models.scoring.night_numbers import NightNumbers, PastNight
from models.scoring.output import OutputContract
from models.scoring.segments import SegmentNumbers
from models.scoring.unusual import Tonight, against_reference, unusual

if TYPE_CHECKING:
    from models.scoring.score_reference import ScoreReference

# pyarrow has no static types.
# pyright: basic

__all__ = ["DISTRIBUTION", "AuditReport", "Check", "EarlierScores", "Expected", "audit"]


@dataclass(frozen=True)
class AuditReport:
    """`passed`: no blocking check failed. `digest` names the rows and their order (`models.scoring.digest`).

    `metrics`: numbers that plot: `mean_<score>`, those of the decision rule, and, against an earlier set, `score_psi`.
    `numbers`: those that later nights are compared with. `scores`: rows in each bin of
    `models.scoring.night_numbers.float_histogram`.
    """

    passed: bool
    checks: tuple[Check, ...]
    rows: int
    digest: str
    metrics: Mapping[str, float]
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])
    scores: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def with_checks(
        self, checks: Iterable[Check], metrics: Mapping[str, float], numbers: Mapping[str, float]
    ) -> AuditReport:
        """Return the report with further checks, numbers that plot and numbers for comparison."""
        added = tuple(checks)
        passed = self.passed and all(check.passed or check.severity != "block" for check in added)
        return replace(
            self,
            passed=passed,
            checks=(*self.checks, *added),
            metrics={**self.metrics, **metrics},
            numbers={**self.numbers, **numbers},
        )

    @property
    def unusual(self) -> tuple[Check, ...]:
        """Comparisons with other nights that failed and stop nothing."""
        return tuple(check for check in self.checks if not check.passed and check.severity == "warn")

    @property
    def noted(self) -> tuple[Check, ...]:
        """Comparisons with other nights that failed and are only shown."""
        return tuple(check for check in self.checks if not check.passed and check.severity == "note")


@dataclass(frozen=True)
class Before:
    """Comparison values of a night.

    Attributes:
        day: tonight.
        nights: numbers of published nights, oldest first.
        reference: of the model's evaluation; None if its package has none.
    """

    day: date
    nights: Sequence[PastNight] = ()
    reference: ScoreReference | None = None


@dataclass(frozen=True)
class Expected:
    """Expected properties of the rows.

    Attributes:
        entities: arrays of the entity ids in scope, in the order of the rows; read once.
        model_package: sha256 of the package of the one model that made them.
        feature_version: the one version of the features they were made from.
        segments: columns of the feature rows whose values' share and mean score are compared; read once.
        challenger: package and feature version of a second model that made some rows; None: there is none.
    """

    entities: Iterable[pa.Array]
    model_package: str
    feature_version: str
    segments: Iterable[pa.RecordBatch] = ()
    challenger: tuple[str, str] | None = None


def audit(
    rows: Iterable[pa.RecordBatch],
    expected: Expected,
    contract: OutputContract,
    *,
    limits: AuditConfig,
    earlier: EarlierScores | None,
    rule: Sequence[Observer] = (),
    before: Before | None = None,
) -> AuditReport:
    """Run every check on `rows` (as read back from the sink), in one pass and memory of a few batches.

    Args:
        rows: the attempt's rows, in the order in which they were written.
        expected: entities in scope, versions.
        contract: columns, types, ranges.
        limits: how far scores may shift.
        earlier: what is published of an earlier day; None: nothing is.
        rule: the checks of the decision rule.
        before: other nights, and the model's evaluation; None: numbers are counted and not compared.

    Raises:
        TesseraError: the rows have other columns.
    """
    scores, numbers = ScoreChecks(contract.column(contract.score), limits), NightNumbers(contract)
    beside = EarlierNight(contract, earlier.rows if earlier is not None else ())
    segments = SegmentNumbers(contract, expected.segments)
    observers: list[Observer] = [
        EntityChecks(contract, expected.entities),
        *(RangeChecks(column) for column in contract.payload if column.has_range),
        *(NotDescendingChecks(columns) for columns in contract.not_descending),
        scores,
        numbers,
        beside,
        segments,
        *rule,
        VersionChecks(expected.model_package, expected.feature_version, expected.challenger),
    ]
    digest = RowsDigest()
    for batch in rows:
        contract.require(batch.schema)
        digest.add(batch)
        for observer in observers:
            observer.observe(batch)
    checks = [check for observer in observers for check in observer.checks()]
    metrics = {name: value for observer in observers for name, value in observer.metrics().items()}
    known = {**numbers.numbers(), **beside.numbers(), **segments.numbers()}
    if earlier is not None:
        metrics["score_psi"], check = shifted(scores.histogram, beside.before, earlier, expected.model_package, limits)
        checks.append(check)
    if before is not None:
        checks += unusual(Tonight(before.day, expected.model_package, known), before.nights, limits.unusual)
        if before.reference is not None:
            metrics["evaluation_psi"], check = _like_evaluation(numbers, before, earlier is None, limits)
            checks.append(check)
    passed = all(check.passed or check.severity != "block" for check in checks)
    return AuditReport(passed, tuple(checks), digest.rows, digest.hexdigest(), metrics, known, numbers.bins)


def _like_evaluation(numbers: NightNumbers, before: Before, is_first: bool, limits: AuditConfig) -> tuple[float, Check]:
    """PSI against the scores of the model's evaluation; with an earlier night to compare with it is only shown."""
    assert before.reference is not None  # noqa: S101 - for the type checker
    moved, limit = against_reference(numbers.bins, before.reference.scores, before.reference.rows), limits.unusual
    says = f"PSI {moved.psi:.2f} against the scores of the model's evaluation, warned above {limit.reference_psi:g}"
    odd = is_first and moved.above(limit.reference_psi)
    if odd:
        says += ". Look at `drift` and at the champion: it may be a model of other features, or the features are wrong"
    return moved.psi, Check("like the evaluation", not odd, limit.scores if odd else "note", says, compares=True)
