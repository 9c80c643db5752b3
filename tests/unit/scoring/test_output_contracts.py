"""Rows of any output contract are audited by its checks, and churn's rows keep the digest they always had."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from output_contracts import CHURN, CONTRACTS

from models.errors import TesseraError
from models.scoring.audit import AuditReport, EarlierScores, Expected, audit
from models.scoring.batch import AsPredicted, Scorer, scored
from models.scoring.config import AuditConfig, ScoringConfig
from models.scoring.contacts import ContactBudget
from models.scoring.distribution import ScoreChecks
from models.scoring.output import OutputColumn, OutputContract, regression_output
from models.training.encoding import Encoder
from resources.conformance.score_sets import contract_rows, digest, package_of, reader

SCORES = np.random.default_rng(3).beta(2, 3, 600).astype(np.float32)


def _audited(name: str, rows: pa.Table, earlier: pa.Table | None = None) -> AuditReport:
    contract = CONTRACTS[name]
    ids = [contract_rows(CONTRACTS[name], SCORES)[contract.entity].combine_chunks()]
    before = EarlierScores(package_of("3"), reader(earlier)) if earlier is not None else None
    expected = Expected(ids, package_of("3"), "v1")
    return audit(reader(rows), expected, contract, limits=AuditConfig(), earlier=before)


def _failed(report: AuditReport) -> set[str]:
    return {check.name for check in report.checks if not check.passed}


def _changed(rows: pa.Table, column: str, value: object) -> pa.Table:
    values = [value, *rows[column].to_pylist()[1:]]
    at = rows.column_names.index(column)
    return rows.set_column(at, rows.schema.field(column), pa.array(values, rows.schema.field(column).type))


@pytest.mark.parametrize("name", [name for name in CONTRACTS if name != "churn"])
def test_a_good_set_of_any_contract_passes(name: str) -> None:
    rows = contract_rows(CONTRACTS[name], SCORES)
    report = _audited(name, rows, earlier=rows)
    assert (report.passed, _failed(report), report.metrics["score_psi"]) == (True, set(), 0)
    assert f"mean_{CONTRACTS[name].score}" in report.metrics


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "column", "value", "check"),
    [
        ("demand", "prediction", float("nan"), "prediction in range"),
        ("demand", "lower", -1.0, "lower in range"),
        ("demand", "lower", 500.0, "lower <= prediction <= upper"),
        ("demand", "upper", 0.0, "lower <= prediction <= upper"),
        ("intent", "label", "unknown", "label in range"),
        ("intent", "top_labels", ["refund", "unknown"], "top_labels in range"),
        ("intent", "top_probabilities", [1.5], "top_probabilities in range"),
        ("recommendation", "rank", 0, "rank in range"),
        ("recommendation", "score", float("inf"), "score in range"),
        ("fraud", "score", 1.5, "score in range"),
    ],
)
def test_one_bad_value_stops_the_set(name: str, column: str, value: object, check: str) -> None:
    report = _audited(name, _changed(contract_rows(CONTRACTS[name], SCORES), column, value))
    assert not report.passed
    assert _failed(report) == {check}


def test_a_shift_of_an_unbounded_prediction_is_stopped() -> None:
    now, moved = contract_rows(CONTRACTS["demand"], SCORES), contract_rows(CONTRACTS["demand"], SCORES * 3)
    assert _failed(_audited("demand", now, earlier=moved)) == {"score distribution"}


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=50))
def test_bins_of_unbounded_scores_ascend_with_them(values: list[float]) -> None:
    def bin_of(value: float) -> int:
        checks = ScoreChecks(OutputColumn("p", "float32"), AuditConfig())
        checks.observe(pa.record_batch({"p": pa.array([value], pa.float32())}))
        return int(np.argmax(checks.histogram))

    bins = [bin_of(value) for value in sorted(values)]
    assert bins == sorted(bins)


def test_rows_of_payments_ascend_by_time_and_number() -> None:
    rows = contract_rows(CONTRACTS["fraud"], SCORES)
    assert "order" in _failed(_audited("fraud", rows.take([1, 0, *range(2, 600)])))
    assert "no entity twice" in _failed(_audited("fraud", pa.concat_tables([rows[:1], rows[:599]])))


def test_a_contract_that_contradicts_itself_is_refused() -> None:
    fine = regression_output("product_id", unit="units")
    for wrong in ({"entity": "sku"}, {"score": "margin"}, {"order": ("day",)}, {"payload": fine.payload * 2}):
        with pytest.raises(TesseraError, match="output contract"):
            replace(fine, **wrong)
    with pytest.raises(TesseraError, match="one name"):
        OutputContract((OutputColumn("model_version", "string"),), fine.payload, "model_version", "prediction")


class Fixed:
    """Arithmetic in place of a trained model: the same on every machine."""

    kind = "fixed"

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return ((rows[:, 0].astype(np.float64) * 7 + rows[:, 1] * 3) % 101 + 1) / 103

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        return np.stack([rows[:, 0] - 50, rows[:, 1] - 20], axis=1)


def _features() -> pa.Table:
    numbers = range(500)
    return pa.table(
        {
            "customer_id": [f"c{number:05d}" for number in numbers],
            "recency_days": pa.array([number * 37 % 181 for number in numbers], pa.int32()),
            "orders_total": pa.array([number * 11 % 29 for number in numbers], pa.int64()),
        }
    )


def test_churn_s_rows_have_the_digest_that_they_had_before_there_were_contracts() -> None:
    """Computed by the code in which the sink's columns were fixed (`entity_id`, `score`, `decision`, `reasons`)."""
    rows, config = _features(), ScoringConfig(contact_budget=20, max_reasons_rows=9)
    encoder, model = Encoder.fit(rows, ["recency_days", "orders_total"]), Fixed()
    scorer = Scorer(lambda matrix: {"score": model.predict(matrix)}, encoder, "3", "ab" * 32, "churn_v1", CHURN)
    rule = ContactBudget(model, encoder.feature_names, config)  # pyright: ignore[reportArgumentType]
    with scored(rows.to_batches(max_chunksize=64), scorer, rule, batch_rows=config.batch_rows) as made:
        assert digest(made.reader().read_all()) == "f35d8cf29c5cce3348567020c3642570bca276cf8b7dc5fea874ebb13ef5f1b5"
        assert made.counts == {"scored": 500, "contacts": 20, "explained": 9}


def test_a_regression_publishes_its_interval_as_predicted() -> None:
    encoder, contract = Encoder.fit(_features(), ["recency_days", "orders_total"]), CONTRACTS["demand"]

    def predict(matrix: np.ndarray) -> dict[str, np.ndarray]:
        return {"prediction": matrix[:, 0], "lower": matrix[:, 0] * 0.8, "upper": matrix[:, 0] * 1.2}

    scorer = Scorer(predict, encoder, "1", package_of("1"), "v1", contract)
    with scored(_features().to_batches(max_chunksize=7), scorer, AsPredicted(), batch_rows=5) as made:
        rows = made.reader().read_all()
    assert rows.schema == contract.schema
    assert rows["prediction"].to_pylist() == [float(value) for value in _features()["recency_days"].to_pylist()]
