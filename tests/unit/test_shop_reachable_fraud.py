"""The best that can be known about fraud against what then truly happened."""

from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from models.simulation.bayes_optimal_fraud import best_chance
from models.simulation.payments import Paid, Payments
from models.simulation.population import Population
from models.simulation.terminals import SKIMMED_DAYS, SKIMMED_PER_DAY

pytestmark = pytest.mark.slow

FIRST = date(2025, 1, 1).toordinal()
BEGIN, END = FIRST + 400, FIRST + 420


class Case:
    """Three weeks of payments, the chance of each to be fraud, and whether it is."""

    def __init__(self) -> None:
        self.payments = Payments(7, Population(7, 6_000, FIRST))
        self.paid = Paid.joined(self.payments.happened(day) for day in range(BEGIN, END + 1))
        self.chance = best_chance(self.payments, BEGIN, END)
        self.fraud = self.paid.scenario > 0


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


def test_chances_are_calibrated_from_the_lowest_to_the_highest(case: Case) -> None:
    """Frauds of one holder come together, so that their number varies more than if each were on its own."""
    edges = [0, 0.002, 0.01, 0.1, 0.5, 0.95, 1.01]
    for low, high in pairwise(edges):
        some = (case.chance >= low) & (case.chance < high)
        expected = case.chance[some].sum()
        deviation = np.sqrt((case.chance[some] * (1 - case.chance[some])).sum())
        assert some.any()
        assert abs(case.fraud[some].sum() - expected) < 6 * deviation + 1, (low, high)


def test_it_ranks_well_but_cannot_know_all(case: Case) -> None:
    """A terminal in wrong hands is known a week later at the earliest: a quarter of its frauds come out of the blue."""
    assert 0.88 < roc_auc_score(case.fraud, case.chance) < 0.96
    assert 0.75 < average_precision_score(case.fraud, case.chance) < 0.90
    assert (
        average_precision_score(case.fraud, case.chance) > average_precision_score(case.fraud, case.paid.amount) + 0.2
    )


def test_a_large_amount_is_fraud_for_certain(case: Case) -> None:
    assert (case.chance[case.paid.amount > 220] == 1).all()


def test_what_a_clean_payment_of_last_week_leaves_open(case: Case) -> None:
    """A terminal that was in right hands a week ago (and no thief to be seen) may have changed since."""
    clean = 1 - (1 - SKIMMED_PER_DAY) ** 7
    never_seen = 1 - (1 - SKIMMED_PER_DAY) ** SKIMMED_DAYS
    small = case.chance[(case.paid.amount < 5) & (case.chance < 0.1)]
    assert clean <= small.min() < clean + 1e-4
    assert np.median(small) < never_seen
