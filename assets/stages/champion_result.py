"""The asset `<app>/champion` of a run: the champion's numbers and the last verdict of the gate, trained or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.stages import metadata_keys as keys
from models.errors import TesseraError
from models.gate_verdict import GateVerdict
from models.ledger import passed_by_hand
from resources.registry.port import Registry

if TYPE_CHECKING:
    from models.gates.check import GateCheck


def champion_result(
    app: str, registry: Registry, verdict: str, checks: Sequence[GateCheck] = (), because: str = ""
) -> dg.MaterializeResult:
    """Return the champion's numbers and the check `gate`, from small files of the registry alone.

    Most nights train nothing, and need not pay for loading MLflow.

    Args:
        app: the application.
        registry: holds its champion and the last verdict.
        verdict: in words, on this run.
        checks: of the gate in this run; empty if nothing was trained.
        because: why a model was trained though there was a champion, where the run did not ask for it; "" otherwise.
    """
    verdict += f"; trained because {because}" if because else ""
    ledger = registry.ledger(app)
    last, sentence = last_verdict(registry, app)
    standing = ledger[-1]
    version = standing.to_version
    promoted = [entry.metrics for entry in ledger if entry.to_version == version and entry.action == "promote"]
    metadata = {
        **shown(promoted[-1] if promoted else {}),
        keys.VERSION: str(version),
        keys.CHAMPION_SINCE: dg.MetadataValue.timestamp(standing.at),
        keys.REASON: standing.why,
        keys.VERDICT: verdict,
        **_shown_verdict(last, sentence),
    }
    if because:
        metadata[keys.TRAINED_BECAUSE] = because
    if by_hand := passed_by_hand(ledger):
        metadata[keys.BY_HAND] = by_hand
    check = _gate_check(app, last, sentence, verdict, checks)
    return dg.MaterializeResult(asset_key=[app, "champion"], metadata=metadata, check_results=[check])


def last_verdict(registry: Registry, app: str) -> tuple[GateVerdict | None, str]:
    """Return the last verdict and its sentence; None and the reason if it cannot be read: that stops no night."""
    try:
        verdict = registry.last_verdict(app)
    except TesseraError as error:
        return None, f"{error.what} {error.todo}"
    return verdict, verdict.sentence() if verdict else ""


def verdict_metadata(registry: Registry, app: str) -> Mapping[str, Any]:
    """Return the last verdict as metadata: a sentence, numbers that plot, the reasons; empty if there is none."""
    return _shown_verdict(*last_verdict(registry, app))


def _shown_verdict(verdict: GateVerdict | None, sentence: str) -> Mapping[str, Any]:
    if verdict is None:
        return {keys.GATE_VERDICT: sentence} if sentence else {}
    return {
        keys.GATE_VERDICT: sentence,
        keys.GATE_DAY: verdict.day.isoformat(),
        keys.GATE_VERSION: verdict.version or "not registered",
        keys.GATE_CHECKS: verdict.checks,
        keys.GATE_CHECKS_PASSED: verdict.passed_checks,
        **({keys.GATE_REASONS: dg.MetadataValue.json(dict(verdict.reasons))} if verdict.reasons else {}),
    }


def shown(metrics: Mapping[str, float]) -> dict[str, float]:
    """Round to 4 digits for display; the registry keeps full precision."""
    return {name: round(value, 4) for name, value in metrics.items()}


def _gate_check(
    app: str, last: GateVerdict | None, sentence: str, verdict: str, checks: Sequence[GateCheck]
) -> dg.AssetCheckResult:
    """Return the check `gate`: a warning while the last challenger was refused, for the champion goes on."""
    return dg.AssetCheckResult(
        check_name="gate",
        asset_key=[app, "champion"],
        passed=last is None or last.promotes,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{verdict}; last verdict, {sentence}" if sentence and not checks else verdict,
        metadata={
            **_shown_verdict(last, sentence),
            **{check.name: f"{'passed' if check.passed else 'FAILED'}: {check.says}" for check in checks},
        },
    )
