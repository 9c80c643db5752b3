"""The gate of a composition: refused unless it is better than its best child, or as good at a lower cost."""

import numpy as np
import pytest

from models.compose.gate import CompositionGateConfig, Measured, composition_report
from models.errors import TesseraError

LIMITS = CompositionGateConfig(resamples=400)
N = 2_000
KEYS = [f"k{row}" for row in range(N)]


def right(share: float, *, seed: int = 0, like: np.ndarray | None = None, agree: float = 0.0) -> np.ndarray:
    """Draw answers that are right in `share`; a share `agree` of them is as in `like`."""
    rng = np.random.default_rng(seed)
    drawn = (rng.random(N) < share).astype(np.float64)
    return drawn if like is None else np.where(rng.random(N) < agree, like, drawn)


FEW = CompositionGateConfig(resamples=150)
CHEAP = Measured(right(0.80, seed=1), np.full(N, 0.002))
DEAR = Measured(right(0.90, seed=2), np.full(N, 0.06))


def stopped(composed: Measured, limits: CompositionGateConfig = LIMITS, **children: Measured) -> tuple[str, ...]:
    found = composition_report("both", composed, children or {"cheap": CHEAP, "dear": DEAR}, KEYS, limits)
    assert found.passed == (not found.stopped_by)
    return found.stopped_by


def test_a_clear_gain_over_the_best_child_passes() -> None:
    assert stopped(Measured(np.maximum(CHEAP.quality, DEAR.quality), np.full(N, 0.062))) == ()


@pytest.mark.parametrize("quality", [DEAR.quality, CHEAP.quality, right(0.905, seed=3, like=DEAR.quality, agree=0.9)])
def test_what_is_no_better_than_the_best_child_is_refused(quality: np.ndarray) -> None:
    assert stopped(Measured(quality, np.full(N, 0.03))) == ("beats_best_child",)


def test_a_gain_over_the_worse_child_only_is_refused() -> None:
    assert stopped(Measured(right(0.87, seed=5), np.full(N, 0.03))) == ("beats_best_child",)


CHEAPER = CompositionGateConfig(claim="cheaper", max_cost_share=0.5, resamples=400)


def test_as_good_and_cheaper_passes_and_each_half_of_it_is_asked_for() -> None:
    same, third = DEAR.quality, np.full(N, 0.02)
    assert stopped(Measured(same, third), CHEAPER) == ()
    assert stopped(Measured(same, np.full(N, 0.04)), CHEAPER) == ("cheaper_than_best_child",)
    worse = np.where(np.arange(N) % 50 == 0, 0.0, same)
    assert stopped(Measured(worse, third), CHEAPER) == ("as_good_as_best_child",)


@pytest.mark.parametrize("model", ["both", "cheap", "dear"])
def test_a_record_that_any_model_has_seen_closes_the_gate(model: str) -> None:
    models = {"both": Measured(np.ones(N), DEAR.cost), "cheap": CHEAP, "dear": DEAR}
    models[model] = Measured(models[model].quality, models[model].cost, frozenset({"k7", "another"}))
    composed = models.pop("both")
    report = composition_report("both", composed, models, KEYS, LIMITS)
    assert report.stopped_by == ("unseen_records",)
    assert f"1 of the records were seen by {model}" in report.markdown()


def test_few_records_close_the_gate() -> None:
    few = {name: Measured(one.quality[:100], one.cost[:100]) for name, one in (("cheap", CHEAP), ("dear", DEAR))}
    composed = Measured(np.ones(100), np.ones(100))
    assert composition_report("both", composed, few, KEYS[:100], LIMITS).stopped_by == ("enough_records",)


@pytest.mark.slow
def test_the_interval_holds_the_truth_of_a_gain_of_nothing_as_often_as_it_says() -> None:
    """A composition that is exactly as good as its best child passes in about 1 of 40 draws."""
    passed = 0
    for seed in range(80):
        best = right(0.8, seed=seed)
        other = right(0.8, seed=seed + 1_000)
        passed += not stopped(Measured(other, DEAR.cost), FEW, only=Measured(best, DEAR.cost))
    assert passed <= 7  # 2 are expected; more than 7 in 1 of 1,000


def test_answers_to_other_records_are_refused() -> None:
    with pytest.raises(TesseraError, match="The comparison has the shapes"):
        composition_report("both", Measured(np.ones(3), np.ones(3)), {"cheap": CHEAP}, KEYS, LIMITS)
    with pytest.raises(TesseraError, match="A quality or a cost is missing"):
        composition_report("both", Measured(np.full(N, np.nan), DEAR.cost), {"cheap": CHEAP}, KEYS, LIMITS)
    with pytest.raises(TesseraError, match="one child or more"):
        composition_report("both", CHEAP, {}, KEYS, LIMITS)
