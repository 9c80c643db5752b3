"""Every check of the gate stops something concretely bad, and nothing but that check does; a good model passes."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.errors import TesseraError
from models.features.leakage import Recomputed
from models.gates.config import BinaryGateConfig
from models.gates.evidence import Champion, GateEvidence, NoChampion, champion_from
from models.gates.gate import run_gate
from models.gates.report import GateReport
from models.tasks.binary import BINARY
from models.training.calibration import log_odds, sigmoid
from models.training.candidates import ShuffledControl, fit_candidates, shuffled_control
from models.training.dataset import Dataset, Split, split
from models.training.model import Fit, FittedModel, Matrix, Vector
from models.training.model_package import ModelCard, load, package_bytes, save
from resources.trainer.logistic_regression import LogisticRegressionTrainerConfig
from resources.trainer.xgboost import XGBoostTrainer, XGBoostTrainerConfig

HOLDOUT = date(2025, 6, 1)
CUTOFFS = tuple(HOLDOUT - timedelta(days=90 + 14 * back) for back in (2, 1, 0))
FEATURES = ("recency_days", "orders_90", "gap_days", "taste", "country")
CUSTOMERS = 1500
#: The baselines here know as little as they are asked to: trees find what single features cannot say.
CONFIG = BinaryGateConfig(n_bootstrap=200, max_jump=0.5, max_champion_jump=0.5)
LIMITS_OF_NOTHING = {check.__name__ for check in BINARY.checks}


def table(seed: int = 1) -> pa.Table:
    """Customers at four cut-offs. Churn follows recency, orders, and gap times taste: a tree has something to find."""
    rng = np.random.default_rng(seed)
    days = (*CUTOFFS, HOLDOUT)
    n = CUSTOMERS * len(days)
    recency, orders = rng.exponential(30, n), rng.poisson(3, n)
    gap, taste = rng.normal(size=n), rng.normal(size=n)
    chance = sigmoid(0.03 * (recency - 30) - 0.3 * (orders - 3) + 1.5 * gap * taste)
    return pa.table(
        {
            "customer_id": np.tile([f"c{i:05d}" for i in range(CUSTOMERS)], len(days)),
            "event_timestamp": pa.array(
                np.repeat([datetime.combine(day, clock.max, UTC) for day in days], CUSTOMERS),
                pa.timestamp("us", "UTC"),
            ),
            "recency_days": recency,
            "orders_90": orders,
            "gap_days": np.where(rng.random(n) < 0.1, np.nan, gap),
            "taste": taste,
            "country": rng.choice(["DE", "FR", "GB"], n, p=[0.6, 0.3, 0.1]),
            "churned": (rng.random(n) < chance).astype(np.int8),
        }
    )


def divided(rows: pa.Table, features: tuple[str, ...] = FEATURES, **changes: Any) -> Split:
    options = {"holdout": HOLDOUT, "horizon_days": 90, "slice_by": ["country", "orders_90"], **changes}
    return split(rows, features=features, **options)


@dataclass(frozen=True)
class World:
    """A good model, what it was made from, and a champion that a better one may replace."""

    split: Split
    trainer: XGBoostTrainer
    fit: Fit
    linear: Fit
    evidence: GateEvidence


def evidence_of(made: Split, trainer: XGBoostTrainer, champion: Champion | NoChampion) -> tuple[Fit, Fit, GateEvidence]:
    linear, trees = fit_candidates([LogisticRegressionTrainerConfig().open(), trainer], made.train, BINARY)
    baselines = {
        "logistic_regression": linear.fit.model.predict(made.holdout.rows),
        "recency_only": BINARY.by_feature(made, "recency_days"),
        "frequency_only": BINARY.by_feature(made, "orders_90"),
    }
    control = shuffled_control(trainer, made.train, BINARY)
    recomputed = Recomputed(("2025-06-01",), CUSTOMERS, (*made.encoder.numeric, *made.encoder.categories))
    evidence = GateEvidence(
        "xgboost", trees.fit.model, made, baselines, champion, control, 300_000, lambda: 50, recomputed
    )
    return trees.fit, linear.fit, evidence


@pytest.fixture(scope="module")
def world() -> World:
    made, trainer = divided(table()), XGBoostTrainerConfig(max_rounds=80, learning_rate=0.2).open()
    fit, linear, evidence = evidence_of(made, trainer, NoChampion())
    weaker = Champion("3", HOLDOUT, CUTOFFS, lambda rows: linear.model.predict(made.encoder.matrix(rows)))
    return World(made, trainer, fit, linear, replace(evidence, champion=weaker))


class Distorted:
    """The good model with something done to its probabilities."""

    kind = "distorted"

    def __init__(self, model: FittedModel, change: Callable[[Vector, Matrix], Vector]) -> None:
        self._model, self._change = model, change

    def predict(self, rows: Matrix) -> Vector:
        return self._change(self._model.predict(rows), rows)

    def raw(self, rows: Matrix) -> Vector:
        return log_odds(self.predict(rows))

    def contributions(self, rows: Matrix) -> Matrix:
        return rows

    def save(self, folder: Path) -> dict[str, Any]:
        return {}


def distorted(world: World, change: Callable[[Vector, Matrix], Vector]) -> GateEvidence:
    return replace(world.evidence, model=Distorted(world.fit.model, change))


def judge(evidence: GateEvidence, *, picture: bool = False, **limits: Any) -> GateReport:
    return run_gate(evidence, CONFIG.model_copy(update=limits), BINARY, picture=picture)


def value(report: GateReport, name: str) -> float:
    found = next(check.value for check in report.checks if check.name == name)
    assert found is not None
    return found


# --- what is good passes ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_good_model_passes_every_check(world: World) -> None:
    report = judge(world.evidence)
    assert report.passed, report.markdown(picture=False)
    assert [check.name for check in report.checks] == [check.__name__ for check in BINARY.checks]
    assert report.notes == []


@pytest.mark.slow
def test_the_first_model_needs_no_champion_to_beat_and_the_report_says_so(world: World) -> None:
    report = judge(replace(world.evidence, champion=NoChampion()))
    assert report.passed
    assert "there is no champion yet" in report.markdown(picture=False)


@pytest.mark.slow
def test_the_same_evidence_gives_the_same_decision_numbers_and_picture(world: World) -> None:
    first, second = judge(world.evidence, picture=True), judge(world.evidence, picture=True)
    for a, b in zip(first.checks, second.checks, strict=True):
        assert (a.name == "latency") or a == b
    assert first.metrics == second.metrics
    assert first.picture == second.picture


# --- one bad thing for every check -----------------------------------------------------------------------------------


def test_rows_a_hold_out_of_a_handful_decides_nothing(world: World) -> None:
    assert judge(world.evidence, min_rows=CUSTOMERS + 1).stopped_by == ("rows",)


def test_rows_a_class_with_too_few_rows_decides_nothing(world: World) -> None:
    fewest = int(min(world.split.holdout.labels.sum(), (1 - world.split.holdout.labels).sum()))
    assert judge(world.evidence, min_class_rows=fewest).passed
    assert judge(world.evidence, min_class_rows=fewest + 1).stopped_by == ("rows",)


@pytest.mark.slow
def test_floor_a_model_that_hardly_ranks_is_stopped(world: World) -> None:
    area = value(judge(world.evidence), "absolute_floor")
    assert judge(world.evidence, min_quality=area - 0.001).passed
    assert judge(world.evidence, min_quality=area + 0.001).stopped_by == ("absolute_floor",)


def test_floor_noise_is_stopped_by_the_default_floor_and_by_the_comparisons(world: World) -> None:
    noise = np.random.default_rng(5).uniform(0.3, 0.6, CUSTOMERS)
    stopped = judge(distorted(world, lambda p, x: np.resize(noise, p.size)), max_ece=1.0).stopped_by
    assert {"absolute_floor", "baseline", "champion"} <= set(stopped)


def test_baseline_a_model_that_one_feature_beats_is_stopped(world: World) -> None:
    """The first model: what stops it cannot be the champion. Slices are left out, they compare with a baseline too."""
    blurred = distorted(world, lambda p, x: sigmoid(log_odds(p) + 3 * np.random.default_rng(3).normal(size=p.size)))
    report = judge(replace(blurred, champion=NoChampion()), min_quality=0.5, max_ece=1.0, max_slice_drop=1.0)
    assert report.stopped_by == ("baseline",)
    assert "behind" in next(check.says for check in report.checks if check.name == "baseline")


@pytest.mark.slow
def test_top_a_model_whose_first_few_are_wrong_is_stopped(world: World) -> None:
    """The least likely are put before everybody: of 1,500 customers they are few, but those are looked at."""

    def last_shall_be_first(p: Vector, x: Matrix) -> Vector:
        return np.where(p <= np.sort(p)[20], 0.999, p)

    evidence = replace(distorted(world, last_shall_be_first), champion=NoChampion())
    lenient = {"baseline_margin": 0.5, "max_slice_drop": 1.0, "max_ece": 1.0, "min_quality": 0.5}
    assert "precision_at_k" not in judge(evidence, **lenient).stopped_by
    assert "precision_at_k" in judge(evidence, top_per_day=20, **lenient).stopped_by
    assert judge(world.evidence, top_per_day=20).passed


@pytest.mark.slow
def test_average_precision_sees_what_auc_does_not(world: World) -> None:
    """The champion is the candidate with its first few shuffled among later ones: a tie by AUC, a loss by precision."""
    own = world.fit.model.predict(world.split.holdout.rows)
    worse = np.where(own >= np.sort(own)[-60], np.sort(own)[-300], own)
    champion = Champion("6", HOLDOUT, CUTOFFS, lambda rows: worse)
    report = judge(replace(world.evidence, champion=champion), metric="average_precision", min_quality=0.3)
    lead = next(check for check in report.checks if check.name == "champion")
    assert lead.passed
    assert "average precision" in lead.says
    same = Champion("7", HOLDOUT, CUTOFFS, lambda rows: own)
    stopped = judge(replace(world.evidence, champion=same), metric="average_precision", min_quality=0.3).stopped_by
    assert stopped == ("champion",)


def test_champion_a_candidate_that_is_no_better_is_stopped(world: World) -> None:
    same = Champion("4", HOLDOUT, CUTOFFS, lambda rows: world.fit.model.predict(world.split.encoder.matrix(rows)))
    report = judge(replace(world.evidence, champion=same))
    assert report.stopped_by == ("champion",)
    assert value(report, "champion") == 0.0


def test_champion_a_lead_that_chance_explains_is_stopped(world: World) -> None:
    rng = np.random.default_rng(2)
    nearly = sigmoid(log_odds(world.fit.model.predict(world.split.holdout.rows)) + 0.15 * rng.normal(size=CUSTOMERS))
    champion = Champion("5", HOLDOUT, CUTOFFS, lambda rows: nearly)
    report = judge(replace(world.evidence, champion=champion))
    own, theirs = report.metrics["candidate"]["auc"], report.metrics["champion"]["auc"]
    assert 0 < own - theirs < 0.01
    assert report.stopped_by == ("champion",)


def test_champion_a_much_better_one_stays(world: World) -> None:
    labels = world.split.holdout.labels
    oracle = Champion("6", HOLDOUT, CUTOFFS, lambda rows: 0.1 + 0.8 * labels)
    assert "champion" in judge(replace(world.evidence, champion=oracle)).stopped_by


def test_slices_a_model_that_fails_one_country_is_stopped(world: World) -> None:
    column = world.split.encoder.feature_names.index("country=FR")

    def broken_in_france(p: Vector, rows: Matrix) -> Vector:
        guess = np.random.default_rng(1).permutation(p)
        return np.where(rows[:, column] == 1, guess, p)

    report = judge(replace(distorted(world, broken_in_france), champion=NoChampion()))
    assert report.stopped_by == ("slices",)
    assert "worse in country FR" in report.markdown(picture=False)


def test_slices_a_part_with_few_rows_is_shown_but_decides_nothing(world: World) -> None:
    column = world.split.encoder.feature_names.index("country=GB")

    def broken_in_britain(p: Vector, rows: Matrix) -> Vector:
        return np.where(rows[:, column] == 1, 1 - p, p)

    evidence = replace(distorted(world, broken_in_britain), champion=NoChampion())
    britain = int((world.split.holdout.slices["country"] == "GB").sum())
    assert judge(evidence, min_slice_rows=britain, max_ece=1.0).stopped_by == ("slices",)
    assert judge(evidence, min_slice_rows=britain + 1, max_ece=1.0).passed


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda p, x: sigmoid(4 * log_odds(p)), id="overconfident"),
        pytest.param(lambda p, x: sigmoid(0.1 * log_odds(p)), id="timid"),
        pytest.param(lambda p, x: sigmoid(log_odds(p) + 1), id="too high"),
    ],
)
def test_calibration_probabilities_that_do_not_mean_what_they_say_are_stopped(
    world: World, change: Callable[[Vector, Matrix], Vector]
) -> None:
    assert judge(distorted(world, change)).stopped_by == ("calibration",)


def test_calibration_a_wrong_mean_is_stopped_by_itself(world: World) -> None:
    high = distorted(world, lambda p, x: sigmoid(log_odds(p) + 0.4))
    assert judge(high, max_ece=1.0, max_calibration_gap=0.04).stopped_by == ("calibration",)
    assert judge(high, max_ece=1.0, max_calibration_gap=0.12).passed


@pytest.mark.slow
def test_latency_a_model_that_computes_too_long_is_stopped(world: World) -> None:
    def slowly(p: Vector, rows: Matrix) -> Vector:
        end = time.process_time() + 30e-6 * len(rows)
        while time.process_time() < end:
            pass
        return p

    report = judge(distorted(world, slowly), max_latency_us_per_row=29.0)
    assert report.stopped_by == ("latency",)
    assert value(report, "latency") >= 30


def test_size_a_huge_package_is_stopped(world: World) -> None:
    assert judge(replace(world.evidence, size_bytes=51_000_000)).stopped_by == ("size",)


def unknown_kind() -> int:
    raise TesseraError("the package holds a model of kind 'acme'.", expected="one of ours", todo="Update.")


def missing_file() -> int:
    raise FileNotFoundError("model.ubj")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loads", "says"),
    [(unknown_kind, "kind 'acme'"), (missing_file, "FileNotFoundError: model.ubj"), (lambda: 0, "0 golden")],
)
def test_loads_a_package_that_cannot_be_read_back_is_stopped(world: World, loads: Callable[[], int], says: str) -> None:
    report = judge(replace(world.evidence, loads=loads))
    assert report.stopped_by == ("loads",)
    assert says in report.markdown(picture=False)


def test_unseen_hold_out_rows_among_the_training_rows_are_found(world: World) -> None:
    made = world.split
    both = replace(made, train=appended(made.train, made.holdout))
    report = judge(replace(world.evidence, split=both))
    assert report.stopped_by == ("holdout_unseen",)
    assert f"{CUSTOMERS} hold-out rows were trained on" in report.markdown(picture=False)


def test_unseen_labels_that_look_past_the_hold_out_are_found(world: World) -> None:
    late = replace(world.split, label_end=HOLDOUT + timedelta(days=1))
    assert judge(replace(world.evidence, split=late)).stopped_by == ("holdout_unseen",)


@pytest.mark.parametrize(
    ("label_end", "cutoffs"), [(HOLDOUT + timedelta(days=1), CUTOFFS), (HOLDOUT, (*CUTOFFS, HOLDOUT))]
)
@pytest.mark.slow
def test_unseen_a_champion_that_knows_the_hold_out_cannot_be_compared(
    world: World, label_end: date, cutoffs: tuple[date, ...]
) -> None:
    champion = world.evidence.champion
    assert isinstance(champion, Champion)
    informed = replace(champion, label_end=label_end, train_cutoffs=cutoffs)
    assert judge(replace(world.evidence, champion=informed)).stopped_by == ("holdout_unseen",)


def canary(rows: pa.Table, name: str) -> pa.Table:
    """A feature computed from after the cut-off."""
    rng = np.random.default_rng(7)
    churned = rows["churned"].to_numpy() == 1
    gap = rng.exponential(40, rows.num_rows)
    to_next_purchase = np.where(churned, 90 + gap, np.minimum(gap, 89))
    values = {
        "days_to_next_purchase": to_next_purchase,
        "orders_in_next_30_days": np.where(to_next_purchase <= 30, rng.poisson(1, rows.num_rows) + 1, 0),
        "almost_the_label": churned ^ (rng.random(rows.num_rows) < 0.02),
        "known_to_be_back": np.where(churned, np.nan, rng.normal(size=rows.num_rows)),
    }
    return rows.append_column(name, pa.array(values[name]))


@pytest.mark.parametrize(
    "name", ["days_to_next_purchase", "orders_in_next_30_days", "almost_the_label", "known_to_be_back"]
)
@pytest.mark.slow
def test_leakage_a_feature_from_after_the_cut_off_is_found(world: World, name: str) -> None:
    """By its AUC; by sorting a third of the rows without error; by being missing exactly where it counts."""
    made = divided(canary(table(), name), (*FEATURES, name))
    _, _, evidence = evidence_of(made, XGBoostTrainerConfig(max_rounds=30, learning_rate=0.2).open(), NoChampion())
    report = judge(evidence)
    assert report.stopped_by == ("leakage",)
    assert f"{name} alone" in report.markdown(picture=False)


def test_leakage_folds_that_split_customers_are_found(world: World) -> None:
    learnt = ShuffledControl(value=0.58, standard_error=0.01)
    assert judge(replace(world.evidence, control=learnt)).stopped_by == ("leakage",)
    unknown = ShuffledControl(value=float("nan"), standard_error=0.01)
    assert judge(replace(world.evidence, control=unknown)).stopped_by == ("leakage",)


# --- closed, whatever goes wrong --------------------------------------------------------------------------------------


def raising(p: Vector, rows: Matrix) -> Vector:
    raise RuntimeError("the booster is gone")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(raising, "RuntimeError: the booster is gone", id="raises"),
        pytest.param(lambda p, x: np.where(np.arange(p.size) == 3, np.nan, p), "scores outside", id="one NaN"),
        pytest.param(lambda p, x: p * 3, "scores outside", id="above 1"),
        pytest.param(lambda p, x: p[:-1], "scores of shape", id="a row short"),
    ],
)
def test_a_candidate_that_does_not_score_is_stopped_with_its_error_named(
    world: World, change: Callable[[Vector, Matrix], Vector], message: str
) -> None:
    report = judge(distorted(world, change))
    assert {"absolute_floor", "baseline", "champion", "slices", "calibration"} <= set(report.stopped_by)
    assert message in report.markdown()
    assert {"rows", "holdout_unseen", "leakage", "size"} & set(report.stopped_by) == set()


def test_a_champion_that_does_not_score_cannot_be_replaced_unseen(world: World) -> None:
    def fail(rows: pa.Table) -> Vector:
        raise KeyError("orders_7")

    report = judge(replace(world.evidence, champion=Champion("7", HOLDOUT, CUTOFFS, fail)))
    assert report.stopped_by == ("champion", "jump", "slices")
    assert "orders_7" in report.markdown()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("piece", "stopped"),
    [
        ("model", {"absolute_floor", "baseline", "champion", "jump", "slices", "calibration", "latency"}),
        ("split", LIMITS_OF_NOTHING - {"size", "loads", "precision_at_k", "labels_as_before"}),
        ("baselines", {"baseline", "jump"}),
        ("champion", {"champion", "jump", "labels_as_before", "slices", "holdout_unseen"}),
        ("control", {"leakage"}),
        ("size_bytes", {"size"}),
        ("loads", {"loads"}),
        ("recomputed", {"recomputed"}),
    ],
)
def test_a_missing_piece_of_evidence_fails_the_checks_that_need_it(world: World, piece: str, stopped: set[str]) -> None:
    report = judge(replace(world.evidence, **{piece: None}))
    assert set(report.stopped_by) == stopped
    assert "was not given" in report.markdown()


@pytest.mark.parametrize("left", [{}, {"recency_only"}])
def test_without_the_linear_baseline_nothing_passes(world: World, left: set[str]) -> None:
    baselines = {name: scores for name, scores in (world.evidence.baselines or {}).items() if name in left}
    assert "baseline" in judge(replace(world.evidence, baselines=baselines)).stopped_by


def test_a_report_without_checks_has_not_passed() -> None:
    assert not GateReport("x", (), {}, (), b"", (), (), "AUC").passed


# --- the report -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_report_shows_checks_models_slices_and_the_picture(world: World) -> None:
    report = judge(world.evidence, picture=True)
    text = report.markdown()
    assert text.startswith("## Gate: xgboost passed")
    for name in (*(check.__name__ for check in BINARY.checks), "recency_only", "country: DE", "orders_90: "):
        assert name in text
    assert "data:image/png;base64," in text
    assert len(text) < 200_000
    assert "data:image" not in report.markdown(picture=False)
    tables = [line for line in text.splitlines() if line.startswith("|")]
    widths = {line.count("|") - line.count("\\|") for line in tables}
    assert widths == {6, 8}


@pytest.mark.slow
def test_a_packed_champion_is_scored_by_its_own_features(world: World, tmp_path: Path) -> None:
    """The champion knows fewer features than the hold-out now has, and has its own countries."""
    old = divided(table(), ("orders_90", "recency_days"))
    fit = LogisticRegressionTrainerConfig().open().fit(old.train.rows, old.train.labels, old.train.groups)
    card = ModelCard(
        app="churn", as_of=HOLDOUT, label_end=old.label_end, train_cutoffs=old.train_cutoffs,
        feature_service="churn_v1", feature_version="1", rows=len(old.train),
        labels={"positives": int(old.train.labels.sum())},
        parameters={}, metrics={},
    )  # fmt: skip
    save(tmp_path / "p", fit.model, old.encoder, card)
    champion = champion_from("1", load(tmp_path / "p"))
    report = judge(replace(world.evidence, champion=champion, size_bytes=package_bytes(tmp_path / "p")))
    assert report.passed
    assert report.metrics["champion"]["auc"] == pytest.approx(
        judge(replace(world.evidence, model=fit.model, split=old)).metrics["candidate"]["auc"]
    )


def test_limits_are_frozen_and_misspelt_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="frozen"):
        CONFIG.min_quality = 0.1  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValueError, match="Extra inputs"):
        BinaryGateConfig(min_acu=0.7)  # pyright: ignore[reportCallIssue]


def appended(a: Dataset, b: Dataset) -> Dataset:
    return Dataset(
        rows=np.concatenate([a.rows, b.rows]),
        labels=np.concatenate([a.labels, b.labels]),
        groups=np.concatenate([a.groups, b.groups]),
        entity_ids=np.concatenate([a.entity_ids, b.entity_ids]),
        cutoffs=np.concatenate([a.cutoffs, b.cutoffs]),
        slices={},
    )
