"""Exports as their programs write them: encoding and delimiter are found, what is no export is named."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from resources.source.csv_text import lines_of
from resources.source.proposal import propose
from resources.source.sniffing import sniff

HEADER = "Order ID,Customer,Date,SKU,Qty,Price\n"
#: Encodings that marks or zero bytes tell; without either, UTF-8.
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
CELLS = st.text(st.characters(exclude_characters='\r\n",\ufeff', exclude_categories=("Cs", "Cc")), max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(encoding=st.sampled_from(ENCODINGS), packed=st.booleans(), cells=st.lists(CELLS, min_size=6, max_size=6))
def test_the_text_is_read_back_whatever_it_was_encoded_in(
    encoding: str, packed: bool, cells: list[str], tmp_path: Path
) -> None:
    text = HEADER + ",".join(cells) + "\n"
    content = text.encode(encoding)
    file = tmp_path / "orders.csv"
    file.write_bytes(gzip.compress(content) if packed else content)
    form = sniff(file)
    assert form.delimiter == ","
    with lines_of(file, form) as lines:
        assert "".join(lines) == text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (HEADER.encode() + b"1,a,2025-01-01,mug,1,2\n" + bytes(50), "line 3 holds zero bytes"),
        (HEADER.encode() + b"1,a,2025-01-01,m\0g,1,2\n", "line 2 holds zero bytes"),
        (bytes(64), "zero bytes"),
        (gzip.compress(gzip.compress(HEADER.encode(), mtime=0), mtime=0), "compressed with gzip twice"),
        (b"\xef\xbb\xbf", "no two columns"),
        (b"", "it is empty"),
    ],
)
def test_what_is_no_export_is_told_truly(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_bytes(content)
    with pytest.raises(TesseraError, match=says):
        sniff(tmp_path / "orders.csv")


def test_a_header_line_alone_tells_no_dates() -> None:
    names = HEADER.strip().split(",")
    with pytest.raises(TesseraError, match="no row below it"):
        propose(pa.table({name: pa.array([], pa.string()) for name in names}))
