"""Fraud's alerts: one per card and day, raised by the first payment that scores high enough.

Of `models.alerts`, the entity is the customer whose card it is, and the evidence are ids of payments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from models.alerts import Alert, Feedback, alert_id
from models.errors import TesseraError
from models.features.fraud_online import Payment

#: The application that raises these alerts.
APP = "fraud"
#: What an analyst can say of an alert.
Verdict = Literal["fraud", "ok"]
FRAUD: Verdict = "fraud"
OK: Verdict = "ok"


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

    @property
    def evidence_id(self) -> str:
        """The payment as evidence of an alert."""
        return str(self.payment.transaction_id)


def payments_of(alert: Alert) -> list[int]:
    """Return the `transaction_id`s of an alert, the payment that raised it first."""
    return [int(one) for one in alert.evidence]


def labelled_payment(said: Feedback) -> tuple[int, bool]:
    """Return the `transaction_id` of the payment that was labelled, and whether it was called fraud.

    Raises:
        TesseraError: the label is none of fraud's.
    """
    if said.label not in (FRAUD, OK):
        raise TesseraError(
            f"Alert {said.alert_id!r} is labelled {said.label!r}.",
            expected=f"{FRAUD} or {OK}",
            todo="Correct it where it was stored; `tessera alerts label` takes no other label.",
        )
    return int(said.evidence_id), said.label == FRAUD


def alert_id_of(payment: Payment) -> str:
    """Return the name of the alert that a payment belongs to, e.g. `fraud-20180725-596`."""
    return alert_id(APP, payment.paid_at.date(), payment.customer_id)


def raised_by(scored: Scored, reasons: Mapping[str, float]) -> Alert:
    """Return the alert that a payment raises."""
    payment = scored.payment
    return Alert(
        alert_id=alert_id_of(payment),
        app=APP,
        day=payment.paid_at.date(),
        entity_id=payment.customer_id,
        evidence=(scored.evidence_id,),
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
        name = alert_id_of(one.payment)
        before = alerts.get(name)
        joined = before.joined_by(one.evidence_id, one.score) if before else raised_by(one, reasons(one.features))
        alerts[name] = joined
    return alerts
