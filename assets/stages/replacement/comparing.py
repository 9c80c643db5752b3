"""The comparison of both versions of a replacement: what a higher share needs."""

# pyright: basic
# pyarrow has no static types.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import pyarrow.compute as pc

from assets.stages import metadata_keys as keys
from assets.stages.replacement.decisions import current_replacement
from assets.stages.replacement.plan import ReplacementPlan
from assets.stages.replacement.scoring import answered_days, answers_table
from models.gates.check import GateCheck
from models.replacement.events import ReplacementEvent
from resources.engine.port import Engine
from resources.lake.port import Lake
from resources.registry.port import Registry

if TYPE_CHECKING:
    from models.replacement.comparison import Answers, Comparison

#: Name of the asset's check.
CHECK = "comparison"


@dataclass(frozen=True)
class Compared:
    """Both versions of the replacement that runs, compared; `to_share`: the next step, None after the last."""

    replacement: ReplacementEvent
    comparison: Comparison
    checks: Sequence[GateCheck]
    to_share: float | None

    def metadata(self) -> dict[str, Any]:
        """Return numbers that plot over the days."""
        found, replacement = self.comparison, self.replacement
        measured = {keys.EXTRA_EUR_PER_1000: found.extra_eur_per_1000, keys.ERROR_RATIO: found.error_ratio}
        return {
            keys.INCUMBENT: replacement.incumbent,
            keys.CHALLENGER: replacement.challenger,
            keys.REPLACEMENT_SHARE: replacement.share,
            keys.ROW_COUNT: found.rows,
            keys.RANK_CORRELATION: found.rank_correlation,
            keys.SCORE_PSI: found.psi,
            keys.FLIP_SHARE: found.flip_share,
            keys.MATURED_LABELS: found.labels,
            **{name: value for name, value in measured.items() if value is not None},
        }

    def check(self) -> dg.AssetCheckResult:
        """Warn where the comparison stands against a higher share."""
        failed = [f"{check.name}: {check.says}" for check in self.checks if not check.passed]
        fine = "; ".join(check.says for check in self.checks)
        return dg.AssetCheckResult(
            check_name=CHECK,
            passed=not failed,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(failed) or fine,
        )


def compared(
    lake: Lake, engine: Engine, registry: Registry, app: str, plan: ReplacementPlan, as_of: date
) -> Compared | None:
    """Compare both versions of the replacement that runs by the answers kept until `as_of`; None: none runs."""
    from models.replacement.comparison import compare

    replacement = current_replacement(lake, registry, app)
    if replacement is None:
        return None
    days = [_answers(lake, engine, app, plan, replacement, day, as_of) for day in _days(lake, app, plan, as_of)]
    found = compare([day for day in days if day is not None], plan.decide, plan.config)
    share = plan.config.next_share(replacement.share)
    checks = found.checks(plan.config, has_labels=plan.labels is not None, to_share=share or replacement.share)
    return Compared(replacement, found, checks, share)


def _days(lake: Lake, app: str, plan: ReplacementPlan, as_of: date) -> list[date]:
    """Return the newest days, and the newest of those whose labels have matured."""
    known, count = [day for day in answered_days(lake, app) if day <= as_of], plan.config.compare_days
    horizon = timedelta(days=plan.labels.horizon_days) if plan.labels else None
    matured = [day for day in known if horizon is not None and day + horizon <= as_of]
    return sorted({*known[-count:], *matured[-count:]})


def _answers(
    lake: Lake, engine: Engine, app: str, plan: ReplacementPlan, replacement: ReplacementEvent, day: date, as_of: date
) -> Answers | None:
    from models.replacement.comparison import Answers
    from models.replacement.split import CHALLENGER, INCUMBENT

    both = (pc.field("incumbent_version") == replacement.incumbent) & (
        pc.field("challenger_version") == replacement.challenger
    )
    rows = lake.scan(answers_table(app), first=day, last=day).to_table(filter=both)
    if not rows.num_rows:
        return None
    labels = plan.labels
    known = np.full(rows.num_rows, np.nan)
    if labels is not None and day + timedelta(days=labels.horizon_days) <= as_of:
        found = labels.of(lake, engine, rows.select([labels.entity]), day, as_of)
        numbers = dict(zip(found[labels.entity].to_pylist(), found[labels.label].to_pylist(), strict=True))
        known = np.array([numbers.get(one, np.nan) for one in rows[labels.entity].to_pylist()], dtype=float)
    return Answers(rows[INCUMBENT].to_numpy(), rows[CHALLENGER].to_numpy(), known)
