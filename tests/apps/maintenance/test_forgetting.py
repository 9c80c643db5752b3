"""Whoever is forgotten leaves everything, no one else does, and no later run brings them back."""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from threading import Event as Flag
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from forgetting_home import (
    CONFIG,
    FIRST,
    ID,
    LAST,
    LINES,
    OTHERS,
    HighAmounts,
    features,
    fill,
    line,
    night,
    opened,
    payment,
    places_with,
    training_rows,
    worker,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.fraud.stream.processor import GROUP
from assets.maintenance.erasure import Parts, forget
from assets.maintenance.erasure_scope import EventFields
from assets.maintenance.erasure_search import survey
from assets.stages.ingestion.completeness_log import complete_days
from assets.stages.ingestion.run import days_to_read, ingest
from assets.stages.vector_index.build import VectorIndexPlan, build_index
from models.contracts import ORDERS
from models.erasure.record import Erasure, Place
from models.erasure.tombstones import Tombstone
from models.errors import TesseraError
from models.fraud.event_parsing import LABEL
from models.publishing import attempt_of
from models.vectors.spec import IndexSpec, VectorSpace
from resources.alert_store.port import AlertStore
from resources.conformance.score_sets import APP, digest, reader, some_rows
from resources.conformance.state_store import visits_of
from resources.events.port import Events
from resources.feature_store.port import FeatureStore, OnlineFeatureStore
from resources.lake.delta import DeltaLake
from resources.lake.port import DayRows, Lake
from resources.notifier.port import Notifier
from resources.sink.port import Sink
from resources.source.fake import FakeSource, raw_rows
from resources.state_store.port import StateChanges, StateStore
from resources.state_store.sqlite_state_store import SqliteStateStore
from tests.fraud_store import FraudStore

NEXT = LAST + timedelta(days=1)
ABOUT = {"why": "asked for it", "who": "ana"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled") / "home"
    fill(folder)
    return folder


@pytest.fixture
def parts(filled: Path, tmp_path: Path) -> Parts:
    """A home of its own, with everything in it."""
    copytree(filled, tmp_path / "home")
    return opened(tmp_path / "home")


@pytest.fixture(scope="module")
def erased(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Parts, Erasure, Path]:
    """That home after ID was forgotten, the proof and its file; to look at only."""
    folder = copytree(filled, tmp_path_factory.mktemp("erased") / "home")
    return (parts := opened(folder)), *forget(parts, folder, "customer", ID, **ABOUT)


@pytest.fixture
def without_id(erased: tuple[Parts, Erasure, Path], tmp_path: Path) -> Parts:
    """A home of its own from which ID was forgotten."""
    copytree(erased[2].parents[1], tmp_path / "home")
    return opened(tmp_path / "home")


def with_nothing_but(port: type) -> Any:
    """An adapter of the port that has none of its optional abilities."""
    return type("Unerasable", (port,), dict.fromkeys(port.__abstractmethods__))()


def forgotten(parts: Parts, folder: Path, id: str = ID) -> Erasure:
    return forget(parts, folder / "home", "customer", id, **ABOUT)[0]


def rows(lake: DeltaLake, table: str) -> list[dict[str, Any]]:
    return lake.scan(table).to_table().to_pylist()


def of_others(lake: DeltaLake, table: str) -> list[dict[str, Any]]:
    return [row for row in rows(lake, table) if row.get("customer_id") != ID and ID not in row.get("original", "")]


def test_what_a_stream_logs_names_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No one can be taken out of a log."""
    fill(tmp_path / "home")
    assert caplog.messages.count("fraud alert of 2026-01-06") == len((ID, *OTHERS))
    assert not [message for message in caplog.messages if ID in message]


def test_everything_of_the_entity_goes_and_nothing_else(parts: Parts, tmp_path: Path) -> None:
    lake, home = parts.lake, tmp_path / "home"
    assert places_with(home, ID)
    tables = (
        "customers",
        "orders",
        "churn_features",
        "churn_training_set",
        "quarantine_orders",
        "quarantine_customers",
    )
    before = {table: of_others(lake, table) for table in tables}
    record = forgotten(parts, tmp_path)
    assert places_with(home, ID) == []
    assert {table: rows(lake, table) for table in tables} == before
    assert len(before["orders"]) == 2 * LINES
    assert {name: (place.rows, place.days) for name, place in record.places.items()} == {
        "online: churn_customer": (1, 0),
        "lake: churn_training_set": (1, 1),
        "lake: churn_features": (2, 2),
        "lake: customers": (1, 1),
        "lake: quarantine_customers": (1, 1),
        "lake: orders": (12, 6),
        "lake: quarantine_orders": (12, 6),
        "scores: churn": (2, 2),
        "scores: fraud": (0, 0),
        "scores: personalization": (0, 0),
        "scores: support": (0, 0),
        "events": (4 + 1 + 3 + 2, 0),
        "stream: fraud": (4 + 4 + 4 + 1 + 4 + 1, 0),
        "stream: support": (0, 0),
        "notices": (1, 0),
    }
    assert json.loads(parts.feature_store.file.read_text()) == {"churn_customer": list(OTHERS)}


def test_what_no_application_lists_goes_too_and_the_proof_says_what_was_searched(parts: Parts, tmp_path: Path) -> None:
    for table, columns in (("campaigns", {"name": ["a", "b"]}), ("team_notes", {"customer_id": [ID, OTHERS[0]]})):
        rows = pa.table({**columns, "day": [LAST, LAST]})
        parts.lake.replace(table, rows, by="day", first=LAST, last=LAST)
    parts.sink.write_attempt("retired", LAST, "a1", reader(some_rows(1)))
    parts.events.read("billing", limit=1)
    record, file = forget(parts, tmp_path / "home", "customer", ID, **ABOUT)
    assert record.places["scores: retired"] == record.places["lake: team_notes"] == Place(rows=1, days=1)
    assert places_with(tmp_path / "home", ID) == []
    assert {"orders", "team_notes", "churn_features"} <= {*record.searched["tables of the lake with customer_id"]}
    assert {"campaigns", "quarantine_orders"} <= {*record.searched["tables of the lake without"]}
    assert record.searched["applications with scores"] == ["churn", "retired"]
    assert record.searched["online views"] == ["churn_customer"]
    assert "billing" in record.searched["groups of the queue, beside its dead letters"]
    assert "- applications with scores: churn, retired" in file.with_suffix(".md").read_text()


def test_vectors_go_from_every_version_and_no_build_brings_them_back(parts: Parts, tmp_path: Path) -> None:
    rows = pa.table({"id": [f"ticket of {ID}", "other"], "text": ["x", "y"], "subject": [ID, OTHERS[0]]})
    rows = rows.append_column("vector", pa.array([[1.0, 0.5], [0.5, 1.0]]))
    space = VectorSpace(embedder="toy", digest="1", dimension=2, metric="cosine")
    for tokenizer in ("words-1", "grams-1"):
        spec = IndexSpec(space=space, subject="customer", tokenizer=tokenizer)
        build_index(parts.vectors, rows, VectorIndexPlan("tickets", spec, embed=lambda _: np.empty((0, 2), np.float32)))
    record = forgotten(parts, tmp_path)
    assert record.places["vectors: tickets"] == Place(rows=2)
    assert record.searched["vector indexes"] == ["tickets"]
    assert places_with(tmp_path / "home", ID) == []
    assert [*parts.vectors.rows("tickets", 1)["id"].to_pylist(), parts.vectors.current("tickets")] == ["other", 2]
    assert forgotten(parts, tmp_path).places["vectors: tickets"] == Place(rows=0)


def test_what_cannot_be_erased_or_understood_stops_it_before_anything_is_removed(parts: Parts, tmp_path: Path) -> None:
    def stops(given: Parts, says: str) -> None:
        before = places_with(tmp_path / "home", ID)
        with pytest.raises(TesseraError, match=says):
            forgotten(given, tmp_path)
        assert places_with(tmp_path / "home", ID) == before
        assert len(parts.lake.forgotten("customer")) == 0

    for part, port, holds in (
        ("sink", Sink, r"sink \(Unerasable\) cannot remove the scores of one customer"),
        ("lake", Lake, r"lake \(Unerasable\) cannot remove the rows of one customer"),
        ("events", Events, r"queue of events \(Unerasable\) cannot remove the events of one customer"),
        ("state_store", StateStore, r"state store \(Unerasable\) cannot remove the state of one customer"),
        ("feature_store", OnlineFeatureStore, r"feature store \(Unerasable\) cannot remove the features of one custom"),
    ):
        stops(replace(parts, **{part: with_nothing_but(port)}), holds)
    strange = pa.table({"card": ["x", ID], "day": [LAST, LAST]})
    parts.lake.replace("team_notes", strange, by="day", first=LAST, last=LAST)
    stops(parts, r"team_notes \(column 'card'\)\. The erasure stops")
    parts.lake.drop("team_notes")
    rows = some_rows(1).rename_columns(["card", *some_rows(1).column_names[1:]])
    parts.sink.write_attempt("retired", LAST, "a1", reader(rows))
    stops(parts, r"scores of retired, .* without a column 'customer_id'")


def test_events_that_hold_the_id_in_a_field_of_unknown_meaning_stop_it_until_that_is_known(
    parts: Parts, tmp_path: Path
) -> None:
    strange = payment(40, OTHERS[0])
    data = {**strange.data, "card": {"holders": [ID]}, "batch": ID}
    parts.events.publish([strange.model_copy(update={"data": data})])
    before = places_with(tmp_path / "home", ID)
    for known, unknown in ((EventFields(), r"'batch' \(1\), 'holders' \(1\)"), (EventFields(("holders",)), "'batch'")):
        with pytest.raises(TesseraError, match=f"fields of unknown meaning: {unknown}") as stopped:
            forget(parts, tmp_path / "home", "customer", ID, **ABOUT, fields=known)
        assert "--named-by FIELD" in stopped.value.todo
        assert places_with(tmp_path / "home", ID) == before
        assert len(parts.lake.forgotten("customer")) == 0
    fields = EventFields(naming=("holders",), others=("batch",))
    record, _ = forget(parts, tmp_path / "home", "customer", ID, **ABOUT, fields=fields)
    assert record.places["events"].rows == 10 + 1
    assert record.searched["fields of events that name a customer"] == ["subject", "customer_id", "holders"]
    assert record.searched["fields of events that hold the id with another meaning"] == ["batch"]
    assert places_with(tmp_path / "home", ID) == []


def test_alerts_at_another_place_go_too_or_stop_it(parts: Parts, tmp_path: Path) -> None:
    elsewhere = SqliteStateStore(tmp_path / "home" / "alerts.db")
    elsewhere.add_alerts(parts.state_store.alerts_beside.find("fraud", LAST, LAST))
    elsewhere.answer(f"fraud-{LAST:%Y%m%d}-{ID}", "fraud", who="ana", at=datetime(2026, 1, 7, tzinfo=UTC))
    split = replace(parts, alert_store=elsewhere)
    for store, says in (
        (Unsearchable(elsewhere), r"alert store \(Unsearchable\) cannot remove the alerts of one customer"),
        (Unsearchable(elsewhere, "logins"), "alerts of logins, which no application here raises"),
    ):
        with pytest.raises(TesseraError, match=says):
            forgotten(replace(parts, alert_store=store), tmp_path)
        assert len(parts.lake.forgotten("customer")) == 0
    record = forgotten(split, tmp_path)
    assert record.places["alerts elsewhere"].rows > 1
    assert record.searched["alert stores"] == [str(tmp_path / "home" / name) for name in ("alerts.db", "streams.db")]
    assert places_with(tmp_path / "home", ID) == []
    assert [one.entity_id for one in elsewhere.find("fraud", LAST, LAST)] == [*OTHERS]


class Unsearchable(type(with_nothing_but(AlertStore))):
    """An alert store that cannot erase."""

    def __init__(self, store: SqliteStateStore, *apps: str) -> None:
        self._store, self._apps = store, apps

    place = "elsewhere"

    def apps(self) -> Sequence[str]:
        return self._apps or self._store.apps()


def test_the_state_of_a_stream_that_no_application_declares_stops_it_before_anything_is_removed(
    parts: Parts, tmp_path: Path
) -> None:
    before = places_with(tmp_path / "home", ID)
    parts.state_store.commit(visits_of("visits"), StateChanges(position=1))
    with pytest.raises(
        TesseraError, match="the state of visits, a stream that no application here declares"
    ) as stopped:
        forgotten(parts, tmp_path)
    assert "Take its tables out of the store" in stopped.value.todo
    assert places_with(tmp_path / "home", ID) == before
    assert len(parts.lake.forgotten("customer")) == 0


def test_what_serves_no_features_and_keeps_no_notices_has_nothing_to_erase(parts: Parts, tmp_path: Path) -> None:
    kept = {"feature_store": with_nothing_but(FeatureStore), "notifier": with_nothing_but(Notifier)}
    record = forgotten(replace(parts, **kept), tmp_path)
    assert record.searched["online views"] == []
    assert {"notices", "online: churn_customer"}.isdisjoint(record.places)
    assert record.places["lake: orders"].rows == 12


def test_published_scores_go_on_without_the_entity(filled: Path, erased: tuple[Parts, Erasure, Path]) -> None:
    before = opened(filled).sink.scores(APP, LAST)[1].read_all()
    parts, *_ = erased
    record, reader = parts.sink.scores(APP, LAST)
    left = reader.read_all()
    assert left.equals(before.filter(pc.field("customer_id") != ID))
    assert (record.rows, record.digest, record.attempt) == (4, digest(left), attempt_of(digest(left)))
    assert list(parts.sink.published_days(APP)) == [LAST], "a withdrawn day stays withdrawn"


def test_the_proof_names_models_and_nobody(erased: tuple[Parts, Erasure, Path]) -> None:
    parts, record, file = erased
    (learnt,) = record.learnt
    assert (learnt.app, learnt.version, learnt.as_of, learnt.champion, learnt.golden_set) == (
        APP,
        "2",
        LAST,
        True,
        True,
    )
    assert record.unsure.keys() == {f"{APP} 3", f"{APP} 4"}, "no tag, and a training set that is not there"
    assert Erasure.model_validate_json(file.read_text()) == record
    page = file.with_suffix(".md").read_text()
    assert record.digest in page
    assert f"| {APP} | 2 | {LAST} | yes | yes |" in page
    assert "| lake: orders | 12 | 6 |" in page
    assert ID not in page + file.read_text() + file.name
    assert parts.lake.forgotten("customer").tombstone(ID).digest == record.digest
    assert {path.suffix for path in file.parent.iterdir()} == {".json", ".md"}


def test_the_record_of_ingestion_counts_what_is_left_and_nothing_is_read_again(
    filled: Path, erased: tuple[Parts, Erasure, Path]
) -> None:
    reading = days_to_read(ORDERS, opened(filled).lake, FIRST, NEXT, CONFIG)
    parts, *_ = erased
    counts = complete_days(parts.lake, "orders")
    assert sum(day.kept for day in counts.values()) == parts.lake.scan("orders").count_rows() == 2 * LINES
    assert sum(day.quarantined for day in counts.values()) == parts.lake.scan("quarantine_orders").count_rows()
    assert days_to_read(ORDERS, parts.lake, FIRST, NEXT, CONFIG) == reading


@pytest.mark.parametrize("again", [NEXT, LAST, FIRST])
@pytest.mark.usefixtures("without_id")
def test_no_later_run_brings_the_entity_back(tmp_path: Path, again: date) -> None:
    later = opened(tmp_path / "home", NEXT)
    for table in ("orders", "customers"):
        report = ingest(table, later.source, later.lake, again, CONFIG, "later")
        assert report.rows_in == report.rows_kept + report.rows_quarantined
        assert report.rows_forgotten > 0
    later.lake.replace("churn_features", features(again), by="feature_date", first=again, last=again)
    later.lake.replace("churn_training_set", training_rows(again, (*OTHERS, ID)), by="as_of", first=again, last=again)
    assert places_with(tmp_path / "home", ID) == []
    assert [row["customer_id"] for row in rows(later.lake, "churn_features")][-2:] == list(OTHERS)


def test_a_home_made_anew_with_the_tombstones_is_the_same(erased: tuple[Parts, Erasure, Path], tmp_path: Path) -> None:
    parts, *_ = erased
    fresh = opened(tmp_path / "fresh")
    fresh.lake.leave_tombstone("customer", ID, day=FIRST, why="")
    night(fresh, LAST)
    for table in ("orders", "customers", "quarantine_orders", "ingested_orders", "ingested_customers"):
        assert rows(fresh.lake, table) == rows(parts.lake, table)


def test_again_finds_nothing_and_says_so(
    erased: tuple[Parts, Erasure, Path], without_id: Parts, tmp_path: Path
) -> None:
    lake, first = without_id.lake, erased[1]
    versions = {table: lake.version(table) for table in lake.tables()}
    again = forgotten(without_id, tmp_path)
    assert (again.digest, again.rows, again.interrupted) == (first.digest, 0, 0)
    assert {table: lake.version(table) for table in lake.tables()} == versions


def test_whoever_was_never_here_is_kept_out_too(parts: Parts, tmp_path: Path) -> None:
    assert survey(parts.lake, parts.source, "customer", "c000009") == {}
    assert forgotten(parts, tmp_path, "c000009").rows == 0
    late = line("9-1", "c000009", NEXT)
    source = FakeSource({"orders": raw_rows("orders", [late, {**late, "quantity": 0}])}, FIRST)
    report = ingest("orders", source, parts.lake, NEXT, CONFIG, "later")
    assert (report.rows_in, report.rows_forgotten) == (0, 2)
    assert places_with(tmp_path / "home", "c000009") == []


def test_payments_of_others_are_scored_as_if_the_entity_had_never_paid(tmp_path: Path) -> None:
    """At the same terminals, where one of the entity's payments is known to be fraud."""
    early = [payment(n, (ID, *OTHERS)[n % 3]) for n in range(12)]
    fraud = {"type": LABEL, "data": {"transaction_id": 3, "is_fraud": True}, "id": "label"}
    weeks_later = [payment(20_001, ID), payment(20_003, OTHERS[0])]
    scored = {}
    for name in ("forgotten", "never there"):
        home, never = opened(tmp_path / name), name == "never there"
        stream = worker(home)
        for events in (early, [early[3].model_copy(update=fraud)], weeks_later):
            home.events.publish([event for event in events if not (never and event.subject == ID)])
            if events is weeks_later and not never:
                home.lake.leave_tombstone("customer", ID, day=LAST, why="")
                assert home.events.forget(ID) == 4 + 1 + 1
                assert FraudStore(home.state_store).erase(ID) > 0
            stream.process(HighAmounts(), limit=100)
        scored[name] = FraudStore(home.state_store).scored(LAST, LAST + timedelta(days=30)).to_pylist()
    assert scored["forgotten"][-1]["transaction_id"] == 20_003
    assert scored["forgotten"][-1] == scored["never there"][-1]


def test_a_worker_and_a_publisher_do_not_bring_the_entity_back(parts: Parts, tmp_path: Path) -> None:
    """Both go on the whole time; the worker held events of the entity, and histories with its payments in memory."""
    home, stop, begun, sent = tmp_path / "home", Flag(), Flag(), list[int]()

    def publishing() -> None:
        events = opened(home).events
        while not stop.is_set():
            numbers = range(100 + 3 * len(sent), 103 + 3 * len(sent))
            sent.append(events.publish([payment(n, (ID, *OTHERS)[n % 3], amount=10.0) for n in numbers]))
            time.sleep(0.01)

    def working() -> int:
        stream, dropped = worker(opened(home)), 0
        while not stop.is_set() or parts.events.backlog(GROUP):
            dropped += stream.process(HighAmounts(), limit=7, wait_seconds=0.01).forgotten
            begun.set()
        return dropped

    with ThreadPoolExecutor(2) as pool:
        publisher, runner = pool.submit(publishing), pool.submit(working)
        try:
            begun.wait(60)
            record = forgotten(parts, tmp_path)
            until = len(sent) + 5
            while len(sent) < until and not publisher.done():
                time.sleep(0.001)
        finally:
            stop.set()
        publisher.result()
        assert runner.result() > 0, "what was published afterwards was dropped"
    assert record.places["stream: fraud"].rows > 0
    assert FraudStore(parts.state_store).erase(ID) == 0
    numbers = [*range(12), *range(20, 29), *range(100, 100 + sum(sent))]
    scored = FraudStore(parts.state_store).scored(FIRST, LAST + timedelta(days=30))["transaction_id"].to_pylist()
    assert scored == [n for n in numbers if n % 3 != numbers[0] % 3]
    parts.events.delete_group("other")
    parts.events.prune(before=datetime.now(UTC) + timedelta(hours=1))
    parts.events.forget("nobody")
    assert places_with(home, ID) == []


class Renamed(FakeSource):
    """A source whose files call the customer something else, or do not have the column at all."""

    names: dict[str, str] = {}  # noqa: RUF012

    def original_names(self, table: str) -> dict[str, str]:
        return self.names


@pytest.mark.parametrize(
    ("original", "names", "goes"),
    [
        ('{"CustomerID":17850,"q":0}', {"customer_id": "CustomerID"}, True),
        ('{"CustomerID": 17850.0}', {"customer_id": "CustomerID"}, True),
        ('{"CustomerID": "17850"}', {"customer_id": "CustomerID"}, True),
        ('{"CustomerID": 178500, "q": 17850}', {"customer_id": "CustomerID"}, False),
        ('{"CustomerID": "x17850", "q": "17850"}', {"customer_id": "CustomerID"}, False),
        ('{"said": "\\"CustomerID\\":17850", "CustomerID": 1}', {"customer_id": "CustomerID"}, False),
        ('{"who": 17850, "q": 0}', {}, True),
        ('{"who": [17850], "q": 0}', {}, True),
        ('{"who": 117850, "q": 0}', {}, False),
        ('{"customer_id": 1, "q": 17850}', {}, False),
        ("17850;a broken line", {}, True),
        ("117850;a broken line", {}, False),
        (None, {}, False),
    ],
)
def test_refused_rows_are_found_by_what_their_source_calls_the_customer(
    parts: Parts, original: str | None, names: dict[str, str], goes: bool
) -> None:
    source = Renamed({"orders": raw_rows("orders", [])}, FIRST)
    source.names = names
    refused = {"delivered_on": NEXT, "key": None, "reasons": ["x"], "original": original, "run_id": "r"}
    schema = parts.lake.scan("quarantine_orders").schema
    table = pa.Table.from_pylist([refused], schema=schema)
    parts.lake.replace("quarantine_orders", table, by="delivered_on", first=NEXT, last=NEXT)
    found = survey(parts.lake, source, "customer", "17850")
    assert found == ({"quarantine_orders": 1} if goes else {})


@pytest.mark.parametrize("id", ['o\'neil "x" \\ ü', "a.c", "17850", "-3", "(", "[a-z]"])
def test_any_id_can_be_forgotten(parts: Parts, tmp_path: Path, id: str) -> None:
    lines = [line("1", id, FIRST), line("2", id, FIRST, quantity=0), line("3", "abc", FIRST, quantity=0)]
    source = FakeSource({"orders": raw_rows("orders", lines)}, FIRST)
    other = replace(parts, lake=DeltaLake(str(tmp_path / "lake")), source=source)
    ingest("orders", source, other.lake, FIRST, CONFIG, "r")
    assert survey(other.lake, source, "customer", id) == {"orders": 1, "quarantine_orders": 1}
    record, _ = forget(other, tmp_path / "home", "customer", id, **ABOUT)
    assert [json.loads(row["original"])["customer_id"] for row in rows(other.lake, "quarantine_orders")] == ["abc"]
    assert record.places["lake: orders"] == Place(rows=1, days=1)


def test_a_trace_in_a_file_of_another_tool_is_reported(parts: Parts, tmp_path: Path) -> None:
    log = tmp_path / "home" / "dagster" / "event.log"
    log.parent.mkdir()
    log.write_text(f"row 7 is {ID!r} where another was expected")
    copied = tmp_path / "home" / "cache" / "orders.parquet"
    copied.parent.mkdir()
    pq.write_table(pa.table({"who": [ID, "x", None], "n": [1, 2, 3]}), copied)
    remains = "\n".join(forgotten(parts, tmp_path).remains)
    assert "dagster/event.log holds the id's characters 1 times" in remains
    assert "cache/orders.parquet holds the id's characters 1 times" in remains


def test_a_writer_that_knows_no_tombstones_is_found_out(parts: Parts, tmp_path: Path) -> None:
    """Rows that come back between removal and proof: then there is no proof, and the next attempt goes on."""

    class BroughtBack(DeltaLake):
        def leave_tombstone(self, entity: str, id: str, *, day: date, why: str) -> Tombstone:
            return super().leave_tombstone(entity, id + " of somebody else", day=day, why=why)

        def remove(self, table: str, where: pc.Expression, **planned: Any) -> DayRows:
            removed = super().remove(table, where, **planned)
            if table == "churn_features" and removed:
                self.replace(table, features(LAST), by="feature_date", first=LAST, last=LAST)
            return removed

    careless = replace(parts, lake=BroughtBack(str(tmp_path / "home" / "lake")))
    with pytest.raises(TesseraError, match="found again in churn_features"):
        forgotten(careless, tmp_path)
    assert [file.suffix for file in (tmp_path / "home" / "forgotten").iterdir()] == [".journal"]


ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from("abc"), st.sampled_from([0, 1, 1]), st.integers(0, 2)), max_size=12
)


@settings(max_examples=5, deadline=None)
@given(given_rows=ROWS, nights=st.lists(st.integers(0, 5), min_size=1, max_size=3), before=st.integers(0, 2))
def test_forgotten_at_any_moment_ends_as_if_never_here(
    given_rows: list[tuple[int, str, int, int]], nights: list[int], before: int
) -> None:
    lines = [
        line(
            f"{who}{number}",
            who,
            FIRST + timedelta(days=day - late),
            delivered_on=FIRST + timedelta(days=day),
            quantity=n,
        )
        for number, (day, who, n, late) in enumerate(given_rows)
    ]
    with TemporaryDirectory() as folder:
        ours = replace(opened(Path(folder)), source=FakeSource({"orders": raw_rows("orders", lines)}, FIRST))
        ours.feature_store.file.write_text("{}")
        never = FakeSource({"orders": raw_rows("orders", [row for row in lines if row["customer_id"] != "a"])}, FIRST)
        fresh = DeltaLake(f"{folder}/fresh")
        for number, day in enumerate(nights):
            if number == before:
                forget(ours, Path(folder), "customer", "a", **ABOUT)
            ingest("orders", ours.source, ours.lake, FIRST + timedelta(days=day), CONFIG, "r")
            ingest("orders", never, fresh, FIRST + timedelta(days=day), CONFIG, "r")
        if before >= len(nights):
            forget(ours, Path(folder), "customer", "a", **ABOUT)
        for table in ("orders", "quarantine_orders", "ingested_orders"):
            assert rows(ours.lake, table) == rows(fresh, table)


def _ticket(number: int, customer: str | None, day: date) -> dict[str, Any]:
    at = datetime.combine(day, datetime.min.time(), UTC)
    found = {"ticket_id": f"tick-{number:03d}", "customer_id": customer, "channel": "mail", "opened_at": at}
    return {**found, "text": "My parcel is late.", "order_id": None, "delivered_on": day}


def _label(number: int, day: date, **change: Any) -> dict[str, Any]:
    at = datetime.combine(day, datetime.min.time(), UTC)
    found = {"ticket_id": f"tick-{number:03d}", "intent": "delivery", "urgent": None, "handed_off": None}
    return {**found, "article_id": "kb-1", "labelled_at": at, "delivered_on": day, **change}


def test_labels_of_a_forgotten_customers_tickets_go_and_do_not_come_back(filled: Path, tmp_path: Path) -> None:
    home = copytree(filled, tmp_path / "home")
    owner = {1: ID, 2: OTHERS[0], 3: None, 4: ID}
    tickets = [_ticket(number, customer, FIRST) for number, customer in owner.items()]
    labels = [_label(number, day) for number in owner for day in (FIRST, LAST)]
    broken = [_label(number, FIRST, intent="") for number in owner]
    late = [_ticket(5, ID, NEXT), _ticket(6, OTHERS[1], NEXT)]
    later = [_label(number, NEXT) for number in (1, 2, 5, 6)]
    tables = {
        "tickets": raw_rows("tickets", [*tickets, *late]),
        "ticket_labels": raw_rows("ticket_labels", [*broken, *labels, *later]),
    }
    parts = replace(opened(home), source=FakeSource(tables, FIRST))
    for table in tables:
        ingest(table, parts.source, parts.lake, LAST, CONFIG, "night")
    proof, _ = forget(parts, home, "customer", ID, **ABOUT)
    assert proof.places["lake: ticket_labels"].rows == 4, "two tickets, labelled twice"
    assert proof.places["lake: quarantine_ticket_labels"].rows == 2
    assert proof.searched["tables of the lake that name by ticket_id what is the customer's"] == [
        "ticket_labels",
        "tickets",
    ]
    assert [places_with(home, f"tick-00{number}") for number in (1, 4)] == [[], []]
    for table in tables:
        ingest(table, parts.source, parts.lake, NEXT, CONFIG, "next night")
    assert [places_with(home, f"tick-00{number}") for number in (1, 4, 5)] == [[], [], []], "also a ticket of later"
    kept = parts.lake.scan("ticket_labels").to_table()["ticket_id"].to_pylist()
    assert sorted(kept) == [f"tick-00{n}" for n in (2, 2, 2, 3, 3, 6)], "others keep theirs"
    again, _ = forget(parts, home, "customer", ID, **ABOUT)
    assert again.places["lake: ticket_labels"].rows == 0


def _view(number: int, session: str, customer: str | None, day: date) -> dict[str, Any]:
    at = datetime.combine(day, datetime.min.time(), UTC) + timedelta(minutes=number)
    found = {"event_id": f"e{day}-{number}", "session_id": session, "customer_id": customer, "product_id": "p1"}
    return {**found, "kind": "view", "position": None, "at": at, "delivered_on": day}


def test_a_visit_goes_from_before_the_login_on_and_does_not_come_back(filled: Path, tmp_path: Path) -> None:
    home = copytree(filled, tmp_path / "home")
    seen = (("visit-1", None), ("visit-1", ID), ("visit-1", OTHERS[0]), ("visit-2", None), ("visit-2", OTHERS[0]))
    views = [_view(n, visit, customer, day) for day in (LAST, NEXT) for n, (visit, customer) in enumerate(seen)]
    late = [_view(7, "visit-1", None, NEXT), _view(8, "visit-3", ID, NEXT), _view(9, "visit-3", "NULL", NEXT)]
    parts = replace(opened(home), source=FakeSource({"sessions": raw_rows("sessions", [*views, *late])}, FIRST))
    ingest("sessions", parts.source, parts.lake, LAST, CONFIG, "night")
    proof, _ = forget(parts, home, "customer", ID, **ABOUT)
    assert proof.places["lake: sessions"] == Place(rows=2, days=1), "theirs, and the one before they logged in"
    of_others = [("visit-1", OTHERS[0]), ("visit-2", None), ("visit-2", OTHERS[0])]
    for times in (1, 2):
        kept = rows(parts.lake, "sessions")
        assert sorted((row["session_id"], row["customer_id"] or "") for row in kept) == sorted(
            (visit, customer or "") for visit, customer in of_others * times
        )
        ingest("sessions", parts.source, parts.lake, NEXT, CONFIG, "next night")
    assert "visit-3" not in str(rows(parts.lake, "quarantine_sessions"))
