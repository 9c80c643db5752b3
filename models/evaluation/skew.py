"""Train/serve skew: served features against those of training, per feature, by cause of the difference.

A served value is compared with two others. *The same row offline* (same entity, same event timestamp): if its value
differs, code, definitions or data differ, and the model sees values it was not trained on. *The point-in-time join* at
the time of serving: if it gives another row, the online store was behind.
"""

# pyarrow has no static types.
# pyright: basic, reportAttributeAccessIssue=false

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.errors import TesseraError
from models.evaluation.config import SkewConfig

#: Why a served value is not the one of the point-in-time join, the worst first:
#: `value`: the same row has another value offline. `extra`: served from a row that offline does not have.
#: `missing`: nothing was served, offline had a value. `stale`: served from an older row, or an older version of it.
#: `lag`: the same as `stale` and `missing`, but for no longer than the online store may take to follow.
Cause = Literal["value", "extra", "missing", "stale", "lag"]
CAUSES: tuple[Cause, ...] = get_args(Cause)

SERVED_AT = "served_at"
_PRESENT = "PRESENT"
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Offline:
    """Offline features of the served rows.

    Attributes:
        now: features by point-in-time join at `served_at`; rows and order of the served ones.
        before: the same at `served_at` less the lag that is allowed.
        versions: the very rows that were served, as `versions` gives them.
    """

    now: pa.Table
    before: pa.Table
    versions: pa.Table


@dataclass(frozen=True)
class FeatureSkew:
    """One feature: rows by cause, and the largest difference of two numbers (None: there is none)."""

    feature: str
    compared: int
    rows: Mapping[Cause, int]
    largest: float | None

    @property
    def different(self) -> int:
        """Rows that differ, whatever the cause."""
        return sum(self.rows.values())

    def share(self, cause: Cause | None = None) -> float:
        """Share of the compared rows that differ (for this cause), 0 to 1."""
        return (self.different if cause is None else self.rows[cause]) / max(self.compared, 1)

    @property
    def cause(self) -> Cause | None:
        """The cause of most of its differences, the worse one of two; None: there are none."""
        return max(CAUSES, key=lambda cause: self.rows[cause]) if self.different else None


@dataclass(frozen=True)
class Excess:
    """Features that differ for one cause in a larger share of rows than the limit, the worst first."""

    cause: Cause
    limit: float
    features: tuple[FeatureSkew, ...]


@dataclass(frozen=True)
class SkewReport:
    """Every feature, the worst first; `compared` rows, and one line per differing value in `examples`.

    `examples`: `row` (position in the served rows), `feature`, `cause`, `served`, `offline` (both as text).
    """

    compared: int
    features: tuple[FeatureSkew, ...]
    examples: pa.Table

    def excesses(self, config: SkewConfig) -> tuple[Excess, ...]:
        """Return the causes that exceed a limit, the worst first."""
        limits: dict[Cause, float] = {
            "value": config.max_value_share,
            "extra": config.max_extra_share,
            "missing": config.max_missing_share,
            "stale": config.max_stale_share,
        }
        found = [Excess(cause, limit, self._above(cause, limit)) for cause, limit in limits.items()]
        return tuple(excess for excess in found if excess.features)

    def largest_share(self, cause: Cause | None = None) -> float:
        """Of all features, the largest share of rows that differ (for this cause), 0 to 1."""
        return max((feature.share(cause) for feature in self.features), default=0.0)

    def _above(self, cause: Cause, limit: float) -> tuple[FeatureSkew, ...]:
        above = [feature for feature in self.features if feature.share(cause) > limit]
        return tuple(sorted(above, key=lambda feature: (-feature.share(cause), feature.feature)))


def nothing_compared() -> SkewReport:
    """Build the report of a day without served rows to compare."""
    return SkewReport(0, (), _no_examples())


def skew(served: pa.Table, offline: Offline, view: str, features: Sequence[str], config: SkewConfig) -> SkewReport:
    """Return the served features of one view against what training would have seen.

    Numbers are compared exactly unless `config` says otherwise; NULL equals NULL, NaN equals NaN. A value that offline
    does not have for the same row counts as `value`, whatever else is wrong with the row.

    Args:
        served: `served_at`, `<view>__status`, `<view>__event_timestamp` and `features` (numbers, strings, booleans).
        offline: what offline has for these rows.
        view: name of the feature view.
        features: names of its features.
        config: limits, allowed lag, tolerance.

    Raises:
        TesseraError: a column is missing, or has another type online than offline.
    """
    _refuse_other_columns(served, offline, features)
    rows = _Rows.of(served, offline.versions, view, timedelta(hours=config.max_lag_hours))
    found, examples = [], [_no_examples()]
    for name in features:
        values = _Values.of(served, offline, name, rows, config.relative_tolerance)
        causes = _causes(rows, values)
        counts: dict[Cause, int] = {cause: int(flags.sum()) for cause, flags in causes.items()}
        found.append(FeatureSkew(name, served.num_rows, counts, values.largest(causes)))
        examples += values.examples(name, causes, config.examples_per_feature)
    ranked = sorted(found, key=lambda feature: ([-feature.rows[cause] for cause in CAUSES], feature.feature))
    return SkewReport(served.num_rows, tuple(ranked), pa.concat_tables(examples))


def versions(served: pa.Table, stored: pa.Table, keys: Sequence[str], view: str, features: Sequence[str]) -> pa.Table:
    """Return the offline rows known by `served_at` for the entity and event timestamp of each served row.

    Columns: `row` (position in `served`), `since` (when it was known) and `features`; none, one or several rows (late
    corrections) for each served row, ascending by `since`. Many online stores keep whole seconds: a served row of a
    whole second may be any row of that second.

    Args:
        served: `keys`, `served_at` and `<view>__event_timestamp` (µs, UTC).
        stored: offline rows: `keys`, `event_timestamp`, `created_timestamp` (µs, UTC) and `features`.
        keys: join keys of the view.
        view: name of the feature view.
        features: names of its features.
    """
    moment = f"{view}__event_timestamp"
    asked = served.select([*keys, moment, SERVED_AT]).append_column("row", _positions(served.num_rows))
    event, created = stored["event_timestamp"], stored["created_timestamp"]
    since = pc.if_else(pc.fill_null(pc.greater(created, event), False), created, event)
    known = stored.select(keys).append_column("event", event).append_column("since", since)
    known = known.append_column("stored", _positions(stored.num_rows))
    known = pa.concat_tables([known, _in_whole_seconds(known, "event")])
    pairs = asked.join(known, [*keys, moment], [*keys, "event"], join_type="inner")
    pairs = pairs.filter(pc.field("since") <= pc.field(SERVED_AT)).sort_by(
        [("since", "ascending"), ("row", "ascending")]
    )
    schema = pa.schema([served.schema.field(name) for name in features])
    taken = stored.select(features).cast(schema).take(pairs["stored"])
    return taken.append_column("row", pairs["row"]).append_column("since", pairs["since"])


@dataclass(frozen=True)
class _Rows:
    """Of each served row: something was served; offline has that row; position of its newest version, else -1.

    `version_of` and `young` are of the versions: the served row it belongs to; younger than the allowed lag.
    """

    present: Flags
    found: Flags
    newest: NDArray[np.int64]
    version_of: NDArray[np.int64]
    young: Flags

    @staticmethod
    def of(served: pa.Table, versions: pa.Table, view: str, max_lag: timedelta) -> "_Rows":
        version_of = versions["row"].to_numpy()
        newest = np.full(served.num_rows, -1, np.int64)
        newest[version_of] = np.arange(versions.num_rows)  # of several, the last one stays
        due = pc.subtract(served[SERVED_AT].take(versions["row"]), pa.scalar(max_lag, pa.duration("us")))
        return _Rows(
            present=_flags(pc.equal(served[f"{view}__status"], _PRESENT)),
            found=newest >= 0,
            newest=newest,
            version_of=version_of,
            young=_flags(pc.greater(versions["since"], due)),
        )

    def having(self, flags: Flags) -> Flags:
        """Return the served rows with such a version."""
        found = np.zeros(len(self.present), np.bool_)
        found[self.version_of[flags]] = True
        return found


@dataclass(frozen=True)
class _Values:
    """One feature: what was served, what offline has for it, and where the two differ.

    `genuine`: some version of the served row has this value; `young`: one that is younger than the allowed lag.
    """

    served: pa.ChunkedArray
    now: pa.ChunkedArray
    newest: pa.ChunkedArray
    now_differs: Flags
    before_differs: Flags
    genuine: Flags
    young: Flags
    known_before: Flags

    @staticmethod
    def of(served: pa.Table, offline: Offline, name: str, rows: _Rows, tolerance: float) -> "_Values":
        online, now, before, stored = (t[name] for t in (served, offline.now, offline.before, offline.versions))
        equal = ~_differ(online.take(pa.array(rows.version_of)), stored, tolerance)
        return _Values(
            served=online,
            now=now,
            newest=stored.take(pa.array(rows.newest, mask=~rows.found)),
            now_differs=_differ(online, now, tolerance),
            before_differs=_differ(online, before, tolerance),
            genuine=rows.having(equal),
            young=rows.having(equal & rows.young),
            known_before=_flags(before.is_valid()),
        )

    def expected(self, cause: Cause) -> pa.ChunkedArray:
        """Return the values that should have been served instead."""
        return self.newest if cause == "value" else self.now

    def largest(self, causes: Mapping[Cause, Flags]) -> float | None:
        """Return the largest difference of two finite numbers, in any row that differs."""
        if not pa.types.is_integer(self.served.type) and not pa.types.is_floating(self.served.type):
            return None
        gaps = np.concatenate([_gaps(self.served, self.expected(cause))[flags] for cause, flags in causes.items()])
        gaps = gaps[np.isfinite(gaps)]
        return float(gaps.max()) if len(gaps) else None

    def examples(self, name: str, causes: Mapping[Cause, Flags], most: int) -> Iterator[pa.Table]:
        """At most so many rows that differ, those of the worst causes; what only lags is no example."""
        left = most
        for cause in CAUSES[:-1]:
            rows = pa.array(np.flatnonzero(causes[cause])[:left], pa.int64())
            left -= len(rows)
            texts = [pa.array([text] * len(rows), pa.string()) for text in (name, cause)]
            pair = [column.take(rows).cast(pa.string()) for column in (self.served, self.expected(cause))]
            yield pa.table([rows, *texts, *pair], schema=_no_examples().schema)


def _causes(rows: _Rows, values: _Values) -> dict[Cause, Flags]:
    """Of each cause, the rows whose value differs for it; no row for two of them."""
    genuine = rows.present & rows.found & values.genuine
    behind = genuine & values.now_differs
    followed = values.young | ~values.before_differs
    served = _flags(values.served.is_valid())
    unserved = ~served & ~(rows.present & rows.found) & values.now_differs
    return {
        "value": rows.present & rows.found & ~values.genuine,
        "extra": served & ~(rows.present & rows.found),
        "missing": unserved & values.known_before,
        "stale": behind & ~followed,
        "lag": (behind & followed) | (unserved & ~values.known_before),
    }


def _differ(one: pa.ChunkedArray, other: pa.ChunkedArray, relative_tolerance: float) -> Flags:
    """Mark rows for which `IS DISTINCT FROM` holds; two NaN are not distinct."""
    known, other_known = _flags(one.is_valid()), _flags(other.is_valid())
    if pa.types.is_floating(one.type):
        mine, theirs = one.to_numpy(), other.to_numpy()
        with np.errstate(invalid="ignore"):  # infinite less infinite
            near = np.isfinite(theirs) & (np.abs(mine - theirs) <= relative_tolerance * np.abs(theirs))
        equal = (mine == theirs) | near | (np.isnan(mine) & np.isnan(theirs))
    else:
        equal = _flags(pc.equal(one, other))
    return np.where(known & other_known, ~equal, known != other_known)


def _gaps(one: pa.ChunkedArray, other: pa.ChunkedArray) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.abs(one.cast(pa.float64()).to_numpy() - other.cast(pa.float64()).to_numpy())


def _flags(flags: pa.ChunkedArray) -> Flags:
    """NULL is no."""
    return np.asarray(pc.fill_null(flags, False), dtype=np.bool_)


def _in_whole_seconds(rows: pa.Table, column: str) -> pa.Table:
    """Those rows whose moment is not a whole second, with the second in which it lies."""
    floor = pc.floor_temporal(rows[column], unit="second")
    changed = pc.fill_null(pc.not_equal(floor, rows[column]), False)
    return rows.set_column(rows.column_names.index(column), column, floor).filter(changed)


def _positions(count: int) -> pa.Array:
    return pa.array(np.arange(count, dtype=np.int64))


def _no_examples() -> pa.Table:
    texts = ("feature", "cause", "served", "offline")
    return pa.schema([pa.field("row", pa.int64()), *(pa.field(name, pa.string()) for name in texts)]).empty_table()


def _refuse_other_columns(served: pa.Table, offline: Offline, features: Sequence[str]) -> None:
    tables = {"now": offline.now, "before": offline.before, "versions": offline.versions}
    for name in features:
        online = _type(served, name)
        for place, table in tables.items():
            if online is None or _type(table, name) != online:
                raise TesseraError(
                    f"Feature {name!r} was served as {online}, and offline ({place}) it is {_type(table, name)}.",
                    expected="one type online and offline",
                    todo="Correct the feature's type in feature_repo/; what was served before cannot be compared.",
                )


def _type(table: pa.Table, name: str) -> pa.DataType | None:
    return table.schema.field(name).type if name in table.column_names else None
