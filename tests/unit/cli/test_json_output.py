"""Tables for programs: `--json`, `--out`, `--version`, and lines of progress where there is no terminal."""

import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from models.contracts import QUARANTINE_SCHEMA
from pipelines.cli import run as running
from pipelines.cli.commands import app
from pipelines.cli.console import working
from pipelines.cli.tables import print_json
from resources.lake.delta import DeltaLakeConfig
from resources.layout import check_layout
from resources.stack.loader import active_stack

DAY = date(2026, 3, 1)


def tessera(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TESSERA_HOME", str(tmp_path / "home"))
    active_stack.cache_clear()
    check_layout(tmp_path / "home")
    yield tmp_path / "home"
    active_stack.cache_clear()


@pytest.fixture
def quarantine(home: Path) -> list[dict[str, Any]]:
    """Rows of three days, the oldest first, as the lake returns them."""
    rows = [
        {
            "delivered_on": DAY + timedelta(days=number),
            "key": f"o{number}",
            "reasons": [f"quantity '{number}' is not a number"],
            "original": f'{{"quantity": "\u202e\x9b{number}"}}',
            "run_id": "run",
        }
        for number in range(3)
    ]
    lake = DeltaLakeConfig(path=str(home / "lake")).open()
    table = pa.Table.from_pylist(rows, QUARANTINE_SCHEMA)
    lake.replace("quarantine_orders", table, by="delivered_on", first=DAY, last=DAY + timedelta(days=2))
    return rows


def test_the_version_is_the_package_s() -> None:
    from importlib.metadata import version

    assert tessera("--version").output == f"tessera {version('tessera')}\n"


def test_quarantine_shows_the_newest_rows_first(quarantine: list[dict[str, Any]]) -> None:
    lines = tessera("quarantine", "orders").output.splitlines()
    shown = [line.split()[0] for line in lines if line.startswith("2026")]
    assert shown == [row["delivered_on"].isoformat() for row in reversed(quarantine)]


def test_quarantine_writes_all_rows_to_a_file(quarantine: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    assert tessera("quarantine", "orders", "--out", str(file)).output.startswith("3 rows of orders in quarantine")
    assert pq.read_table(file).to_pylist() == quarantine[::-1]
    one_day = tmp_path / "day.csv"
    tessera("quarantine", "orders", "--date", DAY.isoformat(), "--out", str(one_day))
    assert len(one_day.read_text().splitlines()) == 2


def test_quarantine_as_json_holds_the_same_rows(quarantine: list[dict[str, Any]]) -> None:
    said = tessera("quarantine", "orders", "--json").output
    assert said.isascii()
    assert json.loads(said) == [{**row, "delivered_on": row["delivered_on"].isoformat()} for row in quarantine[::-1]]


@pytest.mark.parametrize(
    ("command", "empty"),
    [
        (("quarantine", "orders"), []),
        (("alerts",), []),
        (("events", "dead-letters"), []),
        (("events", "status"), {"kind": "sqlite", "newest_offset": 0, "groups": []}),
    ],
)
def test_json_of_an_empty_home_is_an_empty_document(home: Path, command: tuple[str, ...], empty: object) -> None:
    assert json.loads(tessera(*command, "--json").output) == empty


@pytest.mark.slow
@given(
    st.lists(
        st.dictionaries(
            st.text(), st.none() | st.text() | st.floats() | st.integers() | st.dates() | st.datetimes() | st.booleans()
        )
    )
)
def test_any_value_is_one_line_or_more_of_ascii_json(rows: list[dict[str, object]]) -> None:
    import contextlib

    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        print_json(rows)
    text = stream.getvalue()
    assert text.isascii()
    assert len(json.loads(text, parse_constant=pytest.fail)) == len(rows)
    assert not any(one != "\n" and not one.isprintable() for one in text)


def test_times_keep_their_zone(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(pa.table({"at": [datetime(2026, 3, 1, 12, tzinfo=UTC)]}))
    assert json.loads(capsys.readouterr().out) == [{"at": "2026-03-01T12:00:00+00:00"}]


def test_a_log_file_gets_a_line_for_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    @dg.op
    def shop__orders(context: dg.OpExecutionContext) -> None:
        context.log.info("orders: 3 rows [/b] in")

    @dg.job(logger_defs={})
    def nightly() -> None:
        shop__orders()

    with dg.DagsterInstance.ephemeral() as instance, running._progress("nightly", DAY, ["a"], hidden=False) as follow:  # pyright: ignore[reportPrivateUsage]
        instance.add_event_listener("c0ffee00-0000-4000-8000-000000000000", follow)
        nightly.execute_in_process(instance=instance, run_id="c0ffee00-0000-4000-8000-000000000000")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("nightly 2026-03-01")]
    told = [line.split(" s  ", 1)[1] for line in lines]
    assert told[:2] == ["shop/orders: started", "orders: 3 rows [/b] in"]
    assert told[2].startswith("shop/orders: done in ")
    assert all(float(line.split()[2]) < 60 for line in lines)


def test_long_work_says_when_it_begins_and_how_long_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    with working("ingesting orders"):
        pass
    assert capsys.readouterr().err == "ingesting orders ...\ningesting orders: done in 0.0 s\n"
