"""A delivery that is odd stops the night; a person lets it through with a reason, and the night is published."""

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from shop_home import DAY, Home

from models.simulation.shop import Shop

NEXT = DAY + timedelta(days=1)
NIGHTLY = ("run", "churn_nightly", "--date", NEXT.isoformat())
WHY = "the shop was closed for stock-taking"


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the day there are a tenth of the orders."""
    delivered = Shop.delivered

    def few(self: Shop, table: str, day: date) -> pa.Table:
        rows = delivered(self, table, day)
        return rows.slice(0, rows.num_rows // 10) if (table, day) == ("orders", NEXT) else rows

    monkeypatch.setattr(Shop, "delivered", few)


@pytest.mark.usefixtures("closed")
def test_a_blocked_night_is_accepted_and_published(home: Home, tmp_path: Path) -> None:
    card = home.tessera(*NIGHTLY, code=1).out
    assert "anomalies" in card
    assert home.published(NEXT) is None
    listed = home.tessera("notices", code=1).out  # 1: notices are open
    (line,) = [line for line in listed.splitlines() if f"churn_nightly of {NEXT} was stopped by: anomalies" in line]
    told = home.tessera("notices", line.split()[0], code=1).out
    assert f"tessera accept orders --date {NEXT}" in told
    assert "without a reason" in home.refuses("accept", "orders", "--date", NEXT.isoformat(), "--why", " ")

    said = home.tessera("accept", "orders", "--date", NEXT.isoformat(), "--why", WHY).out
    assert f"of orders on {NEXT} let through" in said
    assert f"tessera run churn_nightly --date {NEXT}" in said

    home.tessera(*NIGHTLY)
    assert "is acknowledged" in home.tessera("notices", line.split()[0], "--acknowledge").out
    published = home.published(NEXT)
    assert published is not None
    assert published.degradation == "fresh"
    assert home.scores(NEXT, tmp_path / "scores.csv").startswith(b'"customer_id"')
    assert "Nothing blocks orders" in home.refuses("accept", "orders", "--date", NEXT.isoformat(), "--why", "again")
    assert WHY in str(home.opened().open("lake").scan("accepted_orders").to_table().to_pylist())
