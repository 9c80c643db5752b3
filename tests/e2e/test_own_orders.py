"""Somebody's own export to published scores in three commands: init, check, run."""

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from forgetting_home import places_with
from shop_home import DAY, Home

#: Orders of the small shop, written as each shop system exports them.
EXPORTS = {
    # UCI Online Retail's columns, from a German spreadsheet: semicolons, decimal commas, days first, cp1252.
    "uci": (
        """SELECT order_id AS InvoiceNo, product_id AS StockCode, 'Größe M, 12" breit' AS Description,
        quantity AS Quantity, strftime(ordered_at, '%d.%m.%Y %H:%M') AS InvoiceDate,
        replace(unit_price::VARCHAR, '.', ',') AS UnitPrice, customer_id AS CustomerID, country AS Country
        FROM orders""",
        ";",
    ),
    # Shopify: `Name` is the order, times have an offset, only the first line of an order names currency and country.
    "shopify": (
        """SELECT '#' || order_id AS "Name", customer_id || '@example.org' AS "Email",
        CASE WHEN n = 1 THEN 'paid' END AS "Financial Status", CASE WHEN n = 1 THEN 'EUR' END AS "Currency",
        strftime(ordered_at, '%Y-%m-%d %H:%M:%S +0000') AS "Created at", quantity AS "Lineitem quantity",
        'A thing' AS "Lineitem name", unit_price AS "Lineitem price", product_id AS "Lineitem sku",
        CASE WHEN n = 1 THEN country END AS "Shipping Country" FROM orders""",
        ",",
    ),
    # WooCommerce's order export: American dates, prices with a sign.
    "woocommerce": (
        """SELECT order_id AS "Order Number", strftime(ordered_at, '%m/%d/%Y %I:%M %p') AS "Order Date",
        customer_id || '@example.org' AS "Customer User Email", product_id AS "SKU", 'A thing' AS "Item Name",
        quantity AS "Quantity", '£' || unit_price AS "Item Cost", country AS "Country Code (Billing)" FROM orders""",
        ",",
    ),
}


@pytest.fixture
def orders(trained: Home) -> duckdb.DuckDBPyConnection:
    """The small shop's orders as the view `orders`, with the number of each line in its order."""
    connection = duckdb.connect()
    connection.register("lines", trained.opened().open("lake").scan("orders").to_table())
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        """CREATE VIEW orders AS SELECT * REPLACE (timezone('UTC', ordered_at) AS ordered_at),
        row_number() OVER (PARTITION BY order_id ORDER BY order_line_id) AS n FROM lines ORDER BY lines.ordered_at, n"""
    )
    return connection


@pytest.fixture
def export(orders: duckdb.DuckDBPyConnection, tmp_path: Path) -> Callable[[str], Path]:
    """Writes one of `EXPORTS`."""

    def write(name: str) -> Path:
        query, delimiter = EXPORTS[name]
        file = tmp_path / f"{name} export.csv"
        orders.execute(f"COPY ({query}) TO '{file}' (HEADER, DELIMITER '{delimiter}')")
        if name == "uci":
            file.write_bytes(file.read_text(encoding="utf-8").encode("cp1252"))
        return file

    return write


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_scored_in_three_commands(
    export: Callable[[str], Path],
    orders: duckdb.DuckDBPyConnection,
    empty: Home,
    trained: Home,
    tmp_path: Path,
    name: str,
) -> None:
    """One of the homes trains its model itself, the others have the one of the same shop."""
    if name != "uci":
        shutil.copytree(trained.folder / "mlflow", empty.folder / "mlflow")
        shutil.copy(trained.folder / "layout.json", empty.folder)
    home = empty.with_stack(tmp_path / "own.yaml", {})
    said = home.tessera("init", "orders", export(name), "--name", name, COLUMNS="200").out
    assert f"tessera check --profile {name}" in said
    run = next(line for line in said.splitlines() if "tessera run" in line).split("tessera ")[1].split()
    assert run == ["run", "churn_nightly", "--profile", name, "--date", DAY.isoformat()]
    assert "0.0% would go to quarantine" in home.tessera("check", "--profile", name, COLUMNS="200").out
    card = home.tessera(*run, COLUMNS="200").out
    (rows,) = orders.execute("SELECT count(*) FROM orders").fetchone()
    assert f"{rows:,} rows in, {rows:,} kept, 0 in quarantine" in card
    published = Home(home.folder, home.stack, name).published(DAY)
    assert published is not None
    assert published.degradation == "fresh"
    assert published.rows == _active(orders) > 500
    told = places_with(home.folder / "dagster", "@example") + places_with(home.folder / "mlflow", "@example")
    assert told == [], "customers are known by their addresses, which stay in the home's tables"


def _active(orders: duckdb.DuckDBPyConnection) -> int:
    """Customers with a purchase in the 90 days up to DAY."""
    found = orders.execute(
        """SELECT count(DISTINCT customer_id) FROM orders WHERE quantity > 0
        AND ordered_at >= $day - INTERVAL 89 DAY AND ordered_at < $day + INTERVAL 1 DAY""",
        {"day": DAY},
    ).fetchone()
    return found[0]


@pytest.mark.real
def test_a_real_export_is_mapped_as_by_hand(shared_data: Path, empty: Home, tmp_path: Path) -> None:
    """Each eighth order of UCI Online Retail: a quarter of the lines name no customer; `init` sets a limit above it."""
    home, folder = empty.with_stack(tmp_path / "own.yaml", {}), tmp_path / "online_retail"
    folder.mkdir()
    some = f"FROM '{shared_data}/online_retail/*.parquet' WHERE hash(InvoiceNo) % 8 = 0"
    with duckdb.connect() as connection:
        (rows,) = connection.execute(f"COPY ({some}) TO '{folder}/orders.parquet'").fetchone()
    assert rows > 30_000
    said = home.tessera("init", "orders", folder, "--name", "uci", "--currency", "GBP").out
    assert "customer_id is missing" in said
    assert "max_quarantined_share is set to 0.35" in said
    own = Home(home.folder, home.stack, "uci").opened()
    assert own.settings.ingestion.max_quarantined_share == pytest.approx(0.35)
    assert own.open("source").holdings("orders").rows == rows
