"""Does a feature know something that was not known at its cut-off?"""

from collections.abc import Callable, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from models.features.cutoffs import cutoff_moment

# pyarrow has no static types.
# pyright: basic


def known_at(orders: pa.Table, day: date) -> pa.Table:
    """The rows of the lake table `orders` that were both placed and delivered by the end of `day`."""
    moment = pa.scalar(cutoff_moment(day), pa.timestamp("us", "UTC"))
    return orders.filter((pc.field("ordered_at") <= moment) & (pc.field("delivered_on") <= day))


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
