"""Limits of a day follow from the days before it: faults are found, chance, weekdays and growth are none."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from models.watch.assessment import assess
from models.watch.config import CheckModes, Period, WatchConfig
from models.watch.findings import Assessment
from models.watch.profile import DayProfile, Name, Value

DAY = date(2025, 3, 4)


def profile(rng: np.random.Generator, day: date, *, rows: float = 800, factor: float = 1.0, nulls: float = 0.0):
    """A day of a shop with a weekday pattern, some noise, and three countries."""
    expected = rows * (1 + 0.3 * np.sin(day.weekday())) * factor
    n = int(rng.poisson(expected * np.exp(rng.normal(0, 0.03))))
    values = {Name("rows"): Value(n, n)}
    if n:
        of_countries = rng.multinomial(n, [0.6, 0.3, 0.1])
        values |= {
            Name("category", "country", c): Value(k / n, n) for c, k in zip("ABC", of_countries, strict=True) if k
        }
        of_hours = rng.multinomial(n, np.arange(1, 25) / 300)
        values |= {Name("hour", "ordered_at", str(h)): Value(k / n, n) for h, k in enumerate(of_hours) if k}
        values[Name("null", "customer_id")] = Value(nulls, n)
        values[Name("typical", "unit_price")] = Value(20 * np.exp(rng.normal(0, 1 / np.sqrt(n))), n)
    return DayProfile(day, values)


def history(seed: int, rows: float = 800, days: int = 100, growth: float = 0.0) -> list[DayProfile]:
    rng = np.random.default_rng(seed)
    return [
        profile(rng, DAY - timedelta(days=back), rows=rows, factor=np.exp(-growth * back))
        for back in range(1, days + 1)
    ]


USUAL = WatchConfig()


def assessed(today: DayProfile, before: list[DayProfile], config: WatchConfig = USUAL) -> Assessment:
    return assess("orders", today, before, config)


def words(found: Assessment) -> list[tuple[str, str]]:
    return [(finding.severity, finding.measure) for finding in found.findings]


@pytest.mark.slow
def test_faultless_days_are_quiet_within_the_budget_of_false_alarms() -> None:
    """By chance, 0.5 of 100 faultless days may warn: the seeds are fixed, since some seeds among many do."""
    found = [
        assessed(profile(np.random.default_rng(seed + 1), DAY, rows=rows), history(seed, rows, growth=growth))
        for rows in (30, 800, 50_000)
        for growth in (0.0, 0.01)
        for seed in range(12)
    ]
    assert [one.severity for one in found if one.severity] == []


@given(seed=st.integers(0, 10_000), rows=st.sampled_from([300, 50_000]), left=st.floats(0.05, 0.5))
@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_missing_rows_stop_the_day(seed: int, rows: float, left: float) -> None:
    today = profile(np.random.default_rng(seed + 1), DAY, rows=rows, factor=left)
    found = assessed(today, history(seed, rows))
    assert found.severity == "block"
    assert "rows" in {finding.measure for finding in found.of("block")}


@pytest.mark.parametrize(
    ("name", "value", "severity"),
    [
        (Name("null", "customer_id"), 0.5, "block"),
        (Name("null", "customer_id"), 0.1, "warn"),
        (Name("typical", "unit_price"), 2000.0, "block"),
        (Name("typical", "unit_price"), 180.0, "block"),
        (Name("typical", "unit_price"), 16.0, None),
        (Name("category", "country", "A"), 1.0, "warn"),
    ],
)
def test_a_changed_column_is_found(name: Name, value: float, severity: str | None) -> None:
    today = profile(np.random.default_rng(1), DAY)
    changed = DayProfile(DAY, {**today.values, name: Value(value, today.rows)})
    assert assessed(changed, history(1)).severity == severity


def test_a_vanished_country_is_named() -> None:
    today = profile(np.random.default_rng(1), DAY)
    without = {name: value for name, value in today.values.items() if name.category != "C"}
    assert ("warn", "category country C") in words(assessed(DayProfile(DAY, without), history(1)))


def test_shifted_hours_stop_the_day() -> None:
    today = profile(np.random.default_rng(1), DAY)
    shifted = {
        name._replace(category=str((int(name.category) + 12) % 24)) if name.measure == "hour" else name: value
        for name, value in today.values.items()
    }
    assert ("block", "hours ordered_at") in words(assessed(DayProfile(DAY, shifted), history(1)))


@pytest.mark.parametrize(
    ("hour", "rows", "severity"), [(23, 800, "warn"), (15, 800, "warn"), (0, 800, None), (15, 30, None)]
)
def test_an_hour_that_always_had_rows_and_has_none_warns_unless_chance_explains_it(
    hour: int, rows: float, severity: str | None
) -> None:
    def without(one: DayProfile, *hours: int) -> DayProfile:
        gone = [Name("hour", "ordered_at", str(at)) for at in hours]
        return DayProfile(one.day, {name: value for name, value in one.values.items() if name not in gone})

    before = history(1, rows)
    # One night without its first hours: longer than the hour, which had rows on each day.
    before[40] = without(before[40], 0, 1, 2, 3)
    found = assessed(without(profile(np.random.default_rng(1), DAY, rows=rows), hour), before).findings
    silent = [one for one in found if one.measure.startswith("silent")]
    assert [one.severity for one in silent] == ([severity] if severity else [])
    assert all(f"from {hour}:00 to {hour}:59" in one.sentence for one in silent)


def test_a_size_among_a_category_that_is_not_there_is_no_zero() -> None:
    """A country with few orders has no typical price on a day: that is no price of 0."""
    of_b, of_c = (Name("ratio", "unit_price", f"product_id in {country}") for country in "BC")
    rng = np.random.default_rng(3)
    before = [
        DayProfile(one.day, {**one.values, of_b: Value(rng.normal(1, 0.01), 90), of_c: Value(rng.normal(1, 0.01), 30)})
        for one in history(1)
    ]
    today = profile(np.random.default_rng(1), DAY)
    assert words(assessed(DayProfile(DAY, {**today.values, of_b: Value(1.0, 90)}), before)) == []


def test_of_findings_of_one_severity_the_strongest_is_said_first() -> None:
    today = profile(np.random.default_rng(1), DAY)
    changed = {Name("null", "customer_id"): Value(0.26, today.rows), Name("typical", "unit_price"): Value(2000.0, 800)}
    found = assessed(DayProfile(DAY, {**today.values, **changed}), history(1))
    assert words(found)[:2] == [("block", "typical unit_price"), ("block", "null customer_id")]


def test_a_new_value_is_a_note_and_many_new_values_stop_the_day() -> None:
    today = profile(np.random.default_rng(1), DAY)
    some = DayProfile(DAY, {**today.values, Name("category", "country", "D"): Value(0.05, today.rows)})
    many = DayProfile(DAY, {**today.values, Name("category", "country", "a"): Value(0.9, today.rows)})
    assert words(assessed(some, history(1))) == [("note", "new value country")]
    assert ("block", "new value country") in words(assessed(many, history(1)))


def test_a_day_without_rows_stops_the_run_but_not_where_such_days_are_usual() -> None:
    closed = [one if one.day.weekday() != DAY.weekday() else DayProfile(one.day, {}) for one in history(1)]
    assert assessed(DayProfile(DAY, {}), history(1)).severity == "block"
    assert assessed(DayProfile(DAY, {}), closed).severity is None


def test_a_young_home_says_that_it_cannot_assess() -> None:
    found = assessed(profile(np.random.default_rng(1), DAY), history(1, days=20))
    assert words(found) == [("note", "days")]
    assert "20 days" in found.findings[0].sentence


def test_faulty_days_teach_nothing() -> None:
    before = history(1)
    halved = [DayProfile(one.day, {**one.values, Name("null", "customer_id"): Value(0.5, 800)}) for one in before[:3]]
    faulty = [DayProfile(one.day, one.values, faulty=True) for one in halved]
    today = DayProfile(
        DAY, {**profile(np.random.default_rng(1), DAY).values, Name("null", "customer_id"): Value(0.5, 800)}
    )
    assert assessed(today, [*faulty, *before[3:]]).severity == "block"


def test_modes_holidays_and_campaigns_limit_what_a_finding_does() -> None:
    half = profile(np.random.default_rng(1), DAY, factor=0.3)
    off = WatchConfig(checks=CheckModes(volume="off"))
    warned = WatchConfig(tables={"orders": {"volume": "warn"}})
    holiday = WatchConfig(holidays=(DAY,))
    campaign = WatchConfig(campaigns=(Period(first=DAY, last=DAY, why="sale"),))
    assert assessed(half, history(1), off).severity is None
    assert assessed(half, history(1), warned).severity == "warn"
    assert "a holiday" in assessed(half, history(1), holiday).of("note")[0].sentence
    assert "a campaign (sale)" in assessed(half, history(1), campaign).of("note")[0].sentence


def test_a_holiday_is_known_from_last_year() -> None:
    rng = np.random.default_rng(3)
    last_year = DAY - timedelta(days=365)
    around = [profile(rng, last_year - timedelta(days=back), factor=0.25 if back == 0 else 1) for back in range(12)]
    today = profile(rng, DAY, factor=0.25)
    assert assessed(today, history(3)).severity == "block"
    assert assessed(today, [*history(3), *around]).severity is None
