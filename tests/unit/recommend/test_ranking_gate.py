"""The gate of lists on fixed arrays: a good ranker passes, each broken one is refused, and the reason is said."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from models.gates.report import GateReport
from models.personalization.config import RankingLimits
from models.personalization.gate import EASE, FREQUENCY, POPULARITY, Judged, Wanted, gate_report
from models.recommend.ranking_metrics import NOTHING, targets

CUSTOMERS, PRODUCTS, LENGTH = 240, 80, 20
LIMITS = RankingLimits(min_customers=100, min_segment=60, resamples=200, min_novelty_bits=4.0)
Codes = NDArray[np.int32]
#: Two products that each customer wants: one that they had before, and a new one.
OWN = np.arange(CUSTOMERS) * 7 % PRODUCTS
NEW = (OWN + 1 + np.arange(CUSTOMERS) % 5 * 3) % PRODUCTS
SPAIN = np.arange(CUSTOMERS) % 3 == 0


def wanted() -> Wanted:
    """The hold-out: product 0 is the most popular one, and the rest fall slowly."""
    customers = np.arange(CUSTOMERS, dtype=np.int32)
    taken = targets(np.r_[customers, customers], np.r_[OWN, NEW].astype(np.int32))
    is_new = taken.product != OWN[taken.owner()]
    popularity = (600 / (np.arange(PRODUCTS) + 2)).astype(np.int64)
    kinds = np.arange(PRODUCTS) % 20  # product 20 n is the n-th of its category
    return Wanted(taken, is_new, popularity, {"Spain": SPAIN, "Portugal": ~SPAIN}, kinds)


def lists(seed: int, own: int, new: int) -> Codes:
    """Random products, with the wanted ones at these places; a place of `LENGTH` or more: not in the list."""
    rng = np.random.default_rng(seed)
    found = np.array([rng.permutation(PRODUCTS) for _ in range(CUSTOMERS)])
    for row, who in zip(found, range(CUSTOMERS), strict=True):
        for place, product in ((own, OWN[who]), (new, NEW[who])):
            at = int(np.flatnonzero(row == product)[0])
            row[at], row[place] = row[place], row[at]
    return found[:, :LENGTH].astype(np.int32)


def judged(of: Codes) -> Judged:
    return Judged(of, np.zeros(CUSTOMERS, np.int64))


def report(ranker: Codes, champion: Codes | None = None) -> GateReport:
    """The gate's report on a ranker beside baselines that know one of the two products."""
    models = {
        "ranker": judged(ranker),
        POPULARITY: judged(np.tile(np.arange(LENGTH, dtype=np.int32), (CUSTOMERS, 1))),
        FREQUENCY: judged(lists(1, 2, LENGTH + 5)),
        EASE: judged(lists(2, LENGTH + 5, 3)),
    }
    name = "" if champion is None else "version 1"
    if champion is not None:
        models[name] = judged(champion)
    return gate_report("ranker", models, wanted(), LIMITS, name)


GOOD = lists(0, 0, 2)


def test_a_ranker_that_finds_both_products_passes() -> None:
    found = report(GOOD, lists(3, 1, 3))
    assert found.passed, found.markdown(picture=False)


def shuffled() -> Codes:
    """The candidates by scores that say nothing."""
    candidates = np.tile(np.arange(PRODUCTS, dtype=np.int32), (CUSTOMERS, 1))
    return np.random.default_rng(5).permuted(candidates, axis=1)[:, :LENGTH]


def one_product() -> Codes:
    """The same product for everybody, and nothing else."""
    found = np.full((CUSTOMERS, LENGTH), NOTHING, np.int32)
    found[:, 0] = 0
    return found


def worse_in_spain() -> Codes:
    """The good lists, read backwards for one segment."""
    return np.where(SPAIN[:, None], GOOD[:, ::-1], GOOD)


def nothing_new() -> Codes:
    """Finds what customers had before, and puts nothing new into its lists."""
    return lists(6, 0, LENGTH + 3)


def one_category() -> Codes:
    """The four products of the category that the first wanted product is of, and nothing else."""
    found = np.full((CUSTOMERS, LENGTH), NOTHING, np.int32)
    found[:, :4] = (OWN % 20)[:, None] + np.arange(4) * 20
    return found


@pytest.mark.parametrize(
    ("broken", "stops", "says"),
    [
        (shuffled, "frequency", "measurably worse: NDCG@20 -0."),
        (one_product, "coverage", "1.2% of the products are in any list (at least 2.0%)"),
        (one_product, "novelty", "bits of novelty (at least 4)"),
        (one_category, "diversity", "0.0% of the pairs of a list are of different categories (at least 30%)"),
        (worse_in_spain, "segments", "worse than version 1 in Spain -0."),
        (nothing_new, "ease", "measurably worse: new products -0."),
    ],
)
def test_a_broken_ranker_is_refused_and_the_reason_is_said(broken: Callable[[], Codes], stops: str, says: str) -> None:
    found = report(broken(), lists(3, 1, 3))
    assert not found.passed
    assert stops in found.stopped_by
    (reason,) = (check.says for check in found.checks if check.name == stops)
    assert says in reason
    assert says in found.markdown(picture=False), "people read it in the card"


def test_a_ranker_that_is_worse_for_one_segment_only_is_stopped_by_nothing_else() -> None:
    assert report(worse_in_spain(), lists(3, 4, 7)).stopped_by == ("segments",)
