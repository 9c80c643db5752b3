"""Assignment: sticky, by its shares, independent between experiments, alike in scalar and column form."""

import time
from datetime import date
from itertools import pairwise

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import binom, chi2_contingency

from models.experiments.assignment import Assignment, assignment_of
from models.experiments.config import ExperimentsConfig, ExperimentSettings

UNITS = [f"C{number:06d}" for number in range(20_000)]


def _settings(**changes: object) -> ExperimentSettings:
    plain = {
        "app": "shop",
        "part": "ranker",
        "variants": [{"name": "control", "share": 0.5}, {"name": "xgboost", "share": 0.5}],
        "primary": {"kind": "purchase"},
        "first_day": date(2025, 3, 1),
        "last_day": date(2025, 3, 14),
    }
    return ExperimentSettings.model_validate({**plain, **changes})


@settings(max_examples=8, deadline=None)
@given(salt=st.text(st.characters(codec="ascii", min_codepoint=33), max_size=12), share=st.floats(0.05, 0.95))
def test_shares_are_within_binomial_bounds(salt: str, share: float) -> None:
    found = Assignment(salt, {"a": share, "b": 1 - share}).column(pa.array(UNITS[:5000])).to_pylist().count("a")
    low, high = binom.interval(1 - 1e-7, 5000, share)
    assert low <= found <= high


def test_two_experiments_are_independent_of_each_other() -> None:
    shares = {"a": 0.5, "b": 0.3, "c": 0.2}
    names = ("one", "two", "three")
    columns = [np.array(Assignment(salt, shares).column(pa.array(UNITS[:8000])).to_pylist()) for salt in names]
    for first, second in pairwise(columns):
        table = [[np.sum((first == x) & (second == y)) for y in shares] for x in shares]
        assert chi2_contingency(table).pvalue > 1e-3


def test_the_column_forms_equal_the_scalar_form() -> None:
    assignment = Assignment("ranker_2025", {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})
    units = [*UNITS[:50], "é", "", *UNITS[:5]]
    single = [assignment.variant(unit) for unit in units]
    assert assignment.column(pa.array(units)).to_pylist() == single
    assert assignment.column(pa.chunked_array([units[:7], [], units[7:]])).to_pylist() == single
    assert assignment.series(pl.Series(units)).to_list() == single
    assert assignment.series(pl.Series(["x", None])).to_list() == [assignment.variant("x"), None]
    assert assignment.column(pa.array([], pa.string())).to_pylist() == []


def test_a_unit_keeps_its_variant_for_ever() -> None:
    """The values are part of the contract: another hash would deal running experiments anew."""
    assignment = assignment_of("ranker_test", _settings())
    assert "".join(assignment.variant(unit)[0] for unit in UNITS[:24]) == "xcccxcxxccxcccxcxxccxxxx"


def test_an_assignment_takes_at_most_two_microseconds_of_cpu() -> None:
    assignment = Assignment("salt", {"a": 0.5, "b": 0.5})
    taken: list[float] = []
    for _ in range(5):
        started = time.process_time()
        for unit in UNITS:
            assignment.variant(unit)
        taken.append((time.process_time() - started) / len(UNITS))
    assert min(taken) < 4e-6  # 1.0 us on a quiet core


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"variants": [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.4}]}, "add up to 0.9, not to 1"),
        ({"variants": [{"name": "a", "share": 0.5}, {"name": "a", "share": 0.5}]}, "two variants are called 'a'"),
        ({"guardrails": [{"kind": "purchase"}]}, "the metric 'purchase_any' is named twice"),
        ({"last_day": date(2025, 2, 1)}, "lies before the first day"),
        ({"variants": [{"name": "a", "share": 0.5}, {"name": "A b", "share": 0.5}]}, "String should match pattern"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        _settings(**changes)


def test_shares_of_a_third_add_up() -> None:
    thirds = [{"name": name, "share": 1 / 3} for name in ("a", "b", "c")]
    assert _settings(variants=thirds).shares == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})


def _layer(above: float, up_to: float, name: str = "order") -> dict[str, object]:
    return {"name": name, "above": above, "up_to": up_to}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {},
            r"'one' and 'two' of 'shop' run on the same days, from 2025-03-01 to 2025-03-14, and both vary the ranker",
        ),
        ({"layer": _layer(0.5, 1)}, "both vary the ranker"),
        ({"part": "rules", "salt": "one"}, "both deal by the salt 'one'"),
        (
            {"part": "rules", "variants": [{"name": "a" * 43, "share": 0.5}, {"name": "b", "share": 0.5}]},
            "'a{43}' has more than 42 characters",
        ),
        ({"layer": _layer(0.5, 1, "other"), "of_first": _layer(0, 0.5)}, "both vary the ranker"),
        ({"layer": _layer(0.4, 1), "of_first": _layer(0, 0.5)}, "some units of the layer 'order' are of both"),
        ({"part": "rules"}, ""),
        ({"app": "demand"}, ""),
        ({"first_day": date(2025, 3, 15), "last_day": date(2025, 3, 20)}, ""),
        ({"layer": _layer(0.5, 1), "of_first": _layer(0, 0.5)}, ""),
    ],
)
def test_experiments_on_the_same_days_vary_other_parts_or_share_out_the_units_of_a_layer(
    changes: dict[str, object], complaint: str
) -> None:
    one = _settings(layer=changes.get("of_first"))
    two = _settings(**{name: value for name, value in changes.items() if name != "of_first"})
    if not complaint:
        assert len(ExperimentsConfig(trials={"one": one, "two": two}).trials) == 2
        return
    with pytest.raises(ValidationError, match=complaint):
        ExperimentsConfig(trials={"one": one, "two": two})


def test_a_layer_gives_each_unit_to_one_experiment_and_deals_it_independently_of_others() -> None:
    first = assignment_of("one", _settings(layer=_layer(0, 0.3)))
    second = assignment_of("two", _settings(layer=_layer(0.3, 1)))
    alone = assignment_of("one", _settings())
    inside = [unit for unit in UNITS[:4000] if first.variant(unit) != "none"]
    assert all((first.variant(unit) == "none") != (second.variant(unit) == "none") for unit in UNITS[:4000])
    assert binom.interval(1 - 1e-7, 4000, 0.3)[0] <= len(inside) <= binom.interval(1 - 1e-7, 4000, 0.3)[1]
    assert [first.variant(unit) for unit in inside] == [alone.variant(unit) for unit in inside]
    assert first.series(pl.Series(UNITS[:50])).to_list() == [first.variant(unit) for unit in UNITS[:50]]
    other = [second.variant(unit) for unit in UNITS[:4000]]
    table = [
        [
            sum(a == x and b == y for a, b in zip(map(alone.variant, UNITS), other, strict=False))
            for y in ("control", "xgboost")
        ]
        for x in ("control", "xgboost")
    ]
    assert chi2_contingency(table).pvalue > 1e-3
