"""Agreement of labels with what they label: fraud with payments, intents with texts. Imports polars.

The rows of the days before say which signs (words, sizes, ids) go with which label, as naive Bayes counts them. Two
rows of a day with different labels agree with that if both labels are likelier as they are than exchanged. Labels that
came to other rows than they are about agree in half of the pairs, which is chance.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.contracts import CONTRACTS, DELIVERED_ON
from models.watch.columns import PARENTS, REGISTERS, Roles, roles_of
from models.watch.limits import Floats
from models.watch.profile import Name
from models.watch.repetition import FEWEST_DAYS, LOOKBACK_DAYS
from models.watch.words import words_of

#: Rows of a day and label, and about how many of a day, that are read: every two of a day are compared.
_SAMPLED_ROWS, _MOST_ROWS = 128, 1024
#: Labelled rows of the days before without which nothing is said, and labels of a column beyond which none is read.
_FEWEST_ROWS, _MOST_LABELS = 50, 200
#: Rows that every sign is counted as often as usual with each label before any is seen.
_PRIOR_ROWS = 40.0
#: Bins of sizes to each doubling.
_BINS = 2
#: Decimals of a difference of scores: two rows that are alike differ by none.
_DECIMALS = 9

Found = Iterator[tuple[Name, pl.DataFrame]]
Ints = NDArray[np.int64]


def facts_of(roles: Roles) -> dict[str, tuple[str, ...]]:
    """Return id column -> columns of the table that it names which say whether labels are on the right rows.

    Labels of another table's rows are compared with these rows; of a table with texts, the categories of whom it names.
    """
    if _is_about_another_table(roles):
        parent = roles_of(CONTRACTS[PARENTS[roles.key]])
        return {roles.key: (*parent.ids, *parent.numbers, *parent.flags, *parent.categories, *parent.prose)}
    if not _has_texts(roles):
        return {}
    registers = {name: roles_of(CONTRACTS[REGISTERS[name]]).categories for name in roles.ids if name in REGISTERS}
    return {name: categories for name, categories in registers.items() if categories}


def sampled(rows: pl.DataFrame, roles: Roles) -> pl.DataFrame:
    """Return the rows whose labels are compared, the same on every call."""
    key, labels = pl.col(roles.key).hash(), (*roles.flags, *roles.categories)
    few = [key % pl.max_horizontal(pl.len().over(DELIVERED_ON, name) // _SAMPLED_ROWS, 1) == 0 for name in labels]
    found = rows.filter(pl.any_horizontal(few)) if few else rows
    share = pl.len().over(DELIVERED_ON) // _MOST_ROWS + 1
    return found.filter(pl.col(roles.key).hash(seed=1) % share == 0)


def agreement(rows: pl.DataFrame, before: pl.DataFrame, roles: Roles, facts: Mapping[str, pl.DataFrame]) -> Found:
    """Yield by day (`delivered_on`, `value`, `n`) the share of pairs of rows whose labels fit better than exchanged.

    Args:
        rows: of the days.
        before: of the days before them, columns `Roles.short`.
        roles: of their columns.
        facts: id column -> rows of the table that it names, with the columns `facts_of`.
    """
    days = set(rows[DELIVERED_ON].unique())
    for name, labelled, of, signs in _comparisons(rows, before, roles, facts):
        held = labelled.drop_nulls().unique([DELIVERED_ON, roles.key], keep="last", maintain_order=True)
        schema = {DELIVERED_ON: pl.Date, "value": pl.Float64, "n": pl.Float64}
        yield (
            Name("fits", name, of),
            pl.DataFrame(list(_compared(held, roles.key, name, signs, days)), schema, orient="row"),
        )


def _comparisons(
    rows: pl.DataFrame, before: pl.DataFrame, roles: Roles, facts: Mapping[str, pl.DataFrame]
) -> Iterator[tuple[str, pl.DataFrame, str, pl.DataFrame]]:
    """Yield a label, the rows that have it (day, key, label), what they are compared with, and its signs."""
    if not facts:
        return
    names = [name for name in rows.columns if name in before.columns]
    every = sampled(pl.concat([before.select(names), rows.select(names)]), roles)
    labels = {name: every.select(DELIVERED_ON, roles.key, name) for name in (*roles.flags, *roles.categories)}
    if _is_about_another_table(roles):
        parent = roles_of(CONTRACTS[PARENTS[roles.key]])
        of, signs = PARENTS[roles.key], _signs(facts[roles.key].unique(roles.key, keep="first"), parent)
        labels |= {name: every.select(DELIVERED_ON, roles.key, name) for name in roles.ids}
    else:
        of, signs = roles.prose[0], _signs(every.unique(roles.key, keep="last").select(roles.key, *roles.prose), roles)
        for column, register in facts.items():
            named = every.join(register.unique(column, keep="first"), on=column)
            categories = (name for name in register.columns if name not in (column, DELIVERED_ON))
            renamed = {name: f"{name} of {column}" for name in categories}
            labels |= {
                new: named.select(DELIVERED_ON, roles.key, pl.col(old).alias(new)) for old, new in renamed.items()
            }
    for name, labelled in labels.items():
        yield name, labelled, of, signs


def _is_about_another_table(roles: Roles) -> bool:
    return roles.key in PARENTS and bool(roles.versions)


def _has_texts(roles: Roles) -> bool:
    return bool(roles.prose and roles.event and not roles.versions)


def _signs(facts: pl.DataFrame, roles: Roles) -> pl.DataFrame:
    """Return what is known of each key, the first column, one row for each sign: the key, `sign` as a hash."""
    found: list[pl.DataFrame] = []
    key, *names = (name for name in facts.columns if name != DELIVERED_ON)
    for name in names:
        value = pl.col(name)
        if name in roles.numbers:
            value = ((value.abs().cast(pl.Float64) + 1e-9).log(2) * _BINS).floor().cast(pl.Int32)
        elif name in roles.prose:
            value = words_of(value)
        signs = facts.select(key, sign=value)
        if name in roles.prose:
            signs = signs.explode("sign").drop_nulls()
        named = pl.lit(f"{name}=") + pl.col("sign").cast(pl.String).fill_null("")
        found.append(signs.select(key, sign=named.hash()))
    return pl.concat(found)


@dataclass(frozen=True)
class _Day:
    """Rows of one day: a label of each row, and pairs of row and sign."""

    labels: Ints
    rows: Ints
    signs: Ints


def _compared(
    labelled: pl.DataFrame, key: str, label: str, signs: pl.DataFrame, days: Collection[date]
) -> Iterator[tuple[date, float, int]]:
    """Yield the share of pairs that fit and the number of rows without the most frequent label, of each day."""
    read, labels, size = _days(labelled, key, label, signs)
    if not 1 < labels <= _MOST_LABELS:
        return
    counts, rows = np.zeros((size, labels)), np.zeros(labels)
    taken = list[date]()
    for day in sorted(read):
        while taken and taken[0] < day - timedelta(days=LOOKBACK_DAYS):
            _count(counts, rows, read[taken.pop(0)], -1)
        if day in days and rows.sum() >= _FEWEST_ROWS and len(taken) >= FEWEST_DAYS:
            fits = _fits(read[day], counts, rows)
            if fits is not None:
                yield day, *fits
        _count(counts, rows, read[day], 1)
        taken.append(day)


def _days(labelled: pl.DataFrame, key: str, label: str, signs: pl.DataFrame) -> tuple[dict[date, _Day], int, int]:
    """Return the rows of each day with their signs, the number of labels, and that of signs."""
    held = labelled.join(signs.select(key).unique(), on=key, how="semi", maintain_order="left")
    coded = held.select(DELIVERED_ON, key, label=pl.col(label).rank("dense") - 1).with_columns(
        row=pl.int_range(pl.len()).over(DELIVERED_ON)
    )
    joined = coded.join(signs, on=key).with_columns(sign=pl.col("sign").rank("dense") - 1)
    found: dict[date, _Day] = {}
    of_signs: dict[Any, pl.DataFrame] = {day: one for (day,), one in joined.group_by(DELIVERED_ON)}
    for (day,), one in coded.group_by(DELIVERED_ON, maintain_order=True):
        both = (of_signs[day][name].to_numpy().astype(np.int64) for name in ("row", "sign"))
        found[day] = _Day(one["label"].to_numpy().astype(np.int64), *both)  # pyright: ignore[reportArgumentType]
    most = [frame[name].max() for frame, name in ((coded, "label"), (joined, "sign"))]
    return found, *(0 if one is None else int(one) + 1 for one in most)  # pyright: ignore


def _count(counts: Floats, rows: Floats, day: _Day, times: int) -> None:
    np.add.at(counts, (day.signs, day.labels[day.rows]), times)
    rows += times * np.bincount(day.labels, minlength=len(rows))


def _fits(day: _Day, counts: Floats, rows: Floats) -> tuple[float, int] | None:
    """Return the share of pairs of different labels that are likelier as they are; None if all labels are equal."""
    signs, place = np.unique(day.signs, return_inverse=True)
    usual = counts[signs].sum(axis=1, keepdims=True) / rows.sum()
    known = np.where(usual > 0, usual, 1.0)
    ratios = (counts[signs] + _PRIOR_ROWS * usual) / ((rows + _PRIOR_ROWS) * known)
    evidence = np.log(np.where(usual > 0, ratios, 1.0))
    scores = np.zeros((len(day.labels), len(rows)))
    np.add.at(scores, day.rows, evidence[place])
    own = scores[np.arange(len(scores)), day.labels]
    other = scores[:, day.labels]
    better = own[:, None] + own[None, :] - other - other.T
    differ = day.labels[:, None] != day.labels[None, :]
    if not differ.any():
        return None
    found = np.round(better[differ], _DECIMALS)
    return float((found > 0).mean() + (found == 0).mean() / 2), len(own) - int(np.bincount(day.labels).max())
