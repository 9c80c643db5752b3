"""Files that were made to harm: each is refused in a sentence, before it takes memory, and never ends the process."""

import gzip
import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from string import ascii_uppercase

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.errors import TesseraError
from models.training import skops_files
from models.training.model_package import load
from models.training.ubj_files import is_whole
from resources.source import csv_text, scan, workbook_size
from tests.unit.test_files_records import COLUMNS, HEADER, arrow, line, refused
from tests.unit.training.test_package import forge, packed

_SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_RELATION = (
    "<Relationships xmlns='{0}/relationships'><Relationship Id='r' Type='{1}/{2}' Target='{3}'/></Relationships>"
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def _row(number: int, values: list[str]) -> str:
    cells = (
        f'<c r="{ascii_uppercase[place]}{number}" t="inlineStr"><is><t>{value}</t></is></c>'
        for place, value in enumerate(values)
    )
    return f'<row r="{number}">{"".join(cells)}</row>'


def workbook(file: Path, more: str = "", doctype: str = "") -> Path:
    """A workbook of one good line, and whatever stands behind it."""
    rows = _row(1, list(COLUMNS)) + _row(2, line(1).split(",")) + more
    parts = {
        "[Content_Types].xml": f"<Types xmlns='{_PACKAGE}/content-types'/>",
        "_rels/.rels": _RELATION.format(_PACKAGE, _OFFICE, "officeDocument", "xl/workbook.xml"),
        "xl/workbook.xml": f"<workbook xmlns='{_SPREADSHEET}' xmlns:r='{_OFFICE}'><sheets>"
        "<sheet name='S' sheetId='1' r:id='r'/></sheets></workbook>",
        "xl/_rels/workbook.xml.rels": _RELATION.format(_PACKAGE, _OFFICE, "worksheet", "worksheets/sheet1.xml"),
        "xl/worksheets/sheet1.xml": f"<?xml version='1.0'?>{doctype}<worksheet xmlns='{_SPREADSHEET}'><sheetData>{rows}"
        "</sheetData></worksheet>",
    }
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file


def _lying(file: Path) -> Path:
    """Its directory says that every part is a byte long."""
    content = file.read_bytes()
    place = content.find(b"PK\x01\x02")
    while place >= 0:
        content = content[: place + 24] + struct.pack("<I", 1) + content[place + 28 :]
        place = content.find(b"PK\x01\x02", place + 4)
    file.write_bytes(content)
    return file


_FAR = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
_ENTITIES = '<!DOCTYPE w [<!ENTITY x SYSTEM "file:///etc/passwd"><!ENTITY a "aa"><!ENTITY b "&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("more", "doctype", "says"),
    [
        (_FAR, "", "spans 1,048,576 rows and 16,384 columns"),
        ("<row r='999999999'><c r='ZZZZ999999999'/></row>", "", "spans 999,999,999 rows"),
        (f"<!--{'a' * 2**20}-->", "", "larger than 0 MB unpacked"),
        (_row(3, ["&x;", "&b;"]), _ENTITIES, "unrecognized entity"),
    ],
    ids=["a cell far away", "a cell beyond Excel", "a bomb", "entities"],
)
@pytest.mark.parametrize("made", [lambda file: file, _lying], ids=["", "with a directory that lies"])
def test_a_workbook(
    more: str,
    doctype: str,
    says: str,
    made: Callable[[Path], Path],
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workbook_size, "MOST_BYTES", 2**19)
    file = made(workbook(tmp_path / "a.xlsx", more, doctype))
    error = refused(file, cache)
    assert says in error.what or made is _lying
    assert error.todo


def test_a_csv_line_without_end(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte of gzip is a gigabyte of one letter."""
    monkeypatch.setattr(csv_text, "MOST_CHARACTERS", 10_000)
    text = f"{HEADER}\n{line(1)}\n".encode()
    for name, content in {"a.csv.gz": gzip.compress(text + b"a" * 20_000), "b.csv": text + b"\0" * 20_000}.items():
        (tmp_path / name).write_bytes(content)
        assert "a line of more than 10,000 characters" in refused(tmp_path / name, cache).what


def test_more_columns_than_any_table(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MOST_COLUMNS", 50)
    (tmp_path / "a.csv").write_text(f"{HEADER},{','.join(f'c{n}' for n in range(60))}\n{line(1)}\n")
    assert "it has 71 columns, more than 50" in refused(tmp_path, cache).what


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("rows", lambda foot: foot.replace(b"\x16\x06", b"\x16\xfe\xff\xff\xff\xff\xff\xff\xff\x7f")),
        ("length", None),
        ("nesting", lambda foot: b"\x1c" * len(foot)),
    ],
)
def test_a_parquet_footer_that_lies(
    name: str, change: Callable[[bytes], bytes] | None, tmp_path: Path, cache: Path
) -> None:
    file = tmp_path / f"{name}.parquet"
    pq.write_table(arrow(), file)
    content = file.read_bytes()
    (length,) = struct.unpack("<I", content[-8:-4])
    footer = change(content[-8 - length : -8]) if change else content[-8 - length : -8]
    stated = struct.pack("<I", len(footer) if change else 2**31 - 1)
    file.write_bytes(content[: -8 - length] + footer + stated + b"PAR1")
    assert f"{str(file)!r} cannot be read as parquet" in refused(file, cache).what


def test_a_small_parquet_file_of_very_many_rows(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MOST_ROWS_UNASKED", 10_000)
    table = arrow()
    pq.write_table(table.take([0] * 200_000), tmp_path / "a.parquet", compression="zstd")
    assert "200,000 rows in" in refused(tmp_path / "a.parquet", cache).what


def _survives(work: Callable[[], object]) -> str:
    """Return what `work` says in a process of its own: a crash of a library must not end the tests."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            work()
            os.write(write, b"done")
        except TesseraError as error:
            os.write(write, error.what.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = answer.read()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "the process died"
    return said


@pytest.mark.slow
def test_a_booster_cut_anywhere_or_with_sizes_that_lie(tmp_path: Path) -> None:
    """XGBoost itself ends the process by a segmentation fault at some of these."""
    folder = packed("xgboost", tmp_path / "p")
    file = folder / "model.ubj"
    whole = file.read_bytes()
    assert is_whole(file)
    sizes = [place for place in range(len(whole)) if whole[place : place + 2] == b"#L"]
    lies = [whole[: place + 2] + struct.pack(">q", 2**62) + whole[place + 10 :] for place in sizes]
    for content in (*(whole[:end] for end in range(0, len(whole), 10)), *lies, whole + b"}", b"[" * 10_000):
        file.write_bytes(content)
        assert not is_whole(file)
    for content in (whole[:900], whole[:1710], lies[0], b"{" * 10_000):
        file.write_bytes(content)
        forge(folder, file.name)
        assert "is no XGBoost model" in _survives(lambda: load(folder))


def _array(shape: tuple[int, ...], kind: str = "<f8", content: bytes = b"") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    return stream.getvalue() + content


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        lambda parts, _: parts.update({"schema.json": b"[" * 100_000}),
        lambda parts, _: parts.update({"schema.json": b"[]"}),
        lambda parts, _: parts.update({"schema.json": b"{}"}),
        lambda parts, _: parts.update({"schema.json": b" " * 2**20 + parts["schema.json"]}),
        lambda parts, one: parts.update({one: _array((2**40,))}),
        lambda parts, one: parts.update({one: _array((1,), "|O", b"\x80\x04]\x94K\x01a.")}),
        lambda parts, one: parts.update({"schema.json": parts["schema.json"].replace(one.encode(), b"/etc/passwd")}),
        lambda parts, one: parts.pop(one),
    ],
    ids=[
        "deep",
        "a list",
        "empty",
        "a bomb",
        "a huge array",
        "a pickle in an array",
        "a path outside",
        "a part missing",
    ],
)
def test_a_skops_file(
    change: Callable[[dict[str, bytes], str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skops_files, "MOST_BYTES", 2**20)
    folder = packed("logistic_regression", tmp_path / "p")
    file = folder / "model.skops"
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert json.loads(parts["schema.json"])
    change(parts, next(name for name in parts if name.endswith(".npy")))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    forge(folder, file.name)
    with pytest.raises(TesseraError) as error:
        load(folder)
    assert str(file) in error.value.what
    assert error.value.todo
