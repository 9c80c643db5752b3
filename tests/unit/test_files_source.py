import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from models.errors import TesseraError
from resources.source.files import FilesSource, FilesSourceConfig
from resources.source.locations import expanded, local_files

DAY = date(2024, 5, 1)
NEXT = date(2024, 5, 2)

#: The mapping of UCI Online Retail that stack.yaml ships.
ONLINE_RETAIL = {
    "order_line_id": "md5(concat_ws('|', InvoiceNo, StockCode, Quantity, InvoiceDate, UnitPrice, CustomerID))",
    "order_id": "InvoiceNo",
    "customer_id": "CustomerID",
    "product_id": "StockCode",
    "ordered_at": "InvoiceDate",
    "quantity": "Quantity",
    "unit_price": "UnitPrice",
    "currency": "'GBP'",
    "country": "Country",
    "is_return": "starts_with(InvoiceNo, 'C') OR TRY_CAST(Quantity AS INTEGER) < 0",
}
HEADER = "InvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


def _line(number: int, when: object, quantity: object = 2) -> str:
    return f"{number},S{number},{quantity},{when},1.5,77,France"


def _csv(place: Path, *lines: str, header: str = HEADER) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("\n".join((header, *lines)) + "\n")
    return place


def _source(location: object, tmp_path: Path, **table: Any) -> FilesSource:
    table = {"location": str(location), "columns": ONLINE_RETAIL, **table}
    return FilesSourceConfig(tables={"orders": table}, cache=str(tmp_path / "cache")).open()


def _rows(source: FilesSource, first: date = date(2000, 1, 1), last: date = date(2100, 1, 1)) -> list[dict[str, Any]]:
    return source.read("orders", first, last).read_all().to_pylist()


RETAIL_FIRST, RETAIL_LAST = date(2010, 12, 1), date(2011, 8, 31)


@pytest.fixture(scope="module")
def rows(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    source = _source(shared_data / "online_retail", tmp_path_factory.mktemp("retail"))
    assert source.first_day() == RETAIL_FIRST
    return source.read("orders", RETAIL_FIRST, RETAIL_LAST).read_all()


@pytest.fixture(scope="module")
def raw(shared_data: Path) -> pa.Table:
    return pq.read_table(shared_data / "online_retail")


@pytest.mark.real
class TestOnlineRetail:
    @pytest.mark.slow
    def test_every_row_comes_out_once_in_the_file_s_order(self, rows: pa.Table, raw: pa.Table) -> None:
        assert rows.num_rows == raw.num_rows == 320_705
        originals = json.loads(f"[{','.join(rows['_original'].to_pylist())}]")
        for column in ("InvoiceNo", "StockCode", "Description", "Quantity", "UnitPrice", "CustomerID", "Country"):
            assert [row[column] for row in originals] == raw[column].to_pylist()

    def test_values_are_those_of_the_file(self, rows: pa.Table, raw: pa.Table) -> None:
        assert rows["ordered_at"].cast(pa.int64()) == raw["InvoiceDate"].cast(pa.timestamp("us")).cast(pa.int64())
        assert rows["customer_id"] == raw["CustomerID"].cast(pa.string())
        assert rows["quantity"] == raw["Quantity"].cast(pa.int32())
        assert rows["unit_price"] == raw["UnitPrice"]
        assert rows["delivered_on"] == raw["InvoiceDate"].cast(pa.date32(), safe=False)

    def test_its_known_defects_are_left_for_the_contract_to_find(self, rows: pa.Table, raw: pa.Table) -> None:
        columns = ["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"]
        assert pc.count_distinct(rows["order_line_id"]).as_py() == raw.group_by(columns).aggregate([]).num_rows
        assert rows["customer_id"].null_count / rows.num_rows == pytest.approx(0.25, abs=0.03)
        cancelled = pc.starts_with(raw["InvoiceNo"], "C")
        taken_back = pc.or_(cancelled, pc.less(raw["Quantity"], 0))
        assert rows["is_return"] == taken_back
        assert pc.sum(cancelled).as_py() > 5000
        assert pc.sum(pc.less_equal(rows["unit_price"], 0)).as_py() > 1000

    def test_a_day_is_read_without_the_others(self, shared_data: Path, rows: pa.Table, tmp_path: Path) -> None:
        day = date(2011, 3, 1)
        alone = _source(shared_data / "online_retail", tmp_path).read("orders", day, day).read_all()
        assert alone.num_rows > 500
        assert alone == rows.filter(pc.equal(rows["delivered_on"], day))


class TestValues:
    def test_a_value_that_cannot_be_read_is_null_and_stands_in_the_original(self, tmp_path: Path) -> None:
        _csv(tmp_path / "in" / "a.csv", _line(1, DAY, "two"), _line(2, DAY, "2.5"), _line(3, DAY, "99999999999"))
        rows = _rows(_source(tmp_path / "in", tmp_path))
        assert [row["quantity"] for row in rows] == [None, None, None]
        assert [json.loads(row["_original"])["Quantity"] for row in rows] == ["two", "2.5", "99999999999"]
        assert [row["order_id"] for row in rows] == ["1", "2", "3"]

    def test_a_csv_row_with_more_fields_than_columns_is_not_read_but_kept(self, tmp_path: Path) -> None:
        _csv(tmp_path / "in" / "a.csv", _line(1, DAY), _line(2, NEXT) + ",extra", "3,short")
        rows = _rows(_source(tmp_path / "in", tmp_path))
        assert [row["order_id"] for row in rows] == ["1", None, "3"]
        assert [row["delivered_on"] for row in rows] == [DAY, DAY, DAY]
        assert json.loads(rows[1]["_original"])["_beyond_the_header"] == "extra"
        assert "_beyond_the_header" not in json.loads(rows[0]["_original"])

    def test_times_without_a_zone_are_of_the_stated_zone(self, tmp_path: Path) -> None:
        times = ["2024-07-01 00:30:00", "2024-07-01T00:30:00Z", "2024-07-01T00:30:00+05:00"]
        _csv(tmp_path / "in" / "a.csv", *(_line(number, when) for number, when in enumerate(times)))
        rows = _rows(_source(tmp_path / "in", tmp_path, timezone="Europe/Berlin"))
        assert {row["order_id"]: row["ordered_at"].astimezone(UTC) for row in rows} == {
            "0": datetime(2024, 6, 30, 22, 30, tzinfo=UTC),
            "1": datetime(2024, 7, 1, 0, 30, tzinfo=UTC),
            "2": datetime(2024, 6, 30, 19, 30, tzinfo=UTC),
        }
        assert {row["order_id"]: row["delivered_on"].day for row in rows} == {"0": 30, "1": 1, "2": 30}

    def test_numbers_that_json_does_not_know_are_texts_in_the_original(self, tmp_path: Path) -> None:
        table = pa.table({**_arrow_columns(1), "UnitPrice": [float("nan")]})
        pq.write_table(table, tmp_path / "a.parquet")
        (row,) = _rows(_source(tmp_path / "a.parquet", tmp_path))
        assert json.loads(row["_original"], parse_constant=pytest.fail)["UnitPrice"] == "nan"

    def test_quotes_and_odd_names_survive(self, tmp_path: Path) -> None:
        place = tmp_path / "it's [a] *folder?"
        _csv(place / "a*.csv", '1,"say ""hi"", or\nnot",2,2024-05-01,1.5,77,"Côte d\'Ivoire"')
        _csv(place / "ab.csv", header=HEADER)
        (row,) = _rows(_source(place, tmp_path))
        assert row["product_id"] == 'say "hi", or\nnot'
        assert row["country"] == "Côte d'Ivoire"

    def test_another_delimiter_and_encoding(self, tmp_path: Path) -> None:
        text = f"{HEADER}\n{_line(1, DAY)}\n".replace("France", "España").replace(",", ";")
        (tmp_path / "a.csv").write_bytes(text.encode("latin-1"))
        (row,) = _rows(_source(tmp_path / "a.csv", tmp_path, delimiter=";", encoding="latin-1"))
        assert row["country"] == "España"

    def test_renamed_columns_can_be_found_in_the_original(self, tmp_path: Path) -> None:
        columns = {**ONLINE_RETAIL, "country": ' "Country" '}
        _csv(tmp_path / "a.csv", _line(1, DAY))
        source = _source(tmp_path / "a.csv", tmp_path, columns=columns)
        names = source.original_names("orders")
        assert names == {
            "order_id": "InvoiceNo",
            "customer_id": "CustomerID",
            "product_id": "StockCode",
            "ordered_at": "InvoiceDate",
            "quantity": "Quantity",
            "unit_price": "UnitPrice",
            "country": "Country",
        }
        (row,) = _rows(source)
        assert {json.loads(row["_original"])[name] for name in names.values()} >= {"1", "S1", "77", "France"}


class TestDeliveryDays:
    @pytest.mark.slow
    def test_a_row_without_a_readable_day_goes_with_the_row_above(self, tmp_path: Path) -> None:
        _csv(
            tmp_path / "in" / "a.csv",
            _line(1, "?"),
            _line(2, NEXT),
            _line(3, ""),
            _line(4, DAY),
            _line(5, "0024-05-09"),
        )
        _csv(tmp_path / "in" / "b.csv", _line(6, "never"))
        source = _source(tmp_path / "in", tmp_path)
        days = {row["order_id"]: row["delivered_on"] for row in _rows(source)}
        assert days == {"1": DAY, "2": NEXT, "3": NEXT, "4": DAY, "5": DAY, "6": DAY}
        assert [row["order_id"] for row in _rows(source, DAY, DAY)] == ["1", "4", "5", "6"]
        assert [row["order_id"] for row in _rows(source)] == ["1", "4", "5", "6", "2", "3"]

    @pytest.mark.slow
    def test_such_rows_stay_where_they_were_when_later_days_arrive(self, tmp_path: Path) -> None:
        lines = [_line(1, "?"), _line(2, DAY), _line(3, "?")]
        source = _source(tmp_path / "in", tmp_path)
        file = _csv(tmp_path / "in" / "b.csv", *lines)
        before = _rows(source, DAY, DAY)
        _csv(file, *lines, _line(4, NEXT), _line(5, "?"))
        _csv(tmp_path / "in" / "a.csv", _line(6, NEXT))
        assert len(before) == 3
        assert _rows(source, DAY, DAY) == before
        assert [row["order_id"] for row in _rows(source, NEXT, NEXT)] == ["6", "4", "5"]

    def test_an_expression_can_say_the_day(self, tmp_path: Path) -> None:
        _csv(tmp_path / "in" / "a.csv", _line(1, "2024-05-01 23:00"))
        source = _source(tmp_path / "in", tmp_path, delivered_on="CAST(InvoiceDate AS DATE) + 1")
        assert [row["delivered_on"] for row in _rows(source)] == [NEXT]
        assert source.first_day() == NEXT

    def test_rows_that_do_not_count_are_left_out(self, tmp_path: Path) -> None:
        _csv(tmp_path / "in" / "a.csv", _line(1, DAY), _line(2, DAY, "-3"))
        source = _source(tmp_path / "in", tmp_path, where="Quantity NOT LIKE '-%'")
        assert [row["order_id"] for row in _rows(source)] == ["1"]

    def test_a_catalogue_is_delivered_on_the_first_day_of_all(self, tmp_path: Path) -> None:
        _csv(tmp_path / "orders.csv", _line(1, NEXT), _line(2, DAY))
        _csv(tmp_path / "products.csv", "S1,home,2.5,EUR", header="product_id,category,list_price,currency")
        source = FilesSourceConfig(
            tables={
                "orders": {"location": str(tmp_path / "orders.csv"), "columns": ONLINE_RETAIL},
                "products": {"location": str(tmp_path / "products.csv")},
            },
            cache=str(tmp_path / "cache"),
        ).open()
        assert source.read("products", DAY, DAY).read_all()["product_id"].to_pylist() == ["S1"]
        assert source.read("products", NEXT, NEXT).read_all().num_rows == 0


def _arrow_columns(number: int) -> dict[str, list[Any]]:
    return {
        "InvoiceNo": [str(number)],
        "StockCode": ["S"],
        "Quantity": [1],
        "InvoiceDate": pa.array([datetime(2024, 5, 1, 12)], pa.timestamp("ns")),
        "UnitPrice": [1.5],
        "CustomerID": [7],
        "Country": ["France"],
    }


class TestLocations:
    def test_a_folder_is_all_its_data_files_of_any_format_with_their_own_columns(self, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        _csv(folder / "b.csv", "2,S,1,2024-05-01,1.5,7,France,blue", header=HEADER + ",Colour")
        pq.write_table(pa.table(_arrow_columns(1)), folder / "a.parquet")
        pq.write_table(pa.table({**_arrow_columns(3), "Size": ["L"]}), folder / "c.parquet")
        with gzip.open(folder / "d.csv.gz", "wt") as file:
            file.write(f"{HEADER}\n{_line(4, DAY)}\n")
        (folder / "README.md").write_text("not data")
        (folder / "_temporary.csv").write_text("not data")
        rows = _rows(_source(folder, tmp_path))
        assert [row["order_id"] for row in rows] == ["1", "2", "3", "4"]
        assert [json.loads(row["_original"])["Colour"] for row in rows] == [None, "blue", None, None]
        assert [row["quantity"] for row in rows] == [1, 1, 1, 2]

    def test_a_pattern_and_a_single_file(self, tmp_path: Path) -> None:
        for name in ("x/a.csv", "x/y/b.csv", "x/y/c.txt"):
            _csv(tmp_path / name, _line(1, DAY))
        assert [file.name for file in local_files("x/**/*.csv", tmp_path, tmp_path)] == ["a.csv", "b.csv"]
        assert [file.name for file in local_files("x/y/c.txt", tmp_path, tmp_path)] == ["c.txt"]

    def test_variables_and_relative_paths(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SHOP_DATA", raising=False)
        assert expanded("${SHOP_DATA:-../there}/x") == "../there/x"
        monkeypatch.setenv("SHOP_DATA", "here")
        assert expanded("${SHOP_DATA:-../there}/x") == "here/x"
        _csv(tmp_path / "here" / "x" / "a.csv", _line(1, DAY))
        config = FilesSourceConfig(
            tables={"orders": {"location": "${SHOP_DATA}/x", "columns": ONLINE_RETAIL}}, root=str(tmp_path)
        )
        assert len(_rows(config.open())) == 1

    def test_a_variable_that_is_not_set_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SHOP_DATA", raising=False)
        with pytest.raises(TesseraError, match="SHOP_DATA, which is not set"):
            expanded("${SHOP_DATA}/x")


class TestUrls:
    @pytest.fixture
    def served(self, tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
        """An address, the folder it serves, and the requests it got."""
        folder, asked = tmp_path / "served", list[str]()
        folder.mkdir()

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_request(self, code: object = "-", size: object = "-") -> None:
                asked.append(self.command)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on the terminal."""

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}", folder, asked
            server.shutdown()
            thread.join()

    @pytest.mark.slow
    def test_a_file_is_fetched_once_until_it_changes(self, served: tuple[str, Path, list[str]], tmp_path: Path) -> None:
        url, folder, asked = served
        _csv(folder / "orders.csv", _line(1, DAY))
        source = _source(f"{url}/orders.csv", tmp_path)
        assert len(_rows(source)) == 1
        fetched = asked.count("GET")
        assert len(_rows(source)) == 1
        assert asked.count("GET") == fetched
        _csv(folder / "orders.csv", _line(1, DAY), _line(2, NEXT))
        assert len(_rows(source)) == 2

    @pytest.mark.slow
    def test_a_parquet_file(self, served: tuple[str, Path, list[str]], tmp_path: Path) -> None:
        url, folder, _ = served
        pq.write_table(pa.table(_arrow_columns(1)), folder / "orders.parquet")
        assert [row["order_id"] for row in _rows(_source(f"{url}/orders.parquet", tmp_path))] == ["1"]

    @pytest.mark.slow
    def test_a_file_that_is_not_there(self, served: tuple[str, Path, list[str]], tmp_path: Path) -> None:
        url, _, _ = served
        health = _source(f"{url}/orders.csv", tmp_path).check()
        assert not health.ok
        assert "orders.csv' cannot be fetched" in health.says

    def test_nobody_answers(self, tmp_path: Path) -> None:
        health = _source("http://127.0.0.1:9/orders.csv", tmp_path).check()
        assert not health.ok
        assert "cannot be fetched" in health.says

    def test_a_protocol_without_its_package(self, tmp_path: Path) -> None:
        health = _source("nonsense://bucket/orders.csv", tmp_path).check()
        assert not health.ok
        assert "nonsense" in health.says


class TestMistakes:
    def _told(self, source: FilesSource) -> TesseraError:
        """What reading says; `check` must say the same."""
        with pytest.raises(TesseraError) as error:
            source.read("orders", DAY, DAY).read_all()
        health = source.check()
        assert not health.ok
        assert health.says == error.value.what
        return error.value

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        assert str(tmp_path / "nowhere") in self._told(_source(tmp_path / "nowhere", tmp_path)).what

    def test_a_folder_without_data(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert "no Parquet or CSV file" in self._told(_source(tmp_path / "empty", tmp_path)).what

    def test_a_pattern_that_matches_nothing(self, tmp_path: Path) -> None:
        assert "*.csv" in self._told(_source(tmp_path / "*.csv", tmp_path)).what

    @pytest.mark.parametrize("content", [b"PAR1 and no more", b"hello, this is a text and no Parquet file at all", b""])
    def test_a_file_that_is_no_parquet_is_named(self, tmp_path: Path, content: bytes) -> None:
        pq.write_table(pa.table(_arrow_columns(1)), tmp_path / "a.parquet")
        (tmp_path / "b.parquet").write_bytes(content)
        assert "b.parquet" in self._told(_source(tmp_path / "*.parquet", tmp_path)).what

    @pytest.mark.real
    def test_a_damaged_parquet_file_is_named_when_its_rows_are_read(self, shared_data: Path, tmp_path: Path) -> None:
        (whole,) = (shared_data / "online_retail").glob("*.parquet")
        content = whole.read_bytes()
        damaged = content[:200_000] + bytes(400_000) + content[600_000:]
        (tmp_path / "damaged.parquet").write_bytes(damaged)
        source = _source(tmp_path / "damaged.parquet", tmp_path)
        with pytest.raises(TesseraError, match=r"damaged\.parquet' cannot be read as parquet"):
            source.read("orders", RETAIL_FIRST, RETAIL_LAST).read_all()

    def test_a_csv_file_in_another_encoding_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_bytes(f"{HEADER}\n1,caf\xe9,2,2024-05-01,1,7,France\n".encode("latin-1"))
        source = _source(tmp_path / "a.csv", tmp_path)
        with pytest.raises(TesseraError, match=r"a\.csv' cannot be read as csv") as error:
            _rows(source)
        assert "encoding" in error.value.todo

    def test_a_csv_file_whose_header_does_not_name_its_columns(self, tmp_path: Path) -> None:
        _csv(tmp_path / "a.csv", header=",,")
        assert "a.csv" in self._told(_source(tmp_path / "a.csv", tmp_path)).what

    def test_a_column_that_the_files_do_not_have(self, tmp_path: Path) -> None:
        _csv(tmp_path / "a.csv", _line(1, DAY))
        columns = {**ONLINE_RETAIL, "customer_id": "CustomerId2"}
        error = self._told(_source(tmp_path / "a.csv", tmp_path, columns=columns))
        assert "`columns.customer_id`" in error.what
        assert "did you mean 'CustomerID'" in error.expected
        assert "'InvoiceNo'" in error.expected

    def test_a_contract_column_that_nothing_provides(self, tmp_path: Path) -> None:
        _csv(tmp_path / "a.csv", _line(1, DAY))
        columns = {name: value for name, value in ONLINE_RETAIL.items() if name != "currency"}
        assert "`columns.currency`" in self._told(_source(tmp_path / "a.csv", tmp_path, columns=columns)).what

    @pytest.mark.parametrize("setting", ["delivered_on", "where"])
    def test_an_expression_that_is_no_sql(self, tmp_path: Path, setting: str) -> None:
        _csv(tmp_path / "a.csv", _line(1, DAY))
        assert f"`{setting}`" in self._told(_source(tmp_path / "a.csv", tmp_path, **{setting: "1 +"})).what

    def test_a_condition_that_fails_on_a_row(self, tmp_path: Path) -> None:
        _csv(tmp_path / "a.csv", _line(1, DAY, "two"))
        with pytest.raises(TesseraError, match=r"cannot be read together.*'two'"):
            _rows(_source(tmp_path / "a.csv", tmp_path, where="CAST(Quantity AS INTEGER) > 0"))

    def test_files_whose_rows_never_say_when(self, tmp_path: Path) -> None:
        _csv(tmp_path / "a.csv", _line(1, "?"))
        with pytest.raises(TesseraError, match="No row of orders has a readable day"):
            _source(tmp_path / "a.csv", tmp_path).first_day()

    def test_files_that_are_header_lines_only(self, tmp_path: Path) -> None:
        _csv(tmp_path / "a.csv")
        with pytest.raises(TesseraError, match="The files of orders hold no row"):
            _source(tmp_path / "a.csv", tmp_path).first_day()

    def test_a_mapping_of_an_unknown_column(self, tmp_path: Path) -> None:
        with pytest.raises(TesseraError, match="did you mean 'customer_id'"):
            _source(tmp_path, tmp_path, columns={"costumer_id": "CustomerID"})

    def test_an_unknown_table(self) -> None:
        with pytest.raises(TesseraError, match="did you mean 'orders'"):
            FilesSourceConfig(tables={"order": {"location": "x"}}).open()  # type: ignore[dict-item]

    @pytest.mark.parametrize(
        "setting",
        [{"format": "excel"}, {"timezone": "Mars"}, {"encoding": "ebcdic"}, {"colums": {}}, {"delimiter": ""}],
    )
    def test_a_wrong_setting_is_refused(self, setting: dict[str, Any]) -> None:
        with pytest.raises((ValidationError, KeyError)):
            FilesSourceConfig(tables={"orders": {"location": "x", **setting}})  # type: ignore[dict-item]


LABEL_HEADER = "ticket_id,intent,urgent,handed_off,labelled_at"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("header", "line", "mapped", "expected"),
    [
        (LABEL_HEADER, "t1,refund,true,,2024-05-01 10:00", {}, None),
        (f"{LABEL_HEADER},article_id", "t1,refund,true,,2024-05-01 10:00,kb-1", {}, "kb-1"),
        (f"{LABEL_HEADER},Article_ID", "t1,refund,true,,2024-05-01 10:00,kb-1", {}, "kb-1"),
        (f"{LABEL_HEADER},solved_by", "t1,refund,true,,2024-05-01 10:00,kb-1", {"article_id": "solved_by"}, "kb-1"),
    ],
)
def test_files_may_lack_an_optional_column_and_no_other(
    tmp_path: Path, header: str, line: str, mapped: dict[str, str], expected: str | None
) -> None:
    file = _csv(tmp_path / "labels.csv", line, header=header)

    def rows() -> list[dict[str, Any]]:
        tables = {"ticket_labels": {"location": str(file), "columns": mapped}}
        source = FilesSourceConfig(tables=tables, cache=str(tmp_path / "cache")).open()
        return source.read("ticket_labels", DAY, DAY).read_all().to_pylist()

    (row,) = rows()
    assert (row["article_id"], row["intent"], row["urgent"]) == (expected, "refund", True)
    assert ("article_id" in json.loads(row["_original"])) == ("article_id" in header)
    _csv(file, line.replace("true,", "", 1), header=header.replace("urgent,", ""))
    with pytest.raises(TesseraError, match=r"columns.urgent.*no 'urgent'"):
        rows()
