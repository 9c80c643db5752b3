"""A night of fraud on real payments: scores like the stream's, missing alerts, skew, and quality of a past day."""

import sqlite3
from array import array
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import average_precision_score

from assets.fraud import features as fraud_features
from assets.fraud import performance as fraud_performance
from assets.fraud import scoring as fraud_scoring
from assets.fraud import skew as fraud_skew
from assets.stages import metadata_keys as keys
from assets.stages.realized_performance import Accepted
from models.alerts import Alert
from models.evaluation.config import SkewConfig
from models.evaluation.realized import Promise
from models.features.fraud_definitions import FEATURES
from models.settings import FraudSettings
from pipelines.cli import publications
from resources.sink.port import Sink
from resources.stack.loader import Calendar
from tests.fraud_world import DAY, DAYS, World, happened, made, shuffled_and_doubled

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

pytestmark = pytest.mark.real
SETTINGS = FraudSettings(alerts_per_day=5)


@pytest.fixture(scope="module")
def scored(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Every one of the last days was scored from the lake; nothing was streamed."""
    world = made(shared_data, tmp_path_factory.mktemp("fraud") / "home")
    for day in DAYS:
        world.score(day)
    return world


@pytest.fixture(scope="module")
def streamed(scored: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The stream took in the same payments as they happened."""
    world = scored.copied(tmp_path_factory.mktemp("streamed") / "home")
    world.streamed(happened(world))
    return world


def in_store(world: World, statement: str, *values: Any) -> None:
    with sqlite3.connect(world.folder / "streams.db") as connection:
        connection.execute(statement, values)


class OnlySink:
    """A stack of which only the sink is asked for."""

    calendar = Calendar(first_day=date(2018, 1, 1))

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def open(self, port: str) -> Sink:
        assert port == "sink"
        return self._sink


def alerts(world: World, day: date = DAY) -> list[Alert]:
    return list(world.store.find("fraud", day, day))


def fill(world: World, day: date = DAY) -> fraud_scoring.Backfilled:
    return fraud_scoring.add_missing_alerts(world.lake, world.sink, world.registry, world.store, day, budget=5)


def test_stream_and_batch_give_equal_scores_bit_for_bit(scored: World, tmp_path: Path) -> None:
    world = scored.copied(tmp_path / "home")
    world.streamed(shuffled_and_doubled(happened(world)))
    online = world.store.scored(DAYS[-1], DAY)
    offline = pa.concat_tables([fraud_scoring.published_scores(world.sink, day) for day in reversed(DAYS)])
    assert online.num_rows > 100
    assert online["transaction_id"].equals(offline["transaction_id"])
    assert len(pc.unique(online["score"])) > 50, "a model that tells payments apart"
    assert online["score"].to_numpy().tobytes() == offline["score"].to_numpy().tobytes()
    for day in DAYS:
        compared = fraud_skew.compare(world.lake, world.sink, world.store, SkewConfig(), day)
        assert compared.compared.report.largest_share() == 0
        assert (compared.rows[keys.ONLY_ONLINE], compared.rows[keys.ONLY_OFFLINE]) == (0, 0)
        assert compared.rows[keys.SCORES_DIFFERING] == 0
        assert compared.check().passed


def test_scoring_again_publishes_the_same_rows(scored: World) -> None:
    standing = scored.sink.published("fraud", DAY)
    again = scored.score(DAY)
    assert (standing.rows > 10, again.publication) == (True, standing)
    assert len(scored.sink.history("fraud", DAY)) == 1


def test_a_scored_day_keeps_its_scores_until_a_person_publishes_those_of_another_champion(
    scored: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = scored.copied(tmp_path / "home")
    before = fraud_scoring.published_scores(world.sink, DAY)
    world.promote_another()
    kept = world.score(DAY).verdict
    assert "version 1 stay published; those of version 2 wait: `tessera publish fraud --date 2018-08-10`" in kept
    assert fraud_scoring.published_scores(world.sink, DAY).equals(before)
    fill(world)
    assert {alert.model_version for alert in alerts(world)} == {"1"}
    monkeypatch.setattr(publications, "active_stack", lambda: OnlySink(world.sink))
    publications.publish("fraud", DAY.isoformat(), "a better model", even_if_refused=False)
    after = fraud_scoring.published_scores(world.sink, DAY)
    assert set(after["model_version"].to_pylist()) == {"2"}
    assert not after["score"].equals(before["score"])
    assert [record.model_version for record in world.sink.history("fraud", DAY)] == ["1", "2"]


class TestBackfill:
    def test_it_raises_what_the_stream_raises_and_nothing_twice(
        self, scored: World, streamed: World, tmp_path: Path
    ) -> None:
        world = scored.copied(tmp_path / "home")
        for day in DAYS:
            first, second = fill(world, day), fill(world, day)
            assert (first.before, first.added, first.alerts) == (0, first.added, first.added)
            assert (second.before, second.added, second.alerts) == (first.added, 0, first.added)
            assert alerts(world, day) == alerts(streamed, day), "payments, scores and reasons too"
        assert len(alerts(world)) > 2

    def test_only_what_is_missing_is_added(self, streamed: World, tmp_path: Path) -> None:
        world = streamed.copied(tmp_path / "home")
        lost, labelled, *_ = before = alerts(world)
        in_store(world, "UPDATE alert SET label = 'fraud' WHERE alert_id = ?", labelled.alert_id)
        in_store(world, "DELETE FROM alert WHERE alert_id = ?", lost.alert_id)
        found = fill(world)
        assert (found.before, found.added, found.alerts) == (len(before) - 1, 1, len(before))
        after = {alert.alert_id: alert for alert in alerts(world)}
        assert after[lost.alert_id] == lost
        assert after[labelled.alert_id].label == "fraud"

    def test_a_day_without_scores_has_none(self, scored: World) -> None:
        assert fill(scored, DAY + timedelta(days=1)).alerts == 0

    def test_thresholds_are_those_of_the_model_that_scored(self, scored: World, tmp_path: Path) -> None:
        world = scored.copied(tmp_path / "home")
        world.promote_another()
        fill(world)
        assert {alert.model_version for alert in alerts(world)} == {"1"}

    def test_who_was_forgotten_is_not_alerted(self, scored: World, tmp_path: Path) -> None:
        world = scored.copied(tmp_path / "home")
        called_for = fraud_scoring._called_for(world.lake, world.sink, world.registry, DAY)
        gone = called_for[0].entity_id
        world.lake.leave_tombstone("customer", gone, day=DAY, why="asked")
        assert fill(world).added == len(called_for) - 1
        assert gone not in {alert.entity_id for alert in alerts(world)}


class TestSkew:
    def compared(self, world: World) -> fraud_skew.Streamed:
        return fraud_skew.compare(world.lake, world.sink, world.store, SkewConfig(), DAY)

    def test_one_altered_feature_is_found_and_named(self, streamed: World, tmp_path: Path) -> None:
        world = streamed.copied(tmp_path / "home")
        row = world.store.scored(DAY, DAY).to_pylist()[3]
        given = [row[name] for name in FEATURES]
        given[FEATURES.index("terminal_risk_7d")] += 1e-12
        number, packed = row["transaction_id"], array("d", given).tobytes()
        in_store(world, "UPDATE fraud_scored SET features = ? WHERE transaction_id = ?", packed, number)
        check = self.compared(world).check()
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
        assert "another value than the same row has offline: terminal_risk_7d (1 of" in str(check.description)
        (example,) = world.lake.scan(fraud_skew.TABLE, first=DAY, last=DAY).to_table().to_pylist()
        assert (example["transaction_id"], example["feature"]) == (number, "terminal_risk_7d")
        assert float(example["served"]) != float(example["offline"]) == row["terminal_risk_7d"]

    def test_payments_of_one_side_only_are_told_apart(self, streamed: World, tmp_path: Path) -> None:
        world = streamed.copied(tmp_path / "home")
        one, two, three = world.store.scored(DAY, DAY)["transaction_id"].to_pylist()[:3]
        in_store(world, "DELETE FROM fraud_scored WHERE transaction_id = ?", one)
        world.lake.remove("fraud_features", pc.field("transaction_id").isin([two, three]))
        found = self.compared(world)
        assert (found.rows[keys.ONLY_ONLINE], found.rows[keys.ONLY_OFFLINE]) == (2, 1)
        assert {cause for cause in ("extra", "missing") if found.compared.report.largest_share(cause)} == {
            "extra",
            "missing",
        }
        assert not found.check().passed

    def test_another_score_from_an_equal_row_is_an_error(self, streamed: World, tmp_path: Path) -> None:
        world = streamed.copied(tmp_path / "home")
        in_store(world, "UPDATE fraud_scored SET score = score / 2 WHERE transaction_id % 2 = 0")
        check = self.compared(world).check()
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
        assert "another score offline" in str(check.description)

    def test_a_day_without_a_stream_warns(self, scored: World) -> None:
        check = self.compared(scored).check()
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert "no stream scored any" in str(check.description)


class TestMatured:
    def performance(self, world: World, day: date = DAY) -> fraud_performance.RealizedPerformance:
        as_of = day + timedelta(days=7)
        return fraud_performance.measure(
            world.lake, world.engine, world.registry, world.sink, world.store, SETTINGS, as_of
        )

    def test_numbers_of_a_day(self, streamed: World, tmp_path: Path) -> None:
        world = streamed.copied(tmp_path / "home")
        told = world.lake.scan("payment_labels").to_table()
        labels = dict(zip(told["transaction_id"].to_pylist(), told["is_fraud"].to_pylist(), strict=True))
        rows = [
            (row, labels[row["transaction_id"]]) for row in fraud_scoring.published_scores(world.sink, DAY).to_pylist()
        ]
        fraud_cards = {row["customer_id"] for row, is_fraud in rows if is_fraud}
        alerted = {alert.entity_id for alert in alerts(world)}
        highest: dict[str, float] = {}
        for row, _ in rows:
            highest[row["customer_id"]] = max(row["score"], highest.get(row["customer_id"], 0.0))
        top = sorted(highest, key=lambda card: -highest[card])[:5]
        shown = self.performance(world).metadata()
        precise = average_precision_score([is_fraud for _, is_fraud in rows], [row["score"] for row, _ in rows])
        assert shown["average_precision"] == pytest.approx(precise, abs=1e-6)
        assert shown["card_precision"] == pytest.approx(len(fraud_cards & set(top)) / 5)
        assert shown["alert_precision"] == pytest.approx(len(fraud_cards & alerted) / len(alerted), abs=1e-6)
        assert shown["alert_recall"] == pytest.approx(len(fraud_cards & alerted) / len(fraud_cards), abs=1e-6)
        assert 0 < len(fraud_cards & alerted) < len(alerted)
        assert (shown["labelled_share"], shown["payments"], shown["frauds"]) == (
            1.0,
            len(rows),
            sum(is_fraud for _, is_fraud in rows),
        )
        (row,) = world.lake.scan(fraud_performance.TABLE).to_table().to_pylist()
        assert (row["paid_on"], row["judged_on"], row["model_version"]) == (DAY, DAY + timedelta(days=7), "1")
        assert (row["knew_labels"], "note" in shown) == (False, False)

    def test_the_metric_of_the_gate_over_the_last_days_is_compared_with_its_promise(
        self, streamed: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = streamed.copied(tmp_path / "home")
        metric = SETTINGS.gate.metric

        def promising(value: float) -> fraud_performance.RealizedPerformance:
            accepted = Accepted({metric: Promise(value, 0.0)})
            monkeypatch.setattr(fraud_performance, "accepted_version", lambda *_: accepted)
            return self.performance(world)

        pooled = promising(0.5).pooled
        assert pooled is not None
        assert pooled.rows >= promising(0.5).known.labelled
        assert promising(pooled.value).checks()[0].passed
        assert not promising(pooled.value + 5 * pooled.error + 0.1).checks()[0].passed

    def test_a_model_that_knew_the_answers_is_called_so(self, streamed: World, tmp_path: Path) -> None:
        world = streamed.copied(tmp_path / "home")
        day = DAYS[-1] - timedelta(days=7)
        fraud_features.write(world.lake, world.engine, day)
        world.score(day)
        found = self.performance(world, day)
        assert (found.knew_labels, "better than it is" in found.metadata()["note"]) == (True, True)

    def test_labels_that_did_not_arrive_are_a_warning(self, streamed: World, tmp_path: Path) -> None:
        world = streamed.copied(tmp_path / "home")
        world.lake.remove("payment_labels", pc.field("transaction_id") >= 0)
        _, check = self.performance(world).checks()
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert "0 of" in str(check.description)

    def test_lost_scores_are_said_and_lost_quality_is_measured_again(self, streamed: World, tmp_path: Path) -> None:
        world = streamed.copied(tmp_path / "home")
        others = [day for day in DAYS if day != DAY][:1]
        for day in (DAY, *others):
            self.performance(world, day)
        before = world.lake.scan(fraud_performance.TABLE).to_table()
        (quality,) = world.lake.files(fraud_performance.TABLE, first=DAY, last=DAY)
        Path(quality).write_bytes(Path(quality).read_bytes()[:100])
        self.performance(world, others[0])
        assert world.lake.scan(fraud_performance.TABLE).to_table() == before
        (scores,) = (world.folder / "scores").rglob(f"day={DAY}/*/*.parquet")
        scores.write_bytes(scores.read_bytes()[:100])
        assert "run `tessera run fraud_nightly" in self.performance(world).metadata()["note"]
        world.score(DAY)
        self.performance(world)
        assert world.lake.scan(fraud_performance.TABLE).to_table() == before

    def test_a_day_that_was_not_scored_is_said_and_fails_nothing(self, scored: World) -> None:
        day = DAYS[-1] - timedelta(days=1)
        found = self.performance(scored, day)
        assert all(check.passed for check in found.checks())
        assert "no scores of 2018-08-03: run `tessera run fraud_nightly --date 2018-08-03`" in found.metadata()["note"]
        assert "average_precision" not in found.metadata()
