"""Numbers of a night that are unlike those of the nights before: learnt limits, floors, and a sentence for each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from models.scoring.audit_checks import Check
from models.scoring.config import Concern, UnusualConfig
from models.scoring.drift import NumericReference
from models.scoring.night_numbers import PastNight, bin_values
from models.scoring.other_numbers import EMPTY, MEAN, REPEATED, SPREAD, WIDTH
from models.scoring.psi import Shift, shift
from models.scoring.segments import SEGMENT_MEAN, SEGMENT_SHARE
from models.watch.config import WatchConfig
from models.watch.limits import Estimates, History, Limits
from models.watch.measures import Effect, Kind, Measure
from models.watch.profile import DayProfile, Name, Value

#: Nights whose median is what tonight is compared with.
_RECENT = 5
#: Nights of a model from which on it is compared with itself alone.
_MIN_PAST = 3
#: Shares that are 0 where a night has none; a number of an empty list is there on every night that measured it.
_SHARES = ("share_", "missing_", SEGMENT_SHARE)
#: Numbers of numeric columns other than the score.
_OTHERS = (MEAN, SPREAD)
_MEASURES: Mapping[str, Measure] = {
    kind: Measure(kind, "values", Effect(), "{column}") for kind in ("count", "share", "amount")
}
_TODO: Mapping[Concern, str] = {
    "population": "Look at the day's input tables and at the features' row count",
    "turnover": "Look for ids or features that belong to other entities",
    "scores": "Look at `drift`, and at the champion's last change",
    "decisions": "Look at the thresholds in settings, and at `drift`",
    "segments": "Look at the input of that segment: a country or channel that stopped, doubled or changed its unit",
    "missing": "Look for a step or source that failed",
}


@dataclass(frozen=True)
class Tonight:
    """Numbers of the night that waits, and the package of its model."""

    day: date
    model_package: str
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class _Odd:
    """Sentence about a number; `is_known`: its usual range is that of enough nights."""

    says: str
    is_known: bool = True


def unusual(tonight: Tonight, past: Sequence[PastNight], config: UnusualConfig) -> Iterator[Check]:
    """Yield one check per concern, which fails with a sentence for each odd number.

    A concern is only noted if no odd number of it has `config.min_compared_nights` earlier values. The rank correlation
    with last night has a limit of its own, which no range of nights is needed for.

    Args:
        tonight: the night that waits.
        past: published nights, oldest first.
        config: limits and consequences.
    """
    concerns: dict[Concern, list[_Odd]] = {name: [] for name in _TODO}
    same = [night for night in past if night.model_package == tonight.model_package]
    # Numbers of scores are those of their model: those of another one are a level apart.
    all_nights = _Nights(past, tonight.day, config, 1.0)
    own = _Nights(same, tonight.day, config, 1.0) if len(same) >= _MIN_PAST else None
    own = own or _Nights(past[-_RECENT:], tonight.day, config, 2.0)
    for name in sorted(set(tonight.numbers) | _expected(past)):
        concern = _concern(name)
        if concern is None:
            continue
        if concern == "turnover" and (not past or past[-1].model_package != tonight.model_package):
            continue  # another model orders the same entities anew
        nights = all_nights if concern == "population" else own
        if (odd := _odd(name, tonight, nights, config)) is not None:
            concerns[concern].append(odd)
    correlation = tonight.numbers.get("rank_correlation")
    if correlation is not None and not correlation >= config.min_rank_correlation:
        says = (
            f"rank correlation with last night's scores {correlation:.2f}, at least {config.min_rank_correlation:g} "
            "is usual: the same entities are in another order"
        )
        concerns["turnover"].append(_Odd(says))
    for concern, found in concerns.items():
        severity = config.severity(concern) if any(one.is_known for one in found) or not found else "note"
        says = f"{'; '.join(one.says for one in found)}. {_TODO[concern]}" if found else _compared(past)
        yield Check(f"usual {concern}", not found, severity, says, compares=True)


def against_reference(bins: NDArray[np.float64], known: NumericReference, rows: int) -> Shift:
    """Return how far scores are from those of the model's evaluation (`rows` of them)."""
    used = np.flatnonzero(bins)
    places = np.searchsorted(np.asarray(known.edges), bin_values(used), side="left")
    now = np.bincount(places, weights=bins[used], minlength=len(known.shares)).astype(np.float64)
    return shift(np.asarray(known.shares) * rows, now)


def _odd(name: str, tonight: Tonight, nights: _Nights, config: UnusualConfig) -> _Odd | None:
    """Return what is odd about a number, in words; None if nothing is."""
    is_share = name.startswith(_SHARES)
    missing = 0.0 if is_share else math.nan
    series = [(night.day, night.numbers.get(name, missing)) for night in nights.past]
    series = [(day, value) for day, value in series if math.isfinite(value)]
    value = tonight.numbers.get(name, missing)
    if not series or not math.isfinite(value):
        return None
    floor = config.times_usual * _floor(name, series[-1][1], tonight, nights.past[-1], config) * nights.widened
    found = nights.learnt(name, value, tonight.numbers.get("rows", 1.0))
    if found is None:
        centre = float(np.median([known for _, known in series[-_RECENT:]]))
        low, high = centre - floor, centre + floor
    else:
        low, high = min(found.low, found.expected - floor / 2), max(found.high, found.expected + floor / 2)
    if low <= value <= high:
        return None
    is_positive = is_share or name.startswith(("rows", EMPTY))
    usual = f"{_number(max(low, 0.0) if is_positive else low)} to {_number(high)}"
    by = f"{len(series)} night{'s' if len(series) > 1 else ''} since {series[0][0]}"
    is_known = len(series) >= config.min_compared_nights
    few = "" if is_known else f" (noted only: below {config.min_compared_nights} nights nothing is usual)"
    return _Odd(f"{name} {_number(value)}, {usual} is usual by {by}{few}", is_known)


class _Nights:
    """Nights that a number is compared with, and the limits that they teach."""

    def __init__(self, past: Sequence[PastNight], day: date, config: UnusualConfig, widened: float) -> None:
        self.past, self.widened = past[-config.history_nights :], widened
        self._estimates: Estimates | None = None
        if len(self.past) >= config.min_nights:
            shares = {name for night in self.past for name in night.numbers if name.startswith(_SHARES)}
            profiles = [_profile(night, shares) for night in self.past]
            history = History(day, profiles, _MEASURES, config.history_nights)
            self._estimates = Estimates(history, _MEASURES, WatchConfig())

    def learnt(self, name: str, value: float, rows: float) -> Limits | None:
        """Return the limits of a number; None if too few nights have it."""
        known = self._estimates
        return known.of(Name(_kind(name), name), Value(value, rows)) if known is not None else None


def _profile(night: PastNight, shares: set[str]) -> DayProfile:
    rows = night.numbers.get("rows", 1.0)
    numbers = {**dict.fromkeys(shares, 0.0), **night.numbers}
    compared = {name: value for name, value in numbers.items() if _concern(name) is not None}
    values = {Name(_kind(name), name): Value(value, rows) for name, value in compared.items()}
    return DayProfile(night.day, {Name("rows"): Value(rows, rows), **values})


def _kind(name: str) -> Kind:
    if name in {"rows", "score_distinct"}:
        return "count"
    is_amount = name.startswith(("score_", SEGMENT_MEAN, WIDTH, *_OTHERS)) and name != "score_most_frequent"
    return "amount" if is_amount else "share"


def _floor(name: str, before: float, tonight: Tonight, last: PastNight, config: UnusualConfig) -> float:
    """Return the deviation of a number that says nothing: chance in sets of this size, and the setting."""
    rows = max(min(tonight.numbers.get("rows", 0.0), last.numbers.get("rows", 0.0)), 1.0)
    if name == "rows":
        return config.rows_floor * before + math.sqrt(max(before, 1.0))
    if name.startswith(WIDTH):
        return config.rows_floor * before
    if name == "score_distinct":
        return 0.1 * before + math.sqrt(max(before, 1.0))
    if name.startswith(("score_", SEGMENT_MEAN, *_OTHERS)) and name != "score_most_frequent":
        spread = max(last.numbers.get(_spread_of(name), 0.0), 1e-12)
        # The standard error of a standard deviation is that of a mean over the root of 2, of normal values.
        of = 2.0 if name.startswith(SPREAD) else 1.0
        return config.score_floor * spread + spread / math.sqrt(of * rows * _part(name, tonight))
    likely = (before * rows + 1) / (rows + 2)
    return config.share_floor + math.sqrt(likely * (1 - likely) / rows)


def _spread_of(name: str) -> str:
    """Return the name of the standard deviation behind a number."""
    return next((SPREAD + name.removeprefix(one) for one in _OTHERS if name.startswith(one)), "score_spread")


def _part(name: str, tonight: Tonight) -> float:
    """Return the share of the rows that a number is of."""
    if not name.startswith(SEGMENT_MEAN):
        return 1.0
    return max(tonight.numbers.get(name.replace(SEGMENT_MEAN, SEGMENT_SHARE, 1), 0.0), 1e-6)


def _concern(name: str) -> Concern | None:
    if name in {"rows", "new_share", "vanished_share"}:
        return "population"
    if name == "top_kept_share":
        return "turnover"
    if name.startswith(("score_", WIDTH, *_OTHERS)):
        return "scores"
    if name.startswith((SEGMENT_SHARE, SEGMENT_MEAN)):
        return "segments"
    if name.startswith(("share_", REPEATED)):
        return "decisions"
    return "missing" if name.startswith(("missing_", EMPTY)) else None


def _expected(past: Sequence[PastNight]) -> set[str]:
    """Names of shares that some night had: one that is gone is 0 tonight."""
    return {name for night in past[-_RECENT:] for name in night.numbers if name.startswith(_SHARES)}


def _compared(past: Sequence[PastNight]) -> str:
    if not past:
        return "no earlier night to compare with"
    return f"as on the {len(past)} nights since {past[0].day}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
