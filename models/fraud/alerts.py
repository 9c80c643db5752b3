"""Alerts: one per card and day, raised by the first payment that scores high enough."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal

from models.features.fraud_online import Payment

#: What an analyst can say of an alert.
Verdict = Literal["fraud", "ok"]


@dataclass(frozen=True)
class Scored:
    """A payment and what the model says about it.

    Attributes:
        payment: what was paid.
        features: in the order of `models.features.fraud_definitions.FEATURES`.
        score: probability of fraud, 0..1.
        model_version: that gave it.
    """

    payment: Payment
    features: Sequence[float]
    score: float
    model_version: str


@dataclass(frozen=True)
class Alert:
    """A card that an analyst should look at.

    Attributes:
        alert_id: day and customer, so that raising it again is the same alert.
        day: of the payments, UTC.
        customer_id: whose card.
        transactions: the payments that scored high enough, the one that raised it first.
        raised_for: moment of that payment, UTC.
        score: of that payment, 0..1.
        highest_score: over all of these.
        model_version: that raised it.
        reasons: feature -> contribution to the log-odds of that payment (exact SHAP), largest first.
        label: `fraud` or `ok` once an analyst said so, else None.
    """

    alert_id: str
    day: date
    customer_id: str
    transactions: tuple[int, ...]
    raised_for: datetime
    score: float
    highest_score: float
    model_version: str
    reasons: Mapping[str, float]
    label: str | None = None

    @property
    def why(self) -> list[str]:
        """Its reasons in words, the largest first, e.g. `amount +2.50`."""
        return [f"{name} {value:+.2f}" for name, value in self.reasons.items()]

    def joined_by(self, scored: Scored) -> Alert:
        """Return the alert after a payment of its card and day scored high enough; a payment may be scored again."""
        transactions = tuple(dict.fromkeys((*self.transactions, scored.payment.transaction_id)))
        return replace(self, transactions=transactions, highest_score=max(self.highest_score, scored.score))


@dataclass(frozen=True)
class Feedback:
    """An analyst's label of an alerted payment.

    Attributes:
        transaction_id: the payment.
        customer_id: the owner of the card.
        alert_id: the alert that the analyst reviewed.
        is_fraud: the label.
        labelled_at: when the label was given, UTC.
        who: gave the label.
    """

    transaction_id: int
    customer_id: str
    alert_id: str
    is_fraud: bool
    labelled_at: datetime
    who: str


def alert_id(payment: Payment) -> str:
    """Return the name of the alert that a payment belongs to, e.g. `20180725-596`."""
    return f"{payment.paid_at:%Y%m%d}-{payment.customer_id}"


def is_alert_of(name: str, customer_id: str) -> bool:
    """Return True if `name` is the name of an alert of the customer, on any day."""
    return re.fullmatch(rf"\d{{8}}-{re.escape(customer_id)}", name) is not None


def raised_by(scored: Scored, reasons: Mapping[str, float]) -> Alert:
    """Return the alert that a payment raises."""
    payment = scored.payment
    return Alert(
        alert_id=alert_id(payment),
        day=payment.paid_at.date(),
        customer_id=payment.customer_id,
        transactions=(payment.transaction_id,),
        raised_for=payment.paid_at,
        score=scored.score,
        highest_score=scored.score,
        model_version=scored.model_version,
        reasons=reasons,
    )


def alerts_after(
    scored: Iterable[Scored],
    standing: Mapping[str, Alert],
    *,
    reasons: Callable[[Sequence[float]], Mapping[str, float]],
) -> dict[str, Alert]:
    """By id, the alerts that stood and those that these payments raise, after all of them joined.

    Args:
        scored: payments that scored high enough, in the order in which they came.
        standing: alerts that were raised before.
        reasons: of a row of features; asked for payments that raise an alert.
    """
    alerts = dict(standing)
    for one in scored:
        name = alert_id(one.payment)
        before = alerts.get(name)
        alerts[name] = before.joined_by(one) if before else raised_by(one, reasons(one.features))
    return alerts
