"""Files and folders as no one means them: every record is kept, quarantined or counted, or its file is named."""

import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from resources.source.files import FilesSource
from tests.unit.test_files_records import COLUMNS, HEADER, arrow, judged, line, opened, refused, written


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def unread(source: FilesSource) -> dict[str, str]:
    return {file.name: file.reason for file in source.holdings("orders").unread}


NESTED: dict[str, pa.Array] = {
    "a list": pa.array([["a"], ["b"], None]),
    "a list of one size": pa.array([["a"], ["b"], None], pa.list_(pa.string(), 1)),
    "a struct": pa.array([{"id": "a"}, {"id": "b"}, None]),
    "a map": pa.array([[("id", "a")], [("id", "b")], None], pa.map_(pa.string(), pa.string())),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", NESTED)
@pytest.mark.parametrize("column", ["customer_id", "country"])
def test_a_list_or_a_struct_is_no_text(kind: str, column: str, tmp_path: Path, cache: Path) -> None:
    pq.write_table(arrow(**{column: NESTED[kind]}), tmp_path / "a.parquet")
    checked = judged(opened(tmp_path, cache))
    assert (checked.kept.num_rows, checked.quarantined.num_rows) == (0, 3)
    unreadable = f"{column} cannot be read as {'an id' if column == 'customer_id' else 'string'}"
    assert checked.reasons == {unreadable: 2, f"{column} is missing": 1}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_bytes_are_the_text_that_they_encode(kind: pa.DataType, tmp_path: Path, cache: Path) -> None:
    """Written out, `café` in bytes would be another customer than `café` in letters."""
    ids = pa.array(["café".encode(), "日本".encode(), b"\xff\x01"], kind)
    pq.write_table(arrow(customer_id=ids), tmp_path / "a.parquet")
    pq.write_table(
        arrow(customer_id=pa.array(["café", "日本", "x"]), order_line_id=["4", "5", "6"]), tmp_path / "b.parquet"
    )
    kept = judged(opened(tmp_path, cache)).kept["customer_id"].to_pylist()
    assert sorted(kept) == sorted(["café", "café", "日本", "日本", "x", "\\xFF\\x01"])


_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@pytest.mark.slow
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text("0123456789_.eE+- '’\u00a0", max_size=7), min_size=60, max_size=90))
def test_a_number_is_read_as_it_is_written_or_not_at_all(texts: list[str], tmp_path: Path, cache: Path) -> None:
    texts += ["1_000", "1_0", "1e2"]
    for column in ("quantity", "unit_price"):
        written(tmp_path / column / "a.csv", *(line(n, **{column: text}) for n, text in enumerate(texts)))
        checked = judged(opened(tmp_path / column, cache))
        assert checked.kept.num_rows + checked.quarantined.num_rows == len(texts)
        for key, value in zip(checked.kept["order_line_id"].to_pylist(), checked.kept[column].to_pylist(), strict=True):
            text = texts[int(key[1:])].strip("\u00a0 ")
            assert _NUMBER.fullmatch(text), text
            assert float(text) == value


def _loop(folder: Path) -> None:
    (folder / "loop.csv").symlink_to(folder / "loop.csv")


def _link_to_nothing(folder: Path) -> None:
    (folder / "gone.csv").symlink_to(folder / "nowhere.csv")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")


def _link_back(folder: Path) -> None:
    (folder / "country=DE").symlink_to(folder)


def _link_back_from_below(folder: Path) -> None:
    (folder / "country=FR").mkdir()
    (folder / "country=FR" / "year=1").symlink_to(folder)


ODD: dict[Callable[[Path], None], tuple[str, str]] = {
    _loop: ("loop.csv", "it is a link to nothing"),
    _link_to_nothing: ("gone.csv", "it is a link to nothing"),
    _pipe: ("pipe.csv", "it is no regular file"),
    _link_back: ("country=DE", "it is a link to a folder that is read already"),
    _link_back_from_below: ("country=FR/year=1", "it is a link to a folder that is read already"),
}


@pytest.mark.parametrize("make", ODD)
def test_what_looks_like_a_file_and_is_none_is_named(make: Callable[[Path], None], tmp_path: Path, cache: Path) -> None:
    name, reason = ODD[make]
    folder = written(tmp_path / "in" / "a.csv", line(1)).parent
    make(folder)
    source = opened(folder, cache)
    assert judged(source).kept.num_rows == source.holdings("orders").rows == 1
    assert unread(source) == {name: reason}
    if "=" not in name:
        assert unread(opened(folder / "*.csv", cache)) == {name: reason}


def test_names_of_folders_that_no_url_could_have_are_texts(tmp_path: Path, cache: Path) -> None:
    columns = [column for column in COLUMNS if column != "country"]
    values = {"New%20Zealand": "New Zealand", "a%2Fb": "a/b", "%FF": "%FF", "100%": "100%"}
    for number, folder in enumerate(values):
        fields = dict(zip(COLUMNS, line(number).split(","), strict=True))
        text = ",".join(fields[column] for column in columns)
        written(tmp_path / f"country={folder}" / "a.csv", text, header=",".join(columns))
    mapped = {column: column for column in COLUMNS if column != "description"}
    assert set(judged(opened(tmp_path, cache, columns=mapped)).kept["country"].to_pylist()) == set(values.values())


@pytest.mark.parametrize("name", ["_tessera_row", "tessera_day", "_repeat", "File_Row_Number"])
def test_a_column_whose_name_is_taken_is_refused_by_name(name: str, tmp_path: Path, cache: Path) -> None:
    file = written(tmp_path / "csv" / "a.csv", f"{line(1)},7", header=f"{HEADER},{name}")
    assert f"{str(file)!r} cannot be read as csv: the name of its column {name!r}" in refused(file.parent, cache).what
    pq.write_table(arrow().append_column(name, pa.array([7] * 3)), tmp_path / "a.parquet")
    assert f"the name of its column {name!r} is taken" in refused(tmp_path / "a.parquet", cache).what


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", f"{HEADER}\n{line(1)}\n".encode("utf-32"), "most likely utf-32"),
        (
            "a.csv.gz",
            gzip.compress(gzip.compress(f"{HEADER}\n{line(1)}\n".encode(), mtime=0), mtime=0),
            "compressed with gzip twice",
        ),
    ],
)
def test_what_a_file_is_is_told_truly(name: str, content: bytes, says: str, tmp_path: Path, cache: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert says in refused(tmp_path, cache).what


def test_a_name_that_is_no_utf_8_is_shown_in_escapes(tmp_path: Path, cache: Path) -> None:
    written(tmp_path / "a.csv", line(1))
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt"))
    odd.touch()
    assert list(unread(opened(tmp_path, cache))) == ["\\udcff.txt"]
    odd.rename(odd.with_suffix(".csv"))
    with pytest.raises(TesseraError, match=r"'\\\\udcff.csv' .* is no UTF-8"):
        _ = opened(tmp_path, cache).holdings("orders")


def test_a_file_that_is_set_to_its_encoding_is_read(tmp_path: Path, cache: Path) -> None:
    table: dict[str, Any] = {"encoding": "utf-32"}
    (tmp_path / "a.csv").write_bytes(f"{HEADER}\n{line(1)}\n{line(2)}\n".encode("utf-32"))
    assert judged(opened(tmp_path, cache, **table)).kept.num_rows == 2
