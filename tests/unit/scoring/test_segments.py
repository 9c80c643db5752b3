"""Segments: share and mean score of each, in batches of any size; one that stops or changes is a warning."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from models.scoring.config import UnusualConfig
from models.scoring.night_numbers import PastNight
from models.scoring.output import binary_output
from models.scoring.segments import SegmentNumbers
from models.scoring.unusual import Tonight, unusual

CONTRACT = binary_output("customer_id")
DAY = date(2026, 3, 2)


def numbers(countries: Sequence[str | None], scores: np.ndarray, rows: int, of_segments: int) -> dict[str, float]:
    segments = pa.table({"country": pa.array(countries, pa.string())}).to_batches(max_chunksize=of_segments)
    observer = SegmentNumbers(CONTRACT, segments)
    for batch in pa.table({"score": scores}).to_batches(max_chunksize=rows):
        observer.observe(batch)
    return observer.numbers()


@pytest.mark.parametrize(("rows", "of_segments"), [(1_000, 1_000), (7, 100), (100, 7)])
def test_numbers_do_not_depend_on_batches(rows: int, of_segments: int) -> None:
    countries = ["DE"] * 100 + ["FR"] * 60 + [None] * 35 + ["IT"] * 5
    scores = np.linspace(0, 1, 200)
    found = numbers(countries, scores, rows, of_segments)
    assert found["segment_share_country_DE"] == 0.5
    assert found["segment_mean_country_FR"] == pytest.approx(scores[100:160].mean())
    assert found["segment_share_country_missing"] == 0.175
    assert "segment_mean_country_IT" not in found, "five rows have no mean that means anything"


def test_too_few_segments_are_no_error() -> None:
    assert numbers(["DE"] * 3, np.zeros(9), 9, 9) == {}


def night(seed: int, share: float = 0.3, shift: float = 0.0) -> dict[str, float]:
    draws = np.random.default_rng(seed)
    countries = np.where(draws.random(2_000) < share, "FR", "DE")
    scores = draws.beta(2, 5, 2_000) + np.where(countries == "FR", shift, 0.0)
    found = numbers(countries.tolist(), scores, 500, 500)
    return {"rows": 2_000.0, "score_spread": float(scores.std()), **found}


def odd(tonight: dict[str, float], nights: int) -> str:
    past = [PastNight(DAY - timedelta(days=n), "p", night(n)) for n in range(nights, 0, -1)]
    checks = {one.name: one for one in unusual(Tonight(DAY, "p", tonight), past, UnusualConfig())}
    check = checks["usual segments"]
    assert check.passed or check.severity == "warn"
    return "" if check.passed else check.says


@pytest.mark.parametrize("nights", [3, 40])
def test_a_segment_that_stops_or_whose_scores_move_is_named_and_a_usual_night_is_not(nights: int) -> None:
    assert odd(night(1_000), nights) == ""
    assert "segment_share_country_FR 0," in odd(night(1_001, share=0.0), nights)
    assert "segment_mean_country_FR" in odd(night(1_002, shift=0.3), nights)
