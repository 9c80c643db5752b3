"""Oddities that no contract refuses are named in a sample of a source, and sound rows have none."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from models.contracts import CONTRACTS
from models.contracts.oddities import oddities
from pipelines.cli.sampled import sampled
from resources.source.simulated import SimulatedSourceConfig

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CUSTOMER, ORDER, PAID = pl.col("customer_id"), pl.col("order_id"), pl.col("ordered_at")
EVERY_TENTH = pl.int_range(pl.len()) % 10 == 0


def orders(change: pl.Expr | None = None) -> pl.DataFrame:
    n = 4000
    frame = pl.DataFrame({"order_id": [f"o{i // 2}" for i in range(n)]}).with_columns(
        order_line_id=pl.format("l{}", pl.int_range(n)),
        customer_id=pl.format("c{}", pl.int_range(n) // 2 * 7919 % 613),
        product_id=pl.format("p{}", pl.int_range(n) % 30),
        ordered_at=NOW - timedelta(days=30) + pl.duration(minutes=pl.int_range(n)),
    )
    return frame if change is None else frame.with_columns(change)


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        (None, []),
        (pl.when(ORDER.str.ends_with("7")).then(pl.lit("Guest")).otherwise(CUSTOMER).alias("customer_id"), ["'Guest'"]),
        (pl.when(ORDER.str.ends_with("7")).then(pl.lit("0")).otherwise(CUSTOMER).alias("customer_id"), ["'0'"]),
        (pl.when(ORDER.str.ends_with("7")).then(pl.lit("c1")).otherwise(CUSTOMER).alias("customer_id"), ["'c1', the"]),
        (pl.when(EVERY_TENTH).then(pl.lit("c1")).otherwise(CUSTOMER).alias("customer_id"), ["'c1'", "several custo"]),
        (CUSTOMER.str.slice(1).alias("customer_id"), []),
        (PAID + pl.duration(days=28), ["after the present, the last 2026-01-01"]),
    ],
)
def test_each_is_a_sentence_and_sound_rows_have_none(change: pl.Expr | None, sentences: list[str]) -> None:
    found = oddities(CONTRACTS["orders"], orders(change).to_arrow(), NOW)
    assert len(found) == len(sentences)
    assert all(part in sentence for part, sentence in zip(sentences, found, strict=True))


@pytest.mark.parametrize("table", ["orders", "payments", "customers", "tickets"])
def test_the_simulated_shop_has_none(table: str) -> None:
    source = SimulatedSourceConfig(customers=300, first_day="2026-01-01").open()
    found = sampled(table, source, rows=20_000)
    assert found.rows > 40
    assert found.oddities == () or list(found.oddities) == []


def test_no_row_has_none() -> None:
    assert oddities(CONTRACTS["orders"], orders().head(0).to_arrow()) == []
