"""Files that users name: a spreadsheet runs none of their text, and reading gives back what was written."""

import csv
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.cli.tables import read_table, write_table

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
TEXTS = st.tuples(
    st.sampled_from(["", "'", "''", " ", *FORMULAS]), st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
).map("".join)


def written(folder: Path, rows: pa.Table) -> list[list[str]]:
    """The cells of the CSV file as any program reads them, header left out."""
    write_table(rows, folder / "x.csv")
    with (folder / "x.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))[1:]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(text="=HYPERLINK(0)")
@example(text="'-1")
@given(text=TEXTS)
def test_no_text_is_a_formula_and_reading_gives_it_back(tmp_path: Path, text: str) -> None:
    rows = pa.table({"customer_id": [text], "reasons": [[text, "b"]], "kind": pa.array([text]).dictionary_encode()})
    for cell in written(tmp_path, rows)[0]:
        assert not cell.startswith(FORMULAS)
    write_table(pa.table({"customer_id": [text]}), tmp_path / "x.csv")
    assert read_table(tmp_path / "x.csv", ids=["customer_id"])["customer_id"].to_pylist() == [text]


def test_numbers_and_parquet_files_stay_as_they_are(tmp_path: Path) -> None:
    rows = pa.table({"customer_id": ["=1"], "score": [-0.5]})
    assert written(tmp_path, rows) == [["'=1", "-0.5"]]
    write_table(rows, tmp_path / "x.parquet")
    assert read_table(tmp_path / "x.parquet").equals(rows)


@pytest.mark.parametrize("text", ["c1", "'quoted'", "a=b", " =1", "1-2", "a@b.c"])
def test_text_that_is_no_formula_stays_as_it_is(tmp_path: Path, text: str) -> None:
    assert written(tmp_path, pa.table({"customer_id": [text]})) == [[text]]


def test_an_id_of_digits_stays_text(tmp_path: Path) -> None:
    write_table(pa.table({"customer_id": ["007", "1e3"]}), tmp_path / "x.csv")
    assert read_table(tmp_path / "x.csv", ids=["customer_id"])["customer_id"].to_pylist() == ["007", "1e3"]
