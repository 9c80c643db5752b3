"""Scoring with real boosters: chunking changes nothing, decisions and reasons are exact."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from output_contracts import CHURN

from models.errors import TesseraError
from models.scoring.batch import ScoredRows, Scorer, scored
from models.scoring.config import ScoringConfig
from models.scoring.contacts import ContactBudget
from models.scoring.reasons import explain
from models.scoring.top_k import TopRows
from models.training.calibration import Platt
from models.training.encoding import Encoder
from models.training.xgboost_model import XGBoostModel
from resources.conformance.score_sets import SCORES_SCHEMA

FEATURES = ["recency_days", "orders_90d", "spend_eur", "country"]


def _features(count: int = 2_000) -> pa.Table:
    rng = np.random.default_rng(5)
    recency = rng.integers(0, 180, count)
    return pa.table(
        {
            "customer_id": [f"c{number:05d}" for number in range(count)],
            "recency_days": pa.array(recency, pa.int32(), mask=rng.random(count) < 0.05),
            "orders_90d": rng.poisson(3, count),
            "spend_eur": rng.gamma(2, 50, count),
            "country": rng.choice(["DE", "FR", "US"], count),
        }
    )


@dataclass(frozen=True)
class Scored:
    """A booster, and the scorer that asks it."""

    model: XGBoostModel
    scorer: Scorer

    @property
    def encoder(self) -> Encoder:
        return self.scorer.encoder

    def rows(self, batches: Iterable[pa.RecordBatch], config: ScoringConfig) -> AbstractContextManager[ScoredRows]:
        rule = ContactBudget(self.model, self.encoder.feature_names, config)
        return scored(batches, self.scorer, rule, batch_rows=config.batch_rows)


@pytest.fixture(scope="module")
def features() -> pa.Table:
    return _features()


@pytest.fixture(scope="module")
def scorer(features: pa.Table) -> Scored:
    encoder = Encoder.fit(features, FEATURES)
    matrix = encoder.matrix(features)
    risk = np.nan_to_num(matrix[:, 0]) / 60 - matrix[:, 1] + matrix[:, 3]
    labels = risk + np.random.default_rng(6).normal(size=len(risk)) > 0
    parameters = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1, "seed": 1}
    booster = xgb.train(parameters, xgb.QuantileDMatrix(matrix, labels), num_boost_round=25)
    model = XGBoostModel(booster, Platt(1.1, -0.2))
    return Scored(model, Scorer(lambda rows: {"score": model.predict(rows)}, encoder, "3", "0" * 64, "churn_v1", CHURN))


def _rows(features: pa.Table, scorer: Scored, config: ScoringConfig, *, batch_rows: int = 500) -> pa.Table:
    with scorer.rows(features.to_batches(max_chunksize=batch_rows), config) as result:
        return result.reader().read_all()


def test_scores_are_those_of_the_model_on_the_whole_matrix(features: pa.Table, scorer: Scored) -> None:
    rows = _rows(features, scorer, ScoringConfig(batch_rows=128))
    expected = scorer.model.predict(scorer.encoder.matrix(features)).astype(np.float32)
    assert rows.schema == SCORES_SCHEMA
    assert rows["customer_id"].to_pylist() == features["customer_id"].to_pylist()
    np.testing.assert_array_equal(rows["score"].to_numpy(), expected)
    assert set(rows["model_version"].to_pylist()) == {"3"}
    assert set(rows["feature_version"].to_pylist()) == {"churn_v1"}


@settings(max_examples=10, deadline=None)
@given(chunk=st.integers(1, 3_000), batch=st.integers(1, 3_000), budget=st.integers(0, 60))
@pytest.mark.slow
def test_chunks_and_batches_do_not_change_a_row(
    features: pa.Table, scorer: Scored, chunk: int, batch: int, budget: int
) -> None:
    rules = {"contact_budget": budget, "max_reasons_rows": 10}
    some = features.slice(0, 300) if min(chunk, batch) < 20 else features
    whole = _rows(some, scorer, ScoringConfig(batch_rows=10_000, **rules), batch_rows=10_000)
    assert _rows(some, scorer, ScoringConfig(batch_rows=chunk, **rules), batch_rows=batch).equals(whole)


def test_contacts_are_the_highest_scores_and_equal_ones_go_by_customer_id(scorer: Scored) -> None:
    one = _features(1)
    names = pa.array([f"c{number:05d}" for number in range(50)])
    same = pa.concat_tables([one] * 50).set_column(0, "customer_id", names)
    rows = _rows(same, scorer, ScoringConfig(batch_rows=8, contact_budget=11, min_contact_score=0.0))
    assert [r["customer_id"] for r in rows.to_pylist() if r["decision"] == "contact"] == names[:11].to_pylist()


def test_nobody_below_the_least_score_is_contacted(features: pa.Table, scorer: Scored) -> None:
    scores = np.sort(_rows(features, scorer, ScoringConfig())["score"].to_numpy())[::-1]
    least = float(scores[29])
    config = ScoringConfig(contact_budget=1_000, min_contact_score=least)
    rows = _rows(features, scorer, config)
    contacts = [row["score"] for row in rows.to_pylist() if row["decision"] == "contact"]
    assert len(contacts) == int((scores >= np.float32(least)).sum())
    assert min(contacts) >= np.float32(least)


def test_reasons_only_for_the_highest_contacts_within_their_budget(features: pa.Table, scorer: Scored) -> None:
    config = ScoringConfig(contact_budget=30, max_reasons_rows=12, min_contact_score=0.0)
    rows = _rows(features, scorer, config).to_pylist()
    ranked = sorted(rows, key=lambda row: (-row["score"], row["customer_id"]))
    assert all(row["reasons"] is not None for row in ranked[:12])
    assert all(row["reasons"] is None for row in ranked[12:])


def test_fewer_contacts_than_reasons_budget_give_reasons_to_contacts_alone(features: pa.Table, scorer: Scored) -> None:
    rows = _rows(features, scorer, ScoringConfig(contact_budget=4, max_reasons_rows=50, min_contact_score=0.0))
    explained = [row["decision"] for row in rows.to_pylist() if row["reasons"] is not None]
    assert explained == ["contact"] * 4


def test_the_first_reason_is_the_feature_that_raises_the_log_odds_most(features: pa.Table, scorer: Scored) -> None:
    matrix = scorer.encoder.matrix(features.slice(0, 50))
    contributions = scorer.model.contributions(matrix)
    words = explain(scorer.model, matrix, scorer.encoder.feature_names, per_row=2)
    for row, reasons, parts in zip(features.slice(0, 50).to_pylist(), words, contributions, strict=True):
        summed = dict(zip(FEATURES, [*parts[:3], parts[3:].sum()], strict=True))
        best = max(summed, key=lambda name: summed[name])
        if summed[best] <= 0:
            assert reasons == []
            continue
        value = row[best] if row[best] is not None else "unknown"
        shown = reasons[0].removeprefix(f"{best} ").removesuffix(" raises the risk")
        assert shown == value if isinstance(value, str) else float(shown) == pytest.approx(value, rel=0.01)
        assert len(reasons) <= 2


def test_a_missing_value_and_a_rare_country_have_words_of_their_own() -> None:
    class Linear:
        kind = "linear"

        def contributions(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.tile(np.array([0.3, 0.2, 0.4, -0.1], np.float32), (len(rows), 1))

    rows = np.array([[np.nan, 1234.5, 0, 0], [84, 0.125, 0, 1]], np.float32)
    words = explain(Linear(), rows, ["recency_days", "spend_eur", "country=DE", "country=FR"], per_row=3)  # pyright: ignore
    assert words == [
        ["recency_days unknown raises the risk", "country other raises the risk", "spend_eur 1234 raises the risk"],
        ["recency_days 84 raises the risk", "country FR raises the risk", "spend_eur 0.125 raises the risk"],
    ]


@pytest.mark.parametrize(
    ("ids", "what"),
    [
        (["a", "c", "b"], "'b' comes after that of 'c'"),
        (["a", "b", "b"], "'b' comes after that of 'b'"),
        (["a", None, "b"], "no customer_id"),
    ],
)
@pytest.mark.parametrize("batch_rows", [1, 2, 3])
def test_rows_out_of_order_are_refused(scorer: Scored, ids: list[str | None], what: str, batch_rows: int) -> None:
    rows = _features(3).set_column(0, "customer_id", pa.array(ids, pa.string()))
    with pytest.raises(TesseraError, match=what):
        _rows(rows, scorer, ScoringConfig(), batch_rows=batch_rows)


def test_no_rows_give_no_rows(features: pa.Table, scorer: Scored) -> None:
    rows = _rows(features.slice(0, 0), scorer, ScoringConfig())
    assert rows.num_rows == 0
    assert rows.schema == SCORES_SCHEMA


def test_a_large_string_or_dictionary_id_is_a_string_in_the_rows(features: pa.Table, scorer: Scored) -> None:
    for kind in (pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        other = features.set_column(0, "customer_id", features["customer_id"].cast(kind))
        assert _rows(other, scorer, ScoringConfig()).equals(_rows(features, scorer, ScoringConfig()))


def test_features_are_read_once_and_chunk_by_chunk(features: pa.Table, scorer: Scored) -> None:
    alive = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal alive
        for batch in features.to_batches(max_chunksize=100):
            alive += 1
            yield batch

    with scorer.rows(batches(), ScoringConfig(batch_rows=100)) as result:
        assert alive == features.num_rows // 100
        first, again = result.reader().read_all(), result.reader().read_all()
    assert first.equals(again)
    assert first.num_rows == result.rows == features.num_rows


@settings(deadline=None)
@given(
    scores=st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, float("nan")]), max_size=60),
    k=st.integers(0, 12),
    cut=st.integers(1, 20),
)
def test_top_rows_are_those_of_a_full_sort(scores: list[float], k: int, cut: int) -> None:
    values = np.asarray(scores, np.float32)
    top = TopRows(k, 1)
    for first in range(0, len(values), cut):
        piece = values[first : first + cut]
        top.offer(first, piece, np.arange(first, first + len(piece), dtype=np.float32)[:, None])
    ranked = sorted((n for n, score in enumerate(scores) if score == score), key=lambda n: (-scores[n], n))[:k]
    assert top.index.tolist() == ranked
    assert top.rows[:, 0].astype(int).tolist() == ranked
