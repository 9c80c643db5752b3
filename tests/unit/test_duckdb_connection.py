"""Every query of the project runs in a DuckDB that prints nothing."""

import ast
import os
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources import duckdb_connection
from resources.duckdb_connection import connect, connect_shared
from tests.unit.syntax_trees import ON_ONE_WORKER, tree_of

ROOT = Path(__file__).parents[2]
SLOW = "SET progress_bar_time = 1; SET threads = 1; SELECT sum(hash(range)) FROM range(30_000_000)"
OPENS = {"connect", "sql", "query", "execute"}


def opened_by_hand(tree: ast.Module) -> list[int]:
    """List the lines that use DuckDB's own connection or its shared one."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "duckdb"
        and node.attr in OPENS
    ]


@pytest.mark.slow
def test_a_slow_query_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with duckdb.connect() as connection:
        connection.execute(SLOW).fetchall()
    assert "%" in capfd.readouterr().out, "DuckDB itself draws a progress bar: else this test shows nothing"
    with connect() as connection:
        connection.execute(SLOW).fetchall()
    assert capfd.readouterr() == ("", "")


def test_sessions_see_nothing_of_each_other(tmp_path: Path) -> None:
    settings = {"threads": 1, "temp_directory": str(tmp_path)}
    one, two = connect_shared(**settings), connect_shared(**settings)
    one.register("rows", pa.table({"n": [1]}))
    one.execute("SET TimeZone = 'Asia/Tokyo'; CREATE TEMP TABLE made AS FROM rows")
    for name in ("rows", "made"):
        with pytest.raises(duckdb.CatalogException):
            two.execute(f"FROM {name}")
    for session in (two, connect_shared(**settings)):
        assert session.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]


def test_limits_are_those_that_were_asked_for(tmp_path: Path) -> None:
    for megabytes in (100, 200):
        with connect_shared(threads=1, memory_limit=f"{megabytes}MiB", temp_directory=str(tmp_path)) as session:
            assert session.execute("SELECT current_setting('memory_limit')").fetchall() == [(f"{megabytes}.0 MiB",)]


def test_a_file_that_is_written_again_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "n.parquet"
    for number in range(20):  # of the same size, within the clock's resolution
        pq.write_table(pa.table({"n": [number]}), file)
        with connect_shared(threads=1) as session:
            assert session.execute(f"FROM '{file}'").fetchall() == [(number,)]


def test_a_duckdb_that_answers_no_more_is_replaced() -> None:
    connect_shared(threads=1)
    duckdb_connection._engine(os.getpid(), (("threads", 1),)).close()  # pyright: ignore[reportPrivateUsage]
    assert connect_shared(threads=1).execute("SELECT 1").fetchall() == [(1,)]


@ON_ONE_WORKER
@pytest.mark.slow
def test_all_rooms_open_duckdb_by_this_function() -> None:
    assert opened_by_hand(ast.parse("import duckdb\nduckdb.connect()\nduckdb.sql('SELECT 1')")) == [2, 3]
    by_hand = {
        f"{file.relative_to(ROOT)}:{line}"
        for room in ("assets", "feature_repo", "models", "pipelines", "resources", "tessera")
        for file in (ROOT / room).rglob("*.py")
        for line in opened_by_hand(tree_of(file))
    }
    assert {place.split(":")[0] for place in by_hand} == {"resources/duckdb_connection.py"}
