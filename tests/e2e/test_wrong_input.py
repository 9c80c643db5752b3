"""Whatever a user gets wrong: a sentence each on what is wrong, what was expected and what to do, and no harm."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shop_home import DAY, Home

D = DAY.isoformat()
TODAY = datetime.now(UTC).date()
NIGHTLY = ("run", "churn_nightly", "--date")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("rnu", "churn_nightly"), "No such command 'rnu'"),
        (("scores", "churn", "--day", D), "No such option"),
        (("scores",), "Missing argument 'APP'"),
        (("run", "churn_nightli", "--date", D), "did you mean 'churn_nightly'?"),
        (("scores", "chrun", "--date", D), "did you mean 'churn'?"),
        (("models", "fruad"), "There is no application 'fruad'"),
        (("rollback", "documents"), "There is no application 'documents'"),
        (("quarantine", "order"), "did you mean 'orders'?"),
        (("run", "fraud_catch_up", "--date", D), "works on no day, but on what a sensor finds"),
        ((*NIGHTLY, "yesterday"), "'yesterday' is not a day"),
        ((*NIGHTLY, "2026-02-30"), "'2026-02-30' is not a day"),
        ((*NIGHTLY, TODAY.isoformat()), "is not over yet"),
        (("scores", "churn", "--date", (TODAY + timedelta(days=9)).isoformat()), "is not over yet"),
        ((*NIGHTLY, "2024-12-31"), "is before the shop's first day, 2025-01-01"),
        (("backfill", "churn_nightly", "--from", D, "--to", "2026-02-01"), "is after 2026-02-01"),
        (("scores", "churn", "--date", "2026-01-01"), "tessera run churn_nightly --date 2026-01-01"),
        (("publish", "churn", "--date", "2026-01-01"), "No scores of churn are published"),
        (("scores", "churn", "--date", D, "--out", "s.xlsx"), "'.xlsx'"),
        (("scores", "churn", "--date", D, "--out", "/no/such/folder/s.csv"), "cannot be written"),
        (("features", "churn", "--entities", "/no/such.csv", "--out", "f.csv"), "There is no file /no/such.csv"),
        (("check", "--profile", "locla"), "did you mean 'local'?"),
        (("dev", "--port", "http"), "'http' is not a valid integer"),
    ],
)
def test_a_slip_of_the_pen_is_answered_in_three_lines(trained: Home, command: tuple[str, ...], says: str) -> None:
    assert says in trained.refuses(*command)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"customer,event_timestamp\nc1,2026-02-01T00:00:00Z\n", "no column 'customer_id'"),
        (b"customer_id,event_timestamp\nc1,last week\n", "cannot be read as moments"),
        (b"customer_id,event_timestamp\nc1,2026-05-01T00:00:00Z\n", "orders are ingested up to 2026-03-01"),
        (b"", "cannot be read as csv"),
    ],
    ids=["without the column", "not a moment", "not known yet", "empty file"],
)
def test_entities_that_cannot_be_joined(trained: Home, tmp_path: Path, content: bytes, says: str) -> None:
    entities, result = tmp_path / "entities.csv", tmp_path / "features.csv"
    entities.write_bytes(content)
    assert says in trained.refuses("features", "churn", "--entities", entities, "--out", result)
    assert not result.exists()


def test_a_home_that_cannot_be_written(trained: Home, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, not a folder")
    says = trained.refuses(*NIGHTLY, D, TESSERA_HOME=str(blocked / "home"))
    assert f"The home {blocked / 'home'} cannot be written" in says


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("profiles: [", "cannot be read"),
        ("profiles: {local: {home: var, ports: {sourze: {kind: simulated}}}}", "has a port 'sourze'"),
        ("default_profile: local", "`profiles` is None"),
        ("just words", "holds no mapping"),
    ],
    ids=["no YAML", "unknown port", "no profile", "no mapping"],
)
def test_a_stack_file_that_is_no_stack(trained: Home, tmp_path: Path, text: str, says: str) -> None:
    stack = tmp_path / "stack.yaml"
    stack.write_text(text)
    assert says in trained.refuses("check", TESSERA_STACK=str(stack))
    assert says in trained.refuses(*NIGHTLY, D, TESSERA_STACK=str(stack))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ports": {"source": {"kind": "simulatd"}}}, "did you mean 'simulated'?"),
        ({"ports": {"source": {"kind": "simulated", "custmers": 5}}}, "local.ports.source.custmers"),
        ({"ports": {"engine": {"kind": "local", "threads": "many"}}}, "local.ports.engine.threads"),
        ({"settings": {"churn": {"horizon_days": 0}}}, "local.settings.churn.horizon_days"),
    ],
    ids=["unknown adapter", "unknown setting", "wrong type", "out of range"],
)
def test_a_setting_that_is_wrong(trained: Home, tmp_path: Path, change: Mapping[str, Any], says: str) -> None:
    wrong = trained.with_stack(tmp_path / "stack.yaml", change)
    assert says in wrong.refuses(*NIGHTLY, D)


class TestFilesOfOnesOwn:
    """A profile that reads the user's own orders."""

    COLUMNS = {  # noqa: RUF012 - never changed
        "order_line_id": "InvoiceNo || '-' || StockCode",
        "order_id": "InvoiceNo",
        "customer_id": "CustomerID",
        "product_id": "StockCode",
        "ordered_at": "InvoiceDate",
        "quantity": "Quantity",
        "unit_price": "UnitPrice",
        "currency": "'GBP'",
        "country": "Country",
        "is_return": "false",
    }

    def _home(self, empty: Home, folder: Path, **columns: str) -> Home:
        orders = {"location": str(folder / "data"), "columns": self.COLUMNS | columns}
        return empty.with_stack(
            folder / "own.yaml", {"ports": {"source": {"kind": "files", "tables": {"orders": orders}}}}
        )

    def _write(self, folder: Path) -> Path:
        file = folder / "data" / "orders.parquet"
        file.parent.mkdir()
        row = {
            "InvoiceNo": "1",
            "StockCode": "p1",
            "CustomerID": "c1",
            "InvoiceDate": datetime(2026, 2, 27, 12, tzinfo=UTC),
            "Quantity": 1,
            "UnitPrice": 2.5,
            "Country": "Spain",
        }
        pq.write_table(pa.Table.from_pylist([row]), file)
        return file

    def test_a_mapping_to_a_column_that_is_not_there(self, empty: Home, tmp_path: Path) -> None:
        self._write(tmp_path)
        wrong = self._home(empty, tmp_path, customer_id="CustomerNo")
        for said in (wrong.tessera("check", code=1, COLUMNS="400").out, wrong.tessera(*NIGHTLY, D, code=1).out):
            assert "the files have no 'CustomerNo'" in " ".join(said.replace("│", " ").split())
        assert not wrong.opened().open("lake").exists("orders")

    def test_a_mapping_of_a_column_that_the_contract_does_not_have(self, empty: Home, tmp_path: Path) -> None:
        self._write(tmp_path)
        said = self._home(empty, tmp_path, custmer_id="CustomerID").refuses(*NIGHTLY, D)
        assert "did you mean 'customer_id'?" in said

    def test_a_corrupt_file_is_named_and_loses_nothing(self, empty: Home, tmp_path: Path) -> None:
        good = self._write(tmp_path)
        bad = good.with_name("torn.parquet")
        bad.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
        home = self._home(empty, tmp_path)
        said = home.tessera(*NIGHTLY, D, code=1)
        assert "torn.parquet" in said.out
        assert "unexpected" not in said.out
        bad.unlink()
        # One customer is too few to train on: a sentence again, and the rows are in the lake by then.
        said = home.tessera(*NIGHTLY, D, code=1)
        assert "unexpected" not in said.out
        assert home.opened().open("lake").scan("orders").count_rows() == 1
