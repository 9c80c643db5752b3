"""The tests of the source port."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from typing import ClassVar

import pyarrow as pa
import pytest

from models.contracts import CONTRACTS, DELIVERED_ON, ORIGINAL
from models.errors import TesseraError
from resources.conformance.suite import Conformance
from resources.source.port import ARRIVAL, LATE, Source
from resources.source.simulated import SimulatedSourceConfig
from resources.source.units import Slice, Units

# pyarrow has no static types.
# pyright: basic

FIRST = date(2024, 3, 1)
MIDDLE = FIRST + timedelta(days=8)
LAST = FIRST + timedelta(days=13)

#: Opens a source that holds deliveries up to a day.
Opener = Callable[[date], Source]


@cache
def orders(last: date) -> pa.Table:
    """Return some orders delivered on each day from `FIRST` to `last`, by day: the columns of the contract, then
    `delivered_on` and `_original`.
    """
    shop = SimulatedSourceConfig(customers=150, first_day=FIRST.isoformat(), seed=3).open()
    return shop.read("orders", FIRST, last).read_all()


def _read(source: Source, table: str, first: date, last: date) -> pa.Table:
    return source.read(table, first, last).read_all()


class SourceConformance(Conformance):
    """The tests that every source must pass. A harness overrides the fixture `opener`.

    The source delivers `orders`, some on each day from `FIRST` on; it may deliver other contracted tables, too. An
    adapter that needs rows to deliver is given those of `orders(last)`.
    """

    port: ClassVar = "source"

    @pytest.fixture
    def opener(self) -> Opener:
        """A function that opens the source under test as it is after a day: with all deliveries from `FIRST` to it."""
        raise NotImplementedError("The harness overrides the fixture `opener`.")

    @pytest.fixture
    def source(self, opener: Opener) -> Source:
        """The source with all deliveries."""
        return opener(LAST)

    def test_provides_contracted_tables_with_orders_among_them(self, source: Source) -> None:
        assert "orders" in source.tables()
        assert source.tables() <= CONTRACTS.keys()

    def test_columns_are_those_of_the_contract_then_day_and_original(self, source: Source) -> None:
        for table in source.tables():
            schema = CONTRACTS[table].arrow_schema()
            expected = schema.append(pa.field(DELIVERED_ON, pa.date32())).append(pa.field(ORIGINAL, pa.string()))
            assert source.read(table, FIRST, FIRST).schema == expected

    def test_the_first_day_has_rows_and_no_day_before_it_has_any(self, source: Source) -> None:
        assert source.first_day() == FIRST
        assert _read(source, "orders", FIRST, FIRST).num_rows > 0
        for table in source.tables():
            assert _read(source, table, FIRST - timedelta(days=50), FIRST - timedelta(days=1)).num_rows == 0

    def test_reading_again_gives_the_same_rows_in_the_same_order(self, source: Source) -> None:
        for table in source.tables():
            assert _read(source, table, FIRST, LAST) == _read(source, table, FIRST, LAST)

    def test_another_opening_gives_the_same_rows(self, opener: Opener, source: Source) -> None:
        again = opener(LAST)
        for table in source.tables():
            assert _read(source, table, FIRST, LAST) == _read(again, table, FIRST, LAST)

    def test_days_one_by_one_are_the_range(self, source: Source) -> None:
        days = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
        for table in source.tables():
            one_by_one = pa.concat_tables([_read(source, table, day, day) for day in days])
            assert one_by_one.combine_chunks() == _read(source, table, FIRST, LAST).combine_chunks()

    def test_a_day_read_first_is_the_day_read_after_others(self, opener: Opener) -> None:
        source = opener(LAST)
        alone = _read(source, "orders", LAST, LAST)
        _read(source, "orders", FIRST, LAST)
        assert alone.num_rows > 0
        assert _read(source, "orders", LAST, LAST) == alone

    def test_later_days_do_not_change_earlier_ones(self, opener: Opener) -> None:
        before, after = opener(MIDDLE), opener(LAST)
        assert _read(before, "orders", FIRST, MIDDLE) == _read(after, "orders", FIRST, MIDDLE)

    def test_rows_are_delivered_within_the_days_asked_for_and_in_their_order(self, source: Source) -> None:
        days = _read(source, "orders", MIDDLE, LAST)[DELIVERED_ON].to_pylist()
        assert set(days) == {MIDDLE + timedelta(days=number) for number in range((LAST - MIDDLE).days + 1)}
        assert days == sorted(days)

    def test_no_days_are_no_rows(self, source: Source) -> None:
        assert _read(source, "orders", LAST, FIRST).num_rows == 0

    def test_the_original_of_every_row_is_a_json_object_that_agrees_with_what_could_be_read(
        self, source: Source
    ) -> None:
        rows = _read(source, "orders", FIRST, MIDDLE).to_pylist()
        names = source.original_names("orders")
        for row in rows:
            original = json.loads(row[ORIGINAL])
            assert str(original[names.get("order_line_id", "order_line_id")]) == row["order_line_id"]
            if row["quantity"] is not None:
                assert float(original[names.get("quantity", "quantity")]) == row["quantity"]

    def test_an_unknown_table_is_refused_with_the_known_ones(self, source: Source) -> None:
        with pytest.raises(TesseraError, match="orders"):
            source.read("order", FIRST, LAST)

    def test_units_of_delivery_cover_all_rows_or_there_are_none(self, opener: Opener) -> None:
        source = opener(LAST)
        for table in source.tables():
            units = source.units(table, [])
            if units is None:
                continue
            known = [piece.unit for piece in units.new]
            assert source.units(table, known) == Units(known, [])
            slices = [Slice(piece.unit, day, day, 1) for piece in units.new for day in piece.rows_by_day]
            found = source.read_slices(table, slices).read_all()
            assert found[ARRIVAL].unique().to_pylist() == [1]
            assert found[LATE].unique().to_pylist() == [False]
            every = _read(source, table, FIRST, LAST)
            assert found.select(every.column_names).combine_chunks() == every.combine_chunks()
            assert sum(piece.unit.rows for piece in units.new) == every.num_rows

    def test_late_slices_are_delivered_on_the_day_they_name(self, source: Source) -> None:
        if (units := source.units("orders", [])) is None:
            return
        unit = min(units.new, key=lambda piece: min(piece.rows_by_day))
        found = source.read_slices("orders", [Slice(unit.unit, FIRST, LAST, 7)]).read_all()
        assert found.num_rows == unit.rows_by_day[FIRST]
        assert found[DELIVERED_ON].unique().to_pylist() == [LAST]
        assert found[LATE].unique().to_pylist() == [True]

    def test_what_it_is_does_not_depend_on_how_much_it_holds(self, opener: Opener) -> None:
        before, after = opener(MIDDLE).identity("orders"), opener(LAST).identity("orders")
        if before is None or after is None:
            assert before == after
            return
        assert before.mapping == after.mapping
        assert {**before.source, "location": ""} == {**after.source, "location": ""}

    def test_a_sample_is_some_of_the_rows_that_are_read_and_always_the_same(self, source: Source) -> None:
        every = _read(source, "orders", FIRST, LAST)
        sample = source.sample("orders", 40)
        assert sample.schema == every.schema
        assert 0 < sample.num_rows <= 120
        assert set(sample[ORIGINAL].to_pylist()) <= set(every[ORIGINAL].to_pylist())
        assert source.sample("orders", 40) == sample

    def test_what_it_holds_is_what_reading_all_days_delivers(self, source: Source) -> None:
        for table in source.tables():
            held = source.holdings(table)
            assert held == source.holdings(table)
            if held.rows is not None:
                assert held.rows - held.excluded == _read(source, table, FIRST, LAST).num_rows
                assert held.files > 0

    def test_no_row_is_delivered_before_the_earliest_day(self, source: Source) -> None:
        assert source.earliest_day() <= source.first_day()

    def test_it_says_that_it_works(self, source: Source) -> None:
        health = source.check()
        assert health.ok, health
