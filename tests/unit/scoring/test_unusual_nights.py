"""A night unlike the nights before is found before it is published, on the first night; faultless ones are not."""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.evaluation.binary_metrics import AUC
from models.evaluation.metrics import auc
from models.scoring.audit import AuditReport, Before, EarlierScores, Expected, audit
from models.scoring.config import AuditConfig, DriftConfig, UnusualConfig
from models.scoring.drift import DriftMeter, drift_reference
from models.scoring.earlier_night import EarlierNight
from models.scoring.estimated_quality import estimated, estimated_precision, promised_now
from models.scoring.feature_findings import FeatureFindings, Unchanged, feature_findings, unchanged_shares
from models.scoring.night_numbers import NightNumbers, PastNight, bin_values, float_histogram
from models.scoring.output import OutputContract, binary_output
from models.scoring.score_reference import ScoreReference, score_reference
from models.scoring.unusual import Tonight, unusual

CONTRACT: OutputContract = binary_output("customer_id", decisions=("leave", "contact"))
FIRST = date(2026, 3, 2)
Floats = NDArray[np.float64]


def scores_of(night: int, count: int = 1_000, seed: int = 0) -> Floats:
    """Scores that move a little from night to night, as those of customers do."""
    still = np.random.default_rng(seed).beta(2, 5, count)
    return np.clip(still + np.random.default_rng([seed, night + 50]).normal(0, 0.02, count), 0.001, 0.999)


def rows_of(scores: Floats, *, ids: list[str] | None = None, package: str = "p", contacts: int = 50) -> pa.Table:
    least = np.sort(scores)[-contacts]
    names = ids or [f"c{number:06d}" for number in range(len(scores))]
    repeated = {"model_version": "1", "model_package": package, "feature_version": "f"}
    return pa.table(
        {
            "customer_id": names,
            "score": pa.array(scores.astype(np.float32)),
            "decision": ["contact" if score >= least else "leave" for score in scores],
            "reasons": pa.array([None] * len(scores), pa.list_(pa.string())),
            **{name: [value] * len(scores) for name, value in repeated.items()},
        }
    ).cast(CONTRACT.schema)


def audited(
    rows: pa.Table,
    earlier: pa.Table | None,
    past: list[PastNight],
    night: int,
    reference: ScoreReference | None = None,
    batch_rows: int = 300,
) -> AuditReport:
    package = rows["model_package"][0].as_py()
    return audit(
        rows.to_batches(max_chunksize=batch_rows),
        Expected([rows["customer_id"].combine_chunks()], package, "f"),
        CONTRACT,
        limits=AuditConfig(),
        earlier=EarlierScores("p", earlier.to_batches(max_chunksize=170)) if earlier is not None else None,
        before=Before(FIRST + timedelta(days=night), past, reference),
    )


def nights(count: int, seed: int = 0, rows: int = 1_000) -> tuple[list[PastNight], pa.Table]:
    past, earlier = list[PastNight](), None
    for night in range(count):
        table = rows_of(scores_of(night, rows, seed))
        found = audited(table, earlier, past, night)
        past.append(PastNight(FIRST + timedelta(days=night), "p", found.numbers))
        earlier = table
    assert earlier is not None
    return past, earlier


@pytest.fixture(scope="module")
def known() -> tuple[list[PastNight], pa.Table]:
    return nights(4)


def failed(report: AuditReport) -> dict[str, str]:
    return {check.name: check.severity for check in report.checks if not check.passed}


def without_half() -> pa.Table:
    table = rows_of(scores_of(4))
    return table.filter(pa.array(np.arange(1_000) % 2 == 0))


def shuffled() -> pa.Table:
    return rows_of(np.random.default_rng(9).permutation(scores_of(4)))


def other_people() -> pa.Table:
    return rows_of(scores_of(4), ids=[f"d{number:06d}" for number in range(1_000)])


FAULTS: dict[str, tuple[Callable[[], pa.Table], str, str]] = {
    "half of the entities is missing": (without_half, "usual population", "block"),
    "other ids": (other_people, "usual population", "block"),
    "scores of one another": (shuffled, "usual turnover", "block"),
    "signs flipped": (lambda: rows_of(1 - scores_of(4)), "usual turnover", "block"),
    "most scores are one": (
        lambda: rows_of(np.where(np.arange(1_000) % 5 > 0, 0.3, scores_of(4))), "usual scores", "warn"),
    "scores are higher": (lambda: rows_of(np.clip(scores_of(4) + 0.15, 0, 0.999)), "usual scores", "warn"),
    "three times as many decisions": (lambda: rows_of(scores_of(4), contacts=200), "usual decisions", "warn"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_on_the_first_night(known: tuple[list[PastNight], pa.Table], name: str) -> None:
    past, earlier = known
    fault, check, severity = FAULTS[name]
    report = audited(fault(), earlier, past, 4)
    assert failed(report).get(check) == severity, failed(report)
    assert report.passed is (severity != "block" and "block" not in failed(report).values())
    (says,) = [one.says for one in report.checks if one.name == check]
    assert "usual" in says, "names what is usual"


@pytest.mark.parametrize(("count", "severity"), [(1, "note"), (2, "note"), (3, "block")])
def test_a_number_of_fewer_than_three_nights_is_noted_and_stops_nothing(count: int, severity: str) -> None:
    past = [
        PastNight(FIRST + timedelta(days=night), "p", {"rows": 60.0, "top_kept_share": 0.2}) for night in range(count)
    ]
    tonight = Tonight(FIRST + timedelta(days=count), "p", {"rows": 60.0, "top_kept_share": 0.972})
    found = {one.name: one for one in unusual(tonight, past, UnusualConfig()) if not one.passed}
    assert {name: one.severity for name, one in found.items()} == {"usual turnover": severity}
    assert ("noted only" in found["usual turnover"].says) is (severity == "note")


def test_a_share_of_empty_lists_that_earlier_nights_did_not_measure_is_unknown_and_not_zero() -> None:
    past = [PastNight(FIRST + timedelta(days=night), "p", {"rows": 60.0}) for night in range(20)]
    tonight = Tonight(FIRST + timedelta(days=20), "p", {"rows": 60.0, "empty_article_ids": 0.3})
    assert [one.says for one in unusual(tonight, past, UnusualConfig()) if not one.passed] == []


def test_scores_in_another_order_than_on_the_only_night_before_are_blocked() -> None:
    past, earlier = nights(1)
    assert failed(audited(shuffled(), earlier, past, 1))["usual turnover"] == "block"


def test_what_is_blocked_by_comparison_may_be_overruled(known: tuple[list[PastNight], pa.Table]) -> None:
    past, earlier = known
    stopped = [one for one in audited(shuffled(), earlier, past, 4).checks if one.name in {"usual turnover"}]
    assert [one.compares for one in stopped] == [True]


@pytest.mark.slow
def test_a_faultless_month_of_growth_is_quiet() -> None:
    past, earlier = list[PastNight](), None
    for night in range(40):
        table = rows_of(scores_of(night, 800 + 10 * night))
        report = audited(table, earlier, past, night)
        assert failed(report) == {}, (night, [one.says for one in report.checks if not one.passed])
        past.append(PastNight(FIRST + timedelta(days=night), "p", report.numbers))
        earlier = table


def test_another_champion_is_no_fault(known: tuple[list[PastNight], pa.Table]) -> None:
    past, earlier = known
    report = audited(rows_of(scores_of(4) ** 1.05, package="q"), earlier, past, 4)
    assert report.passed
    assert "usual turnover" not in failed(report)


@given(rows=st.integers(1, 60), batch=st.integers(1, 20), gone=st.sets(st.integers(0, 59)), new=st.integers(0, 20))
@settings(max_examples=20, deadline=None)
def test_new_and_vanished_entities_are_counted_whatever_the_batches(
    rows: int, batch: int, gone: set[int], new: int
) -> None:
    before = [f"c{number:03d}" for number in range(rows)]
    now = sorted([*(id for number, id in enumerate(before) if number not in gone), *(f"n{n:03d}" for n in range(new))])
    tables = [rows_of(np.linspace(0.1, 0.9, len(ids)), ids=ids, contacts=1) for ids in (before, now) if ids]
    if len(tables) < 2:
        return
    seen = EarlierNight(CONTRACT, tables[0].to_batches(max_chunksize=batch))
    for piece in tables[1].to_batches(max_chunksize=batch + 3):
        seen.observe(piece)
    kept = len(set(before) & set(now))
    numbers = seen.numbers()
    assert numbers["new_share"] == pytest.approx(1 - kept / len(now))
    assert numbers["vanished_share"] == pytest.approx(1 - kept / len(before))


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50))
@settings(max_examples=25, deadline=None)
def test_a_bin_holds_its_value_to_one_percent(values: list[float]) -> None:
    bins = float_histogram(np.array(values))
    middles = np.repeat(bin_values(np.flatnonzero(bins)), bins[np.flatnonzero(bins)].astype(int))
    assert middles == pytest.approx(np.sort(np.array(values, np.float32)), rel=1e-2, abs=1e-30)


def test_numbers_do_not_depend_on_batches() -> None:
    table, found = rows_of(scores_of(1)), list[dict[str, float]]()
    for size in (7, 5_000):
        numbers = NightNumbers(CONTRACT)
        for batch in table.to_batches(max_chunksize=size):
            numbers.observe(batch)
        found.append(numbers.numbers())
    assert found[0] == found[1]
    assert found[0]["share_decision_contact"] == pytest.approx(0.05)
    assert found[0]["missing_reasons"] == 1.0


# -- the model's evaluation ------------------------------------------------------------------------------------------


def reference_of(scores: Floats, seed: int = 5) -> ScoreReference:
    labels = (np.random.default_rng(seed).random(scores.size) < scores).astype(np.int8)
    return score_reference(labels, scores, np.arange(scores.size), AUC, max_ece=0.08)


def test_a_first_night_is_held_against_the_evaluation_of_the_model() -> None:
    reference = reference_of(scores_of(-1, 4_000, seed=1))
    assert failed(audited(rows_of(scores_of(0)), None, [], 0, reference)) == {}
    nearly_constant = np.where(np.arange(1_000) % 20 > 0, 0.3, scores_of(0))
    assert failed(audited(rows_of(nearly_constant), None, [], 0, reference)) == {"like the evaluation": "warn"}
    assert "like the evaluation" in failed(audited(rows_of(1 - scores_of(0)), None, [], 0, reference))


@pytest.mark.parametrize("seed", range(5))
def test_calibrated_probabilities_promise_the_auc_that_comes_true(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.beta(1.5, 4, 20_000)
    labels = (rng.random(scores.size) < scores).astype(np.int8)
    found = estimated(float_histogram(scores), "auc")
    assert found is not None
    assert found.value == pytest.approx(auc(labels, scores), abs=0.015)
    top = estimated_precision(float_histogram(scores), 500)
    assert top is not None
    assert top.value == pytest.approx(labels[np.argsort(-scores)[:500]].mean(), abs=0.06)


def test_scores_that_tell_less_apart_are_warned_of_and_others_are_not() -> None:
    scores = scores_of(-1, 6_000, seed=1)
    (accepted,) = reference_of(scores).qualities
    same = promised_now(float_histogram(scores_of(3, 6_000, seed=2)), accepted, max_drop=0.02)
    blurred = promised_now(float_histogram(0.28 + (scores - 0.28) * 0.2), accepted, max_drop=0.02)
    assert same is not None
    assert blurred is not None
    assert same[1].passed
    assert not blurred[1].passed
    assert blurred[0].high < accepted.value


def test_probabilities_that_are_not_calibrated_promise_nothing() -> None:
    scores = scores_of(0, 3_000)
    labels = (np.random.default_rng(1).random(3_000) < scores * 0.3).astype(np.int8)
    reference = score_reference(labels, scores, np.arange(3_000), AUC, max_ece=0.05)
    assert reference.uncalibrated.startswith("calibration error")


# -- features --------------------------------------------------------------------------------------------------------

NAMES = ["recency", "spend", "country", "weekend"]
USED = {"recency": 0.6, "spend": 0.38, "country": 0.02}


def features_of(night: int, count: int = 2_000, shift: float = 0.0) -> pa.Table:
    draws = np.random.default_rng([7, night + 50])
    return pa.table(
        {
            "id": [f"c{number:06d}" for number in range(count)],
            "event_timestamp": np.repeat(np.datetime64("2026-03-01T00:00:00") + np.timedelta64(night, "D"), count),
            "recency": draws.gamma(2, 10, count) + shift,
            "spend": draws.gamma(2, 50, count),
            "country": draws.choice(["DE", "FR"], count),
            "weekend": np.full(count, float(night % 7 > 4)),
        }
    )


def found_in(table: pa.Table, past: list[PastNight], used: dict[str, float] | None = None) -> FeatureFindings:
    training = pa.concat_tables([features_of(night, 700) for night in range(-7, 0)])
    meter = DriftMeter(drift_reference(training, NAMES, DriftConfig()), DriftConfig())
    for _ in meter.watch(table.to_batches()):
        pass
    return feature_findings(meter.report(), USED if used is None else used, Unchanged(), past, DriftConfig())


def night_of(found: FeatureFindings, night: int) -> PastNight:
    return PastNight(FIRST + timedelta(days=night), "p", found.numbers)


def blocked_by(found: FeatureFindings) -> str:
    return "; ".join(check.says for check in found.checks if not check.passed)


def changed(column: str, values: object) -> pa.Table:
    table = features_of(1)
    return table.set_column(table.column_names.index(column), column, pa.array(values))


def test_a_small_drift_is_reported_on_the_second_of_three_nights_and_a_step_at_once() -> None:
    calm = found_in(features_of(0), [])
    assert calm.drifted == ()
    assert blocked_by(calm) == ""
    slow = [found_in(features_of(1, shift=5), [])]
    assert slow[0].drifted == (), "one night may be a campaign"
    assert found_in(features_of(2, shift=5), [night_of(slow[0], 1)]).drifted == ("recency",)
    assert found_in(features_of(2, shift=5), [night_of(calm, 1)]).drifted == ("recency",), (
        "a step from the night before"
    )
    assert found_in(features_of(2, shift=90), []).drifted == ("recency",), "far beyond any season"


def test_drift_of_a_feature_that_the_model_hardly_uses_is_not_reported() -> None:
    french = changed("country", ["FR"] * 1_900 + ["DE"] * 100)
    assert found_in(french, [], USED).drifted == ()
    assert found_in(french, [], {}).drifted == ("country",), "without importances every feature counts alike"


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("recency", [4.0] * 2_000, "recency is 4"),
        ("spend", pa.nulls(2_000, pa.float64()), "spend is NULL"),
        ("country", ["DE"] * 2_000, "country is DE"),
    ],
)
def test_a_feature_that_became_constant_is_blocked_on_the_first_night(column: str, values: object, says: str) -> None:
    found = found_in(changed(column, values), [])
    assert says in blocked_by(found)
    assert {check.severity for check in found.checks if not check.passed} == {"block"}


def test_what_is_the_same_all_day_is_not_taken_for_broken() -> None:
    for night in range(7):
        found = found_in(features_of(night), [])
        assert "weekend" not in blocked_by(found) + " ".join(found.drifted)


def test_a_feature_that_stands_still_is_found_where_it_always_moved() -> None:
    days = [features_of(night, 300) for night in range(3)]
    training = drift_reference(pa.concat_tables(days), NAMES[:2], DriftConfig())

    def judged(now: pa.Table, before: pa.Table, past: list[PastNight]) -> FeatureFindings:
        meter = DriftMeter(training, DriftConfig())
        for _ in meter.watch(now.to_batches()):
            pass
        unchanged = unchanged_shares(before, now, "id", NAMES[:2])
        return feature_findings(meter.report(), {}, unchanged, past, DriftConfig())

    past = [night_of(judged(days[1], days[0], []), 1), night_of(judged(days[2], days[1], []), 2)]
    assert blocked_by(judged(days[0], days[2], past)) == ""
    frozen = days[0].set_column(2, "recency", days[2]["recency"])
    assert "recency: the same for all of 300 entities" in blocked_by(judged(frozen, days[2], past))
    assert "every feature is the same" in blocked_by(judged(days[2], days[2], [])), "on a first night, too"
