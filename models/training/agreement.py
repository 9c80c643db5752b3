"""Agreement of a refit model with the evaluated one on tonight's rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from models.evaluation.mid_ranks import mid_ranks
from models.training.model import Vector


class RefitConfig(BaseModel):
    """Settings of the refit of the evaluated settings on all mature rows, and limits on its deviation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(
        default=True, description="Refit the evaluated settings on all mature rows, hold-out included."
    )
    min_rank_correlation: float = Field(
        default=0.95,
        ge=-1,
        le=1,
        description="Spearman correlation with the evaluated model on tonight's rows.",
    )
    max_mean_shift: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="Largest difference of the mean scores of tonight's rows; for regression, as a share of the mean.",
    )


@dataclass(frozen=True)
class Agreement:
    """Two models' scores of the same rows: Spearman's rank correlation, and mean of the second minus the first's."""

    rows: int
    rank_correlation: float
    mean_shift: float

    def __str__(self) -> str:
        return f"rank correlation {self.rank_correlation:.4f}, mean {self.mean_shift:+.4f} on {self.rows:,} rows"

    def problems(self, limits: RefitConfig) -> list[str]:
        """Return the limits that are not kept, in words; a number that could not be computed keeps none."""
        found: list[str] = []
        if not self.rank_correlation >= limits.min_rank_correlation:
            found.append(f"rank correlation {self.rank_correlation:.4f}, below {limits.min_rank_correlation:g}")
        if not abs(self.mean_shift) <= limits.max_mean_shift:
            found.append(f"mean score {self.mean_shift:+.4f}, beyond {limits.max_mean_shift:g}")
        return found


def agreement(judged: Vector, refit: Vector, shift: Callable[[Vector, Vector], float]) -> Agreement:
    """Compare the scores of a refit with those of the evaluated model on the same rows.

    Two models that each give all rows one score agree in rank; if only one does, or there are no rows, the correlation
    is NaN. `shift` measures how far the mean moved, as the task does.
    """
    if not len(judged):
        return Agreement(0, float("nan"), float("nan"))
    return Agreement(len(judged), rank_correlation(judged, refit), shift(judged, refit))


def rank_correlation(one: Vector, other: Vector) -> float:
    """Return Spearman's correlation; 1 where both give all rows one value, NaN where only one does."""
    ranks = [mid_ranks(values.ravel()) for values in (one, other)]
    spreads = [float(values.std()) for values in ranks]
    if not any(spreads):
        return 1.0
    if not all(spreads):
        return float("nan")
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
