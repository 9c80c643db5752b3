"""Numbers that compare a whole distribution with the usual one: hours of the day, categories never seen before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace

import numpy as np

from models.watch.config import Severity
from models.watch.findings import Finding, number
from models.watch.limits import Floats, History
from models.watch.measures import Measure
from models.watch.profile import DayProfile, Name, Value

#: Bins of a distribution -> the measure that holds its distance from the usual one.
_DISTANCES = {"hour": "hours"}
#: Rows of values never seen before, and shares of all rows, from which on they warn and stop a run.
_NEW_ROWS, _NEW_WARNS, _NEW_BLOCKS = 8, 0.2, 0.55
#: Rows from which on a new value warns that nearly all rows have.
_FEW_NEW_ROWS, _NEARLY_ALL = 4, 0.9
_FORMS_WARN, _FORMS_BLOCK = 0.1, 0.45


def distances(today: DayProfile, history: History, measures: Mapping[str, Measure]) -> tuple[DayProfile, History]:
    """Add the distance of each distribution from the usual one, less what chance alone makes of it."""
    added: dict[Name, tuple[Value, Floats, Floats]] = {}
    columns = sorted({(name.measure, name.column) for name in history.names if name.measure in _DISTANCES})
    for bins, column in columns:
        if _DISTANCES[bins] not in measures:
            continue
        names = [name for name in history.names if (name.measure, name.column) == (bins, column)]
        shares = history.values[:, [history.place[name] for name in names]]
        rows = history.n[:, history.place[names[0]]]
        usual = _mean_of(shares[history.usable])
        if usual is None or (now := today.value(names[0])) is None:
            continue
        here = np.array([(today.value(name) or Value(0, 0)).value for name in names])
        beyond = sum(v.value for name, v in today.values.items() if name[:2] == (bins, column) and name not in names)
        found = float(np.abs(here - usual).sum() + beyond) / 2 - float(_by_chance(usual, np.array([now.n]))[0])
        past = np.abs(shares - usual).sum(axis=1) / 2 - _by_chance(usual, rows)
        added[Name(_DISTANCES[bins], column)] = Value(max(found, 0.0), now.n), np.maximum(past, 0.0), rows
    if not added:
        return today, history
    return replace(today, values={**today.values, **{n: one[0] for n, one in added.items()}}), _with(history, added)


def _mean_of(shares: Floats) -> Floats | None:
    whole = shares[~np.isnan(shares).any(axis=1)]
    return whole.mean(axis=0) if len(whole) else None


def _by_chance(usual: Floats, rows: Floats) -> Floats:
    """Return the mean distance of samples of so many rows from the distribution that they are drawn from."""
    widths = np.sqrt(2 / np.pi * usual * (1 - usual)).sum() / 2
    return widths / np.sqrt(np.maximum(np.nan_to_num(rows, nan=1.0), 1.0))


def _with(history: History, added: Mapping[Name, tuple[Value, Floats, Floats]]) -> History:
    """Return a history with more numbers; the other one stays as it is."""
    found = copy(history)
    found.names = [*history.names, *added]
    found.place = {name: place for place, name in enumerate(found.names)}
    found.values = np.column_stack([history.values, *(one[1] for one in added.values())])
    found.n = np.column_stack([history.n, *(one[2] for one in added.values())])
    return found


def unseen(today: DayProfile, history: History, measures: Mapping[str, Measure]) -> Iterator[tuple[Name, Finding]]:
    """Yield a finding for each column with values that no day of the history had: a note if they are few."""
    held = set(history.names)
    families = {(name.measure, name.column) for name in history.names}
    new: dict[tuple[str, str], dict[str, Value]] = {}
    for name, value in today.values.items():
        is_known = name in held or (name.measure, name.column) not in families
        if name.measure in ("category", "shape") and name.measure in measures and not is_known:
            new.setdefault((name.measure, name.column), {})[name.category] = value
    for (measure, column), values in new.items():
        share, rows = sum(one.value for one in values.values()), max(one.n for one in values.values())
        severity = _of_new(measure, share, share * rows)
        if severity is None:
            continue
        listed = ", ".join(repr(value) for value in sorted(values, key=lambda one: -values[one].value)[:3])
        what = "form" if measure == "shape" else "value"
        says = f"{number(share, 'share')} of {column} have a {what} never seen before ({listed})"
        name = Name("new", column, measure)
        yield name, Finding(measures[measure].check, f"new {what} {column}", severity, says, today.day, share, 0.0, 0.0)


def _of_new(measure: str, share: float, rows: float) -> Severity | None:
    warns, blocks = (_FORMS_WARN, _FORMS_BLOCK) if measure == "shape" else (_NEW_WARNS, _NEW_BLOCKS)
    if rows >= _FEW_NEW_ROWS and share >= _NEARLY_ALL:
        return "block" if rows >= _NEW_ROWS else "warn"
    if rows >= _NEW_ROWS and share >= warns:
        return "block" if share >= blocks else "warn"
    return "note" if rows >= _NEW_ROWS and measure == "category" else None
