"""The gate: no model is promoted unless every check was made and passed."""

from collections.abc import Callable
from typing import TypeVar

from models.gates.check import GateCheck
from models.gates.closing import reason_of
from models.gates.config import GateConfig
from models.gates.context import CANDIDATE, CHAMPION, GateContext
from models.gates.evidence import GateEvidence
from models.gates.parts import best_part
from models.gates.report import GateReport
from models.tasks.task import Task
from models.training.model import members_of

T = TypeVar("T")


def run_gate(evidence: GateEvidence, config: GateConfig, task: Task, *, picture: bool = True) -> GateReport:
    """Return the decision on a candidate. It raises nothing: whatever goes wrong in a check fails that check.

    Args:
        evidence: what the decision rests on; a missing piece fails the checks that need it.
        config: the limits.
        task: the kind of prediction; it names the checks.
        picture: whether curves are drawn for the report (about one CPU second, most of it loading matplotlib).
    """
    context = GateContext(evidence, config, task)
    notes: list[str] = []
    checks = tuple(_closed(check, context) for check in _checks(evidence, task))
    return GateReport(
        candidate=evidence.name,
        checks=checks,
        metrics=_shown("metrics", lambda: _metrics(context), notes) or {},
        slices=_shown("slices", lambda: context.slices, notes) or (),
        picture=(_shown("picture", lambda: _picture(context), notes) or b"") if picture else b"",
        notes=notes,
        columns=tuple(task.columns),
        slice_metric=task.reference.words,
    )


def _checks(evidence: GateEvidence, task: Task) -> tuple[Callable[[GateContext], GateCheck], ...]:
    merges = evidence.model is not None and members_of(evidence.model)
    return (*task.checks, best_part) if merges else task.checks


def _closed(check: Callable[[GateContext], GateCheck], context: GateContext) -> GateCheck:
    try:
        return check(context)
    except Exception as error:  # noqa: BLE001 - a model or its data can fail in any way, and each must close the gate
        return GateCheck(check.__name__, False, None, None, reason_of(error))


def _shown(what: str, make: Callable[[], T], notes: list[str]) -> T | None:
    """Something for the reader of the report, which decides nothing: its failure is noted, and a check failed too."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - the report of a failed gate must still be written
        notes.append(f"No {what}: {reason_of(error)}")
        return None


def _names(context: GateContext) -> list[str]:
    standing = [] if context.champion is None else [CHAMPION]
    return [CANDIDATE, *standing, *(context.evidence.baselines or {})]


def _metrics(context: GateContext) -> dict[str, dict[str, float]]:
    return {name: context.task.measure(context, name) for name in _names(context)}


def _picture(context: GateContext) -> bytes:
    trained = context.evidence.trained_baseline
    titles = {CANDIDATE: context.evidence.name, CHAMPION: "champion", trained: f"baseline {trained}"}
    drawn = [name for name in _names(context) if name in titles]
    return context.task.picture(context.holdout.labels, {titles[name]: context.scores(name) for name in drawn})
