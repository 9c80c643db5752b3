"""A user forgets a customer: gone from everything at once, and no later night brings them back."""

import json
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from forgetting_home import HighAmounts, LakeStones, payment, places_with
from shop_home import DAY, Home

from assets.fraud.notifications import notify_alert
from assets.fraud.stream.processor import FraudProcessor
from assets.fraud.stream.state import FraudState
from models.erasure.record import Erasure
from models.fraud.event_parsing import PaymentLimits

D, NEXT = DAY.isoformat(), DAY + timedelta(days=1)


@pytest.fixture
def customer(trained: Home, tmp_path: Path) -> str:
    """Someone the model was trained on, with refused rows too, who is scored and not contacted."""
    lake = trained.opened().open("lake")
    originals = lake.scan("quarantine_orders").to_table()["original"].to_pylist()
    refused = {json.loads(original)["customer_id"] for original in originals}
    learnt = set(lake.scan("churn_training_set").to_table()["customer_id"].to_pylist())
    trained.scores(DAY, tmp_path / "before.parquet")
    scored = pq.read_table(tmp_path / "before.parquet").to_pylist()
    return next(
        row["customer_id"]
        for row in scored
        if row["decision"] == "leave" and row["customer_id"] in refused and row["customer_id"] in learnt
    )


def pays(home: Home, customer: str) -> None:
    """Payments of theirs were scored, raised an alert, and were refused; one waits."""
    events, store, lake, notifier = (home.opened().open(port) for port in ("events", "state_store", "lake", "notifier"))
    events.publish([payment(1, customer), payment(2, customer, amount="much")])
    (alert,) = (
        FraudProcessor(events, FraudState(store), PaymentLimits(), context=LakeStones(lake))
        .process(HighAmounts(), limit=9)
        .alerts
    )
    notify_alert(notifier, alert)
    events.publish([payment(3, customer)])


def test_a_customer_is_forgotten_and_stays_so(home: Home, customer: str, tmp_path: Path) -> None:
    home.tessera("run", "churn_online", "--date", D)
    pays(home, customer)
    # Until the connection of `pays` is closed, its rows may be in SQLite's log only.
    where = {path.split("/")[0].removesuffix("-wal") for path in places_with(home.folder, customer)}
    assert {"lake", "scores", "feast", "events.db", "streams.db", "notices.jsonl"} <= where

    card = home.tessera("forget", "customer", customer, "--yes", "--why", "request 17 of 2026-03-02").out
    assert places_with(home.folder, customer) == []
    (file,) = (home.folder / "forgotten").glob("*.json")
    record = Erasure.model_validate_json(file.read_text())
    assert record.digest[:12] in card
    assert file.name in card
    assert "trained on it: churn 2" in card
    learnt = [(entry.version, entry.as_of) for entry in record.learnt]
    assert learnt == [("2", DAY), ("1", DAY)], "the refit, and the version that was evaluated"
    assert sum(entry.champion for entry in record.learnt) == 1
    removed = {name for name, place in record.places.items() if place.rows}
    assert removed >= {"online: churn_customer", "lake: orders", "lake: quarantine_orders", "lake: customers"}
    assert removed >= {"lake: churn_features", "lake: churn_training_set", "scores: churn"}
    assert {name: record.places[name].rows for name in ("events", "notices")} == {"events": 3 + 1, "notices": 1}
    assert record.places["stream: fraud"].rows == len(("payment", "score", "alert", "at the terminal", "history"))
    assert not [sentence for sentence in record.remains if "holds the id" in sentence]

    before = pq.read_table(tmp_path / "before.parquet").to_pylist()
    left = [row for row in before if row["customer_id"] != customer]
    home.scores(DAY, tmp_path / "after.parquet")
    assert pq.read_table(tmp_path / "after.parquet").to_pylist() == left

    history = home.opened().open("sink").history("churn", DAY)
    home.tessera("backfill", "churn_nightly", "--from", D, "--to", NEXT.isoformat())
    assert home.opened().open("sink").history("churn", DAY) == history, "the same night again gives the same rows"
    assert home.published(NEXT) is not None
    assert places_with(home.folder, customer) == []

    again = home.tessera("forget", "customer", customer, code=2).err
    assert f"was forgotten before (the proof is {file})" in " ".join(again.split())
    assert "Pass --yes" in again


def test_mistakes_are_said_before_anything_is_forgotten(home: Home, customer: str) -> None:
    assert "did you mean 'customer'?" in home.refuses("forget", "custommer", customer, "--yes")
    unknown = home.refuses("forget", "customer", customer + "0", "--yes")
    assert f"No table of the lake knows a customer '{customer}0'" in unknown
    assert "--even-if-unknown" in unknown
    assert "--yes" in home.refuses("forget", "customer", customer)
    assert "names the customer" in home.refuses("forget", "customer", customer, "--yes", "--why", f"of {customer}")
    assert not (home.folder / "forgotten").exists()
    assert not (home.folder / "lake" / "_forgotten").exists()
