"""Records of harmful changes to one day of a table, and the day that they change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import numpy as np
import polars as pl

#: `note` only with a reason in the record; `silent`: nothing said a word, or none that names the cause.
Outcome = Literal["block", "warn", "note", "silent"]
APPS = ("churn", "fraud", "demand", "support", "personalization")
AppName = Literal["churn", "fraud", "demand", "support", "personalization"]
#: Those whose mutations go beyond the tables that they read: features, models, published rows.
NIGHT_APPS = ("churn", "fraud", "demand", "support")
NightApp = Literal["churn", "fraud", "demand", "support"]


@dataclass(frozen=True)
class Delivered:
    """Rows of one table on the day that is changed, as the source would deliver them.

    Attributes:
        day: the day.
        rows: columns of the contract.
        before: the same of earlier days, by day.
    """

    day: date
    rows: pl.DataFrame
    before: Mapping[date, pl.DataFrame] = field(default_factory=dict)

    def draws(self) -> np.random.Generator:
        """Random numbers, the same on every call."""
        return np.random.default_rng(self.day.toordinal())

    def earlier(self, days: int = 1) -> pl.DataFrame:
        """Return the rows of a day before."""
        ordered: Sequence[date] = sorted(self.before)
        return self.before[ordered[-days]]


@dataclass(frozen=True)
class Mutation:
    """A harmful change of one day's rows.

    Attributes:
        name: of the change, e.g. `orders-half`.
        table: whose rows are changed.
        change: makes the rows that are delivered instead; none at all for an empty frame.
        words: of these, one must be in what is said of the day: it names the cause.
        noted: the reason why a note is enough; empty: it must be blocked or warned.
    """

    name: str
    table: str
    change: Callable[[Delivered], pl.DataFrame]
    words: tuple[str, ...]
    noted: str = ""


@dataclass(frozen=True)
class Result:
    """The outcome of a mutation.

    Attributes:
        mutation: its name.
        outcome: the worst that was done about it.
        check: that said so, e.g. `orders: volume`.
        says: its sentence.
        names_the_cause: whether a sentence of that outcome holds one of the mutation's words.
    """

    mutation: str
    outcome: Outcome
    check: str = ""
    says: str = ""
    names_the_cause: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON can hold it."""
        return {**self.__dict__}


def judged(mutation: str, words: Sequence[str], findings: Sequence[tuple[Outcome, str, str]]) -> Result:
    """Choose the worst finding that names the cause, else the worst one.

    Args:
        mutation: its name.
        words: one of them names the cause.
        findings: outcome, check and sentence of each.
    """
    ranked: dict[Outcome, int] = {"block": 3, "warn": 2, "note": 1, "silent": 0}
    if not findings:
        return Result(mutation, "silent")
    worst = max(ranked[outcome] for outcome, _, _ in findings)
    named = [one for one in findings if any(word.lower() in f"{one[1]} {one[2]}".lower() for word in words)]
    outcome, check, says = max(named or findings, key=lambda one: ranked[one[0]])
    names_it = bool(named) and (ranked[outcome] >= 2 or ranked[outcome] == worst)
    shown: Outcome = next(name for name, rank in ranked.items() if rank == worst)
    return Result(mutation, shown, check, says, names_it)
