"""What the shop's customers pay by card, beside what the publication of the generator says of its own."""

from collections import Counter
from datetime import date, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from models.contracts import PAYMENT_LABELS, PAYMENTS
from models.contracts.checking import check_rows
from models.simulation import cards, payments, terminals
from models.simulation.cards import stolen
from models.simulation.defects import DefectShares
from models.simulation.payments import Paid, Payments
from models.simulation.population import Population
from models.simulation.shop import Shop
from models.simulation.terminals import Terminals

#: Le Borgne et al. (2022), chapter 3: 1,754,155 payments in 183 days by 5,000 cards at 10,000 terminals, EUR 53.63 on
#: average with a deviation of 42.33, 0.8369 % of them fraud: 978 large amounts, 9,099 at terminals, 4,604 by thieves.
PUBLISHED_PER_CARD_AND_DAY = 1_754_155 / 183 / 5_000
PUBLISHED_AMOUNT, PUBLISHED_DEVIATION = 53.63, 42.33
#: In the first 28 days the published frauds only begin; of the days after it, 53 a day at terminals, 26 by thieves
#: and 5.3 large amounts (counted over 2018-05-01..08-14 of its published data).
PUBLISHED_FRAUDS_A_DAY = {1: 5.25, 2: 52.84, 3: 26.41}
#: Seconds of the day: a normal deviation of 20,000, cut at midnight; measured in the same data.
PUBLISHED_SECONDS = (43_200, 18_183)

FIRST = date(2025, 1, 1).toordinal()
DAYS = range(FIRST + 400, FIRST + 460)
#: Of a small shop, for what it delivers.
OPENED, LAST = date(2025, 3, 1), date(2025, 3, 20)
MANY = DefectShares(duplicate=0.03, negative_amount=0.05, no_terminal=0.02)


@pytest.fixture(scope="module")
def made() -> Payments:
    """As many cards and terminals as published."""
    return Payments(7, Population(7, 15_000, FIRST))


@pytest.fixture(scope="module")
def paid(made: Payments) -> list[Paid]:
    return [made.happened(day) for day in DAYS]


def _all(paid: list[Paid], column: str) -> np.ndarray:
    return np.concatenate([getattr(day, column) for day in paid])


class TestPublishedRates:
    @pytest.mark.slow
    def test_payments_of_a_card_on_a_day(self, made: Payments, paid: list[Paid]) -> None:
        used = sum(len(made.cards(day).customer) for day in DAYS)
        assert used == pytest.approx(5_000 * len(DAYS), rel=0.05)
        # Rates are uniform on 0..4: the mean of 5,000 of them has a standard error of 0.016.
        assert len(_all(paid, "key")) / used == pytest.approx(PUBLISHED_PER_CARD_AND_DAY, abs=4 * 0.016)

    def test_amounts(self, paid: list[Paid]) -> None:
        amount = _all(paid, "amount")
        # Usual amounts are uniform on 5..100: the mean of 5,000 of them has a standard error of 0.39, and as each
        # counts as often as its card pays, 0.45.
        assert amount.mean() == pytest.approx(PUBLISHED_AMOUNT, abs=4 * 0.45)
        assert amount.std() == pytest.approx(PUBLISHED_DEVIATION, rel=0.05)
        assert amount.min() >= 0
        assert np.array_equal(amount, np.round(amount, 2))

    @pytest.mark.slow
    def test_times_of_the_day(self, paid: list[Paid]) -> None:
        second = _all(paid, "second")
        assert (second.mean(), second.std()) == pytest.approx(PUBLISHED_SECONDS, rel=0.01)
        assert 0 < second.min() < second.max() < 86_400

    @pytest.mark.parametrize("scenario", [1, 2, 3])
    def test_frauds_of_each_scenario(self, made: Payments, paid: list[Paid], scenario: int) -> None:
        per_day = np.count_nonzero(_all(paid, "scenario") == scenario) / len(DAYS)
        size = np.mean([len(made.cards(day).customer) for day in DAYS]) / 5_000
        # Some 200 terminals and 200 cards fall into wrong hands in this time: a standard error of 8 %.
        assert per_day / size == pytest.approx(PUBLISHED_FRAUDS_A_DAY[scenario], rel=0.3)

    def test_less_than_one_in_a_hundred_is_fraud(self, paid: list[Paid]) -> None:
        assert np.mean(_all(paid, "scenario") > 0) == pytest.approx(0.0084, abs=0.0015)

    def test_a_card_comes_to_as_many_terminals(self, made: Payments) -> None:
        """On the published square of 100 x 100 units; 78 are within 5 units, fewer near the edges."""
        assert (made.terminals.number, made.terminals.side) == (10_000, 100)
        who = made.cards(DAYS[0])
        reach = made.terminals.in_reach(who.x, who.y)
        inner = (np.minimum(who.x, who.y) > 5) & (np.maximum(who.x, who.y) < 95)
        assert np.diff(reach.start)[inner].mean() == pytest.approx(25 * np.pi, rel=0.02)


class TestScenarios:
    def test_all_at_a_terminal_in_wrong_hands_is_fraud_and_nothing_else_of_usual_amount(
        self, made: Payments, paid: list[Paid]
    ) -> None:
        for day in paid[:20]:
            skimmed = made.terminals.skimmed(int(day.day[0]))[day.terminal]
            thief = day.scenario == 3
            large = (day.amount > payments.LARGE_AMOUNT) & ~thief
            assert (day.scenario[skimmed & ~thief] == 2).all()
            assert (day.scenario[~skimmed & ~thief & ~large] == 0).all()
            assert (day.scenario[large & ~skimmed] == 1).all()

    def test_a_thief_makes_a_third_of_the_payments_at_five_times_the_amount(
        self, made: Payments, paid: list[Paid]
    ) -> None:
        share: list[bool] = []
        usual, amount = [], []
        for day in paid:
            number = int(day.day[0])
            taken = stolen(7, day.customer, number)
            assert not (day.scenario[~taken] == 3).any()
            share += (day.scenario[taken] == 3).tolist()
            who = made.cards(number)
            thief = day.scenario == 3
            usual.append(who.usual_amount[np.searchsorted(who.customer, day.customer[thief])])
            amount.append(day.amount[thief])
        assert np.mean(share) == pytest.approx(1 / 3, abs=4 * np.sqrt(2 / 9 / len(share)))
        # A normal deviation of a half, with what is below zero replaced: the mean stays about the usual amount.
        ratio = np.concatenate(amount) / np.concatenate(usual)
        assert ratio.mean() == pytest.approx(5, abs=4 * 2.5 / np.sqrt(len(ratio)))

    @pytest.mark.parametrize(
        ("hold", "begins_a_day"),
        [(terminals.SKIMMED_DAYS, terminals.SKIMMED_PER_DAY), (cards.STOLEN_DAYS, cards.STOLEN_PER_DAY)],
        ids=["terminals", "cards"],
    )
    def test_wrong_hands_hold_for_so_many_days(self, hold: int, begins_a_day: float) -> None:
        """Runs of days are as long as published; a longer one began twice."""
        days, number = range(FIRST, FIRST + 200), 3_000
        if hold == terminals.SKIMMED_DAYS:
            held = np.array([Terminals(7, number).skimmed(day) for day in days])
        else:
            held = np.array([stolen(7, np.arange(number), day) for day in days])
        padded = np.pad(held.astype(np.int8), ((1, 1), (0, 0)))
        steps = np.diff(padded, axis=0).T
        begin, end = np.argwhere(steps > 0), np.argwhere(steps < 0)
        assert (begin[:, 0] == end[:, 0]).all()
        length = end[:, 1] - begin[:, 1]
        inside = (begin[:, 1] > 0) & (end[:, 1] < len(days))
        assert length[inside].min() == hold
        assert np.mean(length[inside] == hold) > 0.95
        # Runs begin where none holds; their number varies like a Poisson number.
        expected = begins_a_day * (held.size - held.sum())
        assert abs(inside.sum() - expected * (1 - hold / len(days))) < 5 * np.sqrt(expected)

    def test_cards_are_used_by_their_owners_while_they_are_customers_and_near_home(
        self, made: Payments, paid: list[Paid]
    ) -> None:
        day, population = paid[0], Population(7, 15_000, FIRST)
        active = population.shopping(DAYS[0], DAYS[0])
        who = made.cards(DAYS[0])
        assert np.isin(day.customer, who.customer).all()
        assert np.isin(who.customer, active.number).all()
        assert len(who.customer) / len(active.number) == pytest.approx(1 / 3, abs=0.03)
        whose = np.searchsorted(who.customer, day.customer)
        place = np.arange(made.terminals.number)
        x, y = (made.terminals.side * values for values in _places(place))
        away = np.hypot(x[day.terminal] - who.x[whose], y[day.terminal] - who.y[whose])
        assert away.max() <= terminals.REACH


def _places(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from models.simulation.random_streams import Purpose, uniform

    return uniform(7, Purpose.TERMINAL_X, number), uniform(7, Purpose.TERMINAL_Y, number)


@pytest.mark.parametrize("number", [1, 2, 30, 700])
def test_reach_is_what_measuring_every_distance_gives(number: int) -> None:
    land = Terminals(7, number)
    x, y = (land.side * values for values in _places(np.arange(1000, 1100)))
    reach = land.in_reach(x, y)
    tx, ty = (land.side * values for values in _places(np.arange(number)))
    near = np.hypot(tx - x[:, None], ty - y[:, None]) <= terminals.REACH
    found = [set(reach.terminal[reach.start[place] : reach.start[place + 1]]) for place in range(100)]
    assert found == [set(np.flatnonzero(row)) for row in near]
    chosen = reach.chosen(np.arange(100), np.full(100, 0.999))
    assert all(one in these if these else one == -1 for one, these in zip(chosen, found, strict=True))


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop(customers=300, seed=11, first_day=OPENED, defects=MANY)


def _delivered(shop: Shop, table: str) -> pa.Table:
    days = [OPENED + timedelta(days=n) for n in range((LAST - OPENED).days + 1)]
    return pa.concat_tables([shop.delivered(table, day) for day in days])


class TestDeliveries:
    def test_the_contract_puts_aside_exactly_the_bad_rows(self, shop: Shop) -> None:
        checked = check_rows(PAYMENTS, _delivered(shop, "payments"))
        clean = shop.clean_payments(OPENED, LAST)
        assert checked.kept.equals(clean.cast(checked.kept.schema))
        counts = shop.defect_counts("payments", OPENED, LAST)
        assert checked.quarantined.num_rows == sum(counts.values())
        assert checked.reasons == {
            "transaction_id was delivered before": counts["duplicate"],
            "amount is not >= 0": counts["negative_amount"],
            "terminal_id is missing": counts["no_terminal"],
        }
        for kind, count in counts.items():
            expected = getattr(MANY, kind) * clean.num_rows
            assert abs(count - expected) < 5 * expected**0.5, kind

    def test_every_payment_is_labelled_once_a_week_later(self, shop: Shop) -> None:
        checked = check_rows(PAYMENT_LABELS, _delivered(shop, "payment_labels"))
        assert checked.quarantined.num_rows == 0
        paid, told = pl.DataFrame(shop.clean_payments(OPENED, LAST)), pl.DataFrame(checked.kept)
        week = timedelta(days=7)
        due = paid.filter(pl.col("delivered_on") <= LAST - week).with_columns(pl.col("paid_at") + week)
        assert told["transaction_id"].equals(due["transaction_id"])
        assert told["labelled_at"].equals(due["paid_at"].rename("labelled_at"))
        assert (told["delivered_on"] == told["labelled_at"].dt.date()).all()
        happened = [shop.payments.happened(day.toordinal()) for day in due["delivered_on"].unique().sort()]
        assert told["is_fraud"].to_list() == (_all(happened, "scenario") > 0).tolist()

    def test_numbers_ascend_with_time_and_survive_json(self, shop: Shop) -> None:
        clean = pl.DataFrame(shop.clean_payments(OPENED, LAST))
        assert clean["transaction_id"].is_unique().all()
        assert clean.equals(clean.sort("paid_at", "transaction_id"))
        assert clean.equals(clean.sort("transaction_id"))
        assert clean["transaction_id"].max() < 2**53  # type: ignore[operator]

    def test_who_pays_is_in_the_register(self, shop: Shop) -> None:
        register = pl.DataFrame(shop.customers(LAST))
        both = pl.DataFrame(shop.clean_payments(OPENED, LAST)).join(register, on="customer_id", suffix="_of_customer")
        assert both.height == shop.clean_payments(OPENED, LAST).num_rows
        assert (both["delivered_on_of_customer"] <= both["delivered_on"]).all()

    def test_a_day_is_the_same_whatever_was_made_before_it(self, shop: Shop) -> None:
        alone = Shop(customers=300, seed=11, first_day=OPENED, defects=MANY)
        for table in ("payments", "payment_labels"):
            _delivered(shop, table)
            assert alone.delivered(table, LAST).equals(shop.delivered(table, LAST))

    def test_defects_do_not_change_what_is_paid(self, shop: Shop) -> None:
        other = Shop(customers=300, seed=11, first_day=OPENED, defects=DefectShares(duplicate=0))
        assert other.clean_payments(OPENED, LAST).equals(shop.clean_payments(OPENED, LAST))

    def test_another_seed_is_another_set_of_payments(self, shop: Shop) -> None:
        other = Shop(customers=300, seed=12, first_day=OPENED, defects=MANY)
        assert not other.clean_payments(OPENED, LAST).equals(shop.clean_payments(OPENED, LAST))

    def test_nothing_is_paid_before_the_records_begin(self, shop: Shop) -> None:
        assert len(shop.payments.happened(OPENED.toordinal() - 1).key) == 0
        counted = Counter(shop.delivered("payments", OPENED)["delivered_on"].to_pylist())
        assert set(counted) == {OPENED}
