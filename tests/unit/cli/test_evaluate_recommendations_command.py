"""`tessera evaluate recommendations` on files of users: what it prints, and what it says of files it cannot use."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from models.errors import TesseraError
from pipelines.cli.commands import app


def shop(customers: int = 60, products: int = 30, days: int = 120) -> list[tuple[str, str, date]]:
    """Customers who take products of one of three kinds, some of them again and again."""
    rng = np.random.default_rng(3)
    return [
        (f"c{customer}", f"p{kind * 10 + product}", date(2024, 1, 1) + timedelta(days=day))
        for customer in range(customers)
        for kind in [customer % 3]
        for day in np.sort(rng.choice(days, 8, replace=False)).tolist()
        for product in {customer % 10, *rng.integers(0, products // 3, 2).tolist()}
    ]


@cache
def earlier() -> pl.DataFrame:
    return in_days(lambda day: day < date(2024, 4, 10))


@cache
def later() -> pl.DataFrame:
    return in_days(lambda day: day >= date(2024, 4, 10))


def in_days(chosen: Callable[[date], bool]) -> pl.DataFrame:
    rows = [row for row in shop() if chosen(row[2])]
    return pl.DataFrame(rows, schema=["customer_id", "product_id", "at"], orient="row")


def evaluated(folder: Path, events: pl.DataFrame, test: pl.DataFrame, *arguments: str) -> Result:
    events.write_csv(folder / "events.csv")
    test.write_parquet(folder / "test.parquet")
    files = ("--events", str(folder / "events.csv"), "--test", str(folder / "test.parquet"))
    return CliRunner().invoke(app, ["evaluate", "recommendations", *files, *arguments], catch_exceptions=False)


def test_json_has_each_method_of_each_part(tmp_path: Path) -> None:
    stranger = pl.DataFrame({"customer_id": ["x"], "product_id": ["p1"], "at": ["2024-04-11"]})
    twice = pl.concat([earlier(), earlier().head(5)])
    found = json.loads(evaluated(tmp_path, twice, pl.concat([later().cast(pl.String), stranger]), "--json").stdout)
    assert set(found["results"]) == {"recommender", "popularity", "own_frequency", "ease"}
    assert set(found["results"]["ease"]["parts"]) == {"all", "repeat", "new"}
    assert found["unknown_customers"] == 1
    assert found["repeated_rows"] == 5
    assert found["interactions"] == earlier().height
    shipped, popular = (found["results"][name]["parts"]["all"] for name in ("recommender", "popularity"))
    assert shipped["ndcg"]["value"] > popular["ndcg"]["value"]
    assert popular["ndcg_lead"]["low"] > 0


def test_without_times_and_with_ids_that_are_numbers(tmp_path: Path) -> None:
    numbers = [pl.col(name).str.slice(1).cast(pl.Int64) for name in ("customer_id", "product_id")]
    events = earlier().select(numbers[0].cast(pl.Float64), numbers[1])
    said = evaluated(tmp_path, events, later().select(numbers), "--k", "5")
    assert said.exit_code == 0
    assert "the events have no column at" in said.stderr
    assert "recall@5" in said.stdout


@pytest.mark.parametrize("form", ["%d.%m.%Y %H:%M", "%m/%d/%y %I:%M %p", "%-d %b %Y"])
def test_times_are_read_in_the_order_that_fits_them_all(form: str, tmp_path: Path) -> None:
    written = earlier().with_columns(pl.col("at").cast(pl.Datetime).dt.strftime(form))
    found, as_usual = (
        json.loads(evaluated(tmp_path, events, later(), "--json").stdout) for events in (written, earlier())
    )
    assert found == as_usual


def test_test_rows_that_are_not_later_are_told(tmp_path: Path) -> None:
    said = evaluated(tmp_path, earlier(), pl.concat([later(), earlier().filter(pl.col("at") < pl.date(2024, 1, 5))]))
    early = earlier().filter(pl.col("at") < pl.date(2024, 1, 5)).height
    assert f"{early} of {later().height + early} test rows are from before 2024-04-09" in said.stderr.replace(",", "")
    assert "are from before" not in evaluated(tmp_path, earlier(), later()).stderr


def test_one_customer_is_an_answer(tmp_path: Path) -> None:
    one = pl.col("customer_id") == "c1"
    said = evaluated(tmp_path, earlier().filter(one), later().filter(one))
    assert said.exit_code == 0
    assert "1 customers are too few" in said.stderr


def same(frame: pl.DataFrame) -> pl.DataFrame:
    return frame


def empty(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.head(0)


def at(text: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda frame: frame.with_columns(at=pl.lit(text))


@pytest.mark.parametrize(
    ("changed", "changed_test", "sentence"),
    [
        (lambda frame: frame.drop("product_id"), same, "has no column 'product_id'"),
        (at("12/1/2010 8:26"), same, "can be read day-first and month-first"),
        (at("noon"), same, "times that cannot be read, the first 'noon'"),
        (empty, same, "holds no row"),
        (same, empty, "holds no row"),
        (
            same,
            lambda frame: frame.with_columns(customer_id=pl.lit("nobody")),
            "No row of .* has both a customer and a product",
        ),
    ],
)
def test_files_that_cannot_be_used_are_a_sentence(
    changed: Callable[[pl.DataFrame], pl.DataFrame],
    changed_test: Callable[[pl.DataFrame], pl.DataFrame],
    sentence: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(TesseraError, match=sentence):
        evaluated(tmp_path, changed(earlier()), changed_test(later()))
