"""Labels of impressions, position bias, popularity bias, and the simulated lists they are tried on."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contracts import CONTRACTS
from models.contracts.checking import check_rows
from models.errors import TesseraError
from models.experiments.impressions import examination, labelled
from models.experiments.popularity import popularity_bias
from models.simulation.defects import DefectShares
from models.simulation.shop import Shop
from models.simulation.shown_lists import EXPERIMENT, SLOTS, examined, experiment_days

pytestmark = pytest.mark.slow

FIRST = date(2025, 1, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(32)]


@cache
def shop() -> Shop:
    return Shop(3000, 7, FIRST, DefectShares())


@cache
def kept(table: str) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(check_rows(CONTRACTS[table], shop().delivered(table, day)).kept) for day in DAYS])


def test_the_shop_delivers_lists_that_keep_the_contracts_and_known_copies() -> None:
    day = DAYS[30]
    for table in ("exposures", "outcomes"):
        checked = check_rows(CONTRACTS[table], shop().delivered(table, day))
        assert checked.quarantined.num_rows == sum(shop().defect_counts(table, day, day).values())
        again = Shop(3000, 7, FIRST, DefectShares()).delivered(table, day)
        assert again.equals(shop().delivered(table, day))
    lists = kept("exposures").group_by("list_id").agg(pl.col("slot").sort(), pl.col("product_id").n_unique())
    assert lists["slot"].to_list() == [list(range(1, SLOTS + 1))] * len(lists)
    assert (lists["product_id"] == SLOTS).all()


def test_the_experiment_of_the_shop_has_its_days_and_outcomes_follow_exposures() -> None:
    first, _ = experiment_days(FIRST)
    shown = kept("exposures")
    assert shown.filter(pl.col("experiment") == EXPERIMENT)["shown_at"].dt.date().min() == first
    joined = kept("outcomes").join(shown, on="exposure_id")
    assert len(joined) == len(kept("outcomes"))
    assert (joined["happened_at"] > joined["shown_at"]).all()
    assert (joined["customer_id"] == joined["customer_id_right"]).all()


def test_labels_are_mature_and_final() -> None:
    day = DAYS[10]
    outcomes = kept("outcomes")
    by = {
        days: labelled(kept("exposures"), outcomes.filter(pl.col("delivered_on") <= day + timedelta(days=days)), day, 7)
        for days in (0, 7, 20)
    }
    assert by[7].equals(by[20])
    assert by[0]["bought"].sum() < by[7]["bought"].sum()
    assert by[7]["value"].sum() > 0
    truth = shop().lists.happened(day.toordinal())
    assert by[7]["clicked"].sum() == truth.clicked.sum()
    assert by[7]["bought"].sum() == truth.bought.sum()
    short = labelled(kept("exposures"), outcomes, day, 1)
    assert short["bought"].sum() == (truth.bought & (truth.delay == 0)).sum()


def test_shuffled_slots_reveal_the_position_bias_of_the_shop() -> None:
    parts = [shop().lists.happened(day.toordinal()) for day in DAYS]
    slots, clicked, propensity = (
        np.concatenate([getattr(part, name).astype(float) for part in parts])
        for name in ("slot", "clicked", "propensity")
    )
    found = examination(slots, clicked, propensity)
    assert found == pytest.approx(examined(np.arange(1, SLOTS + 1)), abs=0.2)
    with pytest.raises(TesseraError, match="No slot of the log was shuffled"):
        examination(slots, clicked, np.ones(slots.size))


@settings(max_examples=10, deadline=None)
@given(counts=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 50), min_size=1), extra=st.integers(0, 20))
def test_concentration_lies_between_all_alike_and_one_alone(counts: Mapping[str, int], extra: int) -> None:
    found = popularity_bias(counts, {}, len(counts) + extra)
    assert -1e-12 <= found.gini <= 1 - 1 / (len(counts) + extra) + 1e-12
    assert 0 < found.coverage <= 1
    alike = popularity_bias(dict.fromkeys(counts, 3), {}, len(counts))
    assert alike.gini == pytest.approx(0)
    assert popularity_bias({"a": 9}, {}, 10).gini == pytest.approx(0.9)


def test_a_rise_over_the_weeks_before_is_named() -> None:
    before = popularity_bias({"a": 10, "b": 10, "c": 10, "d": 10}, {}, 4)
    now = popularity_bias({"a": 37, "b": 3}, {"a": 5, "b": 5}, 4, before)
    assert now.risen(0.1) == [
        "Gini coefficient 0.000 to 0.712",
        "share of the most shown hundredth 0.250 to 0.925",
        "share of the catalogue never shown 0.000 to 0.500",
    ]
    assert (now.lift, popularity_bias({"a": 9, "b": 1}, {"a": 9, "b": 1}, 2).lift) == (0.0, pytest.approx(0.0))
    assert popularity_bias({"a": 10}, {"a": 9, "b": 1}, 2).lift == pytest.approx(90 / 82 - 1)
    assert before.risen(0.0) == []


def test_what_was_never_shown_has_no_bias() -> None:
    none = popularity_bias({}, {"a": 1}, 5)
    assert (none.gini, none.top_share, none.coverage, none.lift) == (0, 0, 0, None)


def test_midnight_belongs_to_the_day_that_begins() -> None:
    at = datetime(2025, 1, 2, tzinfo=UTC)
    row = kept("exposures").head(1).with_columns(pl.lit(at).alias("shown_at"))
    assert len(labelled(row, kept("outcomes"), date(2025, 1, 2), 7)) == 1
    assert len(labelled(row, kept("outcomes"), date(2025, 1, 1), 7)) == 0
