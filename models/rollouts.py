"""A version of a model beside the champion in service: as a shadow, or with a share of the answers (a canary)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np

from models.scoring.psi import Shift, rank_correlation, shift_of_scores
from models.service import CanaryLimits


@dataclass(frozen=True)
class RolloutChange:
    """Start or end of a rollout.

    Attributes:
        app: the application.
        version: beside the champion.
        action: `start` replaces the rollout before it.
        share: of the entities that get the version's answers, 0 to 1; 0: a shadow.
        at: UTC.
        who: a person, or `service`.
        why: their reason.
    """

    app: str
    version: str
    action: Literal["start", "stop"]
    share: float
    at: datetime
    who: str
    why: str


@dataclass(frozen=True)
class ComparedScore:
    """Answers of both models for one entity, without its id.

    Attributes:
        champion: its version.
        champion_score: of it.
        score: of the version beside it; None: it failed.
        champion_ms: time of the champion's prediction of the request.
        ms: time of the version's.
        is_served: the version's score was the answer.
    """

    champion: str
    champion_score: float
    score: float | None
    champion_ms: float
    ms: float
    is_served: bool


@dataclass(frozen=True)
class Agreement:
    """Comparison of a version's answers with the champion's, on the same requests.

    Attributes:
        answers: scores of both.
        served: of them, those that were answers.
        failed: requests in which the version failed, counted per score.
        rank_correlation: Spearman's, -1 to 1; NaN of less than two different scores.
        mean_difference: mean absolute difference.
        largest_difference: largest one.
        drift: of the version's scores from the champion's.
        champion_ms: median time of a prediction.
        ms: the same of the version.
    """

    answers: int
    served: int
    failed: int
    rank_correlation: float
    mean_difference: float
    largest_difference: float
    drift: Shift
    champion_ms: float
    ms: float


def agreement(rows: Sequence[ComparedScore]) -> Agreement:
    """Return the comparison of what both models answered."""
    both = [row for row in rows if row.score is not None]
    before, after = (np.array([getattr(row, name) for row in both], float) for name in ("champion_score", "score"))
    difference = np.abs(after - before)
    return Agreement(
        answers=len(rows),
        served=sum(row.is_served for row in rows),
        failed=len(rows) - len(both),
        rank_correlation=rank_correlation(before, after),
        mean_difference=float(difference.mean()) if both else float("nan"),
        largest_difference=float(difference.max(initial=0.0)),
        drift=shift_of_scores(before, after),
        champion_ms=_median([row.champion_ms for row in rows]),
        ms=_median([row.ms for row in rows]),
    )


def beyond(found: Agreement, limits: CanaryLimits) -> list[str]:
    """Return a sentence for each limit that the version is beyond; none of too few answers."""
    if found.answers < limits.min_answers:
        return []
    failed, ratio = found.failed / found.answers, found.ms / max(found.champion_ms, 1e-6)
    said: list[str] = []
    if failed > limits.max_failed_share:
        said.append(f"it failed in {failed:.1%} of {found.answers:,} answers (limit {limits.max_failed_share:.1%})")
    if ratio > limits.max_time_ratio:
        said.append(f"its predictions take {ratio:.1f} times the champion's (limit {limits.max_time_ratio:g})")
    if found.drift.above(limits.max_psi):
        said.append(f"the PSI of its scores is {found.drift.psi:.2f} (limit {limits.max_psi:g})")
    return said


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else float("nan")
