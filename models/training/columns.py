"""Meaning of a matrix's columns, for trainers that use more of a feature than its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from models.errors import TesseraError, choose_from

#: 1: predictions do not fall as the feature grows; -1: they do not rise.
Direction = Literal[-1, 1]


@dataclass(frozen=True)
class PurchaseHistory:
    """The columns that describe a customer's purchases, in days, and the horizon of the label.

    Attributes:
        purchase_days: days with a purchase.
        recency_days: days since the last purchase.
        tenure_days: days since the first purchase.
        horizon_days: days that the label looks ahead.
    """

    purchase_days: str
    recency_days: str
    tenure_days: str
    horizon_days: int

    @property
    def names(self) -> tuple[str, str, str]:
        """The three columns."""
        return self.purchase_days, self.recency_days, self.tenure_days


@dataclass(frozen=True)
class Columns:
    """Columns of one matrix of features.

    Attributes:
        names: in the matrix's order.
        directions: column -> direction in which the prediction may move as it grows; others are free.
        purchases: the columns of a purchase history; None if the application has none.
    """

    names: tuple[str, ...]
    directions: Mapping[str, Direction] = field(default_factory=dict[str, Direction])
    purchases: PurchaseHistory | None = None

    def constraints(self) -> tuple[int, ...]:
        """Return the direction of each column in the matrix's order, 0 if it has none.

        Raises:
            TesseraError: the application declares no directions, or one of a column that the matrix lacks.
        """
        if not self.directions:
            raise _undeclared("monotone", "directions of its features (`directions` of its training task)")
        for name in self.directions:
            self._place(name)
        return tuple(self.directions.get(name, 0) for name in self.names)

    def history(self) -> tuple[PurchaseHistory, tuple[int, int, int]]:
        """Return the purchase history and the places of its columns.

        Raises:
            TesseraError: the application declares none, or one of a column that the matrix lacks.
        """
        if self.purchases is None:
            raise _undeclared("bgnbd", "a purchase history (`purchases` of its training task)")
        days, recency, tenure = self.purchases.names
        return self.purchases, (self._place(days), self._place(recency), self._place(tenure))

    def _place(self, name: str) -> int:
        if name not in self.names:
            raise TesseraError(
                f"The matrix has no column {name!r}.",
                expected=choose_from(name, self.names),
                todo="Correct the application's training task, which declares it.",
            )
        return self.names.index(name)


#: Nothing is known of the columns.
UNKNOWN = Columns(())


def _undeclared(setting: str, what: str) -> TesseraError:
    return TesseraError(
        f"A candidate has `{setting}: true`, and its application does not declare {what}.",
        expected="an application that does, as churn",
        todo=f"Take `{setting}` out of settings.<app>.candidates, or declare it.",
    )
