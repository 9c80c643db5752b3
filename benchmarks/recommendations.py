"""Recommendations on real data by one configuration: next baskets of a shop month by month, and visits without times.

Nothing is chosen on the tested rows: rankers are trained on earlier moments and chosen on the last of them. Intervals
are 95 %, bootstrap over customers, and paired.
"""

import argparse
import csv
import gzip
import time
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.report import replace_section
from models.evaluation.bootstrap import Interval
from models.recommend.config import FittedConfig
from models.recommend.evaluation import PARTS, SHIPPED, Evaluation, Measured, evaluate_recommendations
from models.recommend.interactions import Ids, interactions
from models.recommend.rows import ids_of

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_RETAIL = DATA / "online_retail" / "online_retail_2010-12_2011-08.parquet"
_WORDS = {SHIPPED: "recommender", "popularity": "popularity", "own_frequency": "own frequency", "ease": "EASE"}
_GOALS = {
    "2011-08": "Goal: 0.330 and 0.365 with leads over own frequency above 0; new products 0.152 and 0.127.",
    "msweb": "Goal: recall 0.860 and NDCG 0.585.",
}


def main() -> None:
    """Measure the sections that are asked for, print and write them."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--only", choices=SECTIONS, help="only this section")
    arguments.add_argument("--dry", action="store_true", help="print the sections instead of writing them")
    options = arguments.parse_args()
    for name, section in SECTIONS.items():
        if options.only in (None, name):
            started = time.process_time()
            found = f"{section()}\n\n{time.process_time() - started:.0f} CPU s."
            print(found, flush=True)
            if not options.dry:
                replace_section(f"recommendations-{name}", found, libraries=["xgboost", "numpy", "scipy"])


def retail(first: date) -> str:
    """Next basket in the month that begins with `first`, of customers who have bought before."""
    bought = (
        pl.scan_parquet(_RETAIL)
        .filter(
            ~pl.col("InvoiceNo").str.starts_with("C"),
            pl.col("CustomerID").is_not_null(),
            pl.col("StockCode").str.contains(r"^\d{5}"),
        )
        .select(pl.col("CustomerID").cast(pl.String), "StockCode", "InvoiceNo", at="InvoiceDate")
        .collect()
    )
    events = bought.filter(pl.col("at") < first)
    month = bought.filter(pl.col("at") >= first, pl.col("at") < (first + timedelta(days=32)).replace(day=1))
    basket = month.filter(pl.col("InvoiceNo") == pl.col("InvoiceNo").sort_by("at").first().over("CustomerID"))
    customers, products = (basket[name].to_numpy().astype(str) for name in ("CustomerID", "StockCode"))
    title = f"online_retail: events before {first}, the first basket of known customers in that month"
    return _section(title, events, customers, products, _GOALS.get(f"{first:%Y-%m}", ""))


def msweb() -> str:
    """One random visit of each test user with two or more, left out; no times."""
    parts = [_visits(part) for part in ("train", "test")]
    known, asked = (pl.DataFrame(rows, schema=["CustomerID", "StockCode"], orient="row").unique() for rows in parts)
    asked = asked.sort("CustomerID", "StockCode")
    draw = pl.Series("draw", np.random.default_rng(0).random(asked.height))
    asked = asked.with_columns(draw).filter(pl.len().over("CustomerID") > 1)
    out = pl.col("draw") == pl.col("draw").min().over("CustomerID")
    held, rest = asked.filter(out), asked.filter(~out)
    events = pl.concat([known, rest.select(known.columns)])
    customers, products = (held[name].to_numpy().astype(str) for name in ("CustomerID", "StockCode"))
    title = "msweb: one random visit of each test user left out, no times"
    return _section(title, events, customers, products, _GOALS["msweb"])


def _visits(part: str) -> list[tuple[str, str]]:
    with gzip.open(DATA / "msweb" / f"visits_{part}.csv.gz", "rt", encoding="utf-8", newline="") as content:
        return [(f"{part} {row['user_id']}", row["area_id"]) for row in csv.DictReader(content)]


def _section(title: str, events: pl.DataFrame, customers: Ids, products: Ids, goal: str) -> str:
    at = events["at"] if "at" in events.columns else None
    known = interactions(ids_of(events["CustomerID"].to_list()), ids_of(events["StockCode"].to_list()), at)
    found = evaluate_recommendations(known, customers, products, FittedConfig())
    assert found is not None, "the data sets have known customers"
    return "\n".join([f"## {title}", "", *_table(found), "", f"{_chosen(found)} {goal}".strip()])


def _table(found: Evaluation) -> list[str]:
    lines = [
        "| products | method | R@20 | recommender leads by | NDCG@20 | leads by | coverage |",
        "|---|---|---|---|---|---|---|",
    ]
    for part in PARTS:
        if part not in found.results[SHIPPED].parts:
            continue
        for name, one in found.results.items():
            cells = _cells(one.parts[part])
            lines.append(f"| {part} | {_WORDS[name]} | {' | '.join(cells)} | {one.coverage:.2f} |")
    return lines


def _cells(one: Measured) -> list[str]:
    return [f"{one.recall.value:.4f}", _lead(one.recall_lead), f"{one.ndcg.value:.4f}", _lead(one.ndcg_lead)]


def _lead(found: Interval | None) -> str:
    return "" if found is None else f"{found.value:+.4f} ({found.low:+.4f} .. {found.high:+.4f})"


def _chosen(found: Evaluation) -> str:
    told = ", ".join(f"{name} {value:.4f}" for name, value in found.choice.ndcg.items())
    return (
        f"{found.customers:,} customers, {found.products:,} products, {found.taken:,} taken (recall "
        f"{found.ceiling:.3f} at most); {found.unknown_products} products that were new are left out. Ranker chosen on "
        f"{found.choice.customers:,} customers of the last earlier moment: {found.choice.name} (NDCG@20: {told})."
    )


SECTIONS = {
    "2011-08": partial(retail, date(2011, 8, 1)),
    "2011-07": partial(retail, date(2011, 7, 1)),
    "2011-06": partial(retail, date(2011, 6, 1)),
    "2011-05": partial(retail, date(2011, 5, 1)),
    "2011-04": partial(retail, date(2011, 4, 1)),
    "msweb": msweb,
}

if __name__ == "__main__":
    main()
