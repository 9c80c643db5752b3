"""An export's cancelled, voided and refunded orders are left out by a `where`, or said to be in."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.source.files import FilesSourceConfig, FilesTableConfig
from resources.source.port import Holdings
from resources.source.proposal import Proposal, propose
from resources.source.sniffing import settings_of, sniff

HEADER = (
    "Name,Email,Financial Status,Paid at,Currency,Subtotal,Total,Created at,Lineitem quantity,Lineitem name,"
    "Lineitem price,Lineitem sku,Cancelled at,Refunded Amount,Shipping Country"
)
#: Status of an order, when it was cancelled, what was paid back, and whether it is a sale.
KINDS = [
    ("paid", "", "0.00", True),
    ("partially_refunded", "", "4.00", True),
    ("pending", "", "0.00", True),
    ("refunded", "", "9.50", False),
    ("voided", "2026-01-05 10:00:00 +0100", "0.00", False),
    ("paid", "2026-01-05 10:00:00 +0100", "0.00", False),
]


def export(kinds: list[int], lines: int) -> str:
    """Orders as Shopify writes them: what is said of an order stands on its first line alone."""
    rows = [HEADER]
    for number, kind in enumerate(kinds):
        status, cancelled, refunded, _ = KINDS[kind]
        for line in range(lines):
            of_order = (status, f"{number + 1}", "EUR", cancelled, refunded) if line == 0 else ("",) * 5
            rows.append(
                f"#{1000 + number},c{number}@example.org,{of_order[0]},,{of_order[2]},9.50,9.50,"
                f"2026-01-{number % 28 + 1:02d} 09:30:00 +0100,1,A thing,9.50,s{line},{of_order[3]},{of_order[4]},DE"
            )
    return "\n".join(rows) + "\n"


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, len(KINDS) - 1), min_size=2, max_size=12))
def test_orders_that_are_no_sale_are_left_out_and_counted(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[int]
) -> None:
    kinds = [0, *kinds]
    file = tmp_path_factory.mktemp("in") / "orders_export.csv"
    file.write_text(export(kinds, lines=1))
    proposal, holdings = mapped(file)
    sales = sum(KINDS[kind][3] for kind in kinds)
    assert (holdings.rows, holdings.excluded) == (len(kinds), len(kinds) - sales)
    assert f"{len(kinds) - sales:,} lines" in next(note for note in proposal.notes if "left out" in note)


def test_orders_that_say_so_on_their_first_line_alone_are_not_cut_in_half(tmp_path: Path) -> None:
    file = tmp_path / "orders_export.csv"
    file.write_text(export([0, 3, 4, 1], lines=2))
    proposal, holdings = mapped(file)
    assert (proposal.where, holdings.rows, holdings.excluded) == ("", 8, 0)
    assert "NOT left out: 2 cancelled, voided or refunded orders" in " ".join(proposal.notes)
    assert "1 lines are of orders that were refunded in part" in " ".join(proposal.notes)


def test_other_shop_systems_write_it_on_each_line() -> None:
    raw = pa.table(
        {
            "Order Number": ["1", "1", "2", "3"],
            "Customer Email": ["a", "a", "b", "c"],
            "Order Date": ["2026-01-01", "2026-01-01", "2026-01-02", "2026-01-03"],
            "SKU": ["x", "y", "x", "x"],
            "Quantity": ["1", "1", "1", "1"],
            "Item Cost": ["1.5", "2.5", "1.5", "1.5"],
            "Order Status": ["wc-cancelled", "wc-cancelled", "wc-completed", "Refunded"],
        }
    )
    proposal = propose(raw)
    assert '"Order Status"' in proposal.where
    assert "3 lines" in proposal.notes[-1]


def mapped(file: Path) -> tuple[Proposal, Holdings]:
    """The proposal for a file, and what a source with it holds."""
    found = {"location": str(file), **settings_of(sniff(file))}
    raw = FilesSourceConfig(tables={"orders": FilesTableConfig(**found)}).open().raw("orders", rows=100)
    proposal = propose(raw)
    table = FilesTableConfig(**found, columns=proposal.columns, where=proposal.where)
    return proposal, FilesSourceConfig(tables={"orders": table}).open().holdings("orders")
