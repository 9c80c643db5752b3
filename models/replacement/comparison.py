"""Comparison of two models on the same rows: ranks, distribution, decisions, and what these cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.gates.check import GateCheck
from models.replacement.config import ReplacementConfig
from models.scoring.psi import rank_correlation, shift_of_scores
from models.training.model import Vector

#: Which rows are acted on, from the scores of all rows of a day.
Decide = Callable[[Vector], NDArray[np.bool_]]


@dataclass(frozen=True)
class Answers:
    """Scores of the same rows of one day by both models; `labels` of the rows whose label has matured, else NaN."""

    incumbent: Vector
    challenger: Vector
    labels: Vector


@dataclass(frozen=True)
class Comparison:
    """Differences over some days.

    Attributes:
        rows: that both scored.
        rank_correlation: Spearman's, over all rows.
        psi: of the challenger's scores against the incumbent's; `psi_by_chance`: what equal populations stay below.
        flips: rows about which they decide differently.
        labels: rows whose label has matured.
        extra_eur_per_1000: cost of the challenger's decisions beyond the incumbent's, EUR per 1,000 rows: of matured
            labels, where there are enough, else as both models' mean probability expects. None: no costs are set.
        is_realized: it is of matured labels.
        error_ratio: mean absolute error of the challenger's numbers over that of the incumbent's, by matured labels.
            None: scores are probabilities, or too few labels have matured.
        has_decisions: rows are acted on or not; numbers decide nothing.
    """

    rows: int
    rank_correlation: float
    psi: float
    psi_by_chance: float
    flips: int
    labels: int
    extra_eur_per_1000: float | None
    is_realized: bool
    error_ratio: float | None = None
    has_decisions: bool = True

    @property
    def flip_share(self) -> float:
        """Return the share of rows that are decided differently."""
        return self.flips / self.rows if self.rows else 0.0

    def checks(self, config: ReplacementConfig, *, has_labels: bool, to_share: float) -> list[GateCheck]:
        """Return the checks that a higher share needs.

        Args:
            config: limits.
            has_labels: the application learns labels later.
            to_share: the share that is asked for.
        """
        few = GateCheck(
            "rows",
            self.rows >= config.min_rows,
            float(self.rows),
            float(config.min_rows),
            f"{self.rows:,} rows scored by both",
        )
        if not few.passed:
            return [few]
        wanted = config.min_matured_labels if has_labels and to_share >= config.labels_from_share else 0
        labels = GateCheck(
            "matured_labels",
            self.labels >= wanted,
            float(self.labels),
            float(wanted),
            f"{self.labels:,} labels have matured, {wanted:,} are needed for a share of {to_share:.0%}",
        )
        own = [self._flips(config), self._cost(config)] if self.has_decisions else [self._error(config)]
        return [few, self._ranks(config), self._psi(config), *own, labels]

    def _ranks(self, config: ReplacementConfig) -> GateCheck:
        value, limit = self.rank_correlation, config.min_rank_correlation
        return GateCheck("rank_correlation", value >= limit, value, limit, f"rank correlation {value:.3f}")

    def _psi(self, config: ReplacementConfig) -> GateCheck:
        passed = self.psi <= config.max_psi + self.psi_by_chance
        says = f"PSI {self.psi:.3f} ({self.psi_by_chance:.3f} by chance)"
        return GateCheck("psi", passed, self.psi, config.max_psi, says)

    def _flips(self, config: ReplacementConfig) -> GateCheck:
        says = f"{self.flips:,} decisions differ ({self.flip_share:.1%})"
        passed = self.flip_share <= config.max_flip_share
        return GateCheck("decision_flips", passed, self.flip_share, config.max_flip_share, says)

    def _cost(self, config: ReplacementConfig) -> GateCheck:
        value, limit = self.extra_eur_per_1000, config.max_extra_eur_per_1000
        if value is None:
            return GateCheck("cost", True, None, None, "not compared: `action_eur` and `missed_eur` are not set")
        how = "by matured labels" if self.is_realized else "as the scores expect"
        says = f"{value:+.2f} EUR per 1,000 entities {how}; at most {limit:+g}"
        return GateCheck("cost", value <= limit, value, limit, says)

    def _error(self, config: ReplacementConfig) -> GateCheck:
        value, limit = self.error_ratio, config.max_error_ratio
        if value is None:
            return GateCheck("error", True, None, None, "not compared: too few labels have matured")
        says = f"{value:.3f} times the mean absolute error of the incumbent, by matured labels; at most {limit:g}"
        return GateCheck("error", value <= limit, value, limit, says)


def compare(days: list[Answers], decide: Decide | None, config: ReplacementConfig) -> Comparison:
    """Return the comparison of both models over some days.

    Decisions are made day by day, by each model alone; None: scores are numbers, whose errors are compared.
    """
    mine = np.concatenate([day.incumbent for day in days]) if days else np.empty(0)
    theirs = np.concatenate([day.challenger for day in days]) if days else np.empty(0)
    labels = np.concatenate([day.labels for day in days]) if days else np.empty(0)
    acts = [_acts(days, decide, who) for who in _WHO]
    known = ~np.isnan(labels)
    realized = int(known.sum()) >= max(config.min_matured_labels, 1)
    chances = labels if realized else (mine + theirs) / 2
    judged = known if realized else np.ones(len(mine), bool)
    moved, ranked = shift_of_scores(mine, theirs), rank_correlation(mine, theirs)
    return Comparison(
        rows=len(mine),
        rank_correlation=0.0 if np.isnan(ranked) else ranked,  # a score that is the same for all ranks nothing
        psi=moved.psi,
        psi_by_chance=moved.by_chance,
        flips=int((acts[0] != acts[1]).sum()),
        labels=int(known.sum()),
        extra_eur_per_1000=decide and _extra(acts[0][judged], acts[1][judged], chances[judged], config),
        is_realized=realized,
        error_ratio=_error_ratio(mine[known], theirs[known], labels[known]) if decide is None and realized else None,
        has_decisions=decide is not None,
    )


_WHO = ("incumbent", "challenger")


def _acts(days: list[Answers], decide: Decide | None, who: str) -> NDArray[np.bool_]:
    found = [getattr(day, who) for day in days]
    acts = [np.zeros(len(one), bool) if decide is None else decide(one) for one in found]
    return np.concatenate(acts) if acts else np.empty(0, bool)


def _error_ratio(mine: Vector, theirs: Vector, labels: Vector) -> float:
    """Return 1 where both are always right, and infinity where the incumbent alone is."""
    before, after = (float(np.abs(one - labels).mean()) for one in (mine, theirs))
    return after / before if before else float("inf") if after else 1.0


def _extra(
    mine: NDArray[np.bool_], theirs: NDArray[np.bool_], chances: Vector, config: ReplacementConfig
) -> float | None:
    if config.action_eur is None or config.missed_eur is None or not len(chances):
        return None
    costs = [config.action_eur * acts + config.missed_eur * ~acts * chances for acts in (mine, theirs)]
    return float(1000 * (costs[1] - costs[0]).mean())
