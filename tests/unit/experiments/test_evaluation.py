"""From a log to a verdict: what counts, what is left out and counted, and what decides."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.contracts import EXPOSURES, OUTCOMES
from models.experiments.assignment import assignment_of
from models.experiments.config import ExperimentsConfig, ExperimentSettings
from models.experiments.evaluation import Evaluation, evaluate
from models.experiments.observations import bought_before, exposed, linked, unit_values
from models.experiments.picture import experiment_png
from models.settings import Settings

FIRST = date(2025, 3, 1)
NAME = "ranker_test"
SETTINGS = ExperimentSettings.model_validate(
    {
        "part": "ranker",
        "variants": [{"name": "control", "share": 0.5}, {"name": "new", "share": 0.5}],
        "primary": {"kind": "purchase", "measure": "value"},
        "guardrails": [{"kind": "click", "measure": "count", "max_worse": 0.15}],
        "first_day": FIRST,
        "last_day": FIRST + timedelta(days=13),
        "planned_units": 2000,
    }
)
ASSIGNED = assignment_of(NAME, SETTINGS)
LINES = pl.DataFrame(schema={"customer_id": pl.String, "ordered_at": pl.Datetime("us", "UTC"), "quantity": pl.Int32})


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2025, 3, 1, tzinfo=UTC) + timedelta(days=day, hours=hour)


def exposure(unit: str | None, day: int = 0, **changes: Any) -> dict[str, Any]:
    row = {
        "exposure_id": f"e-{unit}-{day}",
        "list_id": f"l-{unit}-{day}",
        "experiment": NAME,
        "variant": ASSIGNED.variant(unit or ""),
        "customer_id": unit,
        "session_id": None,
        "product_id": "p1",
        "slot": 1,
        "propensity": 1.0,
        "shown_at": at(day),
    }
    return row | changes


def outcome(unit: str, day: int, kind: str = "purchase", value: float | None = 10.0, **changes: Any) -> dict[str, Any]:
    row = {
        "outcome_id": f"o-{unit}-{day}-{kind}",
        "kind": kind,
        "exposure_id": None,
        "customer_id": unit,
        "session_id": None,
        "product_id": "p1",
        "value": value,
        "happened_at": at(day, 13),
    }
    return row | changes


def frame(rows: Sequence[dict[str, Any]], contract: Any = EXPOSURES) -> pl.DataFrame:
    schema = pl.DataFrame(contract.arrow_schema().empty_table()).schema
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_rows_that_do_not_count_are_left_out_and_counted() -> None:
    other = {"control": "new", "new": "control"}[ASSIGNED.variant("c5")]
    rows = [
        *(exposure("c1"), exposure("c1"), exposure("c1", 1)),
        exposure(None),
        exposure("c2", variant="gone"),
        exposure("c3", -1),
        *(exposure("c4", variant="control"), exposure("c4", 1, variant="new")),
        exposure("c5", variant=other),
        exposure("c6", experiment="another"),
        exposure("c7", experiment=f"another+{NAME}", variant=f"short+{ASSIGNED.variant('c7')}"),
    ]
    found = exposed(frame(rows), NAME, SETTINGS)
    assert found.units.rows() == [
        ("c1", ASSIGNED.variant("c1"), at(0), date(2025, 3, 8)),
        ("c5", other, at(0), date(2025, 3, 8)),
        ("c7", ASSIGNED.variant("c7"), at(0), date(2025, 3, 8)),
    ]
    assert found.faults.found() == {
        "duplicates": 1,
        "without_unit": 1,
        "unknown_variant": 1,
        "outside_days": 1,
        "mixed_units": 1,
        "other_assignment": 1,
    }
    assert set(found.faults.serious()) == {"without_unit", "unknown_variant", "mixed_units", "other_assignment"}
    assert str(found.faults).startswith("1 exposures logged twice, 1 exposures without a unit")


def test_outcomes_count_from_the_first_exposure_until_the_window_ends() -> None:
    units = exposed(frame([exposure("c1", 2), exposure("c1", 5), exposure("c2")]), NAME, SETTINGS).units
    rows = [outcome("c1", day) for day in (1, 2, 8, 9, 20)]
    rows += [outcome("c1", 3, "click", None), outcome("c2", 0, happened_at=at(0, 11)), outcome("c9", 3)]
    outcomes = frame(rows, OUTCOMES)
    assert units["unit"].to_list() == ["c2", "c1"]
    assert unit_values(units, outcomes, SETTINGS.primary, SETTINGS).tolist() == [0, 20]
    assert unit_values(units, outcomes, SETTINGS.guardrails[0], SETTINGS).tolist() == [0, 1]


def test_outcomes_that_cannot_follow_from_what_they_name_are_counted() -> None:
    shown = frame([exposure("c1", 2)])
    rows = [
        outcome("c1", 1, exposure_id="e-c1-2"),
        outcome("c1", 3, exposure_id="e-c1-2"),
        outcome("c1", 4, exposure_id="e-lost"),
        outcome("c1", 5),
    ]
    usable, early, unknown = linked(frame(rows, OUTCOMES), shown)
    assert usable["happened_at"].to_list() == [at(3, 13), at(5, 13)]
    assert (early, unknown) == (1, 1)


def test_a_day_on_which_a_window_is_not_over_does_not_count_its_unit() -> None:
    rows = [exposure(f"c{number}", number % 10) for number in range(400)]
    found = {day: _evaluated(rows, [], day).effects[0] for day in (6, 7, 8, 16)}
    assert [one.units + one.control_units for one in found.values()] == [0, 40, 80, 400]
    assert [one.state for one in found.values()] == ["few", "few", "few", "few"]  # nothing happened: no variance


def _evaluated(
    exposures: Sequence[dict[str, Any]],
    outcomes: Sequence[dict[str, Any]],
    day: int = 21,
    settings: ExperimentSettings = SETTINGS,
    lines: pl.DataFrame = LINES,
) -> Evaluation:
    shown = frame(exposures)
    return evaluate(NAME, settings, shown, frame(outcomes, OUTCOMES), shown, lines, FIRST + timedelta(days=day))


def _experiment(
    gain: float, clicks: float = 1.0, units: int = 1200, **changes: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A log in which purchases of the new variant are worth `gain` more, and `clicks` times as many are clicked."""
    rng = np.random.default_rng(4)
    shown, happened = list[dict[str, Any]](), list[dict[str, Any]]()
    for number in range(units):
        unit, day = f"c{number:04d}", number % 10
        shown.append(exposure(unit, day, **changes))
        is_new = ASSIGNED.variant(unit) == "new"
        happened.append(outcome(unit, day, value=float(rng.gamma(4, 5) + gain * is_new)))
        many = rng.poisson(4 * (clicks if is_new else 1))
        happened += [outcome(unit, day, "click", None, outcome_id=f"o-{unit}-{n}") for n in range(many)]
    return shown, happened


@pytest.mark.parametrize(
    ("gain", "clicks", "day", "decision", "because"),
    [
        (4, 1, 21, "ship", "purchase_value of new +4"),
        (4, 1, 7, "go on", "too few"),
        (0, 1, 21, "stop", "it is over and shows no effect"),
        (0, 1, 18, "go on", "the last window is over in 2 days"),
        (-4, 1, 12, "stop", "worse"),
        (8, 0.6, 12, "stop", "click_count of new -"),
    ],
)
def test_the_verdict_follows_from_the_effects(
    gain: float, clicks: float, day: int, decision: str, because: str
) -> None:
    found = _evaluated(*_experiment(gain, clicks), day)
    assert (found.verdict.decision, because in str(found.verdict)) == (decision, True), str(found.verdict)
    assert found.verdict.variant == ("new" if decision == "ship" else "")
    assert bool(found.broken) == (clicks < 1)


def test_a_better_variant_is_not_shipped_while_a_guardrail_is_open() -> None:
    tight = SETTINGS.model_copy(update={"guardrails": (SETTINGS.guardrails[0].model_copy(update={"max_worse": 0.0}),)})
    log = _experiment(4)
    assert _evaluated(*log, 18, tight).verdict.decision == "go on"
    found = _evaluated(*log, 21, tight).verdict
    assert found.decision == "stop"
    assert "a guardrail is not shown to be kept" in found.reasons[1]


def test_lower_can_be_better() -> None:
    returns = SETTINGS.model_validate(
        SETTINGS.model_dump()
        | {"primary": {"kind": "purchase", "measure": "value", "direction": "lower"}, "guardrails": []}
    )
    assert _evaluated(*_experiment(-4), settings=returns).verdict.decision == "ship"
    assert _evaluated(*_experiment(4), settings=returns).verdict.decision == "stop"


def test_a_lost_share_of_a_variant_stops_whatever_the_effect() -> None:
    shown, happened = _experiment(8)
    lost = [row for row in shown if row["variant"] == "control" or row["customer_id"][-1] not in "123"]
    found = _evaluated(lost, happened)
    assert found.verdict.decision == "stop"
    assert "do not have their shares" in found.verdict.reasons[0]


def test_an_experiment_without_any_unit_goes_on() -> None:
    found = _evaluated([], [], 0)
    assert found.verdict.decision == "go on"
    assert found.ratio.is_kept
    assert experiment_png(found).startswith(b"\x89PNG")


def test_the_same_log_gives_the_same_evaluation_in_any_order_and_with_copies() -> None:
    shown, happened = _experiment(2, units=400)
    once, again = _evaluated(shown, happened), _evaluated([*shown[::-1], *shown[:7]], happened[::-1])
    assert replace(again, faults=once.faults) == once
    assert again.faults.duplicates == 7


def test_spending_before_the_experiment_narrows_the_interval() -> None:
    shown, happened = _experiment(4)
    spent = {row["customer_id"]: row["value"] for row in happened if row["kind"] == "purchase"}
    lines = pl.DataFrame(
        {
            "customer_id": [*spent, "c0001"],
            "ordered_at": [at(-3)] * len(spent) + [at(3)],
            "quantity": [1] * (len(spent) + 1),
            "unit_price": [*spent.values(), 1e6],
        }
    )
    plain, found = (_evaluated(shown, happened, lines=one).effects[0] for one in (LINES, lines))
    assert found.variance_left < 0.2
    assert found.effect.high - found.effect.low < 0.5 * (plain.effect.high - plain.effect.low)
    no_past = SETTINGS.model_copy(update={"covariate_days": 0})
    assert bought_before(exposed(frame(shown), NAME, SETTINGS).units, lines, no_past) is None


def test_sessions_are_units_too() -> None:
    settings = SETTINGS.model_copy(update={"unit": "session"})
    rows = [
        exposure(None, session_id=f"s{n}", exposure_id=f"e{n}", variant=ASSIGNED.variant(f"s{n}")) for n in range(9)
    ]
    found = _evaluated(rows, [outcome("", 1, session_id="s3", customer_id=None)], settings=settings)
    assert sum(found.units.values()) == 9
    assert sum(one.units * one.mean + one.control_units * one.control_mean for one in found.effects[:1]) == 10


def test_a_profile_names_applications_that_exist() -> None:
    trial = SETTINGS.model_copy(update={"app": "demamd"})
    with pytest.raises(ValueError, match=r"'ranker_test' is of 'demamd', which is not one of .*did you mean 'demand'"):
        Settings(experiments=ExperimentsConfig(trials={NAME: trial}))
    with pytest.raises(ValueError, match="'none' names lists outside of any experiment"):
        ExperimentsConfig(trials={"none": SETTINGS})
