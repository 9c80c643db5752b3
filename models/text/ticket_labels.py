"""Labels of tickets as they are known at a moment: of each ticket the newest."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types.

from datetime import datetime

import polars as pl
import pyarrow as pa

#: Columns of `labels_at`.
NEWEST = pa.schema(
    [
        pa.field("ticket_id", pa.string()),
        pa.field("intent", pa.string()),
        pa.field("urgent", pa.bool_()),
        pa.field("handed_off", pa.bool_()),
        pa.field("article_id", pa.string()),
        pa.field("labelled_at", pa.timestamp("us", "UTC")),
    ]
)
#: Columns that a label may leave open.
_OPEN = ("urgent", "handed_off", "article_id")


def labels_at(labels: pa.Table, moment: datetime) -> pa.Table:
    """Return what is known of each ticket at a moment, ascending by ticket (`NEWEST`).

    The newest row counts; what it leaves open keeps what an earlier row said of it.

    Args:
        labels: columns of the contract `ticket_labels`, in any order.
        moment: UTC; rows from that moment on are not known yet.
    """
    known = pl.DataFrame(labels.select(NEWEST.names)).filter(pl.col("labelled_at") < moment)
    newest = known.sort("ticket_id", "labelled_at").group_by("ticket_id", maintain_order=True)
    said = newest.agg("intent", *_OPEN, "labelled_at")
    last = [pl.col(name).list.last() for name in ("intent", "labelled_at")]
    left_open = [pl.col(name).list.drop_nulls().list.last() for name in _OPEN]
    return said.with_columns(*last, *left_open).to_arrow().cast(NEWEST)
