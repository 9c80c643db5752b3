"""Audit of a written set of scores, as read back, before it is published: the checks of its output contract."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

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
from models.scoring.output import OutputContract

# pyarrow has no static types.
# pyright: basic

__all__ = ["DISTRIBUTION", "AuditReport", "Check", "EarlierScores", "Expected", "audit"]


@dataclass(frozen=True)
class AuditReport:
    """`passed`: no blocking check failed. `digest` names the rows and their order (`models.scoring.digest`).

    `metrics`: numbers that plot: `mean_<score>`, those of the decision rule, and, against an earlier set, `score_psi`.
    """

    passed: bool
    checks: tuple[Check, ...]
    rows: int
    digest: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Expected:
    """Expected properties of the rows.

    Attributes:
        entities: arrays of the entity ids in scope, in the order of the rows; read once.
        model_package: sha256 of the package of the one model that made them.
        feature_version: the one version of the features they were made from.
    """

    entities: Iterable[pa.Array]
    model_package: str
    feature_version: str


def audit(
    rows: Iterable[pa.RecordBatch],
    expected: Expected,
    contract: OutputContract,
    *,
    limits: AuditConfig,
    earlier: EarlierScores | None,
    rule: Sequence[Observer] = (),
) -> AuditReport:
    """Run every check on `rows` (as read back from the sink), in one pass and memory of a few batches.

    Args:
        rows: the attempt's rows, in the order in which they were written.
        expected: entities in scope, versions.
        contract: columns, types, ranges.
        limits: how far scores may shift.
        earlier: what is published of an earlier day; None: nothing is.
        rule: the checks of the decision rule.

    Raises:
        TesseraError: the rows have other columns.
    """
    scores = ScoreChecks(contract.column(contract.score), limits)
    observers: list[Observer] = [
        EntityChecks(contract, expected.entities),
        *(RangeChecks(column) for column in contract.payload if column.has_range),
        *(NotDescendingChecks(columns) for columns in contract.not_descending),
        scores,
        *rule,
        VersionChecks(expected.model_package, expected.feature_version),
    ]
    digest = RowsDigest()
    for batch in rows:
        contract.require(batch.schema)
        digest.add(batch)
        for observer in observers:
            observer.observe(batch)
    checks = [check for observer in observers for check in observer.checks()]
    metrics = {name: value for observer in observers for name, value in observer.metrics().items()}
    if earlier is not None:
        column = contract.column(contract.score)
        metrics["score_psi"], check = shifted(scores.histogram, earlier, expected.model_package, column, limits)
        checks.append(check)
    passed = all(check.passed or check.severity == "warn" for check in checks)
    return AuditReport(passed, tuple(checks), digest.rows, digest.hexdigest(), metrics)
