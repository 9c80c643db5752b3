"""The tests of the lake port."""

import pickle
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from models.errors import TesseraError
from resources.conformance.suite import Conformance, needs
from resources.duckdb_connection import connect
from resources.lake.port import DayRows, ErasableLake, Lake, RetainedLake

# pyright: basic, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
# pyarrow has no static types, and makes the functions of `pyarrow.compute` when it is imported.

A, B, C = date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("amount", pa.float64()),
        ("flag", pa.bool_()),
        ("why", pa.list_(pa.string())),
        ("day", pa.date32()),
    ]
)


def rows(day: date, count: int, *, start: int = 0) -> pa.Table:
    """Return `count` rows of a day, with keys `k0000000`, `k0000001`... from `start` on."""
    at = datetime(2024, 2, 1, tzinfo=UTC)
    numbers = range(start, start + count)
    values = [
        {"key": f"k{n:07d}", "at": at + timedelta(microseconds=n), "amount": n / 8, "flag": n % 2 == 0, "why": [str(n)]}
        for n in numbers
    ]
    return pa.Table.from_pylist([{**value, "day": day} for value in values], schema=SCHEMA)


def all_rows(lake: Lake, table: str = "t") -> pa.Table:
    """Return the current version."""
    return lake.scan(table).to_table()


def _erasable(lake: Lake) -> ErasableLake:
    assert isinstance(lake, ErasableLake)
    return lake


def _retained(lake: Lake) -> RetainedLake:
    assert isinstance(lake, RetainedLake)
    return lake


class LakeConformance(Conformance):
    """The tests that every lake must pass. A harness overrides the fixtures `lake` and, if it can erase, `holds`."""

    port: ClassVar = "lake"

    @pytest.fixture
    def lake(self) -> Lake:
        """The lake under test, without tables."""
        raise NotImplementedError("The harness overrides the fixture `lake`.")

    @pytest.fixture
    def holds(self) -> Callable[[str], bool]:
        """A function that searches all storage of table `t`, past the lake, for a row with this text as `key`."""

        def found(key: str) -> bool:
            raise NotImplementedError(f"The harness overrides the fixture `holds`, to look for {key}.")

        return found

    def test_days_written_one_after_the_other_all_stand(self, lake: Lake) -> None:
        lake.replace("t", rows(A, 3), by="day", first=A, last=A)
        lake.replace("t", rows(B, 5, start=10), by="day", first=B, last=B)
        lake.replace("t", rows(A, 2, start=20), by="day", first=A, last=A)
        assert all_rows(lake).equals(pa.concat_tables([rows(A, 2, start=20), rows(B, 5, start=10)]))
        assert lake.days("t") == [A, B]

    def test_replacing_a_range_removes_the_days_that_are_not_given(self, lake: Lake) -> None:
        lake.replace("t", pa.concat_tables([rows(d, 2) for d in (A, B, C)]), by="day", first=A, last=C)
        lake.replace("t", rows(B, 1), by="day", first=A, last=B)
        assert all_rows(lake).equals(pa.concat_tables([rows(B, 1), rows(C, 2)]))

    def test_appended_rows_follow_those_of_their_day(self, lake: Lake) -> None:
        lake.append("t", pa.concat_tables([rows(B, 2), rows(A, 1)]), by="day")
        version = lake.version("t")
        lake.append("t", pa.concat_tables([rows(B, 3, start=7), rows(C, 1)]), by="day")
        lake.append("t", rows(B, 1, start=5), by="day")
        of_b = [rows(B, 2), rows(B, 3, start=7), rows(B, 1, start=5)]
        assert all_rows(lake).equals(pa.concat_tables([rows(A, 1), *of_b, rows(C, 1)]))
        assert lake.version("t") > version
        assert lake.rows_by_day("t") == {A: 1, B: 6, C: 1}
        assert lake.append("t", SCHEMA.empty_table(), by="day") == lake.version("t")
        lake.replace("t", rows(B, 1), by="day", first=B, last=B)
        assert all_rows(lake).equals(pa.concat_tables([rows(A, 1), rows(B, 1), rows(C, 1)]))

    def test_nothing_can_replace_something(self, lake: Lake) -> None:
        lake.replace("t", pa.concat_tables([rows(A, 2), rows(B, 2)]), by="day", first=A, last=B)
        version = lake.replace("t", SCHEMA.empty_table(), by="day", first=A, last=A)
        assert (lake.days("t"), lake.version("t")) == ([B], version)
        assert lake.replace("t", SCHEMA.empty_table(), by="day", first=A, last=A) == version

    def test_a_table_can_start_empty(self, lake: Lake) -> None:
        assert not lake.exists("t")
        assert (lake.version("t"), list(lake.days("t"))) == (-1, [])
        assert lake.replace("t", SCHEMA.empty_table(), by="day", first=A, last=C) == lake.version("t") >= 0
        assert lake.exists("t")
        assert (all_rows(lake).schema, list(lake.days("t")), list(lake.files("t"))) == (SCHEMA, [], [])

    def test_many_days_are_one_commit(self, lake: Lake) -> None:
        days = [A + timedelta(days=n) for n in range(60)]
        before = lake.replace("t", rows(A, 1), by="day", first=A, last=A)
        stream = pa.RecordBatchReader.from_batches(SCHEMA, (b for day in days for b in rows(day, 2).to_batches()))
        assert lake.replace("t", stream, by="day", first=days[0], last=days[-1]) == before + 1
        assert list(lake.days("t")) == days
        assert lake.scan("t").count_rows() == 120

    def test_days_that_come_mixed_are_sorted_out(self, lake: Lake) -> None:
        mixed = [rows(C, 2), rows(A, 2), rows(B, 2, start=5), rows(A, 2, start=7)]
        lake.replace("t", pa.concat_tables(mixed), by="day", first=A, last=C)
        assert all_rows(lake).equals(
            pa.concat_tables([rows(A, 2), rows(A, 2, start=7), rows(B, 2, start=5), rows(C, 2)])
        )
        assert len(lake.files("t")) == 3

    def test_the_same_rows_make_no_new_version(self, lake: Lake) -> None:
        both = pa.concat_tables([rows(A, 30), rows(B, 30)])
        version = lake.replace("t", both, by="day", first=A, last=B)
        files = lake.files("t")
        assert lake.replace("t", both.to_reader(max_chunksize=7), by="day", first=A, last=B) == version
        assert lake.files("t") == files

    def test_only_the_days_that_differ_are_written(self, lake: Lake) -> None:
        before = lake.replace("t", pa.concat_tables([rows(A, 3), rows(B, 3)]), by="day", first=A, last=B)
        kept = lake.files("t", first=A, last=A)
        version = lake.replace("t", pa.concat_tables([rows(A, 3), rows(B, 4)]), by="day", first=A, last=B)
        assert (version, lake.files("t", first=A, last=A)) == (before + 1, kept)
        assert lake.scan("t").count_rows() == 7

    def test_one_changed_value_is_a_new_version(self, lake: Lake) -> None:
        before = lake.replace("t", rows(A, 3), by="day", first=A, last=A)
        changed = rows(A, 3).set_column(2, "amount", pa.array([0.0, 0.125, None], pa.float64()))
        assert lake.replace("t", changed, by="day", first=A, last=A) == before + 1
        assert all_rows(lake).equals(changed)

    @pytest.mark.parametrize("column", SCHEMA.names)
    def test_a_filter_on_any_column_finds_what_a_filter_in_memory_finds(self, lake: Lake, column: str) -> None:
        given = pa.concat_tables([rows(A, 4), rows(B, 4, start=4)])
        lake.replace("t", given, by="day", first=A, last=B)
        for condition in (pc.field(column).is_valid(), pc.field(column).is_null()):
            assert lake.scan("t").to_table(filter=condition).equals(given.filter(condition))
        if column != "why":
            middle = pc.field(column) >= given[column][3]
            assert lake.scan("t").to_table(filter=middle).equals(given.filter(middle))

    def test_scan_and_files_can_be_limited_to_days(self, lake: Lake) -> None:
        lake.replace("t", pa.concat_tables([rows(d, 2) for d in (A, B, C)]), by="day", first=A, last=C)
        assert lake.scan("t", first=B).to_table().equals(pa.concat_tables([rows(B, 2), rows(C, 2)]))
        assert lake.scan("t", last=A).to_table().equals(rows(A, 2))
        assert lake.scan("t", first=B, last=B).count_rows() == 2
        assert [len(lake.files("t", first=f, last=z)) for f, z in ((None, B), (C, None), (B, B), (C, A))] == [
            2,
            1,
            1,
            0,
        ]

    def test_rows_are_counted_by_day(self, lake: Lake) -> None:
        assert lake.rows_by_day("t") == {}
        lake.replace("t", pa.concat_tables([rows(A, 2), rows(C, 3)]), by="day", first=A, last=C)
        assert lake.rows_by_day("t") == {A: 2, C: 3}

    def test_a_whole_table_needs_no_repair(self, lake: Lake) -> None:
        assert list(lake.repair("t")) == []
        version = lake.replace("t", pa.concat_tables([rows(A, 2), rows(B, 3)]), by="day", first=A, last=B)
        assert (list(lake.repair("t")), lake.version("t")) == ([], version)

    def test_a_dropped_table_can_be_made_anew_with_other_columns(self, lake: Lake) -> None:
        lake.drop("t")
        lake.replace("t", rows(A, 3), by="day", first=A, last=A)
        lake.drop("t")
        assert (lake.exists("t"), list(lake.tables())) == (False, [])
        other = rows(A, 2).drop_columns(["why"])
        lake.replace("t", other, by="day", first=A, last=A)
        assert all_rows(lake) == other

    def test_files_can_be_read_by_an_engine_that_knows_only_parquet(self, lake: Lake) -> None:
        lake.replace("t", pa.concat_tables([rows(A, 2), rows(B, 3)]), by="day", first=A, last=B)
        paths = [path.removeprefix("file://") for path in lake.files("t")]
        assert all(Path(path).is_absolute() for path in paths)
        with connect() as connection:
            counts = "SELECT day, count(*) FROM read_parquet($paths) GROUP BY day ORDER BY day"
            assert connection.execute(counts, {"paths": paths}).fetchall() == [(A, 2), (B, 3)]

    def test_a_reference_says_to_any_reader_of_parquet_what_the_rows_are(self, lake: Lake) -> None:
        """Its addresses, days and schema are enough, in another process too, also for columns that files lack."""
        lake.replace("t", pa.concat_tables([rows(d, 2) for d in (A, B, C)]), by="day", first=A, last=C)
        ref = pickle.loads(pickle.dumps(lake.refer("t")))  # noqa: S301 - of this test
        assert (ref.table, ref.version, ref.by, ref.schema.names) == ("t", lake.version("t"), "day", SCHEMA.names)
        assert [file.day for file in ref.files] == [A, B, C]
        read = []
        for file in ref.files:
            of_day = pq.ParquetFile(file.address.removeprefix("file://")).read()
            if "day" not in of_day.column_names:
                of_day = of_day.append_column("day", pa.array([file.day] * of_day.num_rows, pa.date32()))
            read.append(of_day.select(SCHEMA.names).cast(SCHEMA))
        assert pa.concat_tables(read).equals(all_rows(lake).select(SCHEMA.names))
        assert ref.dataset().to_table().select(SCHEMA.names).cast(SCHEMA).equals(pa.concat_tables(read))

    def test_references_can_be_limited_to_days_and_columns(self, lake: Lake) -> None:
        with pytest.raises(TesseraError, match="no table"):
            lake.refer("t")
        lake.replace("t", pa.concat_tables([rows(d, 2) for d in (A, B, C)]), by="day", first=A, last=C)
        limited: list[tuple[dict[str, Any], list[date]]] = [
            ({"first": B}, [B, C]),
            ({"last": A}, [A]),
            ({"days": [C, A]}, [A, C]),
            ({"days": {A, B}, "first": B}, [B]),
            ({"days": []}, []),
        ]
        for limits, days in limited:
            ref = lake.refer("t", **limits)
            assert [file.day for file in ref.files] == days
            assert ref.dataset().to_table(columns=["day"])["day"].unique().to_pylist() == days
        assert lake.refer("t").only("key").schema.names == ["key"]
        with pytest.raises(TesseraError, match=r"no column 'kee'.*did you mean 'key'"):
            lake.refer("t").only("kee")

    def test_a_reference_stays_that_of_its_version(self, lake: Lake) -> None:
        lake.replace("t", rows(A, 2), by="day", first=A, last=A)
        ref = lake.refer("t")
        lake.replace("t", rows(A, 3), by="day", first=A, last=A)
        assert ref.dataset().to_table().num_rows == 2
        assert lake.refer("t") != ref

    def test_nanoseconds_and_other_strings_become_what_the_table_holds(self, lake: Lake) -> None:
        given = rows(A, 3)
        other = given.set_column(1, "at", given["at"].cast(pa.timestamp("ns", tz="Europe/Berlin")))
        other = other.set_column(0, "key", given["key"].cast(pa.large_string()).dictionary_encode())
        lake.replace("t", other.select(list(reversed(other.column_names))), by="day", first=A, last=A)
        assert all_rows(lake).select(SCHEMA.names).equals(given)

    @pytest.mark.parametrize(
        ("spoil", "says"),
        [
            (lambda t: t.set_column(1, "at", t["at"].cast(pa.timestamp("us"))), "at"),
            (lambda t: t.set_column(1, "at", pa.array([1001] * 2, pa.timestamp("ns", tz="UTC"))), "at"),
            (lambda t: t.drop_columns(["amount"]), "amount"),
            (lambda t: t.append_column("more", pa.array([1, 2])), "more"),
            (lambda t: t.set_column(2, "amount", pa.array([1, 2])), "amount"),
            (lambda t: t.set_column(5, "day", pa.array([B, C])), "2024-02-29"),
            (lambda t: t.set_column(5, "day", pa.array([A, None], pa.date32())), "day"),
        ],
    )
    def test_what_does_not_fit_is_refused_and_changes_nothing(
        self, lake: Lake, spoil: Callable[[pa.Table], pa.Table], says: str
    ) -> None:
        before = lake.replace("t", rows(A, 4), by="day", first=A, last=A)
        with pytest.raises(TesseraError, match=says):
            lake.replace("t", spoil(rows(A, 2)), by="day", first=A, last=A)
        assert (lake.version("t"), all_rows(lake)) == (before, rows(A, 4))

    @pytest.mark.parametrize("by", ["key", "at", "absent"])
    def test_only_a_date_can_split_a_table(self, lake: Lake, by: str) -> None:
        with pytest.raises(TesseraError, match="day"):
            lake.replace("t", rows(A, 1), by=by, first=A, last=A)
        assert not lake.exists("t")

    def test_a_table_is_split_by_one_column_for_ever(self, lake: Lake) -> None:
        two = rows(A, 1).append_column("other", pa.array([A]))
        lake.replace("t", two, by="day", first=A, last=A)
        with pytest.raises(TesseraError, match="other"):
            lake.replace("t", two, by="other", first=A, last=A)

    @pytest.mark.parametrize("name", ["", "../t", "a b", "a/b"])
    def test_an_odd_name_is_refused_or_kept_apart_like_any_other(self, lake: Lake, name: str) -> None:
        lake.replace("t", rows(A, 2), by="day", first=A, last=A)
        with suppress(TesseraError):
            lake.replace(name, rows(A, 1), by="day", first=A, last=A)
            assert all_rows(lake, name) == rows(A, 1)
        assert all_rows(lake) == rows(A, 2)

    def test_a_table_that_is_not_there_is_said_to_be_missing(self, lake: Lake) -> None:
        lake.replace("orders", rows(A, 1), by="day", first=A, last=A)
        for read in (lake.scan, lake.files):
            with pytest.raises(TesseraError, match="ordres"):
                read("ordres")

    def test_a_reader_keeps_the_version_it_opened(self, lake: Lake) -> None:
        lake.replace("t", rows(A, 3), by="day", first=A, last=A)
        opened = lake.scan("t")
        lake.replace("t", rows(A, 1), by="day", first=A, last=A)
        assert (opened.count_rows(), lake.scan("t").count_rows()) == (3, 1)

    @needs("retained")
    def test_vacuum_removes_what_no_version_in_the_span_uses_and_nothing_else(self, lake: Lake) -> None:
        for count in (1, 2, 3):
            lake.replace("t", pa.concat_tables([rows(A, count), rows(B, 1)]), by="day", first=A, last=B)
        before = lake.version("t")
        assert _retained(lake).vacuum("t", keep_hours=1) == 0
        assert _retained(lake).vacuum("t", keep_hours=0) > 0
        assert _retained(lake).vacuum("t", keep_hours=0) == 0
        assert (lake.version("t"), lake.scan("t").count_rows()) == (before, 4)

    @needs("erasable")
    def test_removed_rows_are_gone_and_nothing_else_moves(self, lake: Lake) -> None:
        given = pa.concat_tables([rows(A, 3), rows(B, 4, start=10), rows(C, 1)])
        unknown = given.set_column(0, "key", pa.array([None, *given["key"].to_pylist()[1:]], pa.string()))
        before = lake.replace("t", unknown, by="day", first=A, last=C)
        untouched = lake.files("t", first=B, last=B)
        gone = pc.field("key").isin(["k0000000", "k0000001"])
        assert _erasable(lake).remove("t", gone) == {A: 1, C: 1}
        left = unknown.filter(pa.array([True, False, True, True, True, True, True, False]))
        assert all_rows(lake).equals(left)
        assert (lake.version("t"), lake.days("t"), lake.files("t", first=B, last=B)) == (before + 1, [A, B], untouched)
        assert lake.replace("t", left, by="day", first=A, last=C) == before + 1, "the same bytes as if never written"
        assert _erasable(lake).remove("t", gone) == {}
        assert lake.version("t") == before + 1

    @needs("erasable")
    def test_removing_says_what_it_will_do_before_it_does(self, lake: Lake) -> None:
        before = lake.replace("t", pa.concat_tables([rows(A, 3), rows(B, 3)]), by="day", first=A, last=B)
        seen: list[tuple[DayRows, int]] = []
        removed = _erasable(lake).remove(
            "t", pc.field("amount") > 0.1, planned=lambda plan: seen.append((plan, lake.version("t")))
        )
        assert seen == [(removed, before)]
        assert removed == {A: 2, B: 2}
        _erasable(lake).remove("t", pc.field("amount") > 9, planned=lambda _: pytest.fail("nothing is planned"))

    @needs("erasable")
    def test_nothing_stored_holds_what_was_removed(self, lake: Lake, holds: Callable[[str], bool]) -> None:
        lake.replace("t", rows(A, 3), by="day", first=A, last=A)
        lake.replace("t", rows(A, 2), by="day", first=A, last=A)
        assert _erasable(lake).remove("t", pc.field("key") == "k0000002") == {}
        lake.replace("t", rows(A, 3), by="day", first=A, last=A)
        assert _erasable(lake).remove("t", pc.field("key") == "k0000002") == {A: 1}
        assert [holds(f"k000000{number}") for number in range(3)] == [True, True, False]

    def test_tables_are_listed(self, lake: Lake) -> None:
        assert list(lake.tables()) == []
        for name in ("t", "a"):
            lake.replace(name, rows(A, 1), by="day", first=A, last=A)
        assert list(lake.tables()) == ["a", "t"]

    @needs("erasable")
    def test_the_erased_do_not_come_back(self, lake: Lake) -> None:
        def people(count: int) -> pa.Table:
            return rows(A, count).rename_columns(["customer_id", *SCHEMA.names[1:]])

        assert not lake.forgotten("customer")
        stone = _erasable(lake).leave_tombstone("customer", "k0000001", day=A, why="asked for it")
        assert _erasable(lake).leave_tombstone("customer", "k0000001", day=B, why="again") == stone
        assert (len(lake.forgotten("customer")), "k0000001" in lake.forgotten("customer")) == (1, True)
        assert "k0000001" not in stone.digest
        lake.replace("people", people(3), by="day", first=A, last=A)
        lake.replace("streamed", people(500).to_reader(max_chunksize=7), by="day", first=A, last=A)
        lake.replace("things", rows(A, 3), by="day", first=A, last=A)
        others = people(500).filter(pc.field("customer_id") != "k0000001")
        assert all_rows(lake, "people").equals(others.slice(0, 2))
        assert all_rows(lake, "streamed").equals(others)
        assert all_rows(lake, "things").equals(rows(A, 3)), "only the entity's column names the entity"

    def test_writers_of_one_table_wait_for_each_other(self, lake: Lake) -> None:
        def write(day: date) -> None:
            with lake.lock("t"):
                standing = lake.scan("t").count_rows() if lake.exists("t") else 0
                lake.replace("t", rows(day, standing + 1), by="day", first=day, last=day)

        days = [A + timedelta(days=n) for n in range(8)]
        threads = [threading.Thread(target=write, args=(day,)) for day in days]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert lake.scan("t").count_rows() == 2**8 - 1
        assert lake.days("t") == days

    def test_it_says_that_it_works(self, lake: Lake) -> None:
        assert lake.check().ok
