"""Commands that a signal ends in the middle of their work: one sentence, its exit code, and nothing is lost."""

import json
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scoring_world
from forgetting_home import payment, places_with
from scoring_world import DAY, World
from shop_home import Home, write_stack

from assets.fraud.stream.state import FraudState
from models.features.fraud_definitions import FEATURES
from models.fraud.threshold import ALERTING, threshold_text
from models.training.encoding import Encoder
from models.training.model_package import ModelCard, save
from resources.events.sqlite_events import SqliteEvents
from resources.sink.delta_sink import DeltaSink
from resources.trainer.logistic_regression import LogisticRegressionTrainerConfig
from tests.fraud_store import FraudStore

NEXT = DAY + timedelta(days=1)
CUSTOMER = "c00000"
#: No MLflow, and payments of customers whom no register knows.
CHANGES = {
    "ports": {"registry": {"kind": "resources.registry.fake.FolderRegistryConfig", "path": "${home}/models"}},
    "settings": {"fraud": {"payments": {"customers": "any"}}},
}
EVENTS = [payment(number, CUSTOMER if number % 7 == 0 else f"p{number % 7}", amount=20.0) for number in range(1000)]

SignalAt = Callable[..., None]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with features, scores and champions of both applications, and no MLflow."""
    folder = tmp_path_factory.mktemp("signals")
    (folder / "home").mkdir()
    home = Home(folder / "home", write_stack(folder / "stack.yaml", CHANGES))
    home.opened().open("notifier")  # makes it a home of this layout
    world = scoring_world.made(home.folder)
    assert world.run().success
    _promote_fraud(world)
    return home


@pytest.fixture
def home(snapshot: Home, tmp_path: Path) -> Home:
    return snapshot.copy(tmp_path / "home")


@pytest.fixture
def signal_at(monkeypatch: pytest.MonkeyPatch) -> SignalAt:
    """A signal arrives right after the n-th call of a method, once."""

    def arm(number: signal.Signals, owner: type, name: str, call: int = 1) -> None:
        real, calls = getattr(owner, name), iter(range(1, 10**6))

        def then_signal(*args: Any, **how: Any) -> Any:
            result = real(*args, **how)
            if next(calls) == call:
                signal.raise_signal(number)
            return result

        monkeypatch.setattr(owner, name, then_signal)

    return arm


def stopped(home: Home, number: signal.Signals, *command: str | Path) -> str:
    """What a command printed that the signal ended."""
    said = home.tessera(*command, code=128 + number)
    by = "Ctrl-C (SIGINT)" if number == signal.SIGINT else "SIGTERM"
    sentences = [line for line in said.err.splitlines() if line.startswith(("Stopped:", "Expected:", "Do this:"))]
    assert sentences == [f"Stopped: by {by}; what was finished stays, and the same command again does the rest."]
    return said.out


def test_backfill(home: Home, signal_at: SignalAt) -> None:
    last = NEXT + timedelta(days=1)
    command = ("backfill", "churn_fallback", "--from", str(NEXT), "--to", str(last))
    signal_at(signal.SIGTERM, DeltaSink, "write_attempt")
    assert stopped(home, signal.SIGTERM, *command) == ""
    assert home.published(NEXT) is None
    signal_at(signal.SIGINT, DeltaSink, "write_attempt", 2)
    assert stopped(home, signal.SIGINT, *command).startswith("1/2  2026-03-02  ok")
    first = home.published(NEXT)
    assert (first.degradation, home.published(last)) == ("stale_features", None)
    home.tessera(*command)
    assert home.published(NEXT) == first
    assert home.published(last).digest == first.digest


def test_events(home: Home, signal_at: SignalAt, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text("".join(f"{event.to_json()}\n" for event in EVENTS))
    waiting = [0]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal_at(number, SqliteEvents, "publish", len(waiting))
        stopped(home, number, "events", "publish", file)
        waiting.append(home.opened().open("events").backlog("fraud"))
        assert waiting[-2] < waiting[-1] < len(EVENTS)
    again = home.tessera("events", "publish", file).out
    assert f"{len(EVENTS) - waiting[-1]:,} published, {waiting[-1]} already there, 0 refused" in again
    assert home.opened().open("events").backlog("fraud") == len(EVENTS)


def test_forget(home: Home, signal_at: SignalAt) -> None:
    home.opened().open("events").publish(EVENTS[:50])
    assert {place.partition("/")[0] for place in places_with(home.folder, CUSTOMER)} >= {"lake", "scores", "events.db"}
    command = ("forget", "customer", CUSTOMER, "--yes", "--even-if-unknown")
    signal_at(signal.SIGINT, DeltaSink, "forget")
    stopped(home, signal.SIGINT, *command)
    assert places_with(home.folder, CUSTOMER)
    signal_at(signal.SIGTERM, SqliteEvents, "forget")
    stopped(home, signal.SIGTERM, *command)
    assert "continued" in home.tessera(*command).out
    assert places_with(home.folder, CUSTOMER) == []
    assert home.opened().open("sink").scores("churn", DAY)[1].read_all().num_rows == scoring_world.CUSTOMERS - 1


def test_stream(home: Home, signal_at: SignalAt) -> None:
    """A worker ends well with its batch; one that has to empty the queue did not do what it is for."""
    events = EVENTS[:500]
    home.opened().open("events").publish(events)
    one_batch = "100 events: 100 payments scored"
    for number in (signal.SIGINT, signal.SIGTERM):
        signal_at(number, FraudState, "commit")
        assert home.tessera("stream", "fraud", "--limit", "100").out.startswith(one_batch)
        signal_at(number, FraudState, "commit")
        assert stopped(home, number, "stream", "fraud", "--limit", "100", "--until-empty").startswith(one_batch)
    assert home.tessera("stream", "fraud", "--until-empty").out.startswith(one_batch)
    day = events[0].time.date()
    assert FraudStore(home.opened().open("state_store")).scored(day, day).num_rows == len(events)


def _promote_fraud(world: World) -> None:
    """A fraud champion that learned from noise."""
    draws = np.random.default_rng(5)
    rows = draws.normal(size=(200, len(FEATURES))).astype(np.float32)
    labels = (rows[:, 0] + draws.normal(size=200) > 0).astype(np.int8)
    model = LogisticRegressionTrainerConfig().open().fit(rows, labels, np.arange(200)).model
    card = ModelCard(
        app="fraud",
        as_of=DAY,
        label_end=DAY,
        train_cutoffs=(),
        feature_service="fraud_v1",
        feature_version="fraud_v1",
        rows=200,
        labels={"positives": int(labels.sum())},
        parameters={},
        metrics={},
    )
    golden = json.dumps({"rows": rows[:5].astype(float).tolist(), "scores": model.predict(rows[:5]).tolist()})
    package = world.folder / "fraud-package"
    save(package, model, Encoder(FEATURES, {}), card, {ALERTING: threshold_text(0.9, 5), "golden.json": golden})
    version = world.registry.register("fraud", package, parameters={}, metrics={}, tags={"gate": "passed"}, report="")
    world.registry.set_champion("fraud", version, action="promote", why="", who="", run_id="", metrics={})
