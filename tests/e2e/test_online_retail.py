"""Real orders through the same job, with configuration only; counted again by SQL over the raw file."""

from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.compute as pc
import pytest
from shop_home import FEW, Home, laid_over

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


@pytest.fixture
def folder(shared_data: Path) -> Path:
    return shared_data / "online_retail"


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Share of pairs (churned, stayed) in which the churned one has the higher score; half of the ties."""
    churned, stayed = scores[positive], np.sort(scores[~positive])
    below, upto = np.searchsorted(stayed, churned), np.searchsorted(stayed, churned, side="right")
    return float((below + upto).sum() / 2 / (len(churned) * len(stayed)))


def test_one_command_publishes_scores_of_real_customers(folder: Path, tmp_path: Path) -> None:
    assert COMMAND in (ROOT / "README.md").read_text()
    home = Home(tmp_path / "home", laid_over(ROOT / "stack.yaml", tmp_path / "stack.yaml", FEW), PROFILE)
    card = home.tessera("run", "churn_nightly", "--date", LAST.isoformat(), TESSERA_DATA_DIR=str(folder)).out
    assert " promoted" in card
    with duckdb.connect() as connection:
        customers, rows = connection.execute(
            """
            SELECT count(DISTINCT CustomerID) FILTER (
                CustomerID IS NOT NULL AND NOT starts_with(InvoiceNo, 'C') AND Quantity > 0 AND UnitPrice > 0
                AND InvoiceDate >= $day - INTERVAL 179 DAY AND InvoiceDate < $day + INTERVAL 1 DAY), count(*)
            FROM read_parquet($files)""",
            {"files": str(folder / "*.parquet"), "day": LAST},
        ).fetchall()[0]
    assert home.published(LAST).rows == customers > 2500
    lake = home.opened().open("lake")
    kept, aside = (lake.scan(name).count_rows() for name in ("orders", "quarantine_orders"))
    assert kept + aside == rows, "no row is lost"

    known = lake.scan("churn_training_set").to_table(columns=["event_timestamp", "recency_days", "churned"])
    holdout = known.filter(pc.equal(known["event_timestamp"], pc.max(known["event_timestamp"])))
    recency_only = auc(holdout["recency_days"].to_numpy(), holdout["churned"].to_numpy() == 1)
    *_, champion = home.opened().open("registry").versions("churn")  # the first: the one that was evaluated
    assert champion.tags["gate"] == "passed"
    assert champion.metrics["auc"] > recency_only > 0.6


def test_a_day_is_the_same_whether_or_not_later_days_are_there(folder: Path, small_stack: Path, tmp_path: Path) -> None:
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
        home = Home(tmp_path / name, small_stack, PROFILE)
        home.tessera("run", "churn_nightly", "--date", EARLIER.isoformat(), TESSERA_DATA_DIR=str(data))
        found.append(home.scores(EARLIER, tmp_path / f"{name}.parquet"))
        lake = home.opened().open("lake")
        assert lake.days("orders")[-1] <= EARLIER
    assert found[0] == found[1]
