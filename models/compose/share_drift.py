"""Drift of a share that a composition was calibrated for, e.g. of texts that its router escalates."""

from dataclasses import dataclass
from math import hypot

from models.evaluation.shares import wilson_interval

#: Of the interval: the same test is made every night, and one night in a thousand may be wrong.
CONFIDENCE = 0.999


@dataclass(frozen=True)
class Share:
    """A share, as a count of `n` cases."""

    count: int
    n: int

    @property
    def value(self) -> float:
        """The share itself; 0 without cases."""
        return self.count / self.n if self.n else 0.0


@dataclass(frozen=True)
class ShareDrift:
    """A realised share beside the promised one.

    Attributes:
        name: of the share.
        promised: on the rows of the calibration.
        realised: on rows of use.
        low: end of the interval of realised minus promised.
        high: other end.
        tolerance: difference that matters.
    """

    name: str
    promised: Share
    realised: Share
    low: float
    high: float
    tolerance: float

    @property
    def drifted(self) -> bool:
        """True if the whole interval lies beyond the tolerance."""
        return self.low > self.tolerance or self.high < -self.tolerance

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.realised.value:.1%} of {self.realised.n:,}, {self.promised.value:.1%} of "
            f"{self.promised.n:,} were promised (difference {self.low:+.1%} to {self.high:+.1%})"
        )


def share_drift(
    name: str, promised: Share, realised: Share, *, tolerance: float, confidence: float = CONFIDENCE
) -> ShareDrift:
    """Compare a realised share with the promised one by Newcombe's interval of their difference (1998, method 10).

    Args:
        name: of the share.
        promised: on the rows of the calibration.
        realised: on rows of use.
        tolerance: difference in either direction that does not matter.
        confidence: of the two-sided interval.
    """
    was, now = (wilson_interval(one.count, one.n, confidence) for one in (promised, realised))
    difference = realised.value - promised.value
    low = difference - hypot(realised.value - now[0], was[1] - promised.value)
    high = difference + hypot(now[1] - realised.value, promised.value - was[0])
    return ShareDrift(name, promised, realised, max(low, -1.0), min(high, 1.0), tolerance)
