"""Real days through the watch: orders of UCI Online Retail, and payments of the Fraud Detection Handbook."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from assets.stages.ingestion.completeness_log import complete_days
from assets.stages.ingestion.run import ingest
from assets.stages.watch.day_profiles import current_profiles
from benchmarks.reliability.alarms import HELD, upper_bound
from benchmarks.reliability.table_checks import USUAL
from models.contracts import CONTRACTS, DELIVERED_ON
from models.watch.assessment import assess
from models.watch.columns import roles_of
from models.watch.config import WatchConfig
from models.watch.measuring import Loaded, profiles
from models.watch.profile import DayProfile
from resources.lake.delta import DeltaLake
from resources.stack.loader import ROOT, load_stack

DATA = ROOT.parent / "shared" / "data"
#: Part of the handbook's cards that are looked at: every so many.
_CARDS = 5
#: Last day before September, of which the shared copy has no rows.
_LAST = date(2011, 8, 31)
#: Days on which shops in England were closed that the public holidays of the watch do not have.
BANK_HOLIDAYS = (date(2011, 4, 29), date(2011, 5, 2), date(2011, 5, 30), date(2011, 8, 29))
#: What the rows of each day of Online Retail that is called odd hold, read by hand; `noise`: nothing is wrong with it.
LOOKED_AT: dict[str, tuple[str, str]] = {
    "2011-03-11": ("oddity", "amounts of 1,687.17 typed as unit prices of the code M (manual), and cancelled"),
    "2011-03-13": ("noise", "17 orders, the fewest of a Sunday since February 6, and none of the product 22423"),
    "2011-04-07": ("oddity", "no order between 13:59 and 18:00, where about 438 lines are usual"),
    "2011-05-03": ("oddity", "8,142.75 and 6,930.00 typed as unit prices of postage and M (manual), and cancelled"),
    "2011-05-04": ("oddity", "41 of 44 lines of order 551747 at about 38 % of their products' usual prices"),
    "2011-06-14": ("oddity", "2 of 1,028 lines with a customer are from outside the United Kingdom"),
    "2011-08-01": ("noise", "277 of 1,003 lines with a customer are the first order of one, 16984"),
    "2011-08-02": ("noise", "223 of 948 lines from Switzerland: few, large orders"),
    "2011-08-30": ("oddity", "2,829 of 3,235 lines without a customer"),
}
#: Days that are held before the first assessed one of the handbook, which covers 136 days.
_HELD_OF_HANDBOOK = 40


def online_retail() -> dict[str, Any]:
    """Assess every day of orders after the first `HELD`."""
    with tempfile.TemporaryDirectory() as home:
        stack = load_stack(
            ROOT / "stack.yaml", "online-retail", home, {"TESSERA_DATA_DIR": str(DATA / "online_retail")}
        )
        lake = DeltaLake(str(Path(home) / "lake"))
        ingest("orders", stack.open("source"), lake, _LAST, stack.settings.ingestion, "r")
        config = WatchConfig(history_days=400)
        complete = complete_days(lake, "orders")
        stored = current_profiles(lake, CONTRACTS["orders"], _LAST, config, complete)
    profiles_of = [one.profile for one in stored.values()]
    watch = WatchConfig(holidays=BANK_HOLIDAYS)
    return _assessed("Online Retail, orders, four bank holidays in the settings", "orders", profiles_of, watch)


def handbook() -> dict[str, Any]:
    """Assess every day of the payments of a fifth of the cards after the first `HELD` days."""
    frame = pl.scan_parquet(DATA / "fraud_handbook" / "transactions_*.parquet").filter(
        pl.col("CUSTOMER_ID").cast(pl.Int64) % _CARDS == 0
    )
    moment = pl.col("TX_DATETIME").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    rows = frame.select(
        transaction_id=pl.col("TRANSACTION_ID").cast(pl.Int64),
        customer_id=pl.col("CUSTOMER_ID").cast(pl.String),
        terminal_id=pl.col("TERMINAL_ID").cast(pl.String),
        paid_at=moment,
        amount=pl.col("TX_AMOUNT").cast(pl.Float64),
        delivered_on=pl.col("TX_DATETIME").cast(pl.Date),
    ).collect()
    contract = CONTRACTS["payments"]
    days = sorted(rows[DELIVERED_ON].unique().to_list())
    before = rows.clear().select(roles_of(contract).short)
    found = profiles(Loaded(contract, rows, before), days)
    return _assessed("Fraud handbook, payments of a fifth of the cards", "payments", found, held=_HELD_OF_HANDBOOK)


def _assessed(
    name: str, table: str, found: Sequence[DayProfile], watch: WatchConfig = USUAL, held: int = HELD
) -> dict[str, Any]:
    ordered = sorted(found, key=lambda one: one.day)
    first = ordered[0].day + timedelta(days=held)
    counts, odd = Counter[str](), list[str]()
    assessed = [one for one in ordered if one.day >= first]
    for today in assessed:
        result = assess(table, today, [one for one in ordered if one.day < today.day], watch)
        counts[result.severity or "silent"] += 1
        odd += [f"{today.day} {one.severity}: {one.measure}: {one.sentence}" for one in result.of("block", "warn")]
    total = len(assessed)
    bounds = {f"{kind}_at_most": upper_bound(counts[kind], total) for kind in ("block", "warn")}
    return {"name": name, "nights": total, **counts, **bounds, "odd": odd}
