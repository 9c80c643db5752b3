"""The gate of a composition: it is better than its best child, or as good at a lower cost, or it is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from models.errors import TesseraError
from models.evaluation.bootstrap import Interval, Resampling, mean_interval
from models.gates.check import GateCheck
from models.gates.report import GateReport
from models.training.model import Vector


class CompositionGateConfig(BaseModel):
    """Limits of the gate of a composition."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    claim: Literal["better", "cheaper"] = Field(
        default="better",
        description="`better` than the best child; or as good as it, within `max_loss`, and `cheaper`.",
    )
    max_loss: float = Field(
        default=0.005, ge=0, description="The lower end of the interval of the gain over the best child: claim cheaper."
    )
    max_cost_share: float = Field(
        default=0.5, gt=0, lt=1, description="Cost over that of the best child, at most: claim cheaper."
    )
    min_rows: int = Field(default=500, ge=2, description="Records of the comparison, at least.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Of the two-sided paired intervals.")
    resamples: int = Field(default=2_000, ge=100, description="Bootstrap resamples of the records.")
    seed: int = Field(default=0, description="Of the resamples.")


@dataclass(frozen=True)
class Measured:
    """Answers of a model to the records of the comparison.

    Attributes:
        quality: of each answer, e.g. 1 if right and 0 if wrong; 0 where there was none, shape `(n,)`.
        cost: of each answer, in any unit that all models share, shape `(n,)`.
        seen: keys of the records that it was trained, calibrated or chosen on.
    """

    quality: Vector
    cost: Vector
    seen: frozenset[str] = frozenset()


def composition_report(
    name: str,
    composed: Measured,
    children: Mapping[str, Measured],
    keys: Sequence[str],
    limits: CompositionGateConfig,
) -> GateReport:
    """Return the gate's report on a composition against each of its children on the same records.

    Args:
        name: of the composition.
        composed: its answers.
        children: name -> answers of the child alone.
        keys: of the records, shape `(n,)`, to compare with what was seen.
        limits: of the gate.

    Raises:
        TesseraError: answers are not to the same records, or there is no child.
    """
    models = {name: composed, **children}
    _check_shapes(models, len(keys))
    best = max(children, key=lambda child: (children[child].quality.mean(), -children[child].cost.mean()))
    gain = _paired(composed.quality - children[best].quality, limits)
    cost_share = float(composed.cost.sum() / max(children[best].cost.sum(), 1e-300))
    checks = [_enough(len(keys), limits), _unseen(models, keys), _gain(best, gain, limits)]
    if limits.claim == "cheaper":
        checks.append(_cheaper(best, cost_share, limits))
    return GateReport(
        candidate=name,
        checks=checks,
        metrics={
            model: {"quality": float(one.quality.mean()), "cost": float(one.cost.mean())}
            for model, one in models.items()
        },
        slices=(),
        picture=b"",
        notes=[
            f"against {child}: {_signed(_paired(composed.quality - one.quality, limits))} in quality (paired, "
            f"{limits.confidence:.0%}), {composed.cost.mean() / max(one.cost.mean(), 1e-300):.1%} of its cost"
            for child, one in children.items()
        ],
        columns=("quality", "cost"),
        slice_metric="quality",
    )


def _enough(n: int, limits: CompositionGateConfig) -> GateCheck:
    says = f"{n:,} records are compared, of at least {limits.min_rows:,}"
    return GateCheck("enough_records", n >= limits.min_rows, float(n), float(limits.min_rows), says)


def _unseen(models: Mapping[str, Measured], keys: Sequence[str]) -> GateCheck:
    """Records that a child was trained on make a leak look like a gain (a frontier's AUC was 0.81 instead of 0.76)."""
    seen = {model: len(one.seen.intersection(keys)) for model, one in models.items()}
    worst = max(seen, key=seen.__getitem__)
    says = (
        "no record of the comparison was seen in training, calibration or choice"
        if not seen[worst]
        else f"{seen[worst]:,} of the records were seen by {worst} in training, calibration or choice"
    )
    return GateCheck("unseen_records", not seen[worst], float(seen[worst]), 0.0, says)


def _gain(best: str, gain: Interval, limits: CompositionGateConfig) -> GateCheck:
    if limits.claim == "better":
        says = f"gain over the best child, {best}: {_signed(gain)}; its lower end must be above 0"
        return GateCheck("beats_best_child", gain.low > 0, gain.low, 0.0, says)
    says = f"gain over the best child, {best}: {_signed(gain)}; its lower end must be at least {-limits.max_loss:g}"
    return GateCheck("as_good_as_best_child", gain.low >= -limits.max_loss, gain.low, -limits.max_loss, says)


def _cheaper(best: str, share: float, limits: CompositionGateConfig) -> GateCheck:
    says = f"costs {share:.1%} of the best child, {best}; at most {limits.max_cost_share:.0%}"
    return GateCheck("cheaper_than_best_child", share <= limits.max_cost_share, share, limits.max_cost_share, says)


def _paired(differences: Vector, limits: CompositionGateConfig) -> Interval:
    return mean_interval(differences, Resampling(limits.resamples, limits.seed, limits.confidence))


def _signed(found: Interval) -> str:
    return f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


def _check_shapes(models: Mapping[str, Measured], n: int) -> None:
    shapes = {model: (one.quality.shape, one.cost.shape) for model, one in models.items()}
    if len(models) < 2 or any(pair != ((n,), (n,)) for pair in shapes.values()):
        raise TesseraError(
            f"The comparison has the shapes {shapes} for {n} records.",
            expected="quality and cost of the composition and of one child or more, for each record",
            todo="Give every model's answers to all records; quality 0 where there was none.",
        )
    if not all(np.isfinite(values).all() for one in models.values() for values in (one.quality, one.cost)):
        raise TesseraError(
            "A quality or a cost is missing.", expected="numbers", todo="Give 0 where there was no answer."
        )
