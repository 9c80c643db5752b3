"""The gate: nothing is put in charge unless every check was made and passed."""

from collections.abc import Callable
from typing import TypeVar

from models.evaluation.curves import curves_png
from models.evaluation.metrics import measure
from models.gates.check import GateCheck
from models.gates.checks import CHECKS
from models.gates.closing import reason_of
from models.gates.config import GateConfig
from models.gates.context import CANDIDATE, CHAMPION, Hearing
from models.gates.evidence import GateEvidence
from models.gates.report import GateReport

T = TypeVar("T")


def run_gate(evidence: GateEvidence, config: GateConfig, *, picture: bool = True) -> GateReport:
    """Return the decision on a candidate. It raises nothing: whatever goes wrong in a check fails that check.

    Args:
        evidence: what the decision rests on; a missing piece fails the checks that need it.
        config: the limits.
        picture: whether curves are drawn for the report (about one CPU second, most of it loading matplotlib).
    """
    hearing = Hearing(evidence, config)
    notes: list[str] = []
    checks = tuple(_closed(check, hearing) for check in CHECKS)
    return GateReport(
        candidate=evidence.name,
        checks=checks,
        metrics=_shown("metrics", lambda: _metrics(hearing), notes) or {},
        slices=_shown("slices", lambda: hearing.slices, notes) or (),
        picture=(_shown("picture", lambda: _picture(hearing), notes) or b"") if picture else b"",
        notes=notes,
    )


def _closed(check: Callable[[Hearing], GateCheck], hearing: Hearing) -> GateCheck:
    try:
        return check(hearing)
    except Exception as error:  # noqa: BLE001 - a model or its data can fail in any way, and each must close the gate
        return GateCheck(check.__name__, False, None, None, reason_of(error))


def _shown(what: str, make: Callable[[], T], notes: list[str]) -> T | None:
    """Something for the reader of the report, which decides nothing: its failure is noted, and a check failed too."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - the report of a failed gate must still be written
        notes.append(f"No {what}: {reason_of(error)}")
        return None


def _names(hearing: Hearing) -> list[str]:
    standing = [] if hearing.champion is None else [CHAMPION]
    return [CANDIDATE, *standing, *(hearing.evidence.baselines or {})]


def _metrics(hearing: Hearing) -> dict[str, dict[str, float]]:
    labels = hearing.holdout.labels
    top, per_day = max(1, labels.size // 10), hearing.config.top_per_day
    found = {name: measure(labels, hearing.scores(name), top=top) for name in _names(hearing)}
    if per_day is not None:
        for name, metrics in found.items():
            metrics["precision_at_top_per_day"] = hearing.top_precision(name, per_day)
    return found


def _picture(hearing: Hearing) -> bytes:
    trained = hearing.evidence.trained_baseline
    titles = {CANDIDATE: hearing.evidence.name, CHAMPION: "champion", trained: f"baseline {trained}"}
    drawn = [name for name in _names(hearing) if name in titles]
    return curves_png(hearing.holdout.labels, {titles[name]: hearing.scores(name) for name in drawn})
