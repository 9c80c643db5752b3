"""Shuffled slots have the chances that they claim, and off-policy estimates find the known truth by them."""

from collections import Counter
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from models.experiments.off_policy import LoggedSlots, off_policy
from models.experiments.slots import SlotShuffle, propensity

DAY = date(2025, 3, 1)
PRODUCTS = tuple("abcdefgh")
_APPEAL = np.array([0.05, 0.3, 0.1, 0.2, 0.15, 0.4, 0.02, 0.25])
_EXAMINED = 1 / np.sqrt(np.arange(1, 9))


@settings(max_examples=12, deadline=None)
@given(share=st.floats(0, 1), slots=st.integers(0, 12))
def test_a_shuffled_list_keeps_its_products_and_its_chances_add_up(share: float, slots: int) -> None:
    shuffle = SlotShuffle("test", share)
    products = tuple(f"P{number}" for number in range(slots))
    shown = shuffle.shown(products, "C1", DAY)
    assert sorted(shown.products) == sorted(products)
    assert shown == shuffle.shown(products, "C1", DAY)
    moved = sum(one != other for one, other in zip(shown.products, products, strict=True))
    assert moved <= shuffle.count(slots)
    for origin in range(slots):
        assert sum(propensity(slots, shuffle.count(slots), place, origin) for place in range(slots)) == pytest.approx(1)


def test_products_are_shown_in_slots_as_often_as_their_propensities_say() -> None:
    shuffle, seen, lists = SlotShuffle("test", 0.4), Counter[tuple[str, int]](), 6000
    for number in range(lists):
        shown = shuffle.shown(PRODUCTS, f"C{number}", DAY)
        seen.update(zip(shown.products, range(8), strict=True))
    for origin, product in enumerate(PRODUCTS):
        for place in range(8):
            chance = propensity(8, 3, place, origin)
            error = np.sqrt(chance * (1 - chance) / lists)
            assert abs(seen[product, place] / lists - chance) < 4.5 * error


def test_another_day_customer_or_experiment_shuffles_anew() -> None:
    shown = [
        SlotShuffle(name, 1.0).shown(PRODUCTS, customer, DAY + timedelta(days=later)).products
        for name, customer, later in (("a", "C1", 0), ("b", "C1", 0), ("a", "C2", 0), ("a", "C1", 1))
    ]
    assert len(set(shown)) == 4


def _log(seed: int, customers: int = 400, share: float = 0.5) -> tuple[LoggedSlots, float]:
    """Return a log of simulated customers, and the true mean outcome per slot of the ranker by appeal."""
    rng, shuffle = np.random.default_rng(seed), SlotShuffle(f"s{seed}", share)
    wanted = np.argsort(-_APPEAL)
    truth = float((_APPEAL[wanted] * _EXAMINED).mean())
    shown = [shuffle.shown(PRODUCTS, f"C{number}", DAY) for number in range(customers)]
    products = np.array([[PRODUCTS.index(one) for one in each.products] for each in shown])
    chance = _APPEAL[products] * _EXAMINED
    outcome = (rng.random(chance.shape) < chance).astype(float)
    guess = 0.8 * chance  # a model that is wrong everywhere
    target = np.tile(0.8 * _APPEAL[wanted] * _EXAMINED, (customers, 1))
    logged = LoggedSlots(
        outcome=outcome.ravel(),
        propensity=np.array([each.propensities for each in shown]).ravel(),
        target=(products == wanted).astype(float).ravel(),
        group=np.repeat(np.arange(customers), 8),
        is_supported=np.ones(outcome.size, dtype=bool),
        predicted=guess.ravel(),
        predicted_target=target.ravel(),
    )
    return logged, truth


@pytest.mark.slow
def test_estimates_of_a_better_ranker_are_unbiased_and_their_intervals_cover() -> None:
    found = [(off_policy(log), truth) for log, truth in map(_log, range(100))]
    truth = found[0][1]
    for name in ("ips", "snips", "dr"):
        estimates = [getattr(one, name) for one, _ in found]
        values = np.array([each.value for each in estimates])
        assert values.mean() == pytest.approx(truth, abs=3.5 * values.std() / np.sqrt(len(values)))
        covered = np.mean([each.low <= truth <= each.high for each in estimates])
        assert covered >= 0.86  # 95 % less four standard errors of 100 logs
    assert np.mean([one.logged.value for one, _ in found]) < 0.9 * truth
    assert np.std([one.snips.value for one, _ in found]) < np.std([one.ips.value for one, _ in found])
    assert all(one.effective_slots < one.slots for one, _ in found)


def test_the_ranker_that_made_the_log_is_estimated_as_it_did() -> None:
    log, _ = _log(1, share=0.5)
    itself = LoggedSlots(log.outcome, log.propensity, log.propensity, log.group, log.is_supported)
    found = off_policy(itself)
    assert found.ips == found.logged
    assert found.snips.value == pytest.approx(found.logged.value)
    assert found.effective_slots == pytest.approx(found.slots)
    assert found.dr is None


@pytest.mark.parametrize(
    ("share", "change", "complaint"),
    [
        (0.0, 1.0, "No slot of the log was shuffled"),
        (0.5, 0.0, "propensities are no chance"),
        (0.5, np.nan, "propensities are no chance"),
    ],
)
def test_a_log_without_chances_is_refused(share: float, change: float, complaint: str) -> None:
    log, _ = _log(2, customers=20, share=share)
    broken = LoggedSlots(log.outcome, log.propensity * change, log.target, log.group, log.is_supported)
    with pytest.raises(TesseraError, match=complaint):
        off_policy(broken)


def test_a_log_that_never_agrees_and_an_empty_one_are_refused() -> None:
    log, _ = _log(2, customers=5)
    with pytest.raises(TesseraError, match="wants none of the 40 logged products"):
        off_policy(LoggedSlots(log.outcome, log.propensity, np.zeros(40), log.group, log.is_supported))
    none, nobody = np.array([]), np.array([], dtype=np.int64)
    with pytest.raises(TesseraError, match="holds no slot"):
        off_policy(LoggedSlots(none, none, none, nobody, none.astype(bool)))
