"""Decisions on variants in the lake, and the design by which the units of an experiment were dealt."""

# pyright: basic

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.errors import TesseraError
from models.experiments.config import ExperimentSettings
from models.experiments.decisions import Decision, stops
from models.experiments.evaluation import Evaluation
from resources.lake.port import Lake

#: Lake tables, both with one partition per month.
TABLE, DESIGNS = "decisions_on_experiments", "designs_of_experiments"
_BY = "month"
#: Who decides where no person does.
GUARDRAIL = "guardrail"
_DECISIONS = pa.schema(
    [
        (_BY, pa.date32()),
        ("experiment", pa.string()),
        ("variant", pa.string()),
        ("action", pa.string()),
        ("until", pa.date32()),
        ("from_day", pa.date32()),
        ("at", pa.timestamp("us", "UTC")),
        ("who", pa.string()),
        ("why", pa.string()),
    ]
)
_DESIGN = pa.schema([(_BY, pa.date32()), ("experiment", pa.string()), ("day", pa.date32()), ("design", pa.string())])


def decisions_on(lake: Lake, name: str) -> list[Decision]:
    """Return the decisions on the variants of an experiment, in the order in which they were made."""
    names = [field.name for field in fields(Decision)]
    rows = _rows(lake, TABLE, name)
    return sorted((Decision(**{one: row[one] for one in names}) for row in rows), key=lambda one: one.at)


def stop_broken(lake: Lake, found: Evaluation, published: date | None) -> list[Decision]:
    """Record a stop of each variant of which the evaluation finds a guardrail broken; return those of its day.

    A stop that the same day's evaluation recorded before stays as it is; an evaluation of a day before the newest
    decision on a variant decides nothing on it.

    Args:
        lake: with the decisions.
        found: the evaluation.
        published: newest day whose lists are published; the stop holds from the night after it on.
    """
    broken = {
        one.variant: [str(other) for other in found.broken if other.variant == one.variant] for one in found.broken
    }
    with lake.lock(TABLE):
        before = decisions_on(lake, found.name)
        of_day = [one for one in before if one.action == "stop" and one.until == found.until]
        known = {one.variant for one in before if one.until >= found.until}
        known |= {one.variant for one in before if one.action == "resume" and one.from_day > found.until}
        new = [
            Decision(variant, "stop", found.until, _after(found.until, published), now, GUARDRAIL, "; ".join(why))
            for now in [datetime.now(UTC)]
            for variant, why in broken.items()
            if variant not in known
        ]
        record(lake, found.name, new)
    return [*of_day, *new]


def resume(lake: Lake, name: str, variant: str, *, who: str, why: str, newest: date) -> Decision:
    """Record that a person lets a stopped variant be shown again.

    Args:
        lake: with the decisions.
        name: of the experiment.
        variant: its name.
        who: the person.
        why: the reason.
        newest: newest day that was evaluated or published; the decision holds from the night after it on.

    Raises:
        TesseraError: the variant is not stopped.
    """
    with lake.lock(TABLE):
        standing = stops(decisions_on(lake, name))
        if variant not in standing:
            raise TesseraError(
                f"The variant {variant!r} of {name} is not stopped.",
                expected=f"one of {', '.join(map(repr, standing))}"
                if standing
                else "a variant that a guardrail stopped",
                todo=f"Look at it: `tessera experiments {name}`.",
            )
        until = standing[variant].until
        made = Decision(
            variant, "resume", until, _after(standing[variant].from_day, newest), datetime.now(UTC), who, why
        )
        record(lake, name, [made])
    return made


def require_same_design(lake: Lake, name: str, settings: ExperimentSettings, day: date) -> None:
    """Record how the units of an experiment are dealt when it is first used; refuse another way later.

    Raises:
        TesseraError: shares, variants, unit, salt or layer are not those that it began with.
    """
    design = _design(name, settings)
    with lake.lock(DESIGNS):
        known = _rows(lake, DESIGNS, name)
        if not known:
            row = {_BY: day.replace(day=1), "experiment": name, "day": day, "design": design}
            _append(lake, DESIGNS, _DESIGN, [row])
            return
    before, now = json.loads(known[0]["design"]), json.loads(design)
    if before != now:
        changed = next(key for key in {**before, **now} if before.get(key) != now.get(key))
        raise TesseraError(
            f"Experiment {name!r} began on {known[0]['day']} with other {changed}: {_shown(before.get(changed))} then,"
            f" {_shown(now.get(changed))} now. Units would change their variant.",
            expected="shares, variants, unit, salt and layer that stay while it runs",
            todo="Put them back, or describe another experiment under a name of its own.",
        )


def _design(name: str, settings: ExperimentSettings) -> str:
    dealt = {
        "shares": [[one.name, one.share] for one in settings.variants],
        "parts": [[one.name, one.part_name] for one in settings.variants],
        "unit": settings.unit,
        "salt": settings.salt or name,
        **({} if settings.layer is None else {"layer": [[one, value] for one, value in settings.layer]}),
    }
    return json.dumps(dealt)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(f"{name} {each}" for name, each in value)
    return "none" if value is None else str(value)


def _after(day: date, other: date | None) -> date:
    return date.fromordinal(max(day, other or day).toordinal() + 1)


def _rows(lake: Lake, table: str, name: str) -> list[dict[str, Any]]:
    if not lake.exists(table):
        return []
    return lake.scan(table).to_table(filter=pc.field("experiment") == name).to_pylist()


def record(lake: Lake, name: str, new: Sequence[Decision]) -> None:
    """Add decisions to those on an experiment."""
    if new:
        rows = [{_BY: one.from_day.replace(day=1), "experiment": name, **vars(one)} for one in new]
        _append(lake, TABLE, _DECISIONS, rows)


def _append(lake: Lake, table: str, schema: pa.Schema, rows: Sequence[dict[str, Any]]) -> None:
    lake.append(table, pa.Table.from_pylist(list(rows), schema=schema), by=_BY)
