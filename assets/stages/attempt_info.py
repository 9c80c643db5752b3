"""An attempt at the scores of a day, as metadata for Dagster and as a verdict for the sink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.stages import metadata_keys as keys
from models.publishing import AuditVerdict, Publication

if TYPE_CHECKING:
    from models.scoring.audit import AuditReport
    from models.scoring.drift import DriftReport


#: The check that warns of numbers unlike those of other nights.
UNUSUAL = "unusual_night"
#: The check that warns where probabilities promise less than the gate accepted, and that of the audit behind it.
ESTIMATE, ESTIMATED_QUALITY = "estimated_quality", "estimated quality"


@dataclass(frozen=True)
class AttemptInfo:
    """An attempt in the sink, the report of its audit, and the publication that waits for it.

    `drifted`: drift that is reported, in words; "" if none is.
    """

    draft: Publication
    audit: AuditReport
    drift: DriftReport | None
    has_fallback: bool
    drifted: str = ""

    def metadata(self) -> dict[str, Any]:
        """Numbers that plot, and the drift of each feature as a table, for Dagster."""
        shown: dict[str, Any] = {
            keys.ROW_COUNT: self.draft.rows,
            **{name: number for name, number in self.draft.counts.items() if name != "scored"},
            **{name: round(value, 4) for name, value in {**self.audit.numbers, **self.audit.metrics}.items()},
            keys.MODEL_VERSION: self.draft.model_version,
            keys.DEGRADATION: self.draft.degradation,
            **({keys.STEPS: "; ".join(self.draft.steps)} if self.draft.steps else {}),
            keys.FEATURES_OF: self.draft.features_of.isoformat(),
            keys.ATTEMPT: self.draft.attempt,
        }
        if self.drift is None:
            return shown
        most = self.drift.features[0]
        notes = "; ".join(f"{row.feature} {row.note}" for row in self.drift.features if row.note)
        return {
            **shown,
            keys.MAX_PSI: round(most.judged_psi, 4),
            keys.MAX_PSI_FEATURE: most.feature,
            **({keys.NOT_COMPARED: notes} if notes else {}),
            keys.DRIFT: _drift_table(self.drift),
        }

    def verdict(self) -> AuditVerdict:
        """The audit as the sink keeps it."""
        stopped = [check for check in self.audit.checks if not check.passed and check.severity == "block"]
        failed = {check.name: check.says for check in stopped}
        passed = self.audit.passed
        return AuditVerdict(
            draft=self.draft,
            passed=passed,
            failed=failed,
            overrulable=bool(stopped) and all(check.compares for check in stopped),
            has_fallback=self.has_fallback,
        )

    def checks(self) -> list[dg.AssetCheckResult]:
        """The audit, which blocks publishing, and drift, which only warns."""
        return checks_of(self.audit, self.drift, self.drifted)


def checks_of(audit: AuditReport, drift: DriftReport | None, drifted: str) -> list[dg.AssetCheckResult]:
    """Return the checks of scores; only `audit` blocks, and drift passes where it was not measured."""
    failed = [check for check in audit.checks if not check.passed and check.severity == "block"]
    odd = [check for check in audit.unusual if check.name != ESTIMATED_QUALITY]
    noted = "; ".join(f"noted only: {check.name}: {check.says}" for check in audit.noted)
    estimate = next((check for check in audit.checks if check.name == ESTIMATED_QUALITY), None)
    return [
        dg.AssetCheckResult(
            check_name="audit",
            passed=audit.passed,
            severity=dg.AssetCheckSeverity.ERROR,
            description="; ".join(f"{check.name}: {check.says}" for check in failed) or "every check passed",
            metadata={check.name: check.says for check in audit.checks},
        ),
        dg.AssetCheckResult(
            check_name=UNUSUAL,
            passed=not odd,
            severity=dg.AssetCheckSeverity.WARN,
            description=" ".join(f"{check.name}: {check.says}." for check in odd) or noted or "as on other nights",
            metadata={name: round(value, 6) for name, value in audit.numbers.items()},
        ),
        dg.AssetCheckResult(
            check_name="drift",
            passed=not drifted,
            severity=dg.AssetCheckSeverity.WARN,
            description=drifted or "no feature drifted",
            metadata={row.feature: row.note for row in drift.features if row.note} if drift else {},
        ),
        dg.AssetCheckResult(
            check_name=ESTIMATE,
            passed=estimate is None or estimate.passed,
            severity=dg.AssetCheckSeverity.WARN,
            description=estimate.says if estimate else "not estimated: the model's package has no reference of scores",
            metadata={name: round(value, 6) for name, value in audit.metrics.items() if name.startswith("estimated_")},
        ),
    ]


def _drift_table(drift: DriftReport) -> dg.TableMetadataValue:
    columns = ["feature", "psi", "null_share", "null_share_in_training", "unseen_share", "drifted", "note"]
    types = ["string", "float", "float", "float", "float", "bool", "string"]
    schema = dg.TableSchema([dg.TableColumn(name, type_) for name, type_ in zip(columns, types, strict=True)])
    rows = [{name: getattr(row, name) for name in columns} for row in drift.features]
    records = [
        dg.TableRecord({name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()})
        for row in rows
    ]
    return dg.MetadataValue.table(records, schema=schema)
