"""The tests of the alert store port; the classes of stream stores inherit them."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar

import pytest

from models.errors import TesseraError
from models.features.fraud_definitions import FEATURES
from models.features.fraud_online import Payment
from models.fraud.alerts import Alert, Feedback, Scored, Verdict, raised_by
from resources.alert_store.port import AlertStore
from resources.conformance.suite import Conformance

DAY = date(2018, 8, 8)
NOON = datetime(2018, 8, 8, 12, tzinfo=UTC)


def micros(at: datetime) -> int:
    """Return µs since 1970."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def payment(number: int, *, customer: str = "c1", terminal: str = "t1", at: datetime = NOON) -> Payment:
    """Return a payment of `number` EUR."""
    return Payment(number, customer, terminal, micros(at), 100 * number)


def scored(one: Payment, score: float = 0.9) -> Scored:
    """Return the payment with a score and features of its own."""
    return Scored(one, [one.transaction_id + place / 8 for place in range(len(FEATURES))], score, "7")


def alert(*paid: Payment, score: float = 0.9) -> Alert:
    """Return the alert that the first payment raises and the others join."""
    found = raised_by(scored(paid[0], score), {"amount": 1.5, "is_night": -0.25})
    for one in paid[1:]:
        found = found.joined_by(scored(one, score))
    return found


class AlertStoreConformance(Conformance):
    """The tests that every alert store must pass. A harness overrides the fixture `opened`."""

    port: ClassVar = "alert_store"

    @pytest.fixture
    def opened(self) -> Callable[[], AlertStore]:
        """A function that opens the store under test, the same one each time, as another process would."""
        raise NotImplementedError("The harness overrides the fixture `opened`.")

    @pytest.fixture
    def store(self, opened: Callable[[], AlertStore]) -> AlertStore:
        """The store under test, empty at first."""
        return opened()

    def test_without_alerts_there_is_nothing_to_find(self, store: AlertStore) -> None:
        assert store.alerts(["x"]) == {}
        assert store.find(DAY, DAY) == store.alert_days() == store.feedback(DAY, DAY) == []
        assert store.check().ok

    def test_alerts_that_stand_already_are_left_as_they_are(
        self, store: AlertStore, opened: Callable[[], AlertStore]
    ) -> None:
        first, second = alert(payment(1)), alert(payment(2, customer="c2"))
        assert store.add_alerts([first]) == 1
        said = store.answer(first.alert_id, "ok", who="ann", at=NOON)
        assert opened().add_alerts([alert(payment(9), score=0.99), second]) == 1
        assert opened().alerts([first.alert_id, second.alert_id, "x"]) == {said.alert_id: said, second.alert_id: second}
        assert (store.add_alerts([second]), store.add_alerts([])) == (0, 0)

    def test_alerts_of_days_the_highest_score_first(self, store: AlertStore) -> None:
        tomorrow = NOON + timedelta(days=1)
        given = [
            alert(payment(1)),
            alert(payment(2, customer="c2"), score=0.95),
            alert(payment(3, customer="c0")),
            alert(payment(4, at=tomorrow), score=0.99),
        ]
        assert store.add_alerts(given) == 4
        assert [one.customer_id for one in store.find(DAY, DAY)] == ["c2", "c0", "c1"]
        assert store.find(DAY, tomorrow.date())[-1] == given[3]
        assert store.alert_days() == [DAY, tomorrow.date()]

    def test_what_an_analyst_says(self, store: AlertStore, opened: Callable[[], AlertStore]) -> None:
        store.add_alerts([alert(payment(1), payment(2)), alert(payment(3, customer="c2"))])
        said = opened().answer("20180808-c1", "ok", who="ann", at=NOON + timedelta(hours=2))
        assert (said.label, said.transactions) == ("ok", (1, 2))
        assert store.find(DAY, DAY)[0] == said
        assert store.feedback(DAY, DAY) == [
            Feedback(number, "c1", "20180808-c1", False, NOON + timedelta(hours=2), "ann") for number in (1, 2)
        ]
        assert store.feedback(DAY + timedelta(days=1), DAY + timedelta(days=9)) == []

    def test_the_same_label_again_changes_nothing(self, store: AlertStore) -> None:
        store.add_alerts([alert(payment(1))])
        store.answer("20180808-c1", "fraud", who="ann", at=NOON)
        before = store.feedback(DAY, DAY)
        assert store.answer("20180808-c1", "fraud", who="bob", at=NOON + timedelta(days=1)).label == "fraud"
        assert store.feedback(DAY, DAY + timedelta(days=2)) == before

    @pytest.mark.parametrize(("first", "then"), [("ok", "fraud"), ("fraud", "ok")])
    def test_an_answer_can_be_corrected_once(self, store: AlertStore, first: Verdict, then: Verdict) -> None:
        store.add_alerts([alert(payment(1))])
        store.answer("20180808-c1", first, who="ann", at=NOON)
        store.answer("20180808-c1", then, who="bob", at=NOON + timedelta(hours=1))
        said = [(one.is_fraud, one.who) for one in store.feedback(DAY, DAY)]
        assert said == [(first == "fraud", "ann"), (then == "fraud", "bob")]
        with pytest.raises(TesseraError, match=first):
            store.answer("20180808-c1", first, who="ann", at=NOON + timedelta(hours=2))
        assert (len(store.feedback(DAY, DAY)), store.find(DAY, DAY)[0].label) == (2, then)

    def test_an_alert_that_there_is_not(self, store: AlertStore) -> None:
        store.add_alerts([alert(payment(1))])
        with pytest.raises(TesseraError, match="20180808-c1"):
            store.answer("20180808-c2", "ok", who="ann", at=NOON)
        store.add_alerts([alert(payment(number, customer=f"d{number}")) for number in range(40)])
        with pytest.raises(TesseraError) as unlike:
            store.answer("x", "ok", who="ann", at=NOON)
        assert 5 < unlike.value.expected.count("20180808-") < 15
