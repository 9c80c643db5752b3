"""The tests of the alert store port, on alerts of visitors whose visits look like those of a robot."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar

import pytest

from models.alerts import Alert, Feedback, alert_id
from models.errors import TesseraError
from resources.alert_store.port import AlertStore, ErasableAlertStore
from resources.conformance.suite import Conformance, needs

APP = "visits"
DAY = date(2018, 8, 8)
NOON = datetime(2018, 8, 8, 12, tzinfo=UTC)


def alert(*evidence: str, entity: str = "c1", at: datetime = NOON, score: float = 0.9, app: str = APP) -> Alert:
    """Return the alert of an entity that the first piece of evidence raises and the others join."""
    name, reasons = alert_id(app, at.date(), entity), {"visits": 1.5, "is_night": -0.25}
    found = Alert(name, app, at.date(), entity, evidence[:1], at, score, score, "7", reasons)
    for one in evidence[1:]:
        found = found.joined_by(one, score)
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
        assert store.find(APP, DAY, DAY) == store.alert_days(APP) == store.feedback(APP, DAY, DAY) == store.apps() == []
        assert store.check().ok

    def test_alerts_that_stand_already_are_left_as_they_are(
        self, store: AlertStore, opened: Callable[[], AlertStore]
    ) -> None:
        first, second = alert("1"), alert("2", entity="c2")
        assert store.add_alerts([first]) == 1
        said = store.answer(first.alert_id, "person", who="ann", at=NOON)
        assert opened().add_alerts([alert("9", score=0.99), second]) == 1
        assert opened().alerts([first.alert_id, second.alert_id, "x"]) == {said.alert_id: said, second.alert_id: second}
        assert (store.add_alerts([second]), store.add_alerts([])) == (0, 0)

    def test_alerts_of_days_the_highest_score_first(self, store: AlertStore) -> None:
        tomorrow = NOON + timedelta(days=1)
        given = [
            alert("1"),
            alert("2", entity="c2", score=0.95),
            alert("3", entity="c0"),
            alert("4", at=tomorrow, score=0.99),
        ]
        assert store.add_alerts(given) == 4
        assert [one.entity_id for one in store.find(APP, DAY, DAY)] == ["c2", "c0", "c1"]
        assert store.find(APP, DAY, tomorrow.date())[-1] == given[3]
        assert store.alert_days(APP) == [DAY, tomorrow.date()]

    def test_what_somebody_says(self, store: AlertStore, opened: Callable[[], AlertStore]) -> None:
        store.add_alerts([alert("1", "2"), alert("3", entity="c2")])
        said = opened().answer("visits-20180808-c1", "robot", who="ann", at=NOON + timedelta(hours=2))
        assert (said.label, said.evidence) == ("robot", ("1", "2"))
        assert store.find(APP, DAY, DAY)[0] == said
        assert store.feedback(APP, DAY, DAY) == [
            Feedback(visit, "c1", "visits-20180808-c1", "robot", NOON + timedelta(hours=2), "ann")
            for visit in ("1", "2")
        ]
        assert store.feedback(APP, DAY + timedelta(days=1), DAY + timedelta(days=9)) == []

    def test_the_same_label_again_changes_nothing(self, store: AlertStore) -> None:
        store.add_alerts([alert("1")])
        store.answer("visits-20180808-c1", "robot", who="ann", at=NOON)
        before = store.feedback(APP, DAY, DAY)
        assert store.answer("visits-20180808-c1", "robot", who="bob", at=NOON + timedelta(days=1)).label == "robot"
        assert store.feedback(APP, DAY, DAY + timedelta(days=2)) == before

    @pytest.mark.parametrize(("first", "then"), [("person", "robot"), ("robot", "person")])
    def test_an_answer_can_be_corrected_once(self, store: AlertStore, first: str, then: str) -> None:
        store.add_alerts([alert("1")])
        store.answer("visits-20180808-c1", first, who="ann", at=NOON)
        store.answer("visits-20180808-c1", then, who="bob", at=NOON + timedelta(hours=1))
        said = [(one.label, one.who) for one in store.feedback(APP, DAY, DAY)]
        assert said == [(first, "ann"), (then, "bob")]
        with pytest.raises(TesseraError, match=first):
            store.answer("visits-20180808-c1", first, who="ann", at=NOON + timedelta(hours=2))
        assert (len(store.feedback(APP, DAY, DAY)), store.find(APP, DAY, DAY)[0].label) == (2, then)

    def test_an_alert_that_there_is_not(self, store: AlertStore) -> None:
        store.add_alerts([alert("1")])
        with pytest.raises(TesseraError, match="visits-20180808-c1"):
            store.answer("visits-20180808-c2", "person", who="ann", at=NOON)
        store.add_alerts([alert(f"{number}", entity=f"d{number}") for number in range(40)])
        with pytest.raises(TesseraError) as unlike:
            store.answer("x", "person", who="ann", at=NOON)
        assert 5 < unlike.value.expected.count("visits-20180808-") < 15

    def test_two_applications_may_alert_of_one_entity_on_one_day(
        self, store: AlertStore, opened: Callable[[], AlertStore]
    ) -> None:
        mine, other = alert("1"), alert("2", app="logins")
        assert store.add_alerts([mine, other]) == 2
        said = opened().answer(other.alert_id, "robot", who="ann", at=NOON)
        assert (store.find(APP, DAY, DAY), store.find("logins", DAY, DAY)) == ([mine], [said])
        assert (store.feedback(APP, DAY, DAY), len(store.feedback("logins", DAY, DAY))) == ([], 1)
        assert (store.apps(), store.alert_days("logins"), store.alert_days("x")) == (["logins", APP], [DAY], [])

    @needs("erasable")
    def test_alerts_of_an_erased_entity_go_and_no_other(self, store: AlertStore) -> None:
        assert isinstance(store, ErasableAlertStore)
        given = [alert("1", "2"), alert("3", entity="c2"), alert("4", app="logins")]
        store.add_alerts(given)
        for one in given:
            store.answer(one.alert_id, "robot", who="ann", at=NOON)
        assert store.erase_alerts(APP, "c1") == 1 + 2, "the alert, and what was said of its evidence"
        assert [one.entity_id for one in store.find(APP, DAY, DAY)] == ["c2"]
        assert [one.entity_id for one in store.feedback(APP, DAY, DAY)] == ["c2"]
        assert (len(store.find("logins", DAY, DAY)), len(store.feedback("logins", DAY, DAY))) == (1, 1)
        assert store.erase_alerts(APP, "c1") == 0
