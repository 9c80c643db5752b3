"""Every check of the audit stops a set that is bad in just its way, and lets a good one pass."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from output_contracts import CHURN

from models.errors import TesseraError
from models.scoring.audit import AuditReport, EarlierScores, Expected, audit
from models.scoring.config import AuditConfig, ScoringConfig
from models.scoring.contacts import ContactAudit
from resources.conformance.score_sets import SCORES_SCHEMA, digest, package_of, reader, score_rows

COUNT, CONTACTS = 1_000, 20
SCORING = ScoringConfig(contact_budget=CONTACTS, min_contact_score=0.5, max_reasons_rows=CONTACTS)
SCORES = np.random.default_rng(1).beta(2, 3, COUNT)
GOOD = score_rows(SCORES.tolist(), contacts=CONTACTS)


def _audited(rows: pa.Table, *, earlier: EarlierScores | None = None, batch_rows: int = 64) -> AuditReport:
    expected = Expected(_ids(), package_of("3"), "churn_v1")
    return _audit(reader(rows, batch_rows), expected, earlier)


def _audit(rows: pa.RecordBatchReader, expected: Expected, earlier: EarlierScores | None = None) -> AuditReport:
    return audit(rows, expected, CHURN, limits=AuditConfig(), earlier=earlier, rule=[ContactAudit(SCORING)])


def _ids() -> list[pa.Array]:
    """The entities in scope, in pieces unlike those of the rows."""
    return [batch.column(0) for batch in GOOD.select(["customer_id"]).to_batches(max_chunksize=33)]


def _failed(report: AuditReport) -> set[str]:
    return {check.name for check in report.checks if not check.passed}


def _with(rows: pa.Table, column: str, values: list[object] | pa.Array) -> pa.Table:
    field = SCORES_SCHEMA.field(column)
    return rows.set_column(rows.column_names.index(column), field, pa.array(values, field.type))


def _changed(column: str, row: int, value: object) -> pa.Table:
    values = GOOD[column].to_pylist()
    values[row] = value
    return _with(GOOD, column, values)


def _highest() -> int:
    return int(np.argmax(SCORES))


def _lowest() -> int:
    return int(np.argmin(SCORES))


def _swapped_decisions() -> pa.Table:
    """As many contacts as before, but the lowest score instead of the highest; reasons moved along."""
    decisions, reasons = GOOD["decision"].to_pylist(), GOOD["reasons"].to_pylist()
    for values in (decisions, reasons):
        values[_highest()], values[_lowest()] = values[_lowest()], values[_highest()]
    return _with(_with(GOOD, "decision", decisions), "reasons", reasons)


def test_a_good_set_passes_every_check() -> None:
    report = _audited(GOOD, earlier=EarlierScores(package_of("3"), reader(GOOD)))
    assert report.passed
    assert _failed(report) == set()
    assert report.rows == COUNT
    assert report.metrics["mean_score"] == pytest.approx(SCORES.mean(), abs=1e-6)
    assert report.metrics["contact_share"] == CONTACTS / COUNT
    assert report.metrics["score_psi"] == 0


MUTATIONS: dict[str, tuple[Callable[[], pa.Table], str]] = {
    "the last row is missing": (lambda: GOOD.slice(0, COUNT - 1), "row count"),
    "a row in the middle is missing": (lambda: pa.concat_tables([GOOD[:500], GOOD[501:]]), "entities in scope"),
    "a row is doubled": (lambda: pa.concat_tables([GOOD[:501], GOOD[500:]]), "no entity twice"),
    "the last row is doubled": (lambda: pa.concat_tables([GOOD, GOOD[COUNT - 1 :]]), "row count"),
    "another entity in place of one": (lambda: _changed("customer_id", 0, "b000000"), "entities in scope"),
    "two rows have changed places": (lambda: GOOD.take([1, 0, *range(2, COUNT)]), "order"),
    "two batches have changed places": (lambda: pa.concat_tables([GOOD[64:128], GOOD[:64], GOOD[128:]]), "order"),
    "a score is NaN": (lambda: _changed("score", _lowest(), float("nan")), "score in range"),
    "a score is above 1": (lambda: _changed("score", _highest(), 1.0001), "score in range"),
    "a score is below 0": (lambda: _changed("score", _lowest(), -0.0001), "score in range"),
    "all scores are equal": (lambda: score_rows([0.7] * COUNT, contacts=CONTACTS), "scores vary"),
    "one contact too many": (lambda: score_rows(SCORES.tolist(), contacts=CONTACTS + 1), "contact budget"),
    "one contact too few": (lambda: score_rows(SCORES.tolist(), contacts=CONTACTS - 1), "contact budget"),
    "an unknown decision": (lambda: _changed("decision", _lowest(), "phone"), "contact budget"),
    "the wrong one is contacted": (_swapped_decisions, "contacts score highest"),
    "a reason without a contact": (lambda: _changed("reasons", _lowest(), ["x 1 raises the risk"]), "reasons"),
    "another model": (lambda: _changed("model_package", 7, package_of("2")), "model package"),
    "another feature version": (lambda: _changed("feature_version", COUNT - 1, "churn_v2"), "feature version"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
@pytest.mark.parametrize("batch_rows", [7, 64, 5_000])
def test_a_bad_set_is_stopped_by_its_check(name: str, batch_rows: int) -> None:
    mutate, check = MUTATIONS[name]
    report = _audited(mutate(), batch_rows=batch_rows)
    assert not report.passed
    assert check in _failed(report)


@pytest.mark.parametrize("name", [n for n in MUTATIONS if n != "all scores are equal"])
def test_the_digest_tells_a_bad_set_from_the_good_one(name: str) -> None:
    assert digest(MUTATIONS[name][0]()) != digest(GOOD)


def test_no_rows_for_a_scope_of_some_is_stopped() -> None:
    report = _audited(GOOD.slice(0, 0))
    assert not report.passed
    assert {"row count", "entities in scope"} <= _failed(report)


def test_no_rows_for_an_empty_scope_pass() -> None:
    assert _audit(reader(GOOD.slice(0, 0)), Expected([], package_of("3"), "churn_v1")).passed


def test_the_first_wrong_entity_is_named() -> None:
    says = {check.name: check.says for check in _audited(_changed("customer_id", 700, "c000700x")).checks}
    assert says["entities in scope"] == "row 700 is 'c000700x' where 'c000700' was expected"
    more = pa.concat_tables([GOOD, score_rows([0.1] * (COUNT + 1))[COUNT:]])
    says = {check.name: check.says for check in _audited(more, batch_rows=COUNT + 1).checks}
    assert says["entities in scope"] == "row 1,000 is 'c001000' where no entity was expected"


def test_few_equal_scores_may_be_honest() -> None:
    rows = score_rows([0.2] * 5)
    ids = [rows["customer_id"].combine_chunks()]
    assert _audit(reader(rows), Expected(ids, package_of("3"), "churn_v1")).passed


def test_the_highest_scores_may_all_lie_below_the_least_score_to_contact() -> None:
    rows = score_rows((SCORES * 0.4).tolist())
    assert _audited(rows).passed


def _earlier(scores: np.ndarray, model: str = "3") -> EarlierScores:
    return EarlierScores(package_of(model), [pa.record_batch([pa.array(scores.astype(np.float32))], names=["score"])])


def test_a_major_shift_of_scores_by_the_same_model_is_stopped() -> None:
    report = _audited(GOOD, earlier=_earlier(SCORES * 0.5))
    assert not report.passed
    assert _failed(report) == {"score distribution"}


def test_a_shift_that_comes_with_a_new_model_is_only_a_warning() -> None:
    moved = np.clip(SCORES - 0.15, 0, 1)
    assert not _audited(GOOD, earlier=_earlier(moved)).passed
    report = _audited(GOOD, earlier=_earlier(moved, model="2"))
    assert report.passed
    assert [check.severity for check in report.checks if not check.passed] == ["warn"]


def test_scores_on_another_scale_are_stopped_even_with_a_new_model() -> None:
    assert not _audited(GOOD, earlier=_earlier(1 - SCORES**0.1, model="2")).passed


@given(seed=st.integers(0, 10_000), few=st.integers(5, 60))
@pytest.mark.slow
def test_small_sets_of_one_distribution_are_not_stopped(seed: int, few: int) -> None:
    rng = np.random.default_rng(seed)
    rows = score_rows(rng.beta(2, 3, few).tolist())
    expected = Expected([rows["customer_id"].combine_chunks()], package_of("3"), "churn_v1")
    report = _audit(reader(rows), expected, _earlier(rng.beta(2, 3, few)))
    found = {check.name: check for check in report.checks}["score distribution"]
    assert found.passed or found.severity == "warn"


def test_other_columns_are_refused() -> None:
    with pytest.raises(TesseraError, match="customer_id"):
        _audited(GOOD.drop_columns(["reasons"]))


@given(cuts=st.lists(st.integers(0, COUNT), max_size=6))
def test_the_digest_does_not_depend_on_batches(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), COUNT]
    pieces = [GOOD.slice(start, end - start) for start, end in pairwise(ends)]
    assert digest(pa.concat_tables(pieces)) == digest(GOOD)


def test_the_digest_sees_where_one_string_ends_and_the_next_begins() -> None:
    one, other = GOOD[:2], GOOD[:2]
    one = _with(one, "customer_id", ["ab", "c"])
    other = _with(other, "customer_id", ["a", "bc"])
    assert digest(one) != digest(other)
    none, empty = _with(one, "reasons", [None, None]), _with(one, "reasons", [[], None])
    assert digest(none) != digest(empty)


def test_the_digest_is_pinned() -> None:
    """Publications hold it for years: whoever changes how it is made must keep the old way for old records."""
    rows = score_rows([0.25, 0.75], contacts=1)
    assert digest(rows) == "74dcc3eb454f7c6b593d3908d9a0dae7ec2ec36d587d1d9a5997b94d00ab4f30"
