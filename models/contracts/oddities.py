"""Values that a contract lets through and that a person should look at before believing what is made of them."""

from collections.abc import Iterator
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa

from models.contracts.contract import Contract

#: Ids that systems write where no person is known: guests at the checkout, tests, defaults. In lower case.
_STAND_INS = frozenset(
    {
        *("0", "00", "000", "0000", "00000", "000000", "-1", "-99", "-999", "9999", "99999", "999999", "9999999"),
        *("guest", "guest checkout", "guest customer", "anonymous", "anonym", "gast", "unknown", "unbekannt", "other"),
        *("default", "dummy", "test", "tester", "test customer", "walk-in", "walkin", "cash", "n.n.", "nn", "x", "xxx"),
    }
)
#: A number stands for no person only where it is so much more frequent than others: ids may begin at 0.
_TIMES_THE_MEAN = 5
#: One customer with more rows than this share, in a shop of so many, is rather a cash desk than a person.
_MOST_OF_ONE, _FEWEST_IDS = 0.05, 100
#: Columns whose value all rows with the same value of another column share.
_ONE_EACH = (("order_id", "customer_id"), ("session_id", "customer_id"))
#: Below it, rows are exceptions of a kind that every export has.
_FEW = 0.005


def oddities(contract: Contract, rows: pa.Table, now: datetime | None = None) -> list[str]:
    """Return a sentence for each oddity of rows that keep the contract, with its share and what to do about it.

    Args:
        contract: of the rows.
        rows: with the contract's columns.
        now: rows after it are dated in the future; default: the present.
    """
    if not rows.num_rows:
        return []
    frame = pl.DataFrame(rows.select([c.name for c in contract.columns if c.name in rows.column_names]))
    return [
        *_stand_ins(contract, frame),
        *_cash_desks(contract, frame),
        *_mixed(frame),
        *_in_future(contract, frame, now or datetime.now(UTC)),
    ]


def _stand_ins(contract: Contract, frame: pl.DataFrame) -> Iterator[str]:
    for column in contract.columns:
        if not column.is_id or column.name == contract.key or column.name not in frame.columns:
            continue
        counts = frame[column.name].drop_nulls().value_counts()
        is_number = pl.col(column.name).str.contains(r"^-?\d+$")
        is_frequent = pl.col("count") > _TIMES_THE_MEAN * frame.height / max(counts.height, 1)
        found = counts.filter(
            pl.col(column.name).str.to_lowercase().is_in(_STAND_INS) & (is_number.not_() | is_frequent)
        )
        if found.height:
            texts: list[str] = found[column.name].to_list()
            share = int(found["count"].sum()) / frame.height
            yield (
                f"{share:.1%} of the rows have {column.name} {_listed(texts)}: if that stands for "
                f"none, write `more_missing_ids: [{_listed(texts)}]` under settings.ingestion"
            )


def _cash_desks(contract: Contract, frame: pl.DataFrame) -> Iterator[str]:
    for column in contract.columns:
        if column.pii != "pseudonymous" or not column.is_id or column.name not in frame.columns:
            continue
        counts = frame[column.name].drop_nulls().value_counts(sort=True)
        if counts.height < _FEWEST_IDS or str(counts[column.name][0]).lower() in _STAND_INS:
            continue
        first, second = (int(count) / frame.height for count in counts["count"][:2])
        if first > _MOST_OF_ONE:
            yield (
                f"{first:.1%} of the rows have {column.name} {counts[column.name][0]!r}, the next has {second:.1%}: if "
                "it is no single customer, name it in settings.ingestion.more_missing_ids"
            )


def _mixed(frame: pl.DataFrame) -> Iterator[str]:
    for one, other in _ONE_EACH:
        if {one, other} <= {*frame.columns}:
            n = frame.drop_nulls(one).group_by(one).agg(n=pl.col(other).n_unique())["n"]
            share = int((n > 1).sum()) / max(n.len(), 1)
            if share > _FEW:
                yield f"{share:.1%} of the values of {one} have rows of several {other}: is one of them another column?"


def _listed(texts: list[str]) -> str:
    return ", ".join(map(repr, sorted(texts)))


def _in_future(contract: Contract, frame: pl.DataFrame, now: datetime) -> Iterator[str]:
    if contract.event is None or frame.schema.get(contract.event) is None:
        return
    late = frame[contract.event].cast(pl.Datetime("us", "UTC"))
    late = late.filter(late > now)
    if late.len():
        yield (
            f"{late.len() / frame.height:.1%} of the rows have {contract.event} after the present, the last "
            f"{late.max():%Y-%m-%d}: they wait until their day has come"
        )
