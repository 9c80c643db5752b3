"""Findings on the features of a night: drift weighted by what the model uses, one value, values that stand still.

Small drift must be seen on two of three nights; what cannot be chance or a season is found on the first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.scoring.audit_checks import Check
from models.scoring.config import DriftConfig
from models.scoring.drift import DriftReport, FeatureDrift
from models.scoring.night_numbers import PastNight

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

#: Prefixes of the numbers that are kept of each night.
_PSI, _BEYOND, _UNCHANGED = "psi_", "drifted_", "unchanged_"
#: Nights, tonight among them, of which so many must show a drift before it is reported.
_OF_NIGHTS, _SEEN = 3, 2
#: Entities of two nights, and changes expected among them, below which standing still says nothing.
_MIN_ENTITIES, _MIN_CHANGES = 50, 14.0


@dataclass(frozen=True)
class Unchanged:
    """Comparison with the features of an earlier day.

    Attributes:
        entities: of both days that were compared.
        shares: feature -> share of them whose value is the same.
        days: between the two.
    """

    entities: int = 0
    shares: Mapping[str, float] = field(default_factory=dict[str, float])
    days: int = 1


@dataclass(frozen=True)
class FeatureFindings:
    """Findings on the features of a night.

    Attributes:
        drifted: features that are reported.
        checks: what was found, in words; some may block.
        numbers: for comparison with later nights.
    """

    drifted: tuple[str, ...]
    checks: tuple[Check, ...]
    numbers: Mapping[str, float]


def feature_findings(
    report: DriftReport,
    importances: Mapping[str, float],
    unchanged: Unchanged,
    past: Sequence[PastNight],
    config: DriftConfig,
) -> FeatureFindings:
    """Judge the features of a night.

    Args:
        report: drift of each feature against the training set.
        importances: feature -> share of the model's absolute contributions; {}: every feature counts alike.
        unchanged: comparison with the features of the night before.
        past: nights published before by the same model, oldest first.
        config: limits and consequences.
    """
    beyond = _beyond(report, importances, config)
    psi = {row.feature: row.judged_psi for row in report.features}
    sudden = {name for name in beyond if _is_sudden(name, beyond[name], psi[name], past, config)}
    lasting = {name for name in beyond if _nights_beyond(name, past) >= _SEEN - 1}
    drifted = tuple(row.feature for row in report.features if row.feature in sudden | lasting)
    numbers = {f"{_PSI}{name}": value for name, value in psi.items()}
    numbers |= {f"{_BEYOND}{name}": 1.0 for name in beyond}
    if unchanged.days == 1:
        numbers |= {f"{_UNCHANGED}{name}": share for name, share in unchanged.shares.items()}
    checks = (*_constant(report, config), *_stale(unchanged, past, config))
    return FeatureFindings(drifted, checks, numbers)


def drift_words(findings: FeatureFindings, report: DriftReport, importances: Mapping[str, float]) -> str:
    """Return the drifted features in a sentence."""
    if not findings.drifted:
        return "no feature drifted"
    rows = {row.feature: row for row in report.features}
    named = [
        f"{name} (PSI {rows[name].judged_psi:.2f}"
        + (f", importance {importances.get(name, 0.0):.0%})" if importances else ")")
        for name in findings.drifted
    ]
    weighed = "" if importances else "; every feature counts alike: the model names no importances"
    return f"drifted: {', '.join(named)}{weighed}"


def unchanged_shares(before: pa.Table, now: pa.Table, key: str, features: Sequence[str], days: int = 1) -> Unchanged:
    """Compare the features of entities that both tables have; a value that is NULL in both is the same."""
    places = pc.index_in(now[key], value_set=before[key].combine_chunks())
    found = pc.is_valid(places)
    now, before = now.filter(found), before.take(places.drop_null())
    if not now.num_rows:
        return Unchanged()
    shares = {name: _same_share(before[name], now[name]) for name in features if name in before.column_names}
    return Unchanged(now.num_rows, shares, days)


def _same_share(before: pa.ChunkedArray, now: pa.ChunkedArray) -> float:
    equal = pc.fill_null(pc.equal(before.cast(now.type), now), False)
    both_null = pc.and_(before.is_null(nan_is_null=True), now.is_null(nan_is_null=True))
    return float(np.mean(np.asarray(pc.or_(equal, both_null))))


def _beyond(report: DriftReport, importances: Mapping[str, float], config: DriftConfig) -> dict[str, float]:
    """Weighted PSI of the features beyond the limit, by more than chance among all of them (Holm)."""
    ordered = sorted(report.features, key=lambda row: row.p_value)
    found: dict[str, float] = {}
    for place, row in enumerate(ordered):
        if row.p_value > config.significance / (len(ordered) - place):
            break
        weighted = row.judged_psi * _weight(row, importances, len(ordered))
        if row.drifted and not row.constant_by_day and weighted > config.psi_warn:
            found[row.feature] = weighted
    return found


def _weight(row: FeatureDrift, importances: Mapping[str, float], features: int) -> float:
    return min(1.0, importances.get(row.feature, 0.0) * features) if importances else 1.0


def _is_sudden(name: str, weighted: float, psi: float, past: Sequence[PastNight], config: DriftConfig) -> bool:
    before = past[-1].numbers.get(f"{_PSI}{name}") if past else None
    if before is not None:
        return psi > before + config.psi_step
    return weighted > config.psi_first_night


def _nights_beyond(name: str, past: Sequence[PastNight]) -> int:
    return sum(f"{_BEYOND}{name}" in night.numbers for night in past[-(_OF_NIGHTS - 1) :])


def _constant(report: DriftReport, config: DriftConfig) -> Iterator[Check]:
    found = [f"{row.feature} is {row.only_value}" for row in report.features if row.only_value]
    says = f"{', '.join(found)} in every row, and was not in training. Look at its source and its expression"
    yield Check("features vary", not found, config.constant, says if found else "each as in training")


def _stale(unchanged: Unchanged, past: Sequence[PastNight], config: DriftConfig) -> Iterator[Check]:
    """Features of which no entity's value changed since the night before, although some always did."""
    if unchanged.entities < _MIN_ENTITIES:
        return
    still = [name for name, share in unchanged.shares.items() if share == 1.0]
    known = {name: _usual_changes(name, past) if unchanged.days == 1 else 0.0 for name in still}
    found = [name for name, usual in known.items() if usual * unchanged.entities >= _MIN_CHANGES]
    everything = not found and len(still) == len(unchanged.shares) > 1
    says = f"{', '.join(found)}: the same for all of {unchanged.entities:,} entities as the night before"
    if everything:
        says = f"every feature is the same for all of {unchanged.entities:,} entities as on the day before"
    stale = bool(found) or everything
    says += ", while its table moved on. Compute the features of the day again"
    yield Check("features move", not stale, config.stale, says if stale else "as every night")


def _usual_changes(name: str, past: Sequence[PastNight]) -> float:
    """Smallest share of entities whose value changed on the last nights; 0 if it is not known."""
    shares = [night.numbers.get(f"{_UNCHANGED}{name}", math.nan) for night in past[-7:]]
    known = [1 - share for share in shares if math.isfinite(share)]
    return min(known) if len(known) >= _SEEN else 0.0
