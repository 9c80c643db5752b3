"""Every record of every file is delivered with its reason and original, or its file is refused by name."""

import csv
import gzip
import io
import json
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.contracts import ORDERS
from models.contracts.checking import CheckedRows, check_rows
from models.errors import TesseraError
from resources.source.csv_records import records
from resources.source.files import FilesSource, FilesSourceConfig
from resources.source.formats import Format
from resources.source.spool import Spool

COLUMNS = (
    *("order_line_id", "order_id", "customer_id", "product_id", "ordered_at"),
    *("quantity", "unit_price", "currency", "country", "is_return", "description"),
)
HEADER = ",".join(COLUMNS)
DAY = date(2026, 3, 1)
ALWAYS = (date(1970, 1, 1), date(2100, 1, 1))


def line(number: object, description: str = "Mug blue", **values: object) -> str:
    row = {
        **dict.fromkeys(COLUMNS, ""),
        "order_line_id": f"l{number}",
        "order_id": f"o{number}",
        "customer_id": "c1",
        "product_id": "p1",
        "ordered_at": "2026-03-01 09:05:00",
        "quantity": 2,
        "unit_price": "9.50",
        "currency": "EUR",
        "country": "Germany",
        "is_return": "false",
        "description": description,
        **values,
    }
    return ",".join(str(row[column]) for column in COLUMNS)


def written(place: Path, *lines: str, header: str = HEADER) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes("\n".join((header, *lines, "")).encode())
    return place


def arrow(rows: int = 3, **columns: pa.Array) -> pa.Table:
    plain: dict[str, Any] = {
        "order_line_id": [f"l{n}" for n in range(rows)],
        "order_id": ["o"] * rows,
        "customer_id": ["c1"] * rows,
        "product_id": ["p1"] * rows,
        "ordered_at": [datetime(2026, 3, 1, 9)] * rows,
        "quantity": [1] * rows,
        "unit_price": [9.5] * rows,
        "currency": ["EUR"] * rows,
        "country": ["Germany"] * rows,
        "is_return": [False] * rows,
    }
    return pa.table({**plain, **columns})


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def opened(location: object, cache: Path, **table: Any) -> FilesSource:
    earliest = {"earliest_day": table.pop("earliest_day")} if "earliest_day" in table else {}
    table = {"location": str(location), **table}
    return FilesSourceConfig(tables={"orders": table}, cache=str(cache), **earliest).open()


def judged(source: FilesSource) -> CheckedRows:
    raw = source.read("orders", *ALWAYS).read_all()
    contract = ORDERS.since(source.earliest_day())
    return check_rows(contract, raw, original_names=source.original_names("orders"))


def refused(location: object, cache: Path, **table: Any) -> TesseraError:
    with pytest.raises(TesseraError) as error:
        judged(opened(location, cache, **table))
    return error.value


class TestIds:
    @pytest.mark.slow
    def test_ids_are_one_text_in_files_of_any_type(self, tmp_path: Path, cache: Path) -> None:
        types = {
            "a": pa.array([101, 102, 103]),
            "b": pa.array([None, 102.0, 103.0]),
            "c": pa.array([101, None, 103], pa.uint64()),
            "d": pa.array([Decimal("101.00"), None, Decimal("103.00")], pa.decimal128(10, 2)),
            "e": pa.array(["101", None, "0103"]).dictionary_encode(),
            "f": pa.array([b"101", None, b"103"]),
            "g": pa.array([101, None, 103], pa.float32()),
        }
        for name, ids in types.items():
            lines = pa.array([f"{name}{n}" for n in range(3)])
            pq.write_table(arrow(customer_id=ids, order_line_id=lines), tmp_path / f"{name}.parquet")
        source = opened(tmp_path, cache)
        checked = judged(source)
        assert set(checked.kept["customer_id"].to_pylist()) == {"101", "102", "103", "0103"}
        assert checked.reasons == {"customer_id is missing": 6}
        assert "column 'customer_id' is int64 in a.parquet, but double in b.parquet" in source.check().says
        assert any("customer_id" in note for note in source.holdings("orders").notes)

    @pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
    def test_a_float_that_may_be_another_id_is_refused_by_file_and_column(
        self, tmp_path: Path, cache: Path, kind: pa.DataType
    ) -> None:
        limit = 2**53 if kind == pa.float64() else 2**24
        pq.write_table(arrow(customer_id=pa.array([1.0, 2.0, limit - 1], kind)), tmp_path / "a.parquet")
        assert judged(opened(tmp_path, cache)).kept.num_rows == 3
        pq.write_table(arrow(customer_id=pa.array([1.0, None, limit], kind)), tmp_path / "b.parquet")
        error = refused(tmp_path, cache)
        assert "b.parquet" in error.what
        assert "customer_id" in error.what
        assert "integers or texts" in error.todo

    def test_a_float_with_a_fraction_is_no_id(self, tmp_path: Path, cache: Path) -> None:
        pq.write_table(arrow(customer_id=pa.array([1.5, float("nan"), float("inf")])), tmp_path / "a.parquet")
        reasons = judged(opened(tmp_path, cache)).reasons
        assert reasons == {"customer_id cannot be read as an id": 2, "customer_id is missing": 1}

    def test_ids_that_a_csv_file_writes_as_floats_are_integers_and_it_is_said(
        self, tmp_path: Path, cache: Path
    ) -> None:
        written(tmp_path / "a.csv", line(1, customer_id="103.0"), line(2, customer_id=""), line(3, customer_id="7.0"))
        written(tmp_path / "b.csv", line(4, customer_id="1.0"), line(5, customer_id="1.10"))
        source = opened(tmp_path, cache)
        assert sorted(judged(source).kept["customer_id"].to_pylist()) == ["1.0", "1.10", "103", "7"]
        assert any("customer_id is written like 103.0 in a.csv" in note for note in source.holdings("orders").notes)

    def test_an_integer_file_does_not_change_the_texts_of_the_other_file(self, tmp_path: Path, cache: Path) -> None:
        line_id = {"columns": {"order_line_id": "concat_ws('|', order_id, quantity)"}}
        pq.write_table(arrow(2, quantity=pa.array([1, 2])), tmp_path / "a.parquet")
        before = judged(opened(tmp_path, cache, **line_id)).kept["order_line_id"].to_pylist()
        pq.write_table(arrow(1, quantity=pa.array([3.0])), tmp_path / "b.parquet")
        assert (
            judged(opened(tmp_path, cache, **line_id)).kept["order_line_id"].to_pylist()[:2] == before == ["o|1", "o|2"]
        )


class TestFolders:
    @pytest.mark.parametrize("location", [".", "**/*.csv"])
    def test_the_file_s_column_counts_not_the_folder_s(self, tmp_path: Path, cache: Path, location: str) -> None:
        written(tmp_path / "country=XX" / "ordered_at=2026-03-02" / "part-0.csv", line(1))
        kept = judged(opened(tmp_path / location, cache)).kept.to_pylist()
        assert [(row["country"], row["ordered_at"].hour) for row in kept] == [("Germany", 9)]

    def test_a_folder_fills_a_column_that_no_file_has_if_the_profile_maps_it(self, tmp_path: Path, cache: Path) -> None:
        for country in ("Spain", "C%C3%B4te"):
            (tmp_path / f"land={country}").mkdir()
            pq.write_table(arrow(1).drop_columns(["country"]), tmp_path / f"land={country}" / "part-0.parquet")
        assert "`columns.country`" in refused(tmp_path, cache).what
        source = opened(tmp_path, cache, columns={"country": "land", "order_line_id": "land"})
        assert sorted(judged(source).kept["country"].to_pylist()) == ["Côte", "Spain"]

    @pytest.mark.slow
    def test_files_that_nothing_reads_are_named(self, tmp_path: Path, cache: Path) -> None:
        written(tmp_path / "a.csv", line(1))
        odd = ["b.csv.tmp", "b.tsv", "_c.csv", ".d.csv", "e.csv.part", "old/f.csv"]
        for name in (*odd, "README.md"):
            written(tmp_path / name, line(2))
        source = opened(tmp_path, cache)
        held = source.holdings("orders")
        assert held.rows == judged(source).kept.num_rows == 1
        assert {file.name for file in held.unread} == {*odd, "README.md"}
        assert all(f"{name} is not read" in source.check().says for name in odd)
        assert "README" not in source.check().says

    def test_a_file_that_did_not_change_is_counted_without_being_parsed(
        self, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = written(tmp_path / "in" / "old.csv", line(1), line(2, quantity=0), line(3))
        parsed: list[str] = []
        texts = Spool.texts

        def noted(spool: Spool, file: Path, form: Format) -> tuple[Path, int]:
            parsed.append(file.name)
            return texts(spool, file, form)

        monkeypatch.setattr(Spool, "texts", noted)
        table = {"location": str(tmp_path / "in"), "where": "quantity <> '0'"}

        def held() -> tuple[int | None, int, list[str]]:
            parsed.clear()
            held = FilesSourceConfig(tables={"orders": table}, cache=str(cache)).open().holdings("orders")
            return held.rows, held.excluded, sorted(set(parsed))

        assert held() == (3, 1, ["old.csv"])
        assert held() == (3, 1, [])
        written(tmp_path / "in" / "new.csv", line(4), line(5, quantity=0))
        assert held() == (5, 2, ["new.csv"])
        for kept in cache.glob("counts-*.json"):
            kept.write_bytes(b"{")
        assert held() == (5, 2, ["new.csv", "old.csv"])
        old.write_text(old.read_text() + line(6) + "\n")
        assert held() == (6, 2, ["old.csv"])
        table["where"] = ""
        assert held() == (6, 0, ["new.csv", "old.csv"])
        old.unlink()
        assert held() == (2, 0, [])

    def test_a_file_that_another_table_reads_is_read(self, tmp_path: Path, cache: Path) -> None:
        written(tmp_path / "orders_1.csv", line(1))
        written(tmp_path / "products.csv", "p1,toys,9.5,EUR", header="product_id,category,list_price,currency")
        written(tmp_path / "orders_2.csv.tmp", line(1))
        tables = {name: {"location": str(tmp_path / f"{name}*.csv")} for name in ("orders", "products")}
        held = FilesSourceConfig(tables=tables, cache=str(cache)).open().holdings("orders")
        assert [file.name for file in held.unread] == ["orders_2.csv.tmp"]


FIELD = st.one_of(
    st.sampled_from(["", '"', 'a"b', "x,y", "two\nlines", "cr\r\nlf", " ", "ü", "\u2028"]), st.text(max_size=5)
)


def _by_python(text: str) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(text, newline="")) if row]


def _columns_of(spooled: Path, width: int) -> list[list[str]]:
    rows = pq.read_table(spooled).to_pylist()
    assert all(row["_tessera_problem"] is None for row in rows)
    return [[row[f"k{place}"] or "" for place in range(width)] for row in rows]


class TestCsv:
    @settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_well_formed_files_are_what_python_reads(self, data: st.DataObject, tmp_path: Path) -> None:
        width = data.draw(st.integers(1, 3))
        rows = data.draw(
            st.lists(st.lists(FIELD.filter(lambda f: "\0" not in f), min_size=width, max_size=width), max_size=8)
        )
        rows = [row for row in rows if any(row)]
        end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
        bare = end == "\r" or any("\r" in field for row in rows for field in row)  # Python's writer leaves \r unquoted
        quoting = csv.QUOTE_ALL if bare else data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
        form = Format(delimiter=data.draw(st.sampled_from([",", ";", "\t"])))
        text = io.StringIO(newline="")
        out = csv.writer(text, delimiter=form.delimiter, lineterminator=end, quoting=quoting)
        out.writerows([[f"k{place}" for place in range(width)], *rows])
        content = text.getvalue().removesuffix(data.draw(st.sampled_from(["", end])))
        file = tmp_path / "a.csv"
        file.write_bytes(content.encode())
        spool = Spool(tmp_path / "spool")
        spooled, count = spool.texts(file, form)
        expected = [row for row in csv.reader(io.StringIO(content, newline=""), delimiter=form.delimiter) if row][1:]
        assert _columns_of(spooled, width) == expected
        assert count == len(expected)

    @settings(max_examples=20, deadline=None)
    @given(st.lists(st.lists(st.sampled_from(["a", '"', '"b"', ",", "\r", "c d", "\0", ""]), max_size=6), max_size=10))
    def test_no_line_of_any_text_is_lost_or_read_twice(self, pieces: list[list[str]]) -> None:
        lines = ["k1,k2\n", *("".join(each) + "\n" for each in pieces)]
        physical = [each for text in lines for each in io.StringIO(text, newline="")]
        found = list(records(iter(physical), Format()))
        covered: list[str] = []
        for record, after in zip(found, [*found[1:], None], strict=True):
            stop = after.number - 1 if after else len(physical)
            covered += physical[record.number - 1 : stop]
        blank = [each for each in physical if not each.strip("\r\n")]
        assert [each for each in covered if each.strip("\r\n")] == [each for each in physical if each not in blank]
        assert all(record.fields or record.text for record in found)
        assert all(len(record.fields) == 2 or record.problem for record in found)

    @pytest.mark.parametrize(
        "description",
        ['"Monitor 24" black"', '"24 inch', 'Monitor 24"', '"', '"a""', 'a "b" c', '"a" b'],
    )
    @pytest.mark.parametrize("place", [0, 2, 4])
    @pytest.mark.slow
    def test_a_stray_quote_costs_no_other_line(self, tmp_path: Path, cache: Path, description: str, place: int) -> None:
        lines = [line(n, description if n == place else "Mug") for n in range(5)]
        written(tmp_path / "a.csv", *lines)
        checked = judged(opened(tmp_path, cache))
        kept, originals = checked.kept["order_line_id"].to_pylist(), checked.quarantined["original"].to_pylist()
        assert {f"l{n}" for n in range(5) if n != place} <= set(kept)
        assert len(kept) + len(originals) == 5
        for original in originals:
            assert json.loads(original)["_line"] == lines[place]
            assert checked.quarantined["reasons"].to_pylist()[0][0].startswith(f"line {place + 2} of a.csv: ")

    def test_a_quote_that_is_closed_many_lines_later_swallows_none(self, tmp_path: Path, cache: Path) -> None:
        lines = [line(n, {2: '"24 inch', 20: '24"', 25: '"fine, "'}.get(n, "Mug")) for n in range(30)]
        written(tmp_path / "a.csv", *lines)
        checked = judged(opened(tmp_path, cache))
        assert checked.kept.num_rows == 29
        assert json.loads(checked.quarantined["original"][0].as_py())["_line"] == lines[2]

    def test_rows_of_another_length_and_zero_bytes_are_quarantined_with_the_reason(
        self, tmp_path: Path, cache: Path
    ) -> None:
        short, longer = line(1).rsplit(",", 2)[0], line(2) + ",extra"
        written(tmp_path / "a.csv", short, longer, line(3, "a\0b"), "", line(4))
        checked = judged(opened(tmp_path, cache))
        assert checked.kept["order_line_id"].to_pylist() == ["l4"]
        assert sorted(reason for (reason,) in checked.quarantined["reasons"].to_pylist()) == [
            "line 2 of a.csv: 9 fields where the header names 11 columns",
            "line 3 of a.csv: 12 fields where the header names 11 columns",
            "line 4 of a.csv: it holds zero bytes",
        ]

    def test_an_unreadable_line_is_no_row_that_where_leaves_out(self, tmp_path: Path, cache: Path) -> None:
        written(tmp_path / "a.csv", line(1), line(2, country="Spain"), line(3, '"a" b'))
        source = opened(tmp_path, cache, where="country = 'Germany'")
        checked, held = judged(source), source.holdings("orders")
        assert (held.rows, held.excluded, checked.kept.num_rows, checked.quarantined.num_rows) == (3, 1, 1, 1)

    def test_quotes_can_be_texts_and_be_escaped(self, tmp_path: Path, cache: Path) -> None:
        written(tmp_path / "a.csv", line(1, '"24 inch'))
        assert judged(opened(tmp_path / "a.csv", cache, quote="")).kept.num_rows == 1
        written(tmp_path / "b.csv", line(1, r'"24\" wide, black"'))
        assert judged(opened(tmp_path / "b.csv", cache, escape="\\")).kept.num_rows == 1

    def test_a_file_without_header_names_its_columns_by_place(self, tmp_path: Path, cache: Path) -> None:
        written(tmp_path / "a.csv", line(2), header=line(1))
        columns = {column: f"column{place}" for place, column in enumerate(COLUMNS[:-1])}
        assert judged(opened(tmp_path, cache, header=False, columns=columns)).kept.num_rows == 2

    @pytest.mark.slow
    @pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", f"{HEADER}\r\n".encode()])
    def test_an_empty_file_is_an_empty_day(self, tmp_path: Path, cache: Path, content: bytes) -> None:
        (tmp_path / "a.csv").write_bytes(content)
        source = opened(tmp_path, cache)
        assert source.check().ok
        assert judged(source).kept.num_rows == source.holdings("orders").rows == 0
        written(tmp_path / "b.csv", line(1))
        assert judged(opened(tmp_path, cache)).kept.num_rows == 1

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"PAR1....", "a Parquet file"),
            (b"PK\x03\x04....", "an Excel workbook"),
            (b"<!DOCTYPE html><html>", "HTML"),
            (b'{"order_line_id": 1}\n', "JSON"),
            (gzip.compress(f"{HEADER}\n{line(1)}\n".encode(), mtime=0)[:-20], "ended before"),
            (b"a,b,A\n1,2,3\n", "does not name each column once"),
            (b'a,"b\n1,2\n', "line 1: a quote is not closed"),
            (b"sep=;\na;b\n", "';'"),
        ],
    )
    def test_what_is_no_csv_file_is_refused_by_name(
        self, tmp_path: Path, cache: Path, content: bytes, says: str
    ) -> None:
        (tmp_path / "a.csv").write_bytes(content)
        error = refused(tmp_path, cache)
        assert "a.csv" in error.what
        assert says in error.what

    def test_what_a_killed_process_left_is_deleted(self, tmp_path: Path) -> None:
        left = tmp_path / "spool" / "texts-old"
        left.mkdir(parents=True)
        (left / "in-use.lock").touch()
        (left / "0.parquet").touch()
        other, spool = Spool(tmp_path / "spool"), Spool(tmp_path / "spool")
        file = written(tmp_path / "a.csv", line(1))
        kept = other.texts(file, Format())[0]
        spool.texts(file, Format())
        assert not left.exists()
        assert kept.exists()
        assert kept.parent.stat().st_mode & 0o077 == 0
        del other
        assert not kept.parent.exists()


class TestEncodings:
    TEXT = f"{HEADER}\n{line(1, '€ mug', country='Côte d’Ivoire')}\n"

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("encoding", "setting"),
        [
            ("utf-8-sig", "utf-8"),
            ("utf-16", "utf-16"),
            ("utf-16-le", "utf-16"),
            ("utf-16-be", "utf-16"),
            ("utf-16-le", "utf-16-le"),
            ("utf-16-be", "UTF-16BE"),
            ("utf-32", "utf-32"),
            ("utf-32-le", "utf-32"),
            ("utf-32-be", "utf-32"),
            ("utf-32-be", "utf-32-be"),
            ("cp1252", "cp1252"),
            ("cp1252", "windows-1252"),
            ("gb18030", "gb18030"),
        ],
    )
    def test_a_file_is_read_in_the_encoding_of_the_settings(
        self, tmp_path: Path, cache: Path, encoding: str, setting: str
    ) -> None:
        (tmp_path / "a.csv").write_bytes(self.TEXT.encode(encoding))
        assert judged(opened(tmp_path, cache, encoding=setting)).kept["country"].to_pylist() == ["Côte d’Ivoire"]

    @pytest.mark.parametrize(
        ("encoding", "setting", "likely"),
        [
            ("cp1252", "utf-8", "cp1252"),
            ("utf-16-le", "utf-8", "utf-16-le"),
            ("utf-16-be", "latin-1", "utf-16-be"),
            ("utf-16", "cp1252", "utf-16"),
            ("utf-8", "cp1252", "utf-8"),
            ("utf-8", "latin-1", "utf-8"),
            ("utf-8", "utf-16", "utf-8"),
            ("utf-16-be", "utf-16-le", "utf-16-be"),
            ("utf-32", "utf-8", "utf-32"),
            ("utf-32-le", "utf-16", "utf-32-le"),
            ("utf-32-be", "utf-32-le", "utf-32-be"),
            ("utf-8", "utf-32", "utf-8"),
        ],
    )
    def test_another_encoding_is_told_with_the_likely_setting(
        self, tmp_path: Path, cache: Path, encoding: str, setting: str, likely: str
    ) -> None:
        (tmp_path / "a.csv").write_bytes(self.TEXT.encode(encoding))
        error = refused(tmp_path, cache, encoding=setting)
        assert "a.csv" in error.what
        assert f"Set `encoding: {likely}`" in error.todo

    def test_semicolons_and_decimal_commas(self, tmp_path: Path, cache: Path) -> None:
        prices = {"6,50": 6.5, "1.234,5": 1234.5, "12": 12.0, "1 234,00": 1234.0, "6.50": None, "1,2,3": None}
        lines = [line(n, unit_price="@").replace(",", ";").replace("@", price) for n, price in enumerate(prices)]
        file = written(tmp_path / "a.csv", *lines, header="\ufeff" + HEADER.replace(",", ";"))
        assert "delimiter: ';'" in refused(file, cache).todo
        rows = opened(file, cache, delimiter=";", decimal=",").read("orders", *ALWAYS).read_all()
        assert rows["unit_price"].to_pylist() == list(prices.values())


def zone_of(text: str) -> datetime:
    naive = datetime(2026, 7, 7, 12, 30)
    if "/" in text or text == "Japan":
        return naive.replace(tzinfo=ZoneInfo(text))
    return datetime.fromisoformat(f"2026-07-07T12:30:00{'Z' if text.isalpha() else text}")


class TestTimes:
    @pytest.mark.slow
    @pytest.mark.parametrize("gap", ["", " "])
    def test_offsets_and_names_of_zones_are_read(self, tmp_path: Path, cache: Path, gap: str) -> None:
        zones = ["Z", "z", "UTC", "GMT", "+02:00", "+0200", "-05", "+05:45", "-0330", "Europe/Berlin", "Japan"]
        zones += ["America/Argentina/Buenos_Aires", "Etc/GMT+5"] if gap else []
        written(tmp_path / "a.csv", *(line(n, ordered_at=f"2026-07-07 12:30:00{gap}{z}") for n, z in enumerate(zones)))
        kept = judged(opened(tmp_path, cache, timezone="America/New_York")).kept.to_pylist()
        found = {row["order_line_id"]: row["ordered_at"].astimezone(UTC) for row in kept}
        assert found == {f"l{n}": zone_of(zone).astimezone(UTC) for n, zone in enumerate(zones)}

    def test_ambiguous_zones_are_refused_with_a_sentence(self, tmp_path: Path, cache: Path) -> None:
        zones = ["BST", "CST", "IST", "CEST", "EST", "CET", "UTC+2", "GMT+02:00", "Mars/Base", "XYZ", "+99:00"]
        lines = [line(n, ordered_at=f"2026-07-07 12:30:00 {zone}") for n, zone in enumerate(zones)]
        written(tmp_path / "a.csv", *lines, line("good"))
        checked = judged(opened(tmp_path, cache))
        assert checked.kept["order_line_id"].to_pylist() == ["lgood"]
        assert sum("is ambiguous" in reasons[0] for reasons in checked.quarantined["reasons"].to_pylist()) == 9

    def test_a_time_that_a_clock_shows_twice_is_the_later_one_and_a_skipped_one_moves_on(
        self, tmp_path: Path, cache: Path
    ) -> None:
        times = ["2026-10-25 02:30:00", "2026-03-29 02:30:00", "2026-10-25 02:30:00 Europe/Berlin"]
        written(tmp_path / "a.csv", *(line(n, ordered_at=at) for n, at in enumerate(times)))
        kept = judged(opened(tmp_path, cache, timezone="Europe/Berlin")).kept.to_pylist()
        found = {row["order_line_id"]: f"{row['ordered_at'].astimezone(UTC):%m-%d %H:%M}" for row in kept}
        assert found == {"l0": "10-25 01:30", "l1": "03-29 01:30", "l2": "10-25 01:30"}

    @pytest.mark.slow
    def test_days_before_2000_are_data_and_the_limit_is_a_setting(self, tmp_path: Path, cache: Path) -> None:
        days = ["1969-12-31", "1970-01-01", "1970-01-02", "1999-12-31", "2026-03-01"]
        written(tmp_path / "a.csv", *(line(day, ordered_at=day) for day in days))
        checked = judged(opened(tmp_path, cache))
        assert checked.kept["order_line_id"].to_pylist() == ["l1970-01-02", "l1999-12-31", "l2026-03-01"]
        assert checked.reasons == {"ordered_at is before 1970-01-02": 2}
        assert opened(tmp_path, cache).first_day() == date(1970, 1, 2)
        strict = opened(tmp_path, cache, earliest_day="2000-01-01")
        assert strict.first_day() == date(2026, 3, 1)
        assert judged(strict).reasons == {"ordered_at is before 2000-01-01": 4}


def workbook(place: Path, *sheets: tuple[str, list[list[Any]]]) -> Path:
    """A minimal .xlsx file: texts inline, numbers as numbers."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"

    def cell(value: Any) -> str:
        if isinstance(value, (int, float)):
            return f"<c><v>{value!r}</v></c>"
        return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>' if value else "<c/>"

    with zipfile.ZipFile(place, "w") as file:
        types = "".join(
            f'<Override PartName="/xl/worksheets/s{n}.xml" '
            'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
            for n in range(len(sheets))
        )
        file.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Override PartName="/xl/workbook.xml" '
            f'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>{types}</Types>',
        )
        file.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{office}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        listed = "".join(f'<sheet name="{name}" sheetId="{n + 1}" r:id="r{n}"/>' for n, (name, _) in enumerate(sheets))
        file.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{listed}</sheets></workbook>'
        )
        targets = "".join(
            f'<Relationship Id="r{n}" Type="{office}/worksheet" Target="worksheets/s{n}.xml"/>'
            for n in range(len(sheets))
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}/relationships">{targets}</Relationships>'
        )
        for number, (_, rows) in enumerate(sheets):
            cells = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            file.writestr(
                f"xl/worksheets/s{number}.xml", f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'
            )
    return place


class TestExcel:
    ROW: tuple[Any, ...] = ("l1", 10.0, 103, "p1", "2026-03-01 09:05:00", 2, 9.5, "EUR", "Germany", "false")

    def test_a_sheet_is_read_and_the_others_are_named(self, tmp_path: Path, cache: Path) -> None:
        rows = [
            list(COLUMNS[:-1]),
            list(self.ROW),
            [],
            ["l2", 10, 1234567890123456789.0, *self.ROW[3:]],
            [*self.ROW, "x"],
        ]
        workbook(tmp_path / "a.xlsx", ("Orders", rows), ("Notes", [["hello"]]))
        source = opened(tmp_path, cache)
        checked, held = judged(source), source.holdings("orders")
        assert [row["customer_id"] for row in checked.kept.to_pylist()] == ["103"]
        assert [row["order_id"] for row in checked.kept.to_pylist()] == ["10"]
        assert held.rows == 3
        assert "sheet 'Notes' of a.xlsx is not read" in source.check().says
        assert checked.reasons == {"customer_id cannot be read as an id": 1, "the line cannot be read": 1}
        assert "no sheet 'Order'" in refused(tmp_path, cache, sheet="Order").what

    def test_what_is_no_workbook_is_refused_by_name(self, tmp_path: Path, cache: Path) -> None:
        written(tmp_path / "a.xlsx", line(1))
        assert "a.xlsx' cannot be read as xlsx" in refused(tmp_path, cache).what


@pytest.mark.real
class TestRealFiles:
    def test_the_rows_of_every_file_are_counted_as_in_its_footer(self, shared_data: Path, cache: Path) -> None:
        source = FilesSourceConfig(
            tables={
                "payments": {
                    "location": str(shared_data / "fraud_handbook" / "*[15].parquet"),
                    "where": "TX_DATETIME IS NOT NULL OR TX_AMOUNT IS NOT NULL",
                    "columns": {
                        "transaction_id": "TRANSACTION_ID",
                        "customer_id": "CUSTOMER_ID",
                        "terminal_id": "TERMINAL_ID",
                        "paid_at": "TX_DATETIME",
                        "amount": "TX_AMOUNT",
                    },
                }
            },
            cache=str(cache),
        ).open()
        files = (shared_data / "fraud_handbook").glob("*[15].parquet")  # features, and half of the payments
        rows = {file.name: pq.read_metadata(file).num_rows for file in files}
        assert len(rows) == 2
        held = source.holdings("payments")
        assert held.rows == sum(rows.values())
        assert held.excluded == rows["expected_features_2018-07-25.parquet"]

    def test_the_rows_of_a_csv_file_are_counted_as_python_counts_them(self, shared_data: Path, cache: Path) -> None:
        file = shared_data / "telco_churn" / "Telco-Customer-Churn.csv"
        with file.open(newline="") as text:
            rows = sum(1 for row in csv.reader(text) if row) - 1
        columns = {
            "customer_id": "customerID",
            "country": "'US'",
            "signed_up_on": "DATE '2024-01-01'",
            "email": "customerID",
        }
        source = FilesSourceConfig(
            tables={"customers": {"location": str(file), "columns": columns}}, cache=str(cache)
        ).open()
        assert source.holdings("customers").rows == source.read("customers", *ALWAYS).read_all().num_rows == rows
