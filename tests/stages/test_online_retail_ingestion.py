"""Nine months of real orders through ingestion: every count against independent SQL over the file itself."""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from assets.stages.ingestion.run import ingest
from resources.lake.delta import DeltaLake
from resources.stack.loader import ROOT, load_stack

LAST = date(2011, 8, 31)

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


@pytest.mark.real
def test_every_row_of_nine_months_is_where_it_belongs(shared_data: Path, tmp_path: Path) -> None:
    environment = {"TESSERA_DATA_DIR": str(shared_data / "online_retail")}
    stack = load_stack(ROOT / "stack.yaml", "online-retail", str(tmp_path), environment)
    lake = DeltaLake(str(tmp_path / "lake"))
    report = ingest("orders", stack.open("source"), lake, LAST, stack.settings.ingestion, "r")

    file = {"file": str(next((shared_data / "online_retail").glob("*.parquet")))}
    (truth,) = duckdb.sql(EXPECTED, params=file).to_arrow_table().to_pylist()
    reasons = {
        "nobody": sum(n for reason, n in report.reasons.items() if reason.startswith("customer_id is missing")),
        "free": report.reasons["unit_price is not > 0"],
        "dear": report.reasons["unit_price is not <= 20000"],
        "unsigned": report.reasons["is_return does not fit the sign of quantity"],
        "copies": report.reasons["order_line_id was delivered before"],
    }
    assert {**reasons, "rows_in": report.rows_in, "kept": report.rows_kept} == truth
    assert report.rows_in == report.rows_kept + report.rows_quarantined == 320_705
    assert lake.scan("orders").count_rows() + lake.scan("quarantine_orders").count_rows() == 320_705
    assert not report.breaks(stack.settings.ingestion)

    orders = {"orders": list(lake.files("orders"))}
    sums = "SELECT count(*), round(sum(quantity * unit_price), 2) FROM read_parquet($orders)"
    assert duckdb.sql(sums, params=orders).fetchall() == duckdb.sql(REVENUE, params=file).fetchall()
    assert lake.version("orders") <= 3, "nine months are a few commits, not nine months of nights"
