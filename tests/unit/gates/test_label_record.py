"""Mistakes in the labels are stopped although they help the champion's settings, too: its record says otherwise."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from benchmarks.reliability.output_mutations import leaked
from models.gates.check import GateCheck
from models.gates.config import BinaryGateConfig, GateConfig, RegressionGateConfig
from models.gates.context import GateContext
from models.gates.evidence import Champion, GateEvidence, NoChampion
from models.gates.label_checks import labels_as_before
from models.gates.label_record import LabelRecord, label_record
from models.tasks.binary import BINARY
from models.tasks.regression import REGRESSION
from models.training.dataset import Split, split
from tests.unit.gates.test_leak_checks import FEATURES, HOLDOUT, shop


def rows_of(seed: int = 0) -> pl.DataFrame:
    return pl.DataFrame(shop(seed))


def divided(rows: pl.DataFrame) -> Split:
    return split(rows.to_arrow(), features=FEATURES, holdout=HOLDOUT, horizon_days=90)


def judged(rows: pl.DataFrame, recorded: LabelRecord | None) -> GateCheck:
    champion = Champion("4", HOLDOUT - timedelta(days=30), (), lambda _: np.zeros(0), recorded=recorded)
    evidence = GateEvidence("xgboost", None, divided(rows), None, champion, None, None, None)
    return labels_as_before(GateContext(evidence, BinaryGateConfig(), BINARY))


@pytest.fixture(scope="module")
def recorded() -> LabelRecord:
    return label_record(divided(rows_of()))


@pytest.mark.parametrize("seed", range(5))
def test_another_honest_shop_is_like_the_one_that_was_recorded(seed: int, recorded: LabelRecord) -> None:
    found = judged(rows_of(seed + 1), recorded)
    assert found.passed, found.says


def test_a_leak_inside_of_a_feature_that_baselines_go_by_is_named(recorded: LabelRecord) -> None:
    found = judged(leaked(0.93)(rows_of(), "churned", "recency_days"), recorded)
    assert not found.passed
    assert "feature recency_days has AUC 0.92, has AUC 0.77 then" in found.says
    assert "leak" in found.says
    assert "champion version 4" in found.says
    assert "tessera promote" in found.says


def test_labels_turned_round_are_named_by_their_features(recorded: LabelRecord) -> None:
    found = judged(rows_of().with_columns(churned=1 - pl.col("churned")), recorded)
    assert not found.passed
    assert "feature recency_days" in found.says
    assert "turned round" in found.says


def test_far_more_positive_labels_are_named(recorded: LabelRecord) -> None:
    often = (pl.col("churned") == 1) | (pl.int_range(pl.len()) % 8 != 0)
    found = judged(rows_of().with_columns(churned=often.cast(pl.Int8)), recorded)
    assert not found.passed
    assert "of the labels are positive" in found.says


def test_a_first_champion_and_one_without_a_record_are_compared_with_nothing() -> None:
    assert judged(rows_of(), None).passed
    alone = GateEvidence("xgboost", None, None, None, NoChampion(), None, None, None)
    assert labels_as_before(GateContext(alone, BinaryGateConfig(), BINARY)).passed


def test_numbers_in_another_unit_are_stopped() -> None:
    rows = rows_of().with_columns(units=pl.col("orders_90") * 3 + pl.col("recency_days") / 9)

    def divided_numbers(changed: pl.DataFrame) -> Split:
        table = changed.to_arrow()
        return split(table, features=FEATURES, holdout=HOLDOUT, horizon_days=90, label="units", label_type=np.float64)

    known = label_record(divided_numbers(rows))
    champion = Champion("4", HOLDOUT, (), lambda _: np.zeros(0), recorded=known)

    def of(changed: pl.DataFrame) -> GateCheck:
        evidence = GateEvidence("ridge", None, divided_numbers(changed), None, champion, None, None, None)
        limits: GateConfig = RegressionGateConfig()
        return labels_as_before(GateContext(evidence, limits, REGRESSION))

    assert of(rows).passed
    dozens = of(rows.with_columns(units=pl.col("units") * 12))
    assert not dozens.passed
    assert "the mean label is" in dozens.says
    assert not of(rows.with_columns(units=-pl.col("units"))).passed
