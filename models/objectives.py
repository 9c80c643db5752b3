"""Service level objectives of an application, what was measured against them, and the error budget that is left.

An error budget is the share that an objective leaves to failure: 99 % of the nights leave 1 %. Of 100 nights with one
failure nothing is left of it (Beyer et al., *Site Reliability Engineering*, 2016, chapter 3).
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field


class Objectives(BaseModel):
    """Promises of an application to those who use its scores, over the last `days`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: int = Field(default=30, ge=1, le=365, description="Days over which the promises are measured.")
    nights_in_time: float = Field(
        default=0.95,
        gt=0,
        lt=1,
        description="Share of the days whose scores are published by the deadline (`calendar.publish_within_hours`).",
    )
    nights_fresh: float = Field(
        default=0.9,
        gt=0,
        lt=1,
        description="Share of the published days whose scores are of the champion and of the day's features.",
    )
    requests_answered: float = Field(
        default=0.995, gt=0, lt=1, description="Share of the requests about it that the service does not fail (5xx)."
    )
    max_latency_ms: float = Field(default=500, gt=0, description="Time in which a request should be answered, ms.")
    requests_in_time: float = Field(
        default=0.99, gt=0, lt=1, description="Share of the requests that are answered within `max_latency_ms`."
    )


@dataclass(frozen=True)
class Promise:
    """One objective and what was measured.

    Attributes:
        name: of the objective, as in the settings.
        promised: least share, 0 to 1.
        kept: number of nights or requests that kept it.
        counted: number of them all; 0: nothing was measured.
    """

    name: str
    promised: float
    kept: float
    counted: float

    @property
    def share(self) -> float | None:
        """Share that kept it; None of nothing."""
        return self.kept / self.counted if self.counted else None

    @property
    def budget_left(self) -> float | None:
        """Share of the error budget that is left, negative if it is overspent; None of nothing."""
        return None if self.share is None else 1 - (1 - self.share) / (1 - self.promised)

    @property
    def is_kept(self) -> bool:
        """The objective is met, or nothing was measured."""
        return self.share is None or self.share >= self.promised
