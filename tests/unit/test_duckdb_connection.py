"""Every query of the project runs in a DuckDB that prints nothing."""

import ast
from pathlib import Path

import duckdb
import pytest

from resources.duckdb_connection import connect

ROOT = Path(__file__).parents[2]
SLOW = "SET progress_bar_time = 1; SET threads = 1; SELECT sum(hash(range)) FROM range(30_000_000)"
OPENS = {"connect", "sql", "query", "execute"}


def opened_by_hand(text: str) -> list[int]:
    """List the lines that use DuckDB's own connection or its shared one."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "duckdb"
        and node.attr in OPENS
    ]


def test_a_slow_query_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with duckdb.connect() as connection:
        connection.execute(SLOW).fetchall()
    assert "%" in capfd.readouterr().out, "DuckDB itself draws a progress bar: else this test shows nothing"
    with connect() as connection:
        connection.execute(SLOW).fetchall()
    assert capfd.readouterr() == ("", "")


def test_all_rooms_open_duckdb_by_this_function() -> None:
    assert opened_by_hand("import duckdb\nduckdb.connect()\nduckdb.sql('SELECT 1')") == [2, 3]
    by_hand = {
        f"{file.relative_to(ROOT)}:{line}"
        for room in ("assets", "feature_repo", "models", "pipelines", "resources", "tessera")
        for file in (ROOT / room).rglob("*.py")
        for line in opened_by_hand(file.read_text())
    }
    assert {place.split(":")[0] for place in by_hand} == {"resources/duckdb_connection.py"}
