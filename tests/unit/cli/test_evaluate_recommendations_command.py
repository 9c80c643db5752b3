"""`tessera evaluate recommendations` on files of users: what it prints, and what it says of files it cannot use."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from models.errors import TesseraError
from pipelines.cli.commands import app


def shop(customers: int = 60, products: int = 30, days: int = 120) -> pl.DataFrame:
    """Customers who take products of one of three kinds, some of them again and again."""
    rng = np.random.default_rng(3)
    rows = [
        (f"c{customer}", f"p{kind * 10 + product}", day)
        for customer in range(customers)
        for kind in [customer % 3]
        for day in np.sort(rng.choice(days, 8, replace=False)).tolist()
        for product in {customer % 10, *rng.integers(0, products // 3, 2).tolist()}
    ]
    frame = pl.DataFrame(rows, schema=["customer_id", "product_id", "day"], orient="row")
    return frame.select("customer_id", "product_id", at=pl.date(2024, 1, 1) + pl.duration(days="day"))


ROWS = shop()
EARLIER, LATER = (ROWS.filter((pl.col("at") < pl.date(2024, 4, 10)) == is_early) for is_early in (True, False))


def evaluated(folder: Path, events: pl.DataFrame, test: pl.DataFrame, *arguments: str) -> Result:
    events.write_csv(folder / "events.csv")
    test.write_parquet(folder / "test.parquet")
    files = ("--events", str(folder / "events.csv"), "--test", str(folder / "test.parquet"))
    return CliRunner().invoke(app, ["evaluate", "recommendations", *files, *arguments], catch_exceptions=False)


def test_json_has_each_method_of_each_part(tmp_path: Path) -> None:
    stranger = pl.DataFrame({"customer_id": ["x"], "product_id": ["p1"], "at": ["2024-04-11"]})
    twice = pl.concat([EARLIER, EARLIER.head(5)])
    found = json.loads(evaluated(tmp_path, twice, pl.concat([LATER.cast(pl.String), stranger]), "--json").stdout)
    assert set(found["results"]) == {"recommender", "popularity", "own_frequency", "ease"}
    assert set(found["results"]["ease"]["parts"]) == {"all", "repeat", "new"}
    assert found["unknown_customers"] == 1
    assert found["repeated_rows"] == 5
    assert found["interactions"] == EARLIER.height
    shipped, popular = (found["results"][name]["parts"]["all"] for name in ("recommender", "popularity"))
    assert shipped["ndcg"]["value"] > popular["ndcg"]["value"]
    assert popular["ndcg_lead"]["low"] > 0


def test_without_times_and_with_ids_that_are_numbers(tmp_path: Path) -> None:
    numbers = [pl.col(name).str.slice(1).cast(pl.Int64) for name in ("customer_id", "product_id")]
    events = EARLIER.select(numbers[0].cast(pl.Float64), numbers[1])
    said = evaluated(tmp_path, events, LATER.select(numbers), "--k", "5")
    assert said.exit_code == 0
    assert "the events have no column at" in said.stderr
    assert "recall@5" in said.stdout


@pytest.mark.parametrize("form", ["%d.%m.%Y %H:%M", "%m/%d/%y %I:%M %p", "%-d %b %Y"])
def test_times_are_read_in_the_order_that_fits_them_all(form: str, tmp_path: Path) -> None:
    written = EARLIER.with_columns(pl.col("at").cast(pl.Datetime).dt.strftime(form))
    found, as_usual = (json.loads(evaluated(tmp_path, events, LATER, "--json").stdout) for events in (written, EARLIER))
    assert found == as_usual


def test_test_rows_that_are_not_later_are_told(tmp_path: Path) -> None:
    said = evaluated(tmp_path, EARLIER, pl.concat([LATER, EARLIER.filter(pl.col("at") < pl.date(2024, 1, 5))]))
    early = EARLIER.filter(pl.col("at") < pl.date(2024, 1, 5)).height
    assert f"{early} of {LATER.height + early} test rows are from before 2024-04-09" in said.stderr.replace(",", "")
    assert "are from before" not in evaluated(tmp_path, EARLIER, LATER).stderr


def test_one_customer_is_an_answer(tmp_path: Path) -> None:
    one = pl.col("customer_id") == "c1"
    said = evaluated(tmp_path, EARLIER.filter(one), LATER.filter(one))
    assert said.exit_code == 0
    assert "1 customers are too few" in said.stderr


@pytest.mark.parametrize(
    ("events", "test", "sentence"),
    [
        (EARLIER.drop("product_id"), LATER, "has no column 'product_id'"),
        (EARLIER.with_columns(at=pl.lit("12/1/2010 8:26")), LATER, "can be read day-first and month-first"),
        (EARLIER.with_columns(at=pl.lit("noon")), LATER, "times that cannot be read, the first 'noon'"),
        (EARLIER.head(0), LATER, "holds no row"),
        (EARLIER, LATER.head(0), "holds no row"),
        (EARLIER, LATER.with_columns(customer_id=pl.lit("nobody")), "No row of .* has both a customer and a product"),
    ],
)
def test_files_that_cannot_be_used_are_a_sentence(
    events: pl.DataFrame, test: pl.DataFrame, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(TesseraError, match=sentence):
        evaluated(tmp_path, events, test)
