"""Proof that features know nothing that was not known at their cut-off: computed again without what came later."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from models.features.cutoffs import cutoff_moment

# pyarrow has no static types.
# pyright: basic

_AGAIN = "__again"


def known_at(orders: pa.Table, day: date) -> pa.Table:
    """Return the rows of the lake table `orders` that were both placed and delivered by the end of `day`."""
    moment = pa.scalar(cutoff_moment(day), pa.timestamp("us", "UTC"))
    return orders.filter((pc.field("ordered_at") <= moment) & (pc.field("delivered_on") <= day))


def sampled(days: Sequence[date], count: int) -> list[date]:
    """At most `count` of `days`, evenly spread, the last one always among them."""
    ordered = sorted(set(days), reverse=True)
    step = max(1, len(ordered) // max(1, count))
    return ordered[::step][:count]


def leaking_features(
    compute: Callable[[pa.Table], pa.Table],
    orders: pa.Table,
    day: date,
    *,
    keys: Sequence[str] = ("customer_id", "feature_date"),
) -> tuple[str, ...]:
    """Names of the columns of `compute(orders)` that change when all that was unknown at the end of `day` is removed.

    If even the rows change, that is the keys. Empty for honest features.

    Args:
        compute: the features of `day` from the table `orders`.
        orders: the lake table `orders`, with rows from after `day`: without them nothing can be found.
        day: the cut-off.
        keys: columns that name a row.
    """
    order = [(key, "ascending") for key in keys]
    everything = compute(orders).sort_by(order)
    honest = compute(known_at(orders, day)).sort_by(order)
    if not everything.select(list(keys)).equals(honest.select(list(keys))):
        return tuple(keys)
    return tuple(name for name in everything.column_names if not everything[name].equals(honest[name]))


@dataclass(frozen=True)
class Recomputed:
    """Features of the training set, compared with the same features computed from nothing but what was known.

    Attributes:
        moments: of the cut-offs that were compared, in words.
        rows: rows of the training set that were compared.
        features: columns that were compared.
        differing: feature -> rows whose value is another one when everything later is removed.
        unmatched: rows that only one of the two sides has.
    """

    moments: tuple[str, ...] = ()
    rows: int = 0
    features: tuple[str, ...] = ()
    differing: Mapping[str, int] = field(default_factory=dict)
    unmatched: int = 0

    def __add__(self, other: "Recomputed") -> "Recomputed":
        """Both comparisons; of features, those that both compared."""
        names = [*self.differing, *other.differing]
        return Recomputed(
            moments=(*self.moments, *other.moments),
            rows=self.rows + other.rows,
            features=tuple(name for name in self.features if name in other.features)
            if self.moments
            else other.features,
            differing={name: self.differing.get(name, 0) + other.differing.get(name, 0) for name in names},
            unmatched=self.unmatched + other.unmatched,
        )


def recomputed(
    learnt: pa.Table,
    honest: pa.Table,
    *,
    key: str,
    features: Sequence[str],
    moment: str,
    leave_out: Container[str] = (),
) -> Recomputed:
    """Return rows of one cut-off in the training set against what `honest` says of them, value by value, bit by bit.

    Args:
        learnt: rows of the training set at one cut-off.
        honest: the same features, computed from the rows that were known then and no others.
        key: column that names a row within the cut-off.
        features: columns that a model learns from. One that `honest` does not have differs in every row.
        moment: of the cut-off, in words.
        leave_out: keys that need not be on both sides: of those who were forgotten meanwhile.
    """
    ours, theirs = pl.DataFrame(learnt).select(key, *features), pl.DataFrame(honest)
    missing = [name for name in features if name not in theirs.columns]
    compared = [name for name in features if name not in missing]
    both = ours.join(theirs.select(key, *compared), on=key, how="inner", suffix=_AGAIN)
    changed = both.select(pl.col(name).ne_missing(pl.col(name + _AGAIN)).sum() for name in compared)
    differing = {name: int(changed[name].item()) for name in compared} | dict.fromkeys(missing, ours.height)
    return Recomputed(
        moments=(moment,),
        rows=both.height,
        features=tuple(features),
        differing={name: rows for name, rows in differing.items() if rows},
        unmatched=sum(name not in leave_out for name in _only_one_has(ours[key], theirs[key])),
    )


def _only_one_has(ours: pl.Series, theirs: pl.Series) -> set[str]:
    return set(ours.to_list()) ^ set(theirs.to_list())
