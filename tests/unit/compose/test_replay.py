"""Calibration of a router by replay: against brute force, against the router itself, against known values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.compose.batch import Batch
from models.compose.call import new_call
from models.compose.replay import Replay, calibrated, share_z
from models.compose.replay_picture import calibration_table, frontier_png
from models.compose.router import Below, Router
from models.compose.threshold import best_within, cheapest, cheapest_near_dear
from models.errors import TesseraError
from tests.unit.compose.compose_steps import answering

VALUES = st.sampled_from([0.0, 0.5, 1.0])


@st.composite
def replays(draw: st.DrawFn, costs: tuple[float, ...] = (0.1, 1.0)) -> Replay:
    n = draw(st.integers(2, 12))
    each = [draw(st.lists(kind, min_size=n, max_size=n)) for kind in (st.integers(0, 5), VALUES, VALUES)]
    prices = [draw(st.lists(st.sampled_from(costs), min_size=n, max_size=n)) for _ in range(2)]
    return Replay(*(np.array(values, dtype=np.float64) for values in (*each, *prices)))


def known(n: int = 2_000, seed: int = 0) -> Replay:
    """Draw answers of a cheap step that is right as often as it says, and of a dear one that is right in 19 of 20."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(0.4, 1, n)
    cheap, dear = (rng.random(n) < score).astype(np.float64), (rng.random(n) < 0.95).astype(np.float64)
    return Replay(score, cheap, dear, np.full(n, 0.002), np.full(n, 0.06))


@settings(max_examples=30, deadline=None)
@given(replays())
def test_the_frontier_is_that_of_every_threshold(replay: Replay) -> None:
    frontier = replay.frontier
    for threshold, share, quality, cost in zip(
        frontier.threshold, frontier.share, frontier.quality, frontier.cost, strict=True
    ):
        escalated = replay.score < threshold
        assert share == pytest.approx(escalated.mean())
        assert quality == pytest.approx(np.where(escalated, replay.dear, replay.cheap).mean())
        assert cost == pytest.approx((replay.cheap_cost + escalated * replay.dear_cost).mean())
    assert set(frontier.share) == {0.0, *((replay.score <= one).mean() for one in replay.score)}


@settings(max_examples=30, deadline=None)
@given(replays(), st.floats(0, 1), st.floats(0.05, 2.5))
def test_a_choice_is_the_best_of_all_thresholds(replay: Replay, quality: float, cost: float) -> None:
    frontier = replay.frontier
    good = frontier.quality >= quality - 1e-12
    if good.any():
        assert cheapest(replay, quality=quality).cost == frontier.cost[good].min()
    else:
        with pytest.raises(TesseraError, match="No threshold reaches a quality of"):
            cheapest(replay, quality=quality)
    affordable = frontier.cost <= cost + 1e-12
    if affordable.any():
        chosen = best_within(replay, cost=cost)
        assert chosen.quality == frontier.quality[affordable].max()
        assert chosen.cost <= cost + 1e-12
    else:
        with pytest.raises(TesseraError, match="the cheap step alone costs"):
            best_within(replay, cost=cost)


@settings(max_examples=25, deadline=None)
@given(replays(costs=(1.0,)))
def test_no_rule_is_better_than_the_oracle_and_the_hull_is_never_below_the_frontier(replay: Replay) -> None:
    oracle, frontier = replay.oracle, replay.frontier
    for share, quality in zip(frontier.share, frontier.quality, strict=True):
        assert quality <= oracle.quality[round(share * replay.n)] + 1e-9
    cost, quality = frontier.hull()
    assert (np.interp(frontier.cost, cost, quality) >= frontier.quality - 1e-9).all()
    assert (np.diff(quality) >= 0).all()


def test_the_router_does_what_the_replay_says() -> None:
    replay = known(300)
    chosen = cheapest_near_dear(replay, margin=0.02)
    steps = [answering("cheap"), answering("dear", lambda x: np.ones(x.size))]
    router = Router("r", steps, Below("confidence", (chosen.threshold,)))
    found = router.run(Batch({"x": replay.score}, replay.n), new_call())
    by = found.batch["r_by"]
    assert (by == "dear").mean() == chosen.share
    assert np.where(by == "dear", replay.dear, replay.cheap).mean() == pytest.approx(chosen.quality)


def test_random_scores_have_an_apgr_of_one_half_and_a_perfect_one_that_of_the_oracle() -> None:
    replay, rng = known(20_000), np.random.default_rng(1)
    shuffled = Replay(rng.random(replay.n), replay.cheap, replay.dear, replay.cheap_cost, replay.dear_cost)
    assert shuffled.frontier.apgr == pytest.approx(0.5, abs=0.02)
    assert shuffled.frontier.cpt(0.5) == pytest.approx(0.5, abs=0.02)
    perfect = Replay(replay.cheap - replay.dear, replay.cheap, replay.dear, replay.cheap_cost, replay.dear_cost)
    assert perfect.frontier.apgr == pytest.approx(replay.oracle.apgr, abs=0.01)
    assert 0.5 < replay.frontier.apgr < replay.oracle.apgr


def test_apgr_of_a_score_that_is_right_as_often_as_it_says() -> None:
    """With s uniform on [0.4, 1] and a dear step right in 0.95: PGR(x) = (0.55 x - 0.3 x^2) / 0.25, APGR = 0.7."""
    replay = known(200_000)
    assert replay.frontier.apgr == pytest.approx(0.7, abs=0.015)
    # 0.55 x - 0.3 x^2 = 0.125 has the root 0.2667
    assert replay.frontier.cpt(0.5) == pytest.approx(0.2667, abs=0.015)


def test_a_dear_step_that_is_no_better_has_no_gap_to_recover() -> None:
    half = np.array([0.0, 1.0])
    replay = Replay(np.array([0.1, 0.9]), half, half, np.ones(2), np.ones(2))
    assert math.isnan(replay.frontier.apgr)
    assert math.isnan(calibrated(replay, 0.5, resamples=20).apgr.low)
    assert cheapest_near_dear(replay, margin=0).share == 1


def test_near_the_dear_step_is_meant_with_confidence() -> None:
    """Of 40 draws, the choice on one half is below the margin on the other half in few."""
    below = 0
    for seed in range(40):
        whole = known(2_000, seed)
        parts = [Replay(*(values[half::2] for values in vars(whole).values())) for half in (0, 1)]
        chosen = cheapest_near_dear(parts[0], margin=0.02)
        assert chosen.share < 1
        escalated = parts[1].score < chosen.threshold
        router = np.where(escalated, parts[1].dear, parts[1].cheap)
        below += (router - parts[1].dear).mean() < -0.02
    assert below <= 4


def test_a_target_is_held_on_other_records_as_often_as_was_promised() -> None:
    """Choose on 1,500 records, look at 1,000 others, a hundred times: `on` promises the lower end of their interval."""
    missed = dict.fromkeys(("mean", "lower end", "quality", "cost"), 0)
    for seed in range(100):
        whole = known(2_500, seed)
        here, there = (
            Replay(*(one[part] for one in vars(whole).values())) for part in (slice(1_500), slice(1_500, None))
        )
        near, shown = cheapest_near_dear(here, margin=0.03), cheapest_near_dear(here, margin=0.03, on=there.n)
        assert shown.share >= near.share
        difference = np.where(there.score < shown.threshold, 0, there.cheap - there.dear)
        missed["mean"] += difference.mean() < -0.03
        missed["lower end"] += difference.mean() - 1.96 * difference.std() / there.n**0.5 < -0.03
        good = cheapest(here, quality=0.85, confidence=0.95).threshold
        missed["quality"] += 0.95 - _kept_loss(good) < 0.85
        paid = best_within(here, cost=0.02, confidence=0.95).threshold
        missed["cost"] += 0.002 + 0.06 * (paid - 0.4) / 0.6 > 0.02
    assert all(count <= 11 for count in missed.values()), missed
    assert missed["mean"] <= 2


def _kept_loss(threshold: float) -> float:
    """Return what the cheap answers above a threshold lose, of `known`: the integral of 0.95 - s over [t, 1] / 0.6."""
    return ((0.95 * (1 - threshold)) - (1 - threshold**2) / 2) / 0.6


def test_few_records_without_a_loss_are_no_proof() -> None:
    ones = np.ones(30)
    equal = Replay(np.linspace(0, 1, 30), ones, ones, ones, ones)
    assert cheapest_near_dear(equal, margin=0.01).share == 1
    few = Replay(np.linspace(0, 1, 30), ones, np.append(ones[1:], 0.0), ones, ones)
    assert cheapest_near_dear(few, margin=0.01).share == 1
    with pytest.raises(TesseraError, match="with a confidence of"):
        cheapest(few, quality=0.97, confidence=0.95)
    assert cheapest(few, quality=0.97).share == 0


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """At a threshold of 0.6 a third is escalated: 0.95 / 3 + 0.8 * 2 / 3 are right, at random 0.7 + 0.25 / 3."""
    truth = {"quality": 0.85, "over_random": 0.85 - 0.7 - 0.25 / 3, "share": 1 / 3}
    inside = dict.fromkeys(truth, 0)
    for seed in range(40):
        found = calibrated(known(400, seed), 0.6, resamples=120, seed=seed)
        for name, value in truth.items():
            inside[name] += getattr(found, name).low <= value <= getattr(found, name).high
    assert all(count >= 34 for count in inside.values()), inside


@pytest.mark.slow
def test_the_table_and_the_picture_show_the_choice() -> None:
    replay = known(500)
    chosen = cheapest_near_dear(replay, margin=0.02)
    found = calibrated(replay, chosen.threshold, resamples=100)
    assert found.share.value == chosen.share
    assert found.wrong_cheap.value + found.needless.value < 1
    table = calibration_table(found)
    assert f"| share escalated | {chosen.share:.1%} |" in table
    assert frontier_png(replay, chosen).startswith(b"\x89PNG")


def test_a_share_that_moved_is_seen_and_one_that_did_not_is_not() -> None:
    assert abs(share_z(0.2, 1_000, 205, 1_000)) < 1
    assert share_z(0.2, 1_000, 300, 1_000) > 4
    assert share_z(0.0, 100, 0, 100) == 0
    assert share_z(0.0, 100, 50, 100) > 4


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ([np.zeros(3), np.zeros(2), np.zeros(3), np.zeros(3), np.zeros(3)], "A replay has the shapes"),
        ([np.zeros(1)] * 5, "n >= 2"),
        ([np.array([0.0, np.nan])] * 5, "that are missing"),
    ],
)
def test_a_replay_of_other_shapes_is_refused(wrong: list[np.ndarray], says: str) -> None:
    with pytest.raises(TesseraError, match=says):
        Replay(*wrong)
