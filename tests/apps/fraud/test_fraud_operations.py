"""Requests of fraud: a dry run gives the score that the stream gives afterwards, and changes nothing; labels."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assets.fraud.operations import OPERATIONS, AlertsAsked, LabelGiven, PaymentMade, PaymentNow, PaymentsMade
from assets.fraud.stream.champion import FraudChampion
from assets.stages.operation import Asker, Conflict, NotThere, WrongRequest
from models.errors import TesseraError
from models.events import Event
from models.features.fraud_definitions import FEATURES
from models.fraud.threshold import ALERTING, threshold_text
from models.settings import Settings
from models.training.encoding import Encoder
from models.training.golden import GOLDEN, golden_text
from models.training.model_package import ModelCard, save
from resources.lake.delta import DeltaLake
from resources.registry.fake import FolderRegistry
from resources.trainer.logistic_regression import LogisticRegressionTrainerConfig
from tests.apps.fraud.test_fraud_stream import NOON, World, payment
from tests.faults.fraud_stream_process import Formula

ASKER = Asker("ada")
_scoring, _publishing, _listing, _labelling = (one.opened for one in OPERATIONS)


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World(tmp_path)
    found.feed(
        *(payment(n, at=NOON + timedelta(minutes=n), amount=10.0 * n, customer=f"c{n % 2}") for n in range(1, 9))
    )
    return found


def ports(world: World) -> Any:
    store = world.beside().store
    lake = DeltaLake(str(world.folder / "lake"))
    registry = FolderRegistry(world.folder / "registry")
    return SimpleNamespace(
        lake=lake,
        engine=None,
        state_store=store,
        registry=registry,
        events=world.events,
        alert_store=store.alerts_beside,
    )


def champion(world: World) -> None:
    """A model of two features, with a threshold."""
    draws, names = np.random.default_rng(3), ["amount", FEATURES[3]]
    rows = draws.normal(size=(200, 2)).astype(np.float32)
    model = LogisticRegressionTrainerConfig().open().fit(rows, (rows[:, 0] > 0).astype(np.int8), np.arange(200)).model
    card = ModelCard(
        app="fraud", as_of=NOON.date(), label_end=NOON.date(), train_cutoffs=(NOON.date(),), feature_service="",
        feature_version="fraud_v1", rows=200, labels={"positives": 1}, parameters={}, metrics={},
    )  # fmt: skip
    encoder = Encoder.fit(pa.table({name: rows[:, place] for place, name in enumerate(names)}), names)
    extras = {ALERTING: threshold_text(0.5, 9), GOLDEN: golden_text(model, rows)}
    save(world.folder / "package", model, encoder, card, extras)
    registry = FolderRegistry(world.folder / "registry")
    version = registry.register(
        "fraud", world.folder / "package", parameters={}, metrics={}, tags={"gate": "passed"}, report=""
    )
    registry.set_champion("fraud", version, action="promote", why="test", who="test", run_id="", metrics={})


def asked(event: Event) -> PaymentNow:
    return PaymentNow(**event.data, event_timestamp=event.time)


def test_a_dry_run_scores_as_the_stream_does_afterwards_and_changes_nothing(world: World) -> None:
    champion(world)
    answer: Any = _scoring(ports(world), Settings())
    scorer = FraudChampion(ports(world).registry)
    before = (world.folder / "stream.db").read_bytes(), world.beside().position(), world.events.newest_offset()
    next_one = payment(9, at=NOON + timedelta(minutes=20), amount=333.0, customer="c1")
    late = payment(10, at=NOON + timedelta(minutes=2, seconds=30), amount=12.0, customer="c0")
    found = [answer(asked(one), ASKER) for one in (next_one, late, next_one)]
    assert found[0] == found[2]
    assert (
        (world.folder / "stream.db").read_bytes(),
        world.beside().position(),
        world.events.newest_offset(),
    ) == before
    for one, event in ((found[1], late), (found[0], next_one)):
        world.feed(event, scorer=scorer)
        rows = world.beside().scored(NOON.date(), NOON.date()).to_pylist()
        (row,) = [row for row in rows if row["transaction_id"] == one.transaction_id]
        assert (one.score, one.model_version) == (row["score"], row["model_version"])
        assert one.would_alert is (row["score"] >= one.threshold)
        again = answer(asked(event), ASKER)
        assert (again.score, again.reasons) == (one.score, one.reasons), "one that the stream knows by now"


def test_payments_are_published_once_and_scored_by_the_stream(world: World) -> None:
    publish: Any = _publishing(ports(world), Settings())
    events = [payment(n, at=NOON + timedelta(minutes=20 + n), amount=5.0 * n, customer="c1") for n in (31, 32)]
    made = [PaymentMade(**one.data, event_timestamp=one.time) for one in events]
    before = world.events.newest_offset()
    first, again = (publish(PaymentsMade(payments=tuple(made)), ASKER) for _ in range(2))
    assert [(one.published, one.known) for one in (first, again)] == [(2, 0), (0, 2)]
    assert world.events.newest_offset() == before + 2
    world.feed(*events, scorer=Formula())  # what `tessera events` publishes is the same event
    assert world.events.newest_offset() == before + 2
    scored = world.beside().scored(NOON.date(), NOON.date()).to_pylist()
    assert {31, 32} <= {row["transaction_id"] for row in scored}
    other, newer = made[0].model_copy(update={"amount": 1.0}), made[0].model_copy(update={"transaction_id": 33})
    with pytest.raises(Conflict, match=r"1 of 2 payments .*: 31"):
        publish(PaymentsMade(payments=(other, newer)), ASKER)
    assert world.events.newest_offset() == before + 3
    for change, reason in (({"amount": 60_000.0}, "more than 50000"), ({"customer_id": "c\n"}, "control characters")):
        with pytest.raises(WrongRequest, match=reason):
            publish(PaymentsMade(payments=(newer.model_copy(update=change),)), ASKER)


def test_a_version_that_is_named_answers(world: World) -> None:
    champion(world)
    answer: Any = _scoring(ports(world), Settings())
    payment_now = asked(payment(9, at=NOON + timedelta(minutes=20), amount=333.0, customer="c1"))
    assert answer(payment_now, Asker("ada", "1")) == answer(payment_now, ASKER)
    with pytest.raises(NotThere, match="no version '2'"):
        answer(payment_now, Asker("ada", "2"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"amount": 60_000.0}, "more than 50000"),
        ({"event_timestamp": NOON - timedelta(days=30)}, "days behind the stream"),
        ({"event_timestamp": datetime.now(UTC) + timedelta(days=1)}, "in the future"),
        ({"transaction_id": 3, "amount": 1.0}, "that of another payment"),
    ],
)
def test_a_payment_that_the_stream_would_refuse_is_refused(world: World, change: dict[str, Any], reason: str) -> None:
    champion(world)
    with pytest.raises(WrongRequest, match=reason):
        _scoring(ports(world), Settings())(asked(payment(11)).model_copy(update=change), ASKER)


def test_of_an_erased_customer_nothing_is_scored_and_a_stream_must_have_begun(world: World, tmp_path: Path) -> None:
    champion(world)
    found = ports(world)
    found.lake.leave_tombstone("customer", "c1", why="request", day=NOON.date())
    with pytest.raises(WrongRequest, match="erased"):
        _scoring(found, Settings())(asked(payment(12)), ASKER)
    (tmp_path / "empty").mkdir()
    empty = World(tmp_path / "empty")
    champion(empty)
    answer = _scoring(ports(empty), Settings())
    with pytest.raises(TesseraError, match="processed no event"):
        answer(asked(payment(1)), ASKER)


def test_alerts_are_listed_and_a_label_reaches_the_stream_once(world: World) -> None:
    world.feed(payment(20, at=NOON + timedelta(hours=1), amount=900.0, customer="c7"), scorer=Formula())
    listing: Any = _listing(ports(world), Settings())
    label: Any = _labelling(ports(world), Settings())
    found = {one.customer_id: one for one in listing(AlertsAsked(first=NOON.date()), ASKER).alerts}
    given = LabelGiven(alert_id=found["c7"].alert_id, label="fraud")
    before = world.events.newest_offset()
    first, second = label(given, ASKER), label(given, ASKER)
    assert (first.is_new, first.payments, first.published, first.model_version) == (True, 1, 1, "formula")
    assert (second.is_new, second.published) == (False, 0)
    assert world.events.newest_offset() == before + 1
    (said,) = ports(world).alert_store.feedback("fraud", NOON.date(), date(9999, 1, 1))
    assert (said.label, said.who) == ("fraud", "ada")
    still_open = listing(AlertsAsked(first=NOON.date(), only_open=True), ASKER).alerts
    assert "c7" not in {one.customer_id for one in still_open}
    with pytest.raises(NotThere):
        label(LabelGiven(alert_id="fraud-20180808-cX", label="ok"), ASKER)
    with pytest.raises(WrongRequest):
        listing(AlertsAsked(first=NOON.date(), last=NOON.date() - timedelta(days=1)), ASKER)
