"""The division of training rows by time."""

from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pytest

from models.errors import TesseraError
from models.training.dataset import Split, split

HOLDOUT = date(2025, 6, 1)


def table(days: dict[date, int]) -> pa.Table:
    """`days`: customers on each day; customer i has the features (i, country)."""
    rows = [(f"c{i:03d}", day, i) for day, count in days.items() for i in range(count)]
    return pa.table(
        {
            "customer_id": [key for key, _, _ in rows],
            "event_timestamp": pa.array(
                [datetime.combine(day, time.max, UTC) for _, day, _ in rows], pa.timestamp("us", "UTC")
            ),
            "orders": pa.array([None if i == 0 else float(i) for _, _, i in rows], pa.float64()),
            "country": ["DE" if i % 2 else "FR" for _, _, i in rows],
            "churned": pa.array([i % 3 == 0 for _, _, i in rows]).cast(pa.int8()),
        }
    )


def divided(days: dict[date, int], **changes: object) -> Split:
    options = {"features": ["orders", "country"], "holdout": HOLDOUT, "horizon_days": 90, "slice_by": ["country"]}
    return split(table(days), **{**options, **changes})  # pyright: ignore[reportArgumentType]


def test_only_rows_whose_labels_had_ended_by_the_hold_out_are_learnt_from() -> None:
    just_in_time, too_late = HOLDOUT - timedelta(days=90), HOLDOUT - timedelta(days=89)
    found = divided({just_in_time - timedelta(days=7): 4, just_in_time: 5, too_late: 6, HOLDOUT: 7})
    assert (len(found.train), len(found.holdout), found.dropped) == (9, 7, 6)
    assert found.label_end == HOLDOUT
    assert found.train_cutoffs == (just_in_time - timedelta(days=7), just_in_time)
    assert (found.holdout.cutoffs == np.datetime64("2025-06-01T23:59:59.999999")).all()


def test_the_same_customer_has_the_same_number_on_both_sides() -> None:
    found = divided({HOLDOUT - timedelta(days=120): 5, HOLDOUT: 7})
    numbers = {}
    for side in (found.train, found.holdout):
        for key, number in zip(side.entity_ids, side.groups, strict=True):
            assert numbers.setdefault(key, number) == number
    assert len(set(numbers.values())) == 7


def test_the_order_of_the_rows_changes_nothing() -> None:
    rows = table({HOLDOUT - timedelta(days=120): 9, HOLDOUT: 8})
    shuffled = rows.take(np.random.default_rng(1).permutation(rows.num_rows))
    options = {"features": ["orders", "country"], "holdout": HOLDOUT, "horizon_days": 90, "slice_by": ["orders"]}
    one, other = split(rows, **options), split(shuffled, **options)  # pyright: ignore[reportArgumentType]
    for a, b in ((one.train, other.train), (one.holdout, other.holdout)):
        assert np.array_equal(a.rows, b.rows, equal_nan=True)
        assert np.array_equal(a.labels, b.labels)
        assert a.entity_ids.tolist() == b.entity_ids.tolist()
        assert a.slices["orders"].tolist() == b.slices["orders"].tolist()
    assert one.holdout_table.equals(other.holdout_table)


def test_slices_are_learnt_from_the_training_rows() -> None:
    found = divided({HOLDOUT - timedelta(days=120): 10, HOLDOUT: 20}, slice_by=["orders", "country"])
    assert set(found.train.slices["orders"]) == {"(missing)", "<= 3", "3 to 6", "> 6"}
    assert found.holdout.slices["orders"].tolist()[:5] == ["(missing)", "<= 3", "<= 3", "<= 3", "3 to 6"]
    assert (found.holdout.slices["orders"][10:] == "> 6").all()
    assert set(found.holdout.slices["country"]) == {"DE", "FR"}


def test_a_country_the_training_rows_do_not_know_is_another() -> None:
    rows = table({HOLDOUT - timedelta(days=120): 4, HOLDOUT: 4})
    known = rows["country"].to_pylist()
    rows = rows.set_column(3, "country", pa.array([*known[:4], "XX", None, "DE", "FR"]))
    found = split(rows, features=["orders"], holdout=HOLDOUT, horizon_days=90, slice_by=["country"])
    assert found.holdout.slices["country"].tolist() == ["(other)", "(missing)", "DE", "FR"]


@pytest.mark.parametrize("days", [{HOLDOUT: 4}, {HOLDOUT - timedelta(days=120): 4}, {}])
def test_nothing_on_one_side_is_an_error(days: dict[date, int]) -> None:
    with pytest.raises(TesseraError, match="the hold-out is 2025-06-01"):
        divided(days)


def test_an_infinite_feature_is_named() -> None:
    rows = table({HOLDOUT - timedelta(days=120): 4, HOLDOUT: 4})
    rows = rows.set_column(2, "orders", pa.array([1.0, 2.0, float("inf"), *[3.0] * 5]))
    with pytest.raises(TesseraError, match="'orders' is infinite"):
        split(rows, features=["orders"], holdout=HOLDOUT, horizon_days=90)
