"""The monitor of popularity bias sees a ranker that learns from its own clicks, and is silent about exploring."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from assets.stages.experiments.impressions import bias_of
from models.contracts import DELIVERED_ON, EXPOSURES, PRODUCTS
from models.experiments.config import ExperimentsConfig
from resources.lake.delta import DeltaLake

FIRST, DAYS, PRODUCT_COUNT, LISTS, SLOTS = date(2025, 1, 1), 28, 60, 40, 5
CONFIG = ExperimentsConfig(bias_days=7, label_days=1)
#: Chance of each product to be shown on a day, from the clicks so far.
Policy = Callable[[int, np.ndarray], np.ndarray]


def explores(_: int, clicks: np.ndarray) -> np.ndarray:
    return np.ones_like(clicks)


def learns_from_its_clicks(day: int, clicks: np.ndarray) -> np.ndarray:
    return np.ones_like(clicks) if day < 21 else (1 + clicks) ** 3


def learns_slowly(day: int, clicks: np.ndarray) -> np.ndarray:
    """A little more every week: no week is more than the limit above the one before it."""
    return (1 + clicks) ** (0.2 * (day // 7))


def shop_with(folder: Path, policy: Policy, *, catalogue: bool) -> DeltaLake:
    """A lake of lists that are drawn by a policy; each product is clicked alike, so that only the loop narrows."""
    lake, rng, clicks = DeltaLake(str(folder)), np.random.default_rng(3), np.zeros(PRODUCT_COUNT)
    schema = EXPOSURES.lake_schema()
    parts: list[pa.Table] = []
    for number in range(DAYS):
        day, chance = FIRST + timedelta(days=number), policy(number, clicks)
        lists = [rng.choice(PRODUCT_COUNT, SLOTS, replace=False, p=chance / chance.sum()) for _ in range(LISTS)]
        parts.append(pa.Table.from_pylist([row for n, one in enumerate(lists) for row in rows(day, n, one)], schema))
        shown = np.bincount(np.concatenate(lists), minlength=PRODUCT_COUNT)
        clicks += rng.binomial(shown, 0.3)
    lake.append("exposures", pa.concat_tables(parts), by=DELIVERED_ON)
    if catalogue:
        known = [{"product_id": f"p{n}", DELIVERED_ON: FIRST} for n in range(PRODUCT_COUNT)]
        lake.append("products", pa.Table.from_pylist(known, PRODUCTS.lake_schema()), by=DELIVERED_ON)
    return lake


def rows(day: date, number: int, products: np.ndarray) -> list[dict[str, object]]:
    at = datetime.combine(day, datetime.min.time(), UTC) + timedelta(minutes=number)
    about = {"list_id": f"{day}-{number}", "experiment": "none", "variant": "none", "propensity": 1.0}
    about |= {"shown_at": at, DELIVERED_ON: day}
    return [
        {**about, "exposure_id": f"{day}-{number}-{n}", "product_id": f"p{one}", "slot": n}
        for n, one in enumerate(products.tolist(), start=1)
    ]


CASES = [
    (explores, True, True),
    (learns_from_its_clicks, True, False),
    (learns_from_its_clicks, False, False),
    (learns_slowly, True, False),
]


@pytest.mark.parametrize(("policy", "catalogue", "passes"), CASES)
def test_a_loop_that_narrows_is_warned_of(tmp_path: Path, policy: Policy, catalogue: bool, passes: bool) -> None:
    lake = shop_with(tmp_path, policy, catalogue=catalogue)
    last = FIRST + timedelta(days=DAYS - 1)
    found = bias_of(lake, CONFIG, last)
    assert found is not None
    risen = found.risen(CONFIG.max_bias_rise)
    assert (not risen) is passes, risen
    if not passes:
        assert "Gini coefficient" in risen[0]
    if policy is learns_slowly:
        week = bias_of(lake, CONFIG.model_copy(update={"bias_periods": 1}), last)
        assert week is not None
        assert not week.risen(CONFIG.max_bias_rise), "each week by itself"
