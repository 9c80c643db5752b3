"""The stream beside its kills: what is refused and why, alerts per card and day, and the champion it follows."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost

from assets.fraud.notifications import notify_refused
from assets.fraud.stream.champion import FraudChampion
from assets.fraud.stream.context import CustomerFilter, EmptyContext
from assets.fraud.stream.processor import BatchResult, FraudProcessor, Scorer
from assets.fraud.stream.state import Batch
from models.errors import OtherRelease, TesseraError
from models.events import Event
from models.features.fraud_definitions import FEATURES
from models.features.fraud_online import Payment
from models.fraud.event_parsing import LABEL, PaymentLimits, Unusable, check_clock
from models.fraud.threshold import ALERTING, threshold_text
from models.legacy.contract import GoldenFile, InputFeature, LegacyContract
from models.timestamps import to_epoch_micros
from models.training.encoding import Encoder
from models.training.model_package import ModelCard, load, save
from resources.events.sqlite_events import SqliteEventsConfig
from resources.legacy_model.imported import ImportedModel, opened
from resources.notifier.log import LogNotifier
from resources.registry.fake import FolderRegistry
from resources.trainer.xgboost import XGBoostTrainerConfig
from tests.faults.fraud_stream_process import Formula
from tests.fraud_store import FraudStore

NOW = datetime(2018, 8, 20, 12, tzinfo=UTC)
NOON = datetime(2018, 8, 8, 12, tzinfo=UTC)


def payment(number: int, *, customer: str = "c1", at: datetime = NOON, amount: Any = 20.0, **changes: Any) -> Event:
    data = {"transaction_id": number, "customer_id": customer, "terminal_id": "t1", "amount": amount, **changes}
    return Event(id=str(number), source="/payments", type="payment", time=at, subject=customer, data=data)


def label(number: int, *, customer: str = "c1", at: datetime = NOON) -> Event:
    data = {"transaction_id": number, "is_fraud": True}
    return Event(id=str(number), source="/labels", type="payment.labelled", time=at, subject=customer, data=data)


class Town(EmptyContext):
    """Context that can change."""

    def __init__(self) -> None:
        self.gone, self.known, self.asked = set[str](), {"c1"}, 0

    def forgotten(self) -> set[str]:
        return set(self.gone)

    def registered(self) -> set[str]:
        self.asked += 1
        return set(self.known)


class World:
    """A stream over its own queue and store."""

    def __init__(self, folder: Path, limits: PaymentLimits | None = None) -> None:
        self.folder = folder
        self.events = SqliteEventsConfig(path=str(folder / "events.db")).open()
        self.store, self.town = self.beside(), Town()
        self.stream = FraudProcessor(
            self.events, self.store, limits or PaymentLimits(), context=self.town, clock=lambda: NOW
        )

    def beside(self) -> FraudStore:
        """The store, as another process opens it."""
        return FraudStore(self.folder / "stream.db")

    def feed(self, *events: Event, scorer: Scorer | None = None) -> BatchResult:
        self.events.publish(list(events))
        return self.stream.process(scorer or Formula(), limit=1000)

    def reasons(self) -> list[str]:
        return [letter.reason for letter in self.events.dead_letters()]


class Meanwhile(Formula):
    """Something happens beside the worker, once, while it scores."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens = [happens]

    def scores(self, rows: Sequence[Sequence[float]]) -> Sequence[float]:
        if self._happens:
            self._happens.pop()()
        return super().scores(rows)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (payment(2, amount=-5.0), "amount -5.0"),
        (payment(2, amount=float(10**9)), "amount 1e+09 is more than 50000 EUR"),
        (payment(2, amount="20"), "amount '20'"),
        (payment(2, customer_id=""), "customer_id ''"),
        (payment(2, terminal_id="t\x00"), "terminal_id 't\\x00'"),
        (payment(2, transaction_id="x"), "transaction_id 'x'"),
        (payment(2, at=NOW + timedelta(minutes=6)), "is in the future"),
        (payment(2, at=NOON - timedelta(days=8)), "more than 7 days behind the stream"),
        (payment(2, at=datetime(1, 1, 1, tzinfo=UTC)), "is before 1970-01-02"),
        (
            payment(2, at=datetime(1970, 1, 1, tzinfo=UTC), is_fraud=True).model_copy(update={"type": LABEL}),
            "is before 1970-01-02",
        ),
        (payment(2).model_copy(update={"type": "refund"}), "type 'refund' is neither"),
        (payment(2).model_copy(update={"type": "payment.labelled"}), "is_fraud"),
        (
            payment(2, is_fraud=True).model_copy(update={"type": "payment.labelled"}),
            "transaction_id 2 is no payment that the stream still knows",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason_and_the_stream_goes_on(
    world: World, event: Event, reason: str
) -> None:
    step = world.feed(payment(1), event, payment(3, at=NOON + timedelta(minutes=1)))
    assert (step.payments, step.refused) == (2, 1)
    assert len(world.reasons()) == 1
    assert reason in world.reasons()[0]
    assert world.events.backlog("fraud") == 0


def test_a_payment_far_ahead_does_not_make_all_others_late(world: World) -> None:
    step = world.feed(payment(1, at=NOON - timedelta(days=40)), payment(2, at=NOON), payment(3, at=NOON))
    assert (step.payments, step.refused) == (1, 2)
    assert all("more than 31 days ahead" in reason for reason in world.reasons())


def test_payments_and_labels_before_2000_are_data_and_the_earliest_day_is_a_setting() -> None:
    limits = PaymentLimits()
    check_clock(to_epoch_micros(datetime(1999, 12, 31, tzinfo=UTC)), limits, now=NOW)
    check_clock(to_epoch_micros(datetime(1970, 1, 2, tzinfo=UTC)), limits, now=NOW)
    later = PaymentLimits.model_validate({"earliest_day": "2001-05-01"})
    check_clock(to_epoch_micros(datetime(2001, 5, 1, tzinfo=UTC)), later, now=NOW)
    with pytest.raises(Unusable, match="is before 2001-05-01"):
        check_clock(to_epoch_micros(datetime(2001, 4, 30, 23, tzinfo=UTC)), later, now=NOW)


def test_a_clock_that_was_never_set_does_not_begin_the_stream(world: World) -> None:
    """It would make every other payment lie too far ahead."""
    step = world.feed(payment(1, at=datetime(1970, 1, 1, 0, 5, tzinfo=UTC)), payment(2))
    assert (step.payments, step.refused) == (1, 1)


def test_what_was_refused_stays_refused_wherever_the_worker_dies(world: World) -> None:
    """Redelivered alone, the payment ahead of others would lie in reach of those that were committed."""
    world.feed(payment(1, at=NOON - timedelta(days=60)))
    world.events.publish([payment(2, at=NOON - timedelta(days=20)), payment(3, at=NOON - timedelta(days=40))])

    class Dies(type(world.store)):
        def commit(self, batch: Batch) -> None:
            super().commit(batch)
            raise InterruptedError

    dying = FraudProcessor(world.events, Dies(world.folder / "stream.db"), PaymentLimits(), clock=lambda: NOW)
    with pytest.raises(InterruptedError):
        dying.process(Formula(), limit=1000)
    again = FraudProcessor(world.events, world.store, PaymentLimits(), clock=lambda: NOW)
    assert (again.process(Formula(), limit=1000).payments, set(world.store.payments([1, 2, 3]))) == (0, {1, 3})
    assert ["more than 31 days ahead" in reason for reason in world.reasons()] == [True]


def test_a_batch_of_many_days_drops_who_came_only_at_its_beginning(world: World) -> None:
    """A history that is empty when it is stored is none: whatever goes through all of them would stumble over it."""
    start = NOON - timedelta(days=60)
    days = [(1, "c1", 0), (2, "c2", 25), (3, "c2", 50)]
    world.feed(*(payment(n, customer=c, at=start + timedelta(days=day), terminal_id=c) for n, c, day in days))
    step = world.feed(payment(4, customer="c2", at=start + timedelta(days=51), terminal_id="c2"))
    keys = [("customer_id", "c1"), ("terminal_id", "c1"), ("customer_id", "c2")]
    assert (step.payments, list(world.store.histories(keys))) == (1, keys[-1:])


def test_a_label_that_comes_very_late_leaves_what_windows_no_longer_hold(tmp_path: Path) -> None:
    """Scored again without the first rows of its windows, a payment would have seen fewer payments than it did."""
    world, start = World(tmp_path), NOON - timedelta(days=50)
    world.stream = FraudProcessor(world.events, world.store, PaymentLimits(), keep_scores_days=99, clock=lambda: NOW)
    for day in range(45):
        world.feed(payment(100 + day, at=start + timedelta(days=day)))
    before = world.store.scored(start.date(), NOON.date())
    step = world.feed(label(106, at=start + timedelta(days=14)))
    after = world.store.scored(start.date(), NOON.date())
    assert step.scored_again == 6
    risks = [name for name in FEATURES if "risk" in name] + ["score"]
    assert after.drop_columns(risks).equals(before.drop_columns(risks))
    risk = after["terminal_risk_30d"].to_pylist()
    assert (max(risk[:37]), min(risk[37:43]) > 0) == (0.0, True)


def test_one_alert_for_a_card_and_day_joined_by_its_later_payments(world: World) -> None:
    step = world.feed(payment(1, amount=900.0), payment(2, amount=901.0), payment(3, customer="c2", amount=900.0))
    assert [alert.alert_id for alert in step.alerts] == ["fraud-20180808-c1", "fraud-20180808-c2"]
    again = world.feed(payment(4, amount=950.0), payment(5, amount=900.0, at=NOON + timedelta(days=1)))
    assert [alert.alert_id for alert in again.alerts] == ["fraud-20180809-c1"]
    alert = world.store.alerts(["fraud-20180808-c1"])["fraud-20180808-c1"]
    assert (alert.evidence, alert.day) == (("1", "2", "4"), date(2018, 8, 8))
    assert alert.highest_score >= alert.score >= Formula.threshold
    assert list(alert.reasons) == ["amount", "terminal_risk_30d"]


def test_a_payment_that_comes_twice_changes_nothing(world: World) -> None:
    world.feed(payment(1, amount=900.0))
    twice = payment(1, amount=900.0).model_copy(update={"source": "/another"})
    assert (world.feed(twice).payments, world.store.alerts(["fraud-20180808-c1"])["fraud-20180808-c1"].evidence) == (
        0,
        ("1",),
    )


@pytest.mark.parametrize(
    "other", [payment(1, customer="c2"), payment(1, terminal_id="t2"), payment(1, amount=21.0), payment(1, at=NOW)]
)
def test_another_payment_of_a_known_number_is_not_lost_in_silence(world: World, other: Event) -> None:
    """A shop that counts its payments anew would pay unseen."""
    step = world.feed(payment(1), other.model_copy(update={"id": "2"}))
    assert (step.payments, step.refused) == (1, 1)
    again = world.feed(other.model_copy(update={"id": "3"}))
    assert (again.payments, again.refused, len(world.reasons())) == (0, 1, 2)
    assert world.reasons()[0] == "transaction_id 1 is that of another payment, which came before"


def test_a_known_payment_that_comes_again_late_is_not_refused(world: World) -> None:
    world.feed(payment(1))
    world.feed(payment(2, at=NOON + timedelta(days=10)))
    step = world.feed(payment(1).model_copy(update={"source": "/another"}))
    assert (step.events, step.payments, step.refused) == (1, 0, 0)


def test_events_of_the_forgotten_leave_nothing(world: World) -> None:
    world.town.gone.add("c2")
    world.stream = FraudProcessor(world.events, world.store, PaymentLimits(), context=world.town, clock=lambda: NOW)
    broken = payment(4, customer="c2", amount="much")
    step = world.feed(payment(1), payment(2, customer="c2"), label(2, customer="c2"), broken)
    assert (step.events, step.payments, step.forgotten, step.refused) == (4, 1, 3, 0)
    assert world.reasons() == []
    assert set(world.store.payments([1, 2, 4])) == {1}
    assert world.events.backlog("fraud") == 0


def test_who_is_forgotten_while_the_worker_scores_does_not_come_back(world: World) -> None:
    """The worker holds the customer's history, has read another payment of theirs, and was about to store it."""
    world.feed(payment(1, amount=900.0), payment(2, customer="c2"))

    def forget() -> None:
        world.town.gone.add("c1")
        world.beside().erase("c1")

    step = world.feed(payment(3, amount=900.0), payment(4, customer="c2"), scorer=Meanwhile(forget))
    assert (step.events, step.payments, step.forgotten, step.alerts) == (2, 1, 1, [])
    assert set(world.store.payments([1, 2, 3, 4])) == {2, 4}
    assert world.store.alert_days("fraud") == []
    keys = [("customer_id", "c1"), ("terminal_id", "t1")]
    assert {key: list(one.ids) for key, one in world.store.histories(keys).items()} == {keys[1]: [2, 4]}
    assert world.store.scored(NOON.date(), NOON.date())["transaction_id"].to_pylist() == [2, 4]
    rows = world.store.scored(NOON.date(), NOON.date()).to_pylist()
    assert [row["customer_count_30d"] for row in rows] == [1.0, 2.0]


def test_an_alert_labelled_while_a_payment_joins_it_keeps_its_label(world: World) -> None:
    world.feed(payment(1, amount=900.0))

    def answer() -> None:
        world.beside().answer("fraud-20180808-c1", "fraud", who="ann", at=NOW)

    world.feed(payment(2, amount=950.0), scorer=Meanwhile(answer))
    (alert,) = world.store.find("fraud", NOON.date(), NOON.date())
    assert (alert.label, alert.evidence) == ("fraud", ("1", "2"))


def test_an_alert_added_while_its_card_raises_one_is_joined(world: World) -> None:
    world.feed(payment(1, amount=900.0), payment(9, customer="c9"))
    (raised,) = world.store.find("fraud", NOON.date(), NOON.date())
    other = replace(raised, alert_id="fraud-20180808-c9", entity_id="c9", evidence=("9",))
    scorer = Meanwhile(lambda: world.beside().add_alerts([other]))
    step = world.feed(payment(10, customer="c9", amount=900.0), scorer=scorer)
    assert (step.payments, step.alerts) == (1, [])
    assert world.store.alerts(["fraud-20180808-c9"])["fraud-20180808-c9"].evidence == ("9", "10")


def test_only_customers_in_the_register(tmp_path: Path) -> None:
    world = World(tmp_path, PaymentLimits(customers="registered"))
    step = world.feed(payment(1), payment(2, customer="c7"), payment(3, customer="c8"))
    assert (step.payments, step.refused) == (1, 2)
    assert world.reasons()[0] == "customer_id 'c8' is not in the register of customers"
    assert world.town.asked == 1, "not once more for each that is unknown"


def test_a_register_that_grows_is_read_again_at_most_once_a_minute() -> None:
    town, seconds = Town(), [0.0]
    customers = CustomerFilter(town, PaymentLimits(customers="registered"), clock=lambda: seconds[0])
    town.known.add("c2")
    new = Payment(1, "c2", "t1", 0, 0)
    with pytest.raises(Unusable):
        customers.check(new)
    seconds[0] = 61.0
    customers.check(new)
    assert town.asked == 2


def test_without_a_register_no_stream_begins_that_needs_one(world: World) -> None:
    with pytest.raises(TesseraError, match="tessera run fraud_nightly"):
        FraudProcessor(world.events, world.store, PaymentLimits(customers="registered"))


def test_the_store_does_not_grow_with_the_days(tmp_path: Path) -> None:
    """120 days, of each 12 payments of 6 customers who never come again."""
    world = World(tmp_path)
    kept: list[tuple[int, int]] = []
    start = NOON - timedelta(days=130)
    for day in range(120):
        at = start + timedelta(days=day)
        numbers = range(100 * day, 100 * day + 12)
        world.feed(*(payment(n, customer=f"c{n // 2}", at=at, terminal_id=f"t{n % 5}") for n in numbers))
        if day % 10 == 9:
            scored = world.store.scored(start.date(), at.date()).num_rows
            kept.append((len(world.store.payments(range(100 * day + 12))), scored))
    days_kept, scores_kept = range(45, 50), 15  # 7 late, 37 of windows; a batch a day looks through some histories only
    assert all(payments / 12 in days_kept and scored == 12 * scores_kept for payments, scored in kept[-6:])
    with sqlite3.connect(tmp_path / "stream.db") as connection:
        (histories,) = connection.execute("SELECT count(*) FROM fraud_history").fetchone()
    assert (histories - 5) / 6 in days_kept
    old = label(100 * 10, at=start + timedelta(days=17))
    assert world.feed(old).refused == 1


def packed(folder: Path, features: Sequence[str], extras: dict[str, str], version: str = "fraud_v1") -> Path:
    """A model of these features of a version, in a package."""
    draw = np.random.default_rng(1)
    rows = draw.random((400, len(features))).astype(np.float32)
    labels = (rows[:, 0] + 0.2 * draw.random(400) > 0.6).astype(np.int8)
    fit = XGBoostTrainerConfig(max_rounds=20, folds=2).open().fit(rows, labels, np.arange(400))
    encoder = Encoder.fit(pa.table({name: rows[:, at] for at, name in enumerate(features)}), features)
    card = ModelCard(
        app="fraud",
        as_of=date(2018, 8, 21),
        label_end=date(2018, 8, 7),
        train_cutoffs=(),
        feature_service="fraud_v1",
        feature_version=version,
        rows=400,
        labels={"positives": int(labels.sum())},
        parameters={},
        metrics={},
    )
    save(folder, fit.model, encoder, card, extras)
    return folder


def in_charge(registry: FolderRegistry, package: Path) -> str:
    version = registry.register("fraud", package, parameters={}, metrics={}, tags={"gate": "passed"}, report="")
    registry.set_champion("fraud", version, action="promote", why="test", who="test", run_id="", metrics={})
    return version


def test_the_stream_follows_the_champion_and_refuses_one_it_cannot_serve(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path / "registry")
    with pytest.raises(TesseraError, match="There is no fraud champion"):
        FraudChampion(registry)
    seconds = [0.0]
    swapped = [FEATURES[3], FEATURES[0]]
    first = in_charge(registry, packed(tmp_path / "one", swapped, {ALERTING: threshold_text(0.25, 9)}))
    champion = FraudChampion(registry, refresh_seconds=5, clock=lambda: seconds[0])
    assert (champion.version, champion.threshold) == (first, 0.25)
    row = [0.0] * len(FEATURES)
    low, high = champion.scores([row, [*row[:3], 1.0, *row[4:]]])
    assert low < 0.5 < high, "columns are taken by name, not by place"
    assert set(champion.reasons(row)) == set(swapped)
    second = in_charge(registry, packed(tmp_path / "two", swapped, {ALERTING: threshold_text(0.75, 9)}))
    assert (champion.refresh(), champion.version) == (False, first)
    seconds[0] = 6.0
    assert (champion.refresh(), champion.version, champion.threshold) == (True, second, 0.75)
    in_charge(registry, packed(tmp_path / "three", ["shoe_size"], {ALERTING: threshold_text(0.5, 9)}))
    seconds[0] = 12.0
    news = champion.follow()
    assert "no longer computed, e.g. 'shoe_size'" in news
    assert f"Version {second} goes on scoring" in news
    assert (champion.version, champion.threshold, len(champion.scores([row]))) == (second, 0.75, 1)
    seconds[0] = 18.0
    assert (champion.follow(), "shoe_size" in champion.refused) == ("", True), "said once"
    registry.set_champion("fraud", first, action="rollback", why="test", who="test", run_id="", metrics={})
    seconds[0] = 24.0
    assert champion.follow() == f"version {first} is the champion now"
    assert (champion.refused, champion.threshold) == ("", 0.25)
    in_charge(registry, packed(tmp_path / "four", swapped, {}))
    later = FraudChampion(registry)
    assert (later.version, later.note.endswith(f"Version {first} goes on scoring.")) == (first, True)
    assert "has no alerting.json" in later.refused
    assert (later.follow(), later.version) == ("", first), "said once"


def test_an_imported_champion_scores_the_stream_as_it_scored_elsewhere(tmp_path: Path) -> None:
    names, rows = [FEATURES[3], FEATURES[0]], np.random.default_rng(2).random((200, 2)).astype(np.float32)
    data = xgboost.DMatrix(rows, rows[:, 0] > 0.5, feature_names=names, nthread=1)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 2, "nthread": 1}, data, 5)
    booster.save_model(tmp_path / "model.ubj")
    contract = LegacyContract(
        features=tuple(InputFeature(name=name) for name in names),
        golden=GoldenFile(file="golden.csv"),
        trained_until=date(2018, 1, 1),
        origin="the processor's own model",
        licence="proprietary",
        runs={"kind": "xgboost", "file": "model.ubj"},
    )
    model = ImportedModel(contract, opened(contract, tmp_path), {"model.ubj": tmp_path / "model.ubj"})
    card = load(packed(tmp_path / "trained", names, {})).card
    save(tmp_path / "imported", model, model.encoder, card, {ALERTING: threshold_text(0.5, 9)})
    registry = FolderRegistry(tmp_path / "registry")
    in_charge(registry, tmp_path / "imported")
    payments = np.zeros((len(rows), len(FEATURES)), np.float32)
    payments[:, 3], payments[:, 0] = rows[:, 0], rows[:, 1]
    champion = FraudChampion(registry)
    expected = booster.inplace_predict(rows, validate_features=False)
    assert champion.scores(payments.tolist()) == pytest.approx(expected, abs=1e-7)
    assert champion.scores(payments.tolist())[7:8] == champion.scores(payments[7:8].tolist()), "alone or together"
    assert (champion.threshold, champion.explains, set(champion.reasons(payments[0].tolist()))) == (
        0.5,
        True,
        set(names),
    )


def test_a_champion_of_another_version_of_the_features_does_not_score(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path / "registry")
    extras = {ALERTING: threshold_text(0.25, 9)}
    in_charge(registry, packed(tmp_path / "one", [FEATURES[0]], extras, version="fraud_v0"))
    with pytest.raises(OtherRelease, match="trained on features of version 'fraud_v0'"):
        FraudChampion(registry)
    second = in_charge(registry, packed(tmp_path / "two", [FEATURES[0]], extras))
    in_charge(registry, packed(tmp_path / "three", [FEATURES[0]], extras, version="fraud_v0"))
    notices = LogNotifier(tmp_path / "notices.jsonl")
    champion = FraudChampion(registry)
    notify_refused(notices, champion)
    assert champion.version == second
    (told,) = map(json.loads, (tmp_path / "notices.jsonl").read_text().splitlines())
    assert f"Version {second} goes on scoring" in told["body"]
    assert "fraud_v0" in told["body"]
