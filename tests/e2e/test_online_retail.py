"""Real orders through the same job, with configuration only; every count against independent SQL over the file."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import numpy as np
import pyarrow.compute as pc
import pytest
from shop_home import FEW, Home, laid_over

from pipelines.home import dagster_instance
from resources.stack.loader import ROOT

pytestmark = pytest.mark.real

LAST = date(2011, 8, 31)
EARLIER = date(2011, 7, 31)
PROFILE = "online-retail"
#: The command of the README, whose folder is the reader's own.
COMMAND = (
    "TESSERA_DATA_DIR=/path/to/files TESSERA_PROFILE=online-retail "
    ".venv/bin/tessera run churn_nightly --date 2011-08-31"
)
#: The profile asks for twelve past cut-offs; features of each are computed.
FEWER_CUTOFFS: dict[str, Any] = {"settings": {"churn": {"max_training_cutoffs": 4}}}

#: What the contract says of these columns, once more, by someone who has not read our code.
EXPECTED = """
WITH raw AS (
  SELECT *, CustomerID IS NULL AS nobody, UnitPrice <= 0 AS free, UnitPrice > 20000 AS dear,
         (Quantity < 0) <> (InvoiceNo LIKE 'C%') AS unsigned
  FROM read_parquet($file)
), sound AS (SELECT * FROM raw WHERE NOT (nobody OR free OR dear OR unsigned)
), once AS (SELECT DISTINCT InvoiceNo, StockCode, Quantity, InvoiceDate, UnitPrice, CustomerID FROM sound)
SELECT count(*) AS rows_in, count(*) FILTER (nobody) AS nobody, count(*) FILTER (free) AS free,
       count(*) FILTER (dear) AS dear, count(*) FILTER (unsigned) AS unsigned,
       (SELECT count(*) FROM sound) - (SELECT count(*) FROM once) AS copies, (SELECT count(*) FROM once) AS kept
FROM raw
"""
REVENUE = """
SELECT count(*), round(sum(Quantity * UnitPrice), 2) FROM (
  SELECT DISTINCT InvoiceNo, StockCode, Quantity, InvoiceDate, UnitPrice, CustomerID FROM read_parquet($file)
  WHERE CustomerID IS NOT NULL AND UnitPrice > 0 AND UnitPrice <= 20000 AND (Quantity < 0) = (InvoiceNo LIKE 'C%'))
"""


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "online_retail"


def stack_like(below: Path, place: Path) -> Path:
    """A stack file whose profile learns from fewer cut-offs."""
    return laid_over(below, place / "stack.yaml", FEWER_CUTOFFS, profile=PROFILE)


@dataclass(frozen=True)
class Night:
    """A home after its first night, of LAST, and the card of that."""

    home: Home
    card: str

    def ingested(self) -> dict[str, Any]:
        """What Dagster shows of the orders: metadata of the asset."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DAGSTER_HOME", "")
            with dagster_instance(self.home.opened()) as instance:
                event = instance.get_latest_materialization_event(dg.AssetKey(["shop", "orders"]))
        assert event is not None
        assert event.asset_materialization is not None
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}


@pytest.fixture(scope="module")
def night(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    place = tmp_path_factory.mktemp("online_retail")
    home = Home(place / "home", stack_like(laid_over(ROOT / "stack.yaml", place / "few.yaml", FEW), place), PROFILE)
    card = home.tessera("run", "churn_nightly", "--date", LAST.isoformat(), TESSERA_DATA_DIR=str(folder)).out
    return Night(home, card)


@pytest.fixture(scope="module")
def truth(folder: Path) -> dict[str, Any]:
    """What the file holds, by `EXPECTED`."""
    (counts,) = duckdb.sql(EXPECTED, params={"file": str(folder / "*.parquet")}).to_arrow_table().to_pylist()
    return counts


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Share of pairs (churned, stayed) in which the churned one has the higher score; half of the ties."""
    churned, stayed = scores[positive], np.sort(scores[~positive])
    below, upto = np.searchsorted(stayed, churned), np.searchsorted(stayed, churned, side="right")
    return float((below + upto).sum() / 2 / (len(churned) * len(stayed)))


def test_one_command_publishes_scores_of_real_customers(night: Night, folder: Path) -> None:
    assert COMMAND in (ROOT / "README.md").read_text()
    assert " promoted" in night.card
    with duckdb.connect() as connection:
        (customers,) = connection.execute(
            """
            SELECT count(DISTINCT CustomerID) FILTER (
                CustomerID IS NOT NULL AND NOT starts_with(InvoiceNo, 'C') AND Quantity > 0 AND UnitPrice > 0
                AND InvoiceDate >= $day - INTERVAL 179 DAY AND InvoiceDate < $day + INTERVAL 1 DAY)
            FROM read_parquet($files)""",
            {"files": str(folder / "*.parquet"), "day": LAST},
        ).fetchall()[0]
    assert night.home.published(LAST).rows == customers > 2500

    known = night.home.opened().open("lake").scan("churn_training_set")
    known = known.to_table(columns=["event_timestamp", "recency_days", "churned"])
    holdout = known.filter(pc.equal(known["event_timestamp"], pc.max(known["event_timestamp"])))
    recency_only = auc(holdout["recency_days"].to_numpy(), holdout["churned"].to_numpy() == 1)
    *_, champion = night.home.opened().open("registry").versions("churn")  # the first: the one that was evaluated
    assert champion.tags["gate"] == "passed"
    assert champion.metrics["auc"] > recency_only > 0.6


def test_every_row_of_nine_months_is_where_it_belongs(night: Night, truth: dict[str, Any], folder: Path) -> None:
    shown = night.ingested()
    by_reason = {record.data["reason"]: record.data["rows"] for record in shown["reasons"].records}
    reasons = {
        "nobody": sum(n for reason, n in by_reason.items() if reason.startswith("customer_id is missing")),
        "free": by_reason["unit_price is not > 0"],
        "dear": by_reason["unit_price is not <= 20000"],
        "unsigned": by_reason["is_return does not fit the sign of quantity"],
        "copies": by_reason["order_line_id was delivered before"],
    }
    assert {**reasons, "rows_in": shown["rows_in"], "kept": shown["rows_kept"]} == truth
    assert shown["rows_in"] == shown["rows_kept"] + shown["rows_quarantined"] == 320_705
    lake = night.home.opened().open("lake")
    kept, aside = (lake.scan(name).count_rows() for name in ("orders", "quarantine_orders"))
    assert (kept, aside) == (shown["rows_kept"], shown["rows_quarantined"]), "no row is lost"

    orders = {"orders": list(lake.files("orders"))}
    sums = "SELECT count(*), round(sum(quantity * unit_price), 2) FROM read_parquet($orders)"
    file = {"file": str(folder / "*.parquet")}
    assert duckdb.sql(sums, params=orders).fetchall() == duckdb.sql(REVENUE, params=file).fetchall()
    assert lake.version("orders") <= 3, "nine months are a few commits, not nine months of nights"


def test_a_day_is_the_same_whether_or_not_later_days_are_there(folder: Path, small_stack: Path, tmp_path: Path) -> None:
    stack = stack_like(small_stack, tmp_path)
    cut = tmp_path / "data"
    cut.mkdir()
    whole = tmp_path / "whole"
    whole.mkdir()
    some = f"FROM read_parquet('{folder}/*.parquet') WHERE hash(CustomerID) % 4 = 0"  # every fourth customer
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({some}) TO '{whole}/orders.parquet'")
        connection.execute(
            f"COPY ({some} AND InvoiceDate < DATE '{EARLIER}' + INTERVAL 1 DAY) TO '{cut}/orders.parquet'"
        )
    found: list[bytes] = []
    for name, data in (("all", whole), ("cut", cut)):
        home = Home(tmp_path / name, stack, PROFILE)
        home.tessera("run", "churn_nightly", "--date", EARLIER.isoformat(), TESSERA_DATA_DIR=str(data))
        found.append(home.scores(EARLIER, tmp_path / f"{name}.parquet"))
        lake = home.opened().open("lake")
        assert lake.days("orders")[-1] <= EARLIER
    assert found[0] == found[1]
