"""Profiles: the feature store's point-in-time join, the rows that serving reads, and what is online are equal."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from assets.personalization.app import PERSONALIZATION
from assets.personalization.known import known_at
from assets.personalization.profiles import JoinedProfiles, NewestProfiles
from models.errors import TesseraError
from models.features.personalization_definitions import FEATURES, MAX_AGE_DAYS
from models.personalization.block import FEATURES as RANKED_BY
from models.personalization.parts import RankerPart
from resources.feature_store.feast.store import FeastStoreConfig
from tests.apps.personalization.lists_world import DAY, SETTINGS, home_after_a_night

#: One worker makes the home once.
pytestmark = pytest.mark.xdist_group("lists home")


def test_training_and_serving_read_the_same_profiles(tmp_path: Path) -> None:
    home = home_after_a_night(tmp_path)
    store = FeastStoreConfig(path=str(tmp_path / "feast"), tables=str(tmp_path / "lake"), threads=1).open()
    store.apply()
    cutoff = DAY - timedelta(days=SETTINGS.personalization.horizon_days)
    assert {cutoff, DAY} <= set(home.lake.days(PERSONALIZATION.features)), "training computes the days it lacks"
    newest, joined = NewestProfiles(home.lake), JoinedProfiles(home.lake, store)
    known = known_at(home.lake, DAY, SETTINGS.personalization)
    customers = [*known.events.customers.tolist()[::-1], "nobody"]
    for day in (cutoff, DAY, DAY + timedelta(days=3), cutoff + timedelta(days=MAX_AGE_DAYS)):
        theirs = newest.numbers(customers, day)
        assert np.array_equal(theirs, joined.numbers(customers, day), equal_nan=True)
        assert np.isnan(theirs[-1]).all()
    of_day = newest.numbers(customers, DAY)
    assert np.array_equal(known.numbers_of(np.arange(len(customers) - 1))[::-1], of_day[:-1], equal_nan=True)
    assert np.isnan(newest.numbers(customers, cutoff + timedelta(days=MAX_AGE_DAYS + 1))).all(), "too old to count"
    rows = home.lake.scan(PERSONALIZATION.features, first=DAY, last=DAY).to_table().to_pylist()
    lines = dict(zip(customers, of_day[:, FEATURES.index("lines_365")].tolist(), strict=True))
    assert len(rows) == np.isfinite(of_day).any(axis=1).sum()
    assert all(lines[row["customer_id"]] == row["lines_365"] for row in rows)


def test_a_ranker_of_other_numbers_is_refused_in_words(tmp_path: Path) -> None:
    saved = {"kind": "xgboost_mean", "trees": ["one"], "features": [*RANKED_BY, "gone"]}
    with pytest.raises(TesseraError, match=r"1 differ, e\.g\. gone\..*Run `tessera run personalization_nightly`"):
        RankerPart.read(tmp_path, saved, {})
