"""Labels on other rows than they are about, holes in running numbers, words that every text has of a sudden."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from models.contracts import CONTRACTS, DELIVERED_ON
from models.watch.agreement import agreement, facts_of, sampled
from models.watch.columns import roles_of
from models.watch.numbering import numbering, quoting
from models.watch.profile import Name
from models.watch.resolution import sequence
from models.watch.words import words

DAY = date(2025, 3, 20)
BEFORE = [DAY - timedelta(days=back) for back in range(10, 0, -1)]
LABELS, TICKETS = roles_of(CONTRACTS["payment_labels"]), roles_of(CONTRACTS["tickets"])


def labels(*days: date, moved: int = 0) -> pl.DataFrame:
    """Forty labels a day, every fourth a fraud, each so many rows after the payment that it is about."""
    rows = [
        {
            DELIVERED_ON: day,
            "transaction_id": day.toordinal() * 100 + number,
            "is_fraud": (number - moved) % 4 == 0,
            "labelled_at": datetime(day.year, day.month, day.day, tzinfo=UTC),
        }
        for day in days
        for number in range(40)
    ]
    return pl.DataFrame(rows)


def payments() -> pl.DataFrame:
    """What the labels are about: frauds are large, others small."""
    amount = pl.when("is_fraud").then(500.0).otherwise(20.0)
    return labels(*BEFORE, DAY).select("transaction_id", DELIVERED_ON, amount=amount)


def fits(rows: pl.DataFrame, before: pl.DataFrame) -> list[float]:
    found = agreement(rows, before, LABELS, {"transaction_id": payments()})
    return [value for _, one in found for value in one["value"].to_list()]


def test_labels_of_the_right_payments_fit_all_and_those_of_others_do_not() -> None:
    before = labels(*BEFORE)
    assert fits(labels(DAY), before) == [1.0]
    # Every large payment is now called no fraud, and a third of the small ones is: worse than chance.
    assert fits(labels(DAY, moved=1), before)[0] < 0.5


def test_a_day_is_compared_with_the_days_before_it_alone() -> None:
    """The first fill measures many days at once, a night one: the numbers are the same."""
    at_once = fits(labels(*BEFORE, DAY), labels(*BEFORE).clear())
    assert at_once[-1:] == fits(labels(DAY), labels(*BEFORE))
    assert len(at_once) == len(BEFORE) + 1 - 7


def test_of_many_rows_and_labels_so_many_are_compared_as_memory_allows() -> None:
    """Each two rows of a day are compared: 150 labels of 128 rows each would be 2.9 GB."""
    keys = pl.int_range(20_000, eager=True).alias("transaction_id")
    busy = pl.DataFrame(keys).with_columns(pl.lit(DAY).alias(DELIVERED_ON), is_fraud=pl.col("transaction_id") % 150)
    assert 700 < len(sampled(busy, LABELS)) < 1400


def test_of_one_label_or_none_nothing_is_said() -> None:
    for rows in (labels(DAY).with_columns(is_fraud=pl.lit(value=False)), labels(DAY).clear()):
        assert fits(rows, labels(*BEFORE)) == []


def test_labels_are_compared_with_what_they_name() -> None:
    assert facts_of(LABELS) == {"transaction_id": ("customer_id", "terminal_id", "amount")}
    assert facts_of(TICKETS) == {"customer_id": ("country",)}
    assert facts_of(roles_of(CONTRACTS["payments"])) == {}


def share_numbered(*ids: str) -> list[float]:
    rows = pl.DataFrame({DELIVERED_ON: [DAY] * len(ids), "order_id": ids})
    return [value for _, found in numbering(rows, "order_id") for value in found["value"].to_list()]


def test_lost_rows_are_holes_in_running_numbers() -> None:
    every = [f"20250320-{number:06}" for number in range(101)]
    assert share_numbered(*every) == [1.0]
    assert share_numbered(*(one for one in every if not one.endswith("5"))) == [pytest.approx(80 / 90)]
    # The lines of an order have its number; an order of another day is one hole, and what is no number counts nothing.
    assert share_numbered(*every, *every, "20250319-000900", "manual") == [pytest.approx(100 / 101)]
    assert share_numbered("a", "b-1", "c") == []


def test_a_word_that_all_texts_have_of_a_sudden() -> None:
    texts = [f"where is parcel {number}" for number in range(30)]
    before = pl.concat(pl.DataFrame({DELIVERED_ON: [day] * 30, "text": texts}) for day in BEFORE)
    rows = pl.DataFrame({DELIVERED_ON: [DAY] * 30, "text": texts})
    signed = rows.with_columns(text=pl.col("text") + "\nSent from my phone")
    assert [found["value"].to_list() for one in (rows, signed) for _, found in words(one, before, "text")] == [
        [0.0],
        [1.0],
    ]


def test_ids_that_stand_in_a_text_of_their_row() -> None:
    rows = pl.DataFrame(
        {
            DELIVERED_ON: [DAY] * 3,
            "ticket_id": ["t-1", "t-2", "t-3"],
            "customer_id": ["u1", "u2", None],
            "order_id": ["o-7", "o-8", None],
            "text": ["my order o-7", "my order o-7", "hello u3"],
        }
    )
    found = {name.column: one["value"].to_list() for name, one in quoting(rows, TICKETS)}
    assert found == {"ticket_id": [0.0], "customer_id": [0.0], "order_id": [0.5]}


def test_times_of_one_country_that_are_out_of_order_show_among_its_rows() -> None:
    hours = [9, 10, 11, 12, 13, 14, 15, 16, 17, 18]
    countries = ["FR" if number % 5 == 4 else "DE" for number in range(10)]
    rows = pl.DataFrame(
        {
            DELIVERED_ON: [DAY] * 10,
            "order_line_id": [f"l-{number}" for number in range(10)],
            "ordered_at": [
                datetime(2025, 3, 20, hour - 6 * (country == "FR"), tzinfo=UTC)
                for hour, country in zip(hours, countries, strict=True)
            ],
            "country": countries,
            "currency": ["EUR"] * 10,
        }
    )
    measured = dict(sequence(rows, roles_of(CONTRACTS["orders"])))
    found = {name.category: one["value"].to_list() for name, one in measured.items()}
    key = "order_line_id"
    assert [one["n"].to_list() for one in measured.values()] == [[10], [8], [2]]
    assert found[f"{key} in FR"] == [0.0]
    assert found[f"{key} in DE"] == [1.0]
    assert found[key] == [pytest.approx(7 / 9)]
    assert Name("sequence", "ordered_at", f"{key} in EUR").category not in found  # there is no other currency
