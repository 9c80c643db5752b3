"""A small home without Feast and MLflow, in which one customer stands everywhere; for tests of forgetting."""

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from assets.fraud.notifications import notify_alert
from assets.fraud.stream.context import Seed
from assets.fraud.stream.processor import FraudProcessor
from assets.maintenance.erasure import Parts
from assets.stages.ingestion.run import ingest
from models.events import Event
from models.features.fraud_definitions import FEATURES
from models.fraud.event_parsing import PAYMENT, PaymentLimits
from models.ingestion import IngestionConfig
from resources.conformance.score_sets import APP, audit_and_publish, publication, reader, score_rows
from resources.events.sqlite_events import SqliteEventsConfig
from resources.feature_store.port import ErasableFeatureStore
from resources.health import Health
from resources.lake.delta import DeltaLake
from resources.lake.port import Lake
from resources.notifier.log import LogNotifier
from resources.registry.fake import FolderRegistry
from resources.sink.delta_sink import DeltaSink
from resources.source.fake import FakeSource, raw_rows
from resources.state_store.sqlite_state_store import SqliteStateStore
from resources.vectors.qdrant_edge import QdrantEdgeConfig
from tests.fraud_store import FraudStore

FIRST = date(2026, 1, 1)
LAST = date(2026, 1, 6)
#: Who is forgotten, and how many rows there are of each customer in `orders`.
ID, OTHERS, LINES = "c000003", ("c000001", "c000002"), 6
CONFIG = IngestionConfig(history_days=30, redelivery_days=2)


class OnlineFile(ErasableFeatureStore):
    """The online side of a feature store, as one JSON file: view -> ids. It forgets, and that is all it does."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def apply(self) -> Sequence[str]:
        return []

    def forget(self, entity: str, id: str) -> Mapping[str, int]:
        standing = json.loads(self.file.read_text())
        self.file.write_text(
            json.dumps({view: [known for known in ids if known != id] for view, ids in standing.items()})
        )
        return {view: ids.count(id) for view, ids in standing.items()}

    def _joins(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("this test double joins and serves nothing")

    historical = materialize = online = _joins

    def check(self) -> Health:
        return Health(True, "a file")


def line(key: str, customer: Any, day: date, **change: Any) -> dict[str, Any]:
    """An order line as a source delivers it."""
    return {
        "order_line_id": key,
        "order_id": f"order-{key}",
        "customer_id": customer,
        "product_id": "p1",
        "ordered_at": datetime.combine(day, datetime.min.time(), UTC),
        "quantity": 1,
        "unit_price": 10.0,
        "currency": "EUR",
        "country": "Spain",
        "is_return": False,
        "delivered_on": day,
        **change,
    }


def person(customer: str, day: date) -> dict[str, Any]:
    """A customer as a source delivers it."""
    known = {"customer_id": customer, "country": "Spain", "signed_up_on": day, "email": f"{customer}@example.com"}
    return known | {"delivered_on": day}


def deliveries(last: date = LAST) -> dict[str, pa.Table]:
    """Good lines, late ones, copies and refused ones, of three customers and of no one."""
    lines: list[dict[str, Any]] = []
    for number in range((last - FIRST).days + 1):
        day = FIRST + timedelta(days=number)
        for customer in (ID, *OTHERS):
            key = f"{customer[-1]}-{number}"
            lines += [
                line(key, customer, day),
                line(key, customer, day),
                line(f"{key}-zero", customer, day, quantity=0),
            ]
        lines.append(line(f"nobody-{number}", None, day))
        lines.append(line(f"3-{number}-late", ID, day - timedelta(days=1), delivered_on=day))
    people = [person(customer, FIRST) for customer in (ID, *OTHERS)]
    return {"orders": raw_rows("orders", lines), "customers": raw_rows("customers", [*people, person(ID, LAST)])}


def opened(folder: Path, last: date = LAST) -> Parts:
    """The parts of a home, whatever is in it."""
    return Parts(
        DeltaLake(str(folder / "lake")),
        OnlineFile(folder / "online.json"),
        FolderRegistry(folder / "models"),
        DeltaSink(str(folder / "scores"), rows_per_file=2),
        FakeSource(deliveries(last), FIRST),
        SqliteEventsConfig(path=str(folder / "events.db")).open(),
        (state := SqliteStateStore(folder / "streams.db")),
        state,
        LogNotifier(folder / "notices.jsonl"),
        QdrantEdgeConfig(path=str(folder / "vectors")).open(),
    )


def night(parts: Parts, day: date) -> None:
    """What a night ingests."""
    for table in ("customers", "orders"):
        ingest(table, parts.source, parts.lake, day, CONFIG, "night")


def features(day: date, customers: Sequence[str] = (*OTHERS, ID)) -> pa.Table:
    """Features of a day, ascending by customer."""
    moment = datetime.combine(day, datetime.max.time(), UTC)
    rows = [
        {"customer_id": id, "feature_date": day, "event_timestamp": moment, "recency_days": 1.0} for id in customers
    ]
    types = [pa.string(), pa.date32(), pa.timestamp("us", "UTC"), pa.float64()]
    return pa.Table.from_pylist(rows, schema=pa.schema(list(zip(rows[0], types, strict=True))))


def training_rows(as_of: date, customers: Sequence[str]) -> pa.Table:
    """A training set of one cut-off."""
    rows = features(as_of, customers).rename_columns(["customer_id", "as_of", "event_timestamp", "recency_days"])
    return rows.append_column("churned", pa.array([0] * rows.num_rows, pa.int8()))


class HighAmounts:
    """A model of payments for which only the amount counts."""

    version, threshold = "formula", 0.5

    def scores(self, rows: Sequence[Sequence[float]]) -> Sequence[float]:
        return [min(row[FEATURES.index("amount")] / 1000, 1.0) for row in rows]

    def reasons(self, row: Sequence[float]) -> dict[str, float]:
        return {"amount": row[FEATURES.index("amount")]}


class LakeStones:
    """Context of a stream in which only erased customers are known."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def before(self, micros: int, *, days: float) -> Seed:
        return Seed((), ())

    def forgotten(self) -> Container[str]:
        return self._lake.forgotten("customer")

    def registered(self) -> Container[str]:
        return ()


def payment(number: int, customer: str, *, amount: float | str = 900.0) -> Event:
    """A payment at one of two terminals, one a minute."""
    at = datetime.combine(LAST, datetime.min.time(), UTC) + timedelta(minutes=number)
    data = {"transaction_id": number, "customer_id": customer, "terminal_id": f"t{number % 2}", "amount": amount}
    return Event(id=f"{customer}/{number}", source="/payments", type=PAYMENT, time=at, subject=customer, data=data)


def worker(parts: Parts) -> FraudProcessor:
    """A worker of the payment stream."""
    return FraudProcessor(parts.events, FraudStore(parts.state_store), PaymentLimits(), context=LakeStones(parts.lake))


def _stream(parts: Parts) -> None:
    """A stream that ran, with events that were refused, that somebody holds, and that no one has read yet."""
    customers = (ID, *OTHERS)
    parts.events.publish([payment(number, customers[number % 3]) for number in range(12)])
    parts.events.publish([payment(number, customers[number % 3], amount="?") for number in range(12, 15)])
    for alert in worker(parts).process(HighAmounts(), limit=1000).alerts:
        notify_alert(parts.notifier, alert)
        FraudStore(parts.state_store).answer(alert.alert_id, "fraud", who="ana", at=datetime(2026, 1, 7, tzinfo=UTC))
    for customer in customers:
        parts.events.reject_body(f'{{"subject": "{customer}", "da', "no JSON")
    parts.events.publish([payment(number, customers[number % 3]) for number in range(20, 29)])
    parts.events.read("other", limit=5)


def fill(folder: Path) -> Parts:
    """A home with everything: nights, features, two models (one learned from ID), scores of two days, a stream."""
    folder.mkdir(parents=True)
    parts = opened(folder)
    night(parts, LAST)
    parts.feature_store.file.write_text(json.dumps({"churn_customer": [ID, *OTHERS]}))
    for day in (FIRST, LAST):
        parts.lake.replace("churn_features", features(day), by="feature_date", first=day, last=day)
        customers = (*OTHERS, ID) if day == LAST else OTHERS
        rows = training_rows(day, customers)
        parts.lake.replace("churn_training_set", rows, by="as_of", first=day, last=day)
        _publish(parts, day)
    parts.sink.unpublish(APP, FIRST, why="", who="")
    package = folder / "package"
    package.mkdir()
    (package / "manifest.json").write_text("{}")
    for tags in ({"as_of": FIRST.isoformat()}, {"as_of": LAST.isoformat()}, {}, {"as_of": "2025-06-01"}):
        parts.registry.register(APP, package, parameters={}, metrics={}, tags={**tags, "gate": "passed"}, report="")
    champion = {"action": "promote", "why": "", "who": "", "run_id": "", "metrics": {}}
    parts.registry.set_champion(APP, "2", **champion)
    _stream(parts)
    return parts


def _publish(parts: Parts, day: date) -> None:
    rows = score_rows([0.1, 0.2, 0.3, 0.4, 0.5])  # c000000 to c000004
    parts.sink.write_attempt(APP, day, "a1", reader(rows))
    audit_and_publish(parts.sink, publication("a1", rows, day=day))


def places_with(folder: Path, id: str) -> list[str]:
    """Every file below `folder` that holds the id: Parquet value by value, whether a table names it or not."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return [file.relative_to(folder).as_posix() for file in files if any(id in text for text in _texts(file))]


def _texts(file: Path) -> Iterator[str]:
    if file.suffix == ".parquet":
        table = pq.ParquetFile(file).read()
        yield from (str(value) for column in table.columns for value in column.to_pylist())
        yield str(table.schema)
    else:
        yield file.read_bytes().decode("latin-1")


def state(parts: Parts) -> dict[str, Any]:
    """Everything that can be seen of a home, but for times."""
    tables = {name: parts.lake.scan(name).to_table().to_pylist() for name in parts.lake.tables()}
    history = [
        (record.action, record.was, record.attempt, record.rows, record.digest)
        for day in (FIRST, LAST)
        for record in parts.sink.history(APP, day)
    ]
    scores = {day: parts.sink.scores(APP, day)[1].read_all().to_pylist() for day in parts.sink.published_days(APP)}
    alerts, heard = (
        FraudStore(parts.state_store).find("fraud", FIRST, LAST),
        FraudStore(parts.state_store).feedback("fraud", FIRST, date(2026, 1, 7)),
    )
    stream = [alerts, heard, FraudStore(parts.state_store).scored(FIRST, LAST).to_pylist()]
    queue = {group: parts.events.backlog(group) for group in (*parts.events.groups(), "new")}
    letters = [letter.body for letter in parts.events.dead_letters()]
    return {
        "tables": tables,
        "history": history,
        "scores": scores,
        "online": parts.feature_store.file.read_text(),
        "stream": stream,
        "events": (queue, letters),
        "notices": (parts.notifier._path).read_text(),
    }
