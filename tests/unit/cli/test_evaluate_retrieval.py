"""`tessera evaluate retrieval` on files of users."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from models.errors import TesseraError
from pipelines.cli.commands import app

CORPUS = {"id": ["a", "b", "c"], "text": ["The courier lost it.", "Refunds take a week.", "Reset a password."]}
QUERIES = {"id": ["q1", "q2"], "text": ["lost courier", "passwords"]}


def retrieved(corpus: Path, queries: Path, out: Path) -> None:
    files = ["--corpus", corpus, "--queries", queries, "--out", out]
    said = CliRunner().invoke(
        app, ["evaluate", "retrieval", *map(str, files), "--embedder", "hashed"], catch_exceptions=False
    )
    assert said.exit_code == 0
    assert str(out) in said.stdout


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    pq.write_table(pa.table(CORPUS), tmp_path / "corpus.parquet")
    return tmp_path / "corpus.parquet"


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    pacsv.write_csv(pa.table(QUERIES), tmp_path / "queries.csv")
    return tmp_path / "queries.csv"


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_each_query_has_its_documents_by_rank(corpus: Path, queries: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"found.{ending}"
    retrieved(corpus, queries, out)
    found = (pq.read_table(out) if ending == "parquet" else pacsv.read_csv(out)).to_pylist()
    assert list(found[0]) == ["query_id", "id", "rank"]
    assert [(row["query_id"], row["rank"]) for row in found] == [(q, rank) for q in ("q1", "q2") for rank in (1, 2, 3)]
    assert [row["id"] for row in found if row["rank"] == 1] == ["a", "c"]


def test_only_the_ten_best_of_many_are_written(queries: Path, tmp_path: Path) -> None:
    many = {"id": list(range(30)), "text": [f"lost courier {number}" for number in range(30)]}
    pq.write_table(pa.table(many), tmp_path / "many.parquet")
    retrieved(tmp_path / "many.parquet", queries, tmp_path / "found.parquet")
    assert pq.read_table(tmp_path / "found.parquet")["rank"].to_pylist() == [*range(1, 11)] * 2


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"id": ["a", "a"], "text": ["x", "y"]}, "two rows with the id 'a'"),
        ({"id": ["a"], "body": ["x"]}, "no column 'text'"),
        ({"id": [None], "text": ["x"]}, "no id in row 1"),
        ({"id": [], "text": []}, "holds no row"),
    ],
)
def test_wrong_files_are_refused(rows: dict, says: str, queries: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table(rows), tmp_path / "wrong.parquet")
    with pytest.raises(TesseraError, match=says):
        retrieved(tmp_path / "wrong.parquet", queries, tmp_path / "found.csv")


def test_a_folder_that_is_not_there_is_refused(corpus: Path, queries: Path, tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match="cannot be written"):
        retrieved(corpus, queries, tmp_path / "none" / "found.csv")


def test_a_result_that_would_replace_an_input_is_refused_and_ids_are_written_as_they_are(
    corpus: Path, queries: Path, tmp_path: Path
) -> None:
    before = queries.read_bytes()
    with pytest.raises(TesseraError, match="is read, too"):
        retrieved(corpus, queries, queries)
    assert queries.read_bytes() == before
    pq.write_table(pa.table({"id": ["-1", "=x"], "text": CORPUS["text"][:2]}), tmp_path / "signs.parquet")
    retrieved(tmp_path / "signs.parquet", queries, tmp_path / "found.csv")
    assert {row["id"] for row in pacsv.read_csv(tmp_path / "found.csv").to_pylist()} == {"-1", "=x"}
