"""Whatever the order of days, late rows, copies, corrections and holes: ingestion ends in the same tables."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.stages.ingestion import run as ingestion
from assets.stages.ingestion.completeness_log import DayCounts, complete_days
from assets.stages.ingestion.run import Ingested, days_to_read, ingest, runs_of
from models.contracts import ORDERS, QUARANTINE_SCHEMA
from models.errors import TesseraError
from models.ingestion import IngestionConfig
from resources.lake.delta import DeltaLake
from resources.lake.port import Lake
from resources.source.fake import FakeSource, raw_rows

FIRST = date(2024, 1, 30)
CONFIG = IngestionConfig()
NARROW = IngestionConfig(history_days=2)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def line(key: str, delivered: int, **change: Any) -> dict[str, Any]:
    at = datetime.combine(day(delivered), datetime.min.time(), UTC) + timedelta(hours=9)
    return {
        "order_line_id": key,
        "order_id": f"order-{key}",
        "customer_id": "c1",
        "product_id": "p1",
        "ordered_at": at,
        "quantity": 1,
        "unit_price": 10.0,
        "currency": "EUR",
        "country": "Spain",
        "is_return": False,
        "delivered_on": day(delivered),
        **change,
    }


def product(name: str, delivered: int, price: float = 10.0) -> dict[str, Any]:
    listed = {"product_id": name, "category": "toys", "list_price": price, "currency": "EUR"}
    return {**listed, "delivered_on": day(delivered)}


def source(lines: Sequence[dict[str, Any]], products: Sequence[dict[str, Any]] | None = None) -> FakeSource:
    tables = {"orders": raw_rows("orders", lines)}
    if products is not None:
        tables["products"] = raw_rows("products", products)
    return FakeSource(tables, FIRST)


def run(source: FakeSource, lake: Lake, number: int, config: IngestionConfig = CONFIG, run_id: str = "r") -> Ingested:
    if "products" in source.tables():
        ingest("products", source, lake, day(number), config, run_id)
    return ingest("orders", source, lake, day(number), config, run_id)


def kept(lake: Lake) -> list[tuple[str, date, int]]:
    rows = lake.scan("orders").to_table().to_pylist()
    return sorted((row["order_line_id"], row["delivered_on"], row["quantity"]) for row in rows)


def tables(lake: Lake) -> dict[str, pa.Table]:
    """Everything ingestion wrote, but for the run that first refused a row."""
    return {
        "orders": lake.scan("orders").to_table(),
        "quarantine": lake.scan("quarantine_orders").to_table().drop_columns(["run_id"]),
        "record": lake.scan("ingested_orders").to_table(),
    }


def same(left: Lake, right: Lake) -> bool:
    mine, others = tables(left), tables(right)
    return all(mine[name].equals(others[name]) for name in mine)


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLake:
    return DeltaLake(str(tmp_path / "lake"))


@pytest.fixture
def other(tmp_path: Path) -> DeltaLake:
    return DeltaLake(str(tmp_path / "other"))


class TestDaysToRead:
    def numbers(self, days: Iterable[date]) -> list[int]:
        return sorted((d - FIRST).days for d in days)

    def read(self, lake: Lake, number: int, config: IngestionConfig = CONFIG) -> list[int]:
        start = max(FIRST, day(number - config.history_days))
        return self.numbers(days_to_read(ORDERS, lake, start, day(number), config))

    def test_an_empty_home_reads_everything(self, lake: DeltaLake) -> None:
        assert self.read(lake, 9) == list(range(10))

    def test_an_empty_home_reads_the_history_that_is_asked_for(self, lake: DeltaLake) -> None:
        assert self.read(lake, 9, IngestionConfig(history_days=2)) == [7, 8, 9]
        assert self.read(lake, 9, IngestionConfig(history_days=2, redelivery_days=9)) == [7, 8, 9]

    def test_a_register_is_read_from_the_first_day(self, lake: DeltaLake) -> None:
        ingest("customers", FakeSource({"customers": raw_rows("customers", [])}, FIRST), lake, day(9), NARROW, "r")
        assert self.numbers(complete_days(lake, "customers")) == list(range(10))

    def test_a_night_reads_the_newest_days_again(self, lake: DeltaLake) -> None:
        run(source([]), lake, 8)
        assert self.read(lake, 9) == [7, 8, 9]
        assert self.read(lake, 9, IngestionConfig(redelivery_days=1)) == [9]
        assert self.read(lake, 6) == [4, 5, 6]

    def test_a_gap_is_filled(self, lake: DeltaLake) -> None:
        run(source([]), lake, 3)
        assert self.read(lake, 9) == [4, 5, 6, 7, 8, 9]

    def test_days_without_rows_are_not_missing_for_ever(self, lake: DeltaLake) -> None:
        run(source([line("a", 0)]), lake, 9)
        assert list(lake.days("orders")) == [day(0)]
        assert self.read(lake, 9) == [7, 8, 9]

    def test_a_day_before_the_first_is_refused(self, lake: DeltaLake) -> None:
        with pytest.raises(TesseraError, match="2024-01-29 is before the source's first day"):
            run(source([]), lake, -1)


def test_runs_of_days_are_unbroken() -> None:
    assert runs_of([day(5), day(1), day(2), day(4), day(9)]) == [(day(1), day(2)), (day(4), day(5)), (day(9), day(9))]
    assert runs_of([]) == []


def test_what_was_done_is_counted(lake: DeltaLake) -> None:
    lines = [
        line("a", 0),
        line("a", 1),
        line("b", 1, unit_price=0.0, customer_id=None),
        line("c", 2, ordered_at=datetime(2024, 1, 30, 12, tzinfo=UTC)),
    ]
    report = run(source(lines), lake, 2)
    assert (report.days, report.rows_in, report.rows_kept, report.rows_quarantined, report.rows_late) == (3, 4, 2, 2, 1)
    assert report.reasons == {
        "order_line_id was delivered before": 1,
        "unit_price is not > 0": 1,
        "customer_id is missing": 1,
    }
    assert report.share == report.share_of_window == 0.5
    assert complete_days(lake, "orders") == {day(0): DayCounts(1, 0), day(1): DayCounts(0, 2), day(2): DayCounts(1, 0)}


def test_running_again_is_no_way_past_the_limit(lake: DeltaLake) -> None:
    bad = [line(f"b{n}", 0, quantity=0) for n in range(5)]
    good = [line(f"g{n}", 9) for n in range(5)]
    config = IngestionConfig(max_quarantined_share=0.4)
    assert run(source(bad + good), lake, 9).breaks(config)
    again = run(source(bad + good), lake, 9)
    assert (again.share, again.share_of_window) == (0.0, 0.5)
    assert again.breaks(config)
    assert not again.breaks(IngestionConfig(max_quarantined_share=0.5))


def test_a_table_the_source_does_not_provide_is_no_failure(lake: DeltaLake) -> None:
    report = ingest("products", source([]), lake, day(3), CONFIG, "r")
    assert (report.provided, report.rows_in) == (False, 0)
    assert not lake.exists("products")


def test_an_unknown_table_is_refused(lake: DeltaLake) -> None:
    with pytest.raises(TesseraError, match="did you mean 'orders'"):
        ingest("ordes", source([]), lake, day(3), CONFIG, "r")


def test_a_second_run_writes_nothing(lake: DeltaLake) -> None:
    data = source([line("a", 0), line("b", 1, quantity=0), line("a", 1)])
    run(data, lake, 1, run_id="one")
    before = [lake.version(table) for table in ("orders", "quarantine_orders")]
    run(data, lake, 1, run_id="two")
    assert [lake.version(table) for table in ("orders", "quarantine_orders")] == before
    assert set(lake.scan("quarantine_orders").to_table()["run_id"].to_pylist()) == {"one"}


def test_only_newly_refused_rows_carry_the_new_run(lake: DeltaLake) -> None:
    data = source([line("a", 0, quantity=0)])
    run(data, lake, 0, run_id="one")
    data.rows["orders"] = raw_rows("orders", [line("a", 0, quantity=0)] * 2 + [line("b", 0, quantity=0)])
    run(data, lake, 0, run_id="two")
    refused = lake.scan("quarantine_orders").to_table()
    assert refused.schema.equals(QUARANTINE_SCHEMA)
    assert sorted(zip(refused["key"].to_pylist(), refused["run_id"].to_pylist(), strict=True)) == [
        ("a", "one"),
        ("a", "two"),
        ("b", "two"),
    ]


def test_bulk_ingestion_writes_few_commits(lake: DeltaLake) -> None:
    run(source([line(f"k{n}", n) for n in range(300)]), lake, 299)
    assert lake.version("orders") <= 2
    assert len(kept(lake)) == 300


def test_a_large_history_is_read_in_bounded_steps(lake: DeltaLake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion, "CHUNK_ROWS", 40)
    read: list[int] = []

    class Watched(FakeSource):
        def read(self, table: str, first: date, last: date) -> pa.RecordBatchReader:
            rows = super().read(table, first, last).read_all()
            read.append(rows.num_rows)
            return rows.to_reader()

    lines = [line(f"k{n}", n // 5) for n in range(150)]
    report = run(Watched({"orders": raw_rows("orders", lines)}, FIRST), lake, 29)
    assert report.rows_in == sum(read) == 150
    assert max(read) == 40


class TestConvergence:
    def test_a_late_row_stands_on_the_day_it_was_delivered(self, lake: DeltaLake) -> None:
        late = line("late", 5, ordered_at=datetime(2024, 1, 31, 12, tzinfo=UTC))
        run(source([line("a", 1)]), lake, 2)
        run(source([line("a", 1), late]), lake, 5)
        assert kept(lake) == [("a", day(1), 1), ("late", day(5), 1)]

    def test_a_corrected_day_is_replaced(self, lake: DeltaLake) -> None:
        run(source([line("a", 3, quantity=1), line("gone", 3)]), lake, 3)
        run(source([line("a", 3, quantity=7), line("new", 3)]), lake, 4)
        assert kept(lake) == [("a", day(3), 7), ("new", day(3), 1)]

    def test_days_before_those_in_the_lake_take_over_the_keys_they_delivered_first(
        self, lake: DeltaLake, other: DeltaLake
    ) -> None:
        data = source([line("a", 0), line("a", 30, quantity=2), line("b", 30), line("a", 40, quantity=3)])
        narrow = IngestionConfig(history_days=15)
        run(data, lake, 40, narrow)
        assert ("a", day(30), 2) in kept(lake)
        run(data, lake, 10)
        run(data, lake, 40)
        run(data, other, 40)
        assert kept(lake) == [("a", day(0), 1), ("b", day(30), 1)]
        assert same(lake, other)

    def test_a_key_that_is_withdrawn_gives_way_to_its_next_delivery(self, lake: DeltaLake, other: DeltaLake) -> None:
        copy = line("a", 20, quantity=2)
        run(source([line("a", 3), copy]), lake, 20)
        withdrawn = source([copy])
        run(withdrawn, lake, 4)
        run(withdrawn, other, 20)
        assert kept(lake) == [("a", day(20), 2)]
        assert same(lake, other)

    def test_a_hole_in_the_middle_is_filled(self, lake: DeltaLake, other: DeltaLake) -> None:
        data = source([line(f"k{n % 7}", n) for n in range(30)])
        narrow = IngestionConfig(history_days=2)
        run(data, lake, 5, narrow)
        run(data, lake, 20, narrow)
        run(data, lake, 29)
        run(data, other, 29)
        assert same(lake, other)

    def test_a_product_is_known_from_the_day_it_was_delivered(self, lake: DeltaLake) -> None:
        cents = [line(f"k{n}", n, unit_price=1000.0) for n in (2, 3, 4)]
        run(source(cents, [product("p1", 3)]), lake, 4)
        assert kept(lake) == [("k2", day(2), 1)]

    def test_prices_known_before_the_history_judge_it_in_every_home(self, lake: DeltaLake, other: DeltaLake) -> None:
        data = source([line("a", 20, unit_price=1000.0)], [product("p1", 0)])
        run(data, lake, 20, IngestionConfig(history_days=2))
        run(data, other, 20)
        assert kept(lake) == kept(other) == []


ROW = st.tuples(
    st.integers(0, 7), st.sampled_from("abcd"), st.sampled_from([0, 1, 2]), st.sampled_from([0, 0, 3]), st.booleans()
)


def expected(rows: list[dict[str, Any]], ingested: set[date], known: dict[str, date]) -> Counter[str]:
    """Which deliveries stand, worked out one row at a time: the first sound one of each key."""
    standing: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row["delivered_on"]):
        listed = known.get(row["product_id"], date.max) <= row["delivered_on"]
        sound = row["quantity"] != 0 and row["ordered_at"].date() <= row["delivered_on"]
        if row["delivered_on"] in ingested and sound and not (listed and row["unit_price"] > 100):
            standing.setdefault(row["order_line_id"], row["order_id"])
    return Counter(standing.values())


@settings(max_examples=5, deadline=None)
@given(
    rows=st.lists(ROW, max_size=14),
    listed_on=st.integers(0, 7),
    nights=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 8)), min_size=1, max_size=4),
)
def test_any_rows_in_any_order_of_nights(
    rows: list[tuple[int, str, int, int, bool]], listed_on: int, nights: list[tuple[int, int]]
) -> None:
    lines = [
        line(key, delivered, quantity=quantity, order_id=f"o{n}", unit_price=1000.0 if cents else 10.0)
        | {"ordered_at": datetime.combine(day(delivered - back), datetime.max.time(), UTC)}
        for n, (delivered, key, quantity, back, cents) in enumerate(rows)
    ]
    data = source(lines, [product("p1", listed_on)])
    ingested: set[date] = set()
    with TemporaryDirectory() as folder:
        lake = DeltaLake(folder)
        for night, history in nights:
            run(data, lake, night, IngestionConfig(history_days=history, redelivery_days=2))
            ingested |= {day(n) for n in range(max(0, night - history), night + 1)}
            found = lake.scan("orders").to_table()["order_id"].to_pylist()
            assert Counter(found) == expected(lines, ingested, {"p1": day(listed_on)})
            refused = lake.scan("quarantine_orders").to_table()["original"].to_pylist()
            told = found + [json.loads(original)["order_id"] for original in refused]
            assert sorted(told) == sorted(row["order_id"] for row in lines if row["delivered_on"] in ingested)
        assert complete_days(lake, "orders").keys() == ingested
