"""The state of the fraud stream, on every state store that ships."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assets.fraud.stream.state import Batch
from models.errors import RefusedValue, TesseraError
from models.features.fraud_definitions import FEATURES
from models.features.fraud_online import Payment
from models.features.window_state import NOT_KNOWN, KeyHistory
from models.features.windows import MICROS_PER_DAY
from resources.state_store.port import Superseded
from resources.state_store.postgres_state_store import PostgresStateStoreConfig
from tests.fraud_store import DAY, NOON, FraudStore, alert, micros, payment, scored

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow has no static types.

Open = Callable[[], FraudStore]


def history(*paid: Payment) -> KeyHistory:
    """Return the history that holds these payments."""
    found = KeyHistory()
    for one in paid:
        found.insert(one.micros, one.transaction_id, one.cents)
    return found


def paid(store: FraudStore, *payments: Payment, alerts: bool = True) -> None:
    """Commit the payments, scored, as a worker does: with the histories of both keys, and an alert for each card."""
    batch = Batch(position=store.position()[0] + len(payments), generation=store.generation())
    batch.newest = max(store.position()[1], *(one.micros for one in payments))
    batch.payments, batch.scored = list(payments), [scored(one) for one in payments]
    for one in payments:
        for key in (("customer_id", one.customer_id), ("terminal_id", one.terminal_id)):
            known = batch.histories.get(key) or store.histories([key]).get(key) or KeyHistory()
            known.insert(one.micros, one.transaction_id, one.cents)
            batch.histories[key] = known
        if alerts:
            new = alert(one)
            standing = batch.alerts.get(new.alert_id) or store.alerts([new.alert_id]).get(new.alert_id)
            batch.alerts[new.alert_id] = standing.joined_by(scored(one).evidence_id, 0.9) if standing else new
    store.commit(batch)


def rows(one: KeyHistory) -> list[tuple[int, int, int, int]]:
    """Return the rows of a history."""
    return list(zip(one.micros, one.ids, one.values, one.known, strict=True))


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """A function that opens the state, the same one each time, as another process would."""
    if request.param == "sqlite":
        return lambda: FraudStore(tmp_path / "stream.db")
    url = request.getfixturevalue("postgres_database").url
    return lambda: FraudStore(PostgresStateStoreConfig(url=url).open())


@pytest.fixture
def store(opened: Open) -> FraudStore:
    """The state, empty at first."""
    return opened()


class TestFraudState:
    def test_at_first_it_knows_nothing(self, store: FraudStore) -> None:
        assert (store.position(), store.generation()) == ((0, 0), 0)
        assert store.payments([1]) == store.histories([("customer_id", "c1")]) == store.alerts(["x"]) == {}
        assert store.find("fraud", DAY, DAY) == store.alert_days("fraud") == store.feedback("fraud", DAY, DAY) == []
        assert store.scored(DAY, DAY).num_rows == 0
        assert store.erase("c1") == 0

    def test_what_a_batch_changed_is_there_for_all_who_open_it(self, store: FraudStore, opened: Open) -> None:
        one, two = payment(1), payment(2, customer="c2", at=NOON + timedelta(seconds=1))
        paid(store, one, two)
        other = opened()
        assert other.position() == (2, two.micros)
        assert other.payments([1, 2, 3]) == {1: one, 2: two}
        keys = [("customer_id", "c1"), ("terminal_id", "t1"), ("terminal_id", "t9")]
        found = other.histories(keys)
        assert {key: rows(found[key]) for key in found} == {
            keys[0]: [(one.micros, 1, 100, NOT_KNOWN)],
            keys[1]: [(one.micros, 1, 100, NOT_KNOWN), (two.micros, 2, 200, NOT_KNOWN)],
        }
        assert other.alerts(["fraud-20180808-c1", "fraud-20180808-c3"]) == {"fraud-20180808-c1": alert(one)}

    def test_a_batch_that_cannot_be_stored_changes_nothing(self, store: FraudStore) -> None:
        paid(store, payment(1))
        before = (
            store.position(),
            store.find("fraud", DAY, DAY),
            rows(store.histories([("terminal_id", "t1")])["terminal_id", "t1"]),
        )
        with pytest.raises(TesseraError):
            paid(store, payment(2, customer="c2"), payment(1))
        after = (
            store.position(),
            store.find("fraud", DAY, DAY),
            rows(store.histories([("terminal_id", "t1")])["terminal_id", "t1"]),
        )
        assert (after, store.payments([2])) == (before, {})

    def test_what_was_scored_comes_as_columns(self, store: FraudStore) -> None:
        late = payment(1, at=NOON + timedelta(hours=1))
        same = payment(3, customer="c3", terminal="t3")
        other = [payment(8, at=NOON - timedelta(days=1)), payment(9, at=NOON + timedelta(days=1))]
        paid(store, late, same, payment(2), *other)
        found = store.scored(DAY, DAY)
        assert found.column_names == [
            "transaction_id", "customer_id", "terminal_id", "event_timestamp", "score", "model_version", *FEATURES,
        ]  # fmt: skip
        assert found.schema.field("event_timestamp").type == pa.timestamp("us", "UTC")
        assert found["transaction_id"].to_pylist() == [2, 3, 1]
        assert found["customer_id"].to_pylist() == ["c1", "c3", "c1"]
        assert found["terminal_id"].to_pylist() == ["t1", "t3", "t1"]
        assert found["event_timestamp"].to_pylist() == [NOON, NOON, NOON + timedelta(hours=1)]
        assert (found["score"].to_pylist(), found["model_version"].to_pylist()) == ([0.9] * 3, ["7"] * 3)
        assert [found[name][1].as_py() for name in FEATURES] == list(scored(same).features)
        assert store.scored(DAY - timedelta(days=1), DAY + timedelta(days=1)).num_rows == 5

    def test_a_payment_scored_again_has_its_newest_score(self, store: FraudStore) -> None:
        paid(store, payment(1))
        store.commit(Batch(position=2, newest=1, scored=[scored(payment(1), 0.25)]))
        assert store.scored(DAY, DAY)["score"].to_pylist() == [0.25]

    @pytest.mark.parametrize("value", [{"transaction_id": 1}, {"terminal_id": None}, {"cents": None}])
    def test_a_value_that_the_database_refuses_is_no_failure_of_the_store(
        self, store: FraudStore, value: dict[str, Any]
    ) -> None:
        paid(store, payment(1))
        before = store.position()
        batch = Batch(position=9, newest=before[1], generation=store.generation())
        batch.payments = [payment(2), replace(payment(3), **value)]
        with pytest.raises(RefusedValue):
            store.commit(batch)
        assert (store.position(), store.check().ok, [*store.payments([1, 2, 3])]) == (before, True, [1])
        paid(store, payment(4))
        assert store.position()[0] == before[0] + 1

    def test_a_worker_that_joins_a_payment_leaves_what_was_said_meanwhile(
        self, store: FraudStore, opened: Open
    ) -> None:
        first, second = payment(1), payment(2)
        paid(store, first)
        loaded = store.alerts(["fraud-20180808-c1"])["fraud-20180808-c1"]
        opened().answer("fraud-20180808-c1", "fraud", who="ann", at=NOON)
        joined = loaded.joined_by(scored(second).evidence_id, 0.97)
        store.commit(Batch(position=2, newest=1, payments=[second], alerts={joined.alert_id: joined}))
        (found,) = store.find("fraud", DAY, DAY)
        assert (found.label, found.evidence, found.highest_score) == ("fraud", ("1", "2"), 0.97)
        store.answer("fraud-20180808-c1", "fraud", who="ann", at=NOON + timedelta(hours=1))
        assert [one.evidence_id for one in store.feedback("fraud", DAY, DAY)] == ["1", "2"], (
            "and the payment that joined"
        )

    def test_alerts_added_beside_the_worker(self, store: FraudStore, opened: Open) -> None:
        paid(store, payment(1))
        loaded, added = store.generation(), alert(payment(2, customer="c2"))
        assert opened().add_alerts([alert(payment(9), score=0.99), added]) == 1
        assert store.find("fraud", DAY, DAY) == [alert(payment(1)), added]
        with pytest.raises(Superseded):
            store.commit(Batch(position=2, newest=1, generation=loaded))
        assert (opened().add_alerts([added]), opened().add_alerts([])) == (0, 0)
        store.commit(Batch(position=2, newest=1, generation=loaded + 1))

    def test_a_forgotten_customer_is_nowhere(self, store: FraudStore, opened: Open) -> None:
        paid(store, payment(1), payment(2, customer="c2"), payment(3, terminal="t2"))
        store.answer("fraud-20180808-c1", "fraud", who="ann", at=NOON)
        worker = Batch(position=4, newest=1, generation=store.generation())
        worker.histories = {("customer_id", "c1"): history(payment(1), payment(3))}
        assert opened().erase("c1") == 2 + 2 + 1 + 2 + 1 + 2
        with pytest.raises(Superseded):
            store.commit(worker)
        assert list(store.payments([1, 2, 3])) == [2]
        assert store.scored(DAY, DAY)["customer_id"].to_pylist() == ["c2"]
        assert [one.entity_id for one in store.find("fraud", DAY, DAY)] == ["c2"]
        assert store.feedback("fraud", DAY, DAY) == []
        keys = [("customer_id", "c1"), ("customer_id", "c2"), ("terminal_id", "t1"), ("terminal_id", "t2")]
        assert {key: list(one.ids) for key, one in store.histories(keys).items()} == {keys[1]: [2], keys[2]: [2]}
        assert opened().erase("c1") == 0

    def test_a_worker_notices_also_when_nothing_was_known_of_whom_was_forgotten(self, store: FraudStore) -> None:
        loaded = store.generation()
        assert store.erase("c1") == 0
        with pytest.raises(Superseded):
            store.commit(Batch(position=1, newest=1, generation=loaded))

    def test_a_seed_lasts_with_the_first_batch_or_not_at_all(self, store: FraudStore, opened: Open) -> None:
        seed, first = payment(1), payment(2)
        columns = {
            "transaction_id": [1], "customer_id": ["c1"], "terminal_id": ["t1"], "micros": [seed.micros],
            "cents": [100],
        }  # fmt: skip
        known = [pa.RecordBatch.from_pydict(columns)]
        key = ("customer_id", "c1")
        for fails in (True, False):
            try:
                with store.seeding(known, [(key, history(seed))]):
                    assert list(store.histories([key])[key].ids) == [1]
                    assert (store.payments([1])[1], store.unscored([1, 2])) == (seed, {1})
                    if fails:
                        raise InterruptedError
                    store.commit(Batch(position=1, newest=2, payments=[first], histories={key: history(seed, first)}))
            except InterruptedError:
                assert (store.payments([1]), store.histories([key])) == ({}, {})
        other = opened()
        assert (other.position(), set(other.payments([1, 2]))) == ((1, 2), {1, 2})
        assert other.unscored([1, 2]) == {1}
        store.commit(Batch(position=2, newest=2, scored=[scored(seed)]))
        assert other.unscored([1, 2]) == frozenset()

    def test_what_may_go_goes_bit_by_bit_with_the_batches(self, store: FraudStore) -> None:
        old = [
            payment(
                number, customer=f"c{number % 50}", terminal=f"t{number}", at=NOON - timedelta(days=50, seconds=number)
            )
            for number in range(1, 501)
        ]
        paid(store, *old, payment(9000, customer="c7"), alerts=False)
        keep = micros(NOON) - 44 * MICROS_PER_DAY
        left = []
        while not left or left[-1] > 1:
            store.commit(Batch(position=9, newest=micros(NOON), keep_from=keep, keep_scored_from=keep))
            left.append(len(store.payments([*range(1, 501), 9000])))
            assert len(left) < 50
        assert left[0] > left[-2] > 1, "not all at once, but some"
        assert left == sorted(left, reverse=True)
        store.commit(Batch(position=9, newest=micros(NOON), keep_from=keep, keep_scored_from=keep))
        assert store.scored(DAY - timedelta(days=60), DAY)["transaction_id"].to_pylist() == [9000]
        keys = [*{("customer_id", one.customer_id) for one in old}, *{("terminal_id", one.terminal_id) for one in old}]
        found = {key: list(one.ids) for key, one in store.histories([*keys, ("terminal_id", "t1")]).items()}
        assert found == {("customer_id", "c7"): [9000], ("terminal_id", "t1"): [9000]}

    def test_scores_may_go_before_their_payments(self, store: FraudStore) -> None:
        paid(store, payment(1, at=NOON - timedelta(days=20)), payment(2), alerts=False)
        keep = micros(NOON) - 14 * MICROS_PER_DAY
        store.commit(Batch(position=9, newest=micros(NOON), keep_from=1, keep_scored_from=keep))
        assert set(store.payments([1, 2])) == {1, 2}
        assert store.scored(DAY - timedelta(days=30), DAY)["transaction_id"].to_pylist() == [2]
        assert store.unscored([1]) == frozenset(), "it was scored, even if what was said is gone"

    def test_it_says_how_it_is(self, store: FraudStore) -> None:
        paid(store, payment(1))
        found = store.check()
        assert found.ok
        assert found.says
