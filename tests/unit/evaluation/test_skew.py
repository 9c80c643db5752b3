"""Skew between serving and training: each cause is told from the others, and a faithful path raises no alarm."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from models.evaluation.config import SkewConfig
from models.evaluation.skew import CAUSES, Offline, SkewReport, skew, versions

US_UTC = pa.timestamp("us", "UTC")
T = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
FEATURES = ("spend", "orders", "country")
STRICT = SkewConfig(max_value_share=0, max_stale_share=0, max_missing_share=0, max_extra_share=0, max_lag_hours=6)


@dataclass(frozen=True)
class Stored:
    """A row of the offline store."""

    customer: str
    event: datetime
    created: datetime
    spend: float | None
    orders: int | None = 1
    country: str | None = "Norway"


@dataclass(frozen=True)
class Served:
    """One answer of the online store; `row` None: it had nothing."""

    customer: str
    at: datetime
    row: Stored | None
    status: str = "PRESENT"


def table(rows: Sequence[Stored | None]) -> dict[str, Any]:
    """The features of these rows as columns; None: nothing."""
    types = {"spend": pa.float64(), "orders": pa.int64(), "country": pa.string()}
    return {name: pa.array([getattr(row, name, None) for row in rows], type_) for name, type_ in types.items()}


def served_table(answers: Sequence[Served]) -> pa.Table:
    rows = [answer.row if answer.status == "PRESENT" else None for answer in answers]
    return pa.table(
        {
            "served_at": pa.array([answer.at for answer in answers], US_UTC),
            "customer_id": pa.array([answer.customer for answer in answers], pa.string()),
            **table(rows),
            "shop__status": ["NOT_FOUND" if answer.row is None else answer.status for answer in answers],
            "shop__event_timestamp": pa.array([a.row.event if a.row else None for a in answers], US_UTC),
        }
    )


def stored_table(rows: Sequence[Stored]) -> pa.Table:
    return pa.table(
        {
            "customer_id": pa.array([row.customer for row in rows], pa.string()),
            "event_timestamp": pa.array([row.event for row in rows], US_UTC),
            "created_timestamp": pa.array([row.created for row in rows], US_UTC),
            **table(rows),
        }
    )


def as_of(stored: Sequence[Stored], customer: str, moment: datetime) -> Stored | None:
    """The point-in-time join, as a loop."""
    known = [r for r in stored if r.customer == customer and r.event <= moment and r.created <= moment]
    return max(known, key=lambda row: (row.event, row.created), default=None)


def compared(
    answers: Sequence[Served], stored: Sequence[Stored], config: SkewConfig = STRICT, features: Sequence[str] = FEATURES
) -> SkewReport:
    served = served_table(answers)
    lag = timedelta(hours=config.max_lag_hours)
    offline = Offline(
        now=pa.table(table([as_of(stored, answer.customer, answer.at) for answer in answers])),
        before=pa.table(table([as_of(stored, answer.customer, answer.at - lag) for answer in answers])),
        versions=versions(served, stored_table(stored), ["customer_id"], "shop", FEATURES),
    )
    return skew(served, offline, "shop", features, config)


def causes(report: SkewReport) -> dict[str, dict[str, int]]:
    """Feature -> cause -> rows, without zeros."""
    found = {f.feature: {cause: n for cause, n in f.rows.items() if n} for f in report.features}
    return {feature: counts for feature, counts in found.items() if counts}


OLD = Stored("a", T, T, 1.0, 1, "Norway")
NEW = Stored("a", T + 24 * HOUR, T + 24 * HOUR, 2.0, 2, "Norway")


class TestCauses:
    def test_the_row_of_the_join_is_no_difference(self) -> None:
        report = compared([Served("a", T + 25 * HOUR, NEW), Served("b", T, None)], [OLD, NEW])
        assert causes(report) == {}
        assert (report.compared, report.largest_share(), report.excesses(STRICT)) == (2, 0.0, ())

    def test_another_value_for_the_same_row(self) -> None:
        wrong = Stored("a", NEW.event, NEW.created, 2.5, 2, "Sweden")
        report = compared([Served("a", T + 40 * HOUR, wrong)], [OLD, NEW])
        assert causes(report) == {"spend": {"value": 1}, "country": {"value": 1}}
        assert {f.feature: f.largest for f in report.features} == {"spend": 0.5, "country": None, "orders": None}
        (excess,) = report.excesses(STRICT)
        assert (excess.cause, [f.feature for f in excess.features]) == ("value", ["country", "spend"])

    def test_one_bit_is_a_difference_unless_the_tolerance_says_otherwise(self) -> None:
        wrong = Stored("a", T, T, float(np.nextafter(1.0, 2.0)))
        assert causes(compared([Served("a", T, wrong)], [OLD])) == {"spend": {"value": 1}}
        loose = STRICT.model_copy(update={"relative_tolerance": 1e-12})
        assert causes(compared([Served("a", T, wrong)], [OLD], loose)) == {}
        assert causes(compared([Served("a", T, Stored("a", T, T, 1.0 + 1e-11))], [OLD], loose)) == {
            "spend": {"value": 1}
        }

    @pytest.mark.parametrize(
        ("online", "offline", "same"),
        [
            (None, None, True),
            (None, 0.0, False),
            (0.0, None, False),
            (0.0, -0.0, True),
            (np.nan, np.nan, True),
            (np.nan, 1.0, False),
            (np.nan, None, False),
            (np.inf, np.inf, True),
            (np.inf, -np.inf, False),
            (np.inf, 1.0, False),
        ],
    )
    @pytest.mark.parametrize("tolerance", [0.0, 1e-6])
    def test_nothing_and_no_number(
        self, online: float | None, offline: float | None, same: bool, tolerance: float
    ) -> None:
        config = STRICT.model_copy(update={"relative_tolerance": tolerance})
        report = compared([Served("a", T, Stored("a", T, T, online))], [Stored("a", T, T, offline)], config)
        assert causes(report) == ({} if same else {"spend": {"value": 1}})

    def test_an_older_row_is_a_lag_until_it_is_stale(self) -> None:
        within, beyond = Served("a", NEW.event + 6 * HOUR, OLD), Served("a", NEW.event + 6 * HOUR, OLD)
        within = Served("a", NEW.event + 6 * HOUR - timedelta(microseconds=1), OLD)
        assert causes(compared([within], [OLD, NEW])) == {"spend": {"lag": 1}, "orders": {"lag": 1}}
        report = compared([beyond], [OLD, NEW])
        assert causes(report) == {"spend": {"stale": 1}, "orders": {"stale": 1}}
        assert [excess.cause for excess in report.excesses(STRICT)] == ["stale"]
        assert report.features[0].largest == 1.0

    def test_a_row_younger_than_the_lag_is_not_stale_though_a_younger_one_exists(self) -> None:
        newer = Stored("a", T + HOUR, T + HOUR, 5.0, 1)
        assert causes(compared([Served("a", T + 2 * HOUR, OLD)], [OLD, newer])) == {"spend": {"lag": 1}}

    def test_nothing_served_where_offline_has_a_row(self) -> None:
        unknown, expired = Served("a", T + 7 * HOUR, None), Served("a", T + 7 * HOUR, OLD, "OUTSIDE_MAX_AGE")
        report = compared([unknown, expired], [OLD])
        assert causes(report) == {name: {"missing": 2} for name in FEATURES}
        assert [excess.cause for excess in report.excesses(STRICT)] == ["missing"]
        assert causes(compared([Served("a", T + HOUR, None)], [OLD])) == {name: {"lag": 1} for name in FEATURES}

    def test_served_from_a_row_that_offline_does_not_have(self) -> None:
        invented = Stored("a", T - HOUR, T - HOUR, 1.0)
        report = compared([Served("a", T, invented), Served("b", T, Stored("b", T, T, None))], [OLD])
        assert causes(report) == {"spend": {"extra": 1}, "orders": {"extra": 2}, "country": {"extra": 2}}
        assert [excess.cause for excess in report.excesses(STRICT)] == ["extra"]

    def test_a_wrong_value_in_an_old_row_is_a_wrong_value(self) -> None:
        wrong = Stored("a", OLD.event, OLD.created, 2.0, 1)  # by chance what the newest row has
        report = compared([Served("a", NEW.event + 20 * HOUR, wrong)], [OLD, NEW])
        assert causes(report) == {"spend": {"value": 1}, "orders": {"stale": 1}}
        assert [excess.cause for excess in report.excesses(STRICT)] == ["value", "stale"]

    @pytest.mark.parametrize(
        ("hour", "found"),
        [(9, {}), (10, {"spend": {"lag": 1}}), (15, {"spend": {"lag": 1}}), (16, {"spend": {"stale": 1}})],
    )
    def test_a_correction_counts_from_when_it_was_created(self, hour: int, found: dict[str, dict[str, int]]) -> None:
        corrected = Stored("a", T, T + 10 * HOUR, 9.0)
        assert causes(compared([Served("a", T + hour * HOUR, OLD)], [corrected, OLD])) == found
        now_known = {} if hour >= 10 else {"spend": {"value": 1}}
        assert causes(compared([Served("a", T + hour * HOUR, corrected)], [corrected, OLD])) == now_known

    def test_a_row_that_came_late_may_still_be_followed_by_a_later_one(self) -> None:
        """At hour 17 the store had the first row only, known since 16; the second came at 18."""
        first, second = Stored("a", T + 5 * HOUR, T + 16 * HOUR, 1.0), Stored("a", T + 10 * HOUR, T + 18 * HOUR, 2.0)
        assert causes(compared([Served("a", T + 20 * HOUR, first)], [first, second])) == {"spend": {"lag": 1}}
        assert causes(compared([Served("a", T + 24 * HOUR, first)], [first, second])) == {"spend": {"stale": 1}}

    def test_a_correction_that_came_lately_does_not_excuse_an_old_version(self) -> None:
        first, second = Stored("a", T, T, 1.0), Stored("a", T + 10 * HOUR, T + 10 * HOUR, 2.0)
        corrected = Stored("a", T, T + 19 * HOUR, 3.0)
        answer = Served("a", T + 20 * HOUR, first)
        assert causes(compared([answer], [first, second, corrected])) == {"spend": {"stale": 1}}

    def test_the_largest_difference_is_a_number_of_json(self) -> None:
        answers = [Served("a", T, Stored("a", T, T, value)) for value in (np.inf, np.nan, None, 1.25)]
        (spend,) = compared(answers, [OLD], features=["spend"]).features
        assert (spend.different, spend.largest) == (4, 0.25)

    def test_only_the_named_features_are_compared(self) -> None:
        wrong = Stored("a", T, T, 7.0)
        assert causes(compared([Served("a", T, wrong)], [OLD], features=["country"])) == {}


class TestReport:
    def test_the_worst_feature_comes_first_and_limits_are_shares(self) -> None:
        wrong = Stored("a", T, T, 5.0, 3)
        answers = [Served("a", T, OLD)] * 97 + [Served("a", T, wrong)] * 2 + [Served("a", T, Stored("a", T, T, 5.0))]
        report = compared(answers, [OLD])
        assert [(f.feature, f.different, f.share(), f.cause) for f in report.features] == [
            ("spend", 3, 0.03, "value"),
            ("orders", 2, 0.02, "value"),
            ("country", 0, 0.0, None),
        ]
        (excess,) = report.excesses(STRICT.model_copy(update={"max_value_share": 0.02}))
        assert [f.feature for f in excess.features] == ["spend"], "a share at the limit passes"
        assert report.largest_share("value") == 0.03

    def test_examples_say_what_was_served_and_what_offline_has(self) -> None:
        wrong = Stored("a", T, T, 1 / 3, None)
        stale = Served("a", NEW.event + 20 * HOUR, OLD)
        lagging = Served("a", NEW.event + HOUR, OLD)
        config = STRICT.model_copy(update={"examples_per_feature": 3})
        report = compared([lagging, stale, *[Served("a", T, wrong)] * 2, stale], [OLD, NEW], config)
        rows = report.examples.to_pylist()
        assert [(r["row"], r["cause"]) for r in rows if r["feature"] == "orders"] == [
            (2, "value"),
            (3, "value"),
            (1, "stale"),
        ]
        assert {"row": 2, "feature": "spend", "cause": "value", "served": str(1 / 3), "offline": "1"} in rows
        assert {"row": 1, "feature": "spend", "cause": "stale", "served": "1", "offline": "2"} in rows
        assert {"row": 3, "feature": "orders", "cause": "value", "served": None, "offline": "1"} in rows

    def test_nothing_served(self) -> None:
        report = compared([], [OLD])
        assert (report.compared, report.largest_share(), report.excesses(STRICT)) == (0, 0.0, ())
        assert [f.feature for f in report.features] == sorted(FEATURES)

    def test_another_type_online_than_offline_is_refused(self) -> None:
        served = served_table([Served("a", T, OLD)])
        same = versions(served, stored_table([OLD]), ["customer_id"], "shop", FEATURES)
        texts = pa.table({name: pa.array(["1"]) for name in FEATURES})
        with pytest.raises(TesseraError, match=r"'spend' was served as double, and offline \(now\) it is string"):
            skew(served, Offline(texts, texts, same), "shop", FEATURES, STRICT)
        with pytest.raises(TesseraError, match="'age' was served as None"):
            skew(served, Offline(texts, texts, same), "shop", ["age"], STRICT)


class TestVersions:
    def test_equal_keys_and_moments_only(self) -> None:
        answers = [Served("a", T + 30 * HOUR, NEW), Served("b", T, Stored("b", T, T, 0)), Served("a", T, None)]
        found = versions(served_table(answers), stored_table([OLD, NEW]), ["customer_id"], "shop", FEATURES)
        assert found.column_names == [*FEATURES, "row", "since"]
        assert found.select(["row", "spend"]).to_pylist() == [{"row": 0, "spend": 2.0}]

    def test_every_version_known_by_then_the_newest_last(self) -> None:
        stored = [Stored("a", T, T + late * HOUR, float(late)) for late in (2, 0, 9, 1)]
        answers = [Served("a", T + 3 * HOUR, OLD), Served("a", T + HOUR, OLD)]
        found = versions(served_table(answers), stored_table(stored), ["customer_id"], "shop", FEATURES)
        pairs = list(zip(found["row"].to_pylist(), found["spend"].to_pylist(), strict=True))
        assert pairs == [(0, 0.0), (1, 0.0), (0, 1.0), (1, 1.0), (0, 2.0)]

    def test_a_store_that_keeps_whole_seconds_is_understood(self) -> None:
        """Rows at .0 and .9 s: served at .0, it may be either; served at .9 or .5, it is what it says."""
        stored = [Stored("a", T + part * HOUR / 36_000, T + HOUR, float(part)) for part in (0, 9)]
        answers = [Served("a", T + HOUR, Stored("a", T + part * HOUR / 36_000, T, 0.0)) for part in (0, 9, 5)]
        found = versions(served_table(answers), stored_table(stored), ["customer_id"], "shop", FEATURES)
        pairs = sorted(zip(found["row"].to_pylist(), found["spend"].to_pylist(), strict=True))
        assert pairs == [(0, 0.0), (0, 9.0), (1, 9.0)]

    def test_narrower_types_offline_hold_the_same_values(self) -> None:
        stored = stored_table([OLD])
        stored = stored.set_column(stored.column_names.index("orders"), "orders", pa.array([1], pa.int8()))
        found = versions(served_table([Served("a", T, OLD)]), stored, ["customer_id"], "shop", FEATURES)
        assert found.schema.field("orders").type == pa.int64()


HOURS = st.integers(0, 96)


@st.composite
def shops(draw: st.DrawFn) -> tuple[list[Stored], list[int], list[tuple[str, int]]]:
    """Offline rows with distinct values, hours at which they were materialized, and questions at hours."""
    keys = draw(st.lists(st.tuples(st.sampled_from("abc"), HOURS, st.integers(0, 4)), max_size=12, unique=True))
    rows = [Stored(c, T + e * HOUR, T + (e + late) * HOUR, float(n)) for n, (c, e, late) in enumerate(keys)]
    return (
        rows,
        sorted(draw(st.lists(HOURS, max_size=6))),
        draw(st.lists(st.tuples(st.sampled_from("abcd"), HOURS), min_size=1, max_size=8)),
    )


def online(rows: Sequence[Stored], materialized: Sequence[int], customer: str, hour: int) -> Stored | None:
    """What a faithful online store serves: the newest row that was there at the last materialization."""
    done = [at for at in materialized if at <= hour]
    return as_of(rows, customer, T + done[-1] * HOUR) if done else None


@settings(max_examples=25, deadline=None)
@given(shop=shops())
@pytest.mark.slow
def test_a_faithful_store_lags_and_is_stale_only_if_it_was_left_behind(
    shop: tuple[list[Stored], list[int], list[tuple[str, int]]],
) -> None:
    rows, materialized, questions = shop
    for customer, hour in questions:
        answer = Served(customer, T + hour * HOUR, online(rows, materialized, customer, hour))
        (spend,) = compared([answer], rows, features=["spend"]).features
        changed = answer.row != as_of(rows, customer, answer.at)
        followed = any(hour - 6 <= at <= hour for at in materialized)
        assert spend.different == changed
        assert not changed or spend.cause in ({"lag"} if followed else {"lag", "stale", "missing"})


@settings(max_examples=25, deadline=None)
@given(data=st.data())
@pytest.mark.slow
def test_causes_are_disjoint_and_complete(data: st.DataObject) -> None:
    """Whatever is served: a row differs for one cause, and exactly where it is not what offline has."""
    numbers = st.none() | st.sampled_from([0.0, 1.0, 2.0])
    moments = st.integers(0, 20).map(lambda hour: T + hour * HOUR)
    keys = data.draw(st.lists(st.tuples(st.sampled_from("ab"), moments), max_size=6, unique=True))
    rows = [Stored(c, event, event, data.draw(numbers)) for c, event in keys]
    answers = []
    for _ in range(data.draw(st.integers(1, 8))):
        customer, at = data.draw(st.sampled_from("abc")), data.draw(moments)
        known = [row for row in rows if row.customer == customer]
        kind = data.draw(st.sampled_from(["nothing", "row", "changed", "invented"]))
        row = None
        if kind in ("row", "changed") and known:
            row = data.draw(st.sampled_from(known))
            row = row if kind == "row" else Stored(customer, row.event, row.created, data.draw(numbers))
        elif kind == "invented":
            row = Stored(customer, data.draw(moments), T, data.draw(numbers))
        status = data.draw(st.sampled_from(["PRESENT", "PRESENT", "OUTSIDE_MAX_AGE"]))
        answers.append(Served(customer, at, row, status))
    report = compared(answers, rows, features=["spend"])
    (spend,) = report.features
    differing = 0
    for answer in answers:
        value = answer.row.spend if answer.row and answer.status == "PRESENT" else None
        joined = as_of(rows, answer.customer, answer.at)
        same = [r for r in rows if answer.row and (r.customer, r.event) == (answer.customer, answer.row.event)]
        same = [r for r in same if r.created <= answer.at]
        unlike_join = value != (joined.spend if joined else None)
        unlike_row = answer.status == "PRESENT" and bool(same) and value != same[0].spend
        invented = value is not None and not same
        differing += unlike_join or unlike_row or invented
    assert spend.different == differing
    assert set(spend.rows) == set(CAUSES)
