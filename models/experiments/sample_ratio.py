"""Sample ratio: whether the variants have as many units as their shares promise; if not, no effect is to be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, lgamma, log

#: Units that the prior of the alternative weighs as much as: finds deviations soonest around as many units.
_PRIOR_UNITS = 500.0


@dataclass(frozen=True)
class SampleRatio:
    """Units of each variant beside what the shares promise.

    Attributes:
        units: variant -> units that were exposed.
        expected: variant -> units expected of as many.
        p_always: p-value that holds over all looks together.
        level: of `p_always`, below which the variants do not have their shares.
    """

    units: Mapping[str, int]
    expected: Mapping[str, float]
    p_always: float
    level: float

    @property
    def is_kept(self) -> bool:
        """Return True if the variants may have their shares."""
        return self.p_always >= self.level

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {n:,} of {self.expected[name]:,.0f} expected" for name, n in self.units.items())
        return f"{counts} (p {self.p_always:.2g} over all looks, level {self.level:g})"


def sample_ratio(units: Mapping[str, int], shares: Mapping[str, float], level: float) -> SampleRatio:
    """Compare the units of each variant with its share.

    The p-value over all looks is the inverse of the Bayes factor of a Dirichlet prior around the shares against the
    shares themselves: Lindon and Malek (2022), "Anytime-valid inference for multinomial count data", NeurIPS, arXiv
    2011.03567.

    Args:
        units: variant -> number of units; a variant without any may be missing.
        shares: variant -> share, adding up to 1.
        level: chance of a false alarm over all looks.
    """
    counts = {name: units.get(name, 0) for name in shares}
    total = sum(counts.values())
    expected = {name: share * total for name, share in shares.items()}
    return SampleRatio(counts, expected, _always(counts, shares), level)


def _always(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    total = sum(counts.values())
    log_factor = lgamma(_PRIOR_UNITS) - lgamma(_PRIOR_UNITS + total)
    for name, share in shares.items():
        prior = _PRIOR_UNITS * share
        log_factor += lgamma(prior + counts[name]) - lgamma(prior) - counts[name] * log(share)
    return min(1.0, exp(-log_factor)) if log_factor > 0 else 1.0
