"""The payments of the Fraud Detection Handbook, and when each was known to be fraud or not, in a lake."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resources.lake.delta import DeltaLake

ROOT = Path(__file__).resolve().parent.parent
FIRST, LAST = date(2018, 4, 1), date(2018, 8, 14)
_LABEL_DAYS = 7
_PAYMENTS = """SELECT TRANSACTION_ID::BIGINT AS transaction_id, CUSTOMER_ID::VARCHAR AS customer_id,
    TERMINAL_ID::VARCHAR AS terminal_id, TX_DATETIME::TIMESTAMPTZ AS paid_at, TX_AMOUNT AS amount,
    TX_DATETIME::DATE AS delivered_on"""
_LABELS = f"""SELECT TRANSACTION_ID::BIGINT AS transaction_id, TX_FRAUD = 1 AS is_fraud,
    (TX_DATETIME + INTERVAL {_LABEL_DAYS} DAY)::TIMESTAMPTZ AS labelled_at,
    (TX_DATETIME + INTERVAL {_LABEL_DAYS} DAY)::DATE AS delivered_on"""


def filled(folder: Path, last: date = LAST) -> DeltaLake:
    """Return a lake in `folder` with `payments` until `last` and their `payment_labels`, a week later.

    Ascending by moment.
    """
    import duckdb

    from resources.lake.delta import DeltaLake

    lake = DeltaLake(str(folder))
    source = Path(os.environ.get("TESSERA_DATA_DIR", ROOT / "../shared/data/fraud_handbook")).resolve()
    rows = f"FROM '{source}/transactions_*.parquet' WHERE TX_DATETIME < '{last + timedelta(days=1)}' ORDER BY 4, 1"
    labels = rows.replace("ORDER BY 4, 1", "ORDER BY 3, 1")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table, query in (("payments", f"{_PAYMENTS} {rows}"), ("payment_labels", f"{_LABELS} {labels}")):
            found = connection.sql(query).to_arrow_table()
            lake.replace(table, found, by="delivered_on", first=FIRST, last=last + timedelta(days=_LABEL_DAYS))
    return lake
